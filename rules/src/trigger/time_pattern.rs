//! `trigger: time_pattern`: fires whenever the home's clock shows certain hours, minutes, seconds.

use super::Trigger;
use crate::calendar::Calendar;
use crate::reader::Reader;
use crate::schedule::recurrence::{Pattern, full};
use gable_devices::yaml::{Fields, Node};
use gable_devices::{Data, Timestamp};

/// What the clock has to show.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TimePatternTrigger {
    pub(crate) pattern: Pattern,
}

impl TimePatternTrigger {
    pub(super) fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<TimePatternTrigger> {
        let hours = read_unit(reader, fields, "hours", 24);
        let minutes = read_unit(reader, fields, "minutes", 60);
        let seconds = read_unit(reader, fields, "seconds", 60);
        if hours.is_none() && minutes.is_none() && seconds.is_none() {
            fields.fail("needs one of `hours`, `minutes`, `seconds`");
            return None;
        }
        // Below a unit that is given, those that are not stand at 0; above it, any will do.
        let minutes = minutes.or(hours.map(|_| Some(1)));
        let seconds = seconds.or(minutes.map(|_| Some(1)));
        let pattern = Pattern {
            hours: hours.unwrap_or(Some(full(24)))?,
            minutes: minutes.unwrap_or(Some(full(60)))?,
            seconds: seconds.unwrap_or(Some(full(60)))?,
        };
        Some(TimePatternTrigger { pattern })
    }

    /// The `trigger` variable of the run to come.
    pub(crate) fn variable(&self, trigger: &Trigger, at: Timestamp, calendar: &Calendar) -> Data {
        let own = [("platform", "time_pattern".into()), ("now", super::time::now_data(at, calendar))];
        trigger.variable("time pattern".to_owned(), own)
    }
}

/// Reads one unit as bits: none if it is not given, none inside if it is wrong.
fn read_unit(
    reader: &mut Reader,
    fields: &mut Fields<'_>,
    key: &'static str,
    count: u32,
) -> Option<Option<u64>> {
    let node = fields.get(key)?;
    let path = fields.path_of(key);
    let items = node.list_or_single();
    if items.is_empty() {
        fields.report(node.problem(&path, "is an empty list"));
    }
    let bits: Option<Vec<u64>> = items.iter().map(|item| read_bits(reader, item, &path, count)).collect();
    let bits = bits.filter(|bits| !bits.is_empty());
    Some(bits.map(|bits| bits.into_iter().fold(0, |all, bits| all | bits)))
}

/// Reads `*`, `/n` or a number.
fn read_bits(reader: &mut Reader, node: &Node, path: &str, count: u32) -> Option<u64> {
    let text = reader.keep(node.text(path))?;
    let number = |text: &str| text.trim().parse::<u32>().ok();
    let bits = match text.strip_prefix('/') {
        _ if text == "*" => Some(full(count)),
        Some(step) => number(step).filter(|step| *step > 0).map(|step| {
            let steps = (0..count).filter(|n| n.is_multiple_of(step));
            steps.fold(0, |bits, n| bits | 1 << n)
        }),
        None => number(&text).filter(|n| *n < count).map(|n| 1 << n),
    };
    if bits.is_none() {
        let message = format!("`{text}` is not `*`, `/n` or a number from 0 to {}", count - 1);
        reader.problems.push(node.problem(path, message));
    }
    bits
}
