//! `condition: time`: the home's clock stands between two times, perhaps over midnight, on certain
//! days.

use super::Scene;
use crate::clock::{self, Said};
use crate::reader::Reader;
use crate::schedule::recurrence::Weekdays;
use crate::trace::Saw;
use gable_devices::yaml::{Fields, Node};
use gable_devices::{EntityId, Quality};
use jiff::civil::Time;

/// The times, each inside or outside as Home Assistant has it, and the days.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TimeCondition {
    after: Option<Limit>,
    before: Option<Limit>,
    days: Option<Weekdays>,
}

#[derive(Clone, Debug, PartialEq)]
enum Limit {
    Time(Time),
    /// What an entity says.
    Entity(EntityId),
}

impl TimeCondition {
    pub(super) fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<TimeCondition> {
        let mut limit = |fields: &mut Fields<'_>, key| {
            let node = fields.get(key)?;
            Limit::read(reader, node, &fields.path_of(key))
        };
        let (after, before) = (limit(fields, "after"), limit(fields, "before"));
        let days = clock::read_weekdays(fields);
        if !["after", "before", "weekday"].iter().any(|key| fields.has(key)) {
            fields.fail("needs one of `after`, `before`, `weekday`");
        }
        Some(TimeCondition { after, before, days })
    }

    pub(super) fn holds(&self, scene: &Scene<'_>) -> Result<bool, String> {
        let now = scene.rows.calendar().local(scene.rows.now);
        let Some(after) = time_of(self.after.as_ref(), Time::midnight(), scene)? else { return Ok(false) };
        let Some(before) = time_of(self.before.as_ref(), Time::MAX, scene)? else { return Ok(false) };
        let time = now.time();
        scene.saw(|| {
            let days = if self.days.is_some() { ", on some weekdays" } else { "" };
            let found = format!("{:?} {time:.0}", now.weekday());
            Saw::new("the time", found, format!("from {after:.0} to {before:.0}{days}"))
        });
        let is_between = if after < before {
            (after..before).contains(&time)
        } else {
            // Over midnight: all but what lies between the end and the beginning.
            !(before..after).contains(&time)
        };
        Ok(is_between && self.days.is_none_or(|days| days.contains(now.weekday())))
    }
}

impl Limit {
    fn read(reader: &mut Reader, node: &Node, path: &str) -> Option<Limit> {
        if node.as_text().is_some_and(|text| text.contains('.')) {
            return reader.entity_id(node, path).map(Limit::Entity);
        }
        clock::read_time(reader, node, path).map(Limit::Time)
    }
}

/// A limit's time; none if its entity says no time, and then the condition is not fulfilled.
fn time_of(limit: Option<&Limit>, default: Time, scene: &Scene<'_>) -> Result<Option<Time>, String> {
    let entity_id = match limit {
        None => return Ok(Some(default)),
        Some(Limit::Time(time)) => return Ok(Some(*time)),
        Some(Limit::Entity(entity_id)) => entity_id,
    };
    let entity = scene.entity(entity_id)?;
    if entity.quality != Quality::Good {
        return Ok(None);
    }
    let calendar = scene.rows.calendar();
    Ok(match (entity_id.domain(), Said::parse(entity.state())) {
        ("input_datetime" | "time", Some(Said::Time(time))) => Some(time),
        // One without a time of day counts as the end of the day, as in Home Assistant.
        ("input_datetime", Some(Said::Date(_))) if !entity.state().contains(':') => {
            Some(Time::constant(23, 59, 59, 0))
        }
        ("input_datetime", Some(Said::Date(date))) => Some(date.time()),
        (_, Some(Said::Instant(at))) if clock::is_timestamp(entity) => Some(calendar.local(at).time()),
        _ => None,
    })
}
