//! Times as automations and entities write them, for triggers and conditions.

use crate::entity::EntityState;
use crate::reader::Reader;
use crate::schedule::recurrence::Weekdays;
use gable_devices::yaml::{Fields, Kind, Node};
use gable_devices::{Data, Timestamp};
use jiff::civil::{Date, DateTime, Time};

/// What an entity says about time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Said {
    /// A time of day.
    Time(Time),
    /// A date on the home's clocks, at midnight if it names no time.
    Date(DateTime),
    /// An instant: the text names its distance from UTC.
    Instant(Timestamp),
}

impl Said {
    /// Reads a state: `06:30:00`, `2026-03-29`, `2026-03-29 06:30:00`, `2026-03-29T06:30:00+02:00`.
    pub(crate) fn parse(state: &str) -> Option<Said> {
        if let Some(time) = parse_time(state) {
            return Some(Said::Time(time));
        }
        if let Ok(instant) = state.parse::<jiff::Timestamp>() {
            return Some(Said::Instant(Timestamp(instant.as_millisecond())));
        }
        let date_time = state.parse::<DateTime>().ok();
        let date = || state.parse::<Date>().ok().map(|date| date.to_datetime(Time::midnight()));
        date_time.or_else(date).map(Said::Date)
    }
}

/// Whether a sensor says instants.
pub(crate) fn is_timestamp(entity: &EntityState) -> bool {
    entity.value.attributes.get("device_class").and_then(Data::as_text) == Some("timestamp")
}

/// Reads `HH:MM` or `HH:MM:SS`.
pub(crate) fn parse_time(text: &str) -> Option<Time> {
    let mut parts = text.trim().split(':').map(|part| {
        let is_number = (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| part.parse::<i8>().ok()).flatten()
    });
    let (hour, minute) = (parts.next()??, parts.next()??);
    let second = parts.next().unwrap_or(Some(0))?;
    let is_whole = parts.next().is_none();
    is_whole.then(|| Time::new(hour, minute, second, 0).ok()).flatten()
}

/// Reads a time of day out of a file.
pub(crate) fn read_time(reader: &mut Reader, node: &Node, path: &str) -> Option<Time> {
    let message = match &node.kind {
        // YAML 1.1 reads 12:30:00 as a number to the base of sixty.
        Kind::Int(_) => "this is a number in YAML; write the time in quotes, as \"12:30:00\"".to_owned(),
        _ => {
            let text = reader.keep(node.text(path))?;
            match parse_time(&text) {
                Some(time) => return Some(time),
                None => format!("`{text}` is not a time: expected HH:MM or HH:MM:SS"),
            }
        }
    };
    reader.problems.push(node.problem(path, message));
    None
}

/// Reads `weekday`, a day or a list of them; none if it is not given.
pub(crate) fn read_weekdays(fields: &mut Fields<'_>) -> Option<Weekdays> {
    let node = fields.get("weekday")?;
    let path = fields.path_of("weekday");
    let mut days = Vec::new();
    for item in node.list_or_single() {
        let Some(text) = fields.keep(item.text(&path)) else { continue };
        match Weekdays::NAMES.iter().find(|(name, _)| *name == text) {
            Some((_, day)) => days.push(*day),
            None => {
                let names = Weekdays::NAMES.map(|(name, _)| name);
                let problem = item.problem(&path, format!("`{text}` is not one of {}", names.join(", ")));
                let problem = problem.meant(&text, names);
                fields.report(problem);
            }
        }
    }
    Some(Weekdays::new(days))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let found = Said::parse(text).map(|said| match said {
            Said::Time(time) => format!("time {time}"),
            Said::Date(date) => format!("date {date}"),
            Said::Instant(at) => format!("instant {}", at.0),
        });
        assert_eq!(found.as_deref().unwrap_or("nothing"), expected, "{text}");
    }

    #[test]
    fn states_say_times_dates_and_instants() {
        check("06:30:00", "time 06:30:00");
        check("6:30", "time 06:30:00");
        check("24:00:00", "nothing");
        check("06:30:00:00", "nothing");
        check("2026-03-29", "date 2026-03-29T00:00:00");
        check("2026-03-29 06:30:00", "date 2026-03-29T06:30:00");
        check("1970-01-01T00:00:01+00:00", "instant 1000");
        check("1970-01-01T01:00:01+01:00", "instant 1000");
        check("unknown", "nothing");
        check("", "nothing");
    }
}
