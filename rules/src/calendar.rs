//! Wall-clock time where the home is: how far its clocks stand from UTC, and when the sun comes and
//! goes.
//!
//! The core knows no time-zone tables and does not search for the sun's events: a leader computes
//! both for some time ahead, and they enter the log as one input. What lies behind the end of the tables is told as the last
//! known offset, and without sun.

use gable_devices::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use serde::{Deserialize, Serialize};

/// The most offset changes and the most sun events that are taken; a calendar with more is refused.
pub(crate) const CHANGES_MAX: usize = 512;
pub(crate) const SUN_EVENTS_MAX: usize = 8192;
/// No clock stands further from UTC than this.
const OFFSET_SECONDS_MAX: i32 = 26 * 3600 - 1;

/// Where the home is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// The time zone's name in the IANA database, for example `Europe/Berlin`.
    pub time_zone: String,
    /// From where the sun is seen; none if nobody said.
    pub position: Option<Position>,
}

/// A point on Earth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// Metres above the sea.
    pub elevation: f64,
}

/// What the home's files say about its place (`homeassistant:`); the nodes' settings say the rest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeclaredPlace {
    pub time_zone: Option<String>,
    pub latitude: Option<f64>,
    pub longitude: Option<f64>,
    pub elevation: Option<f64>,
}

/// The tables of one place for some time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Calendar {
    pub place: Place,
    /// The end of the time for which the offsets are known.
    pub until: Timestamp,
    /// Seconds east of UTC before the first change.
    pub offset: i32,
    /// In the order of time.
    pub changes: Vec<OffsetChange>,
    /// None where the position is not known.
    pub sun: Option<SunTable>,
}

/// The clocks of the home are put forward or back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffsetChange {
    pub at: Timestamp,
    /// Seconds east of UTC from then on.
    pub offset: i32,
}

/// What the sun does for some time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SunTable {
    /// The end of the time for which events are known.
    pub until: Timestamp,
    /// Whether the sun is above the horizon before the first event.
    pub begins_up: bool,
    /// In the order of time.
    pub events: Vec<SunMoment>,
}

/// One event of the sun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SunMoment {
    pub at: Timestamp,
    pub event: SunEvent,
}

/// What the sun does. Dawn and dusk are those of civil twilight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SunEvent {
    Dawn,
    Rising,
    Noon,
    Setting,
    Dusk,
    Midnight,
}

/// What a time on the wall is as an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resolved {
    /// An instant; the first of two if clocks are put back over it.
    At(Timestamp),
    /// Clocks are put forward over it at `gap_end`. `shifted` is as long after that as the time lies
    /// in the gap.
    Skipped { gap_end: Timestamp, shifted: Timestamp },
}

/// What counts until a calendar is there.
static UTC: Calendar = Calendar {
    place: Place { time_zone: String::new(), position: None },
    until: Timestamp(0),
    offset: 0,
    changes: Vec::new(),
    sun: None,
};

impl Calendar {
    /// UTC without a sun.
    pub(crate) fn utc() -> &'static Calendar {
        &UTC
    }

    /// Returns how many seconds east of UTC the home's clocks stand at an instant.
    pub fn offset_at(&self, at: Timestamp) -> i32 {
        let passed = self.changes.partition_point(|change| change.at <= at);
        self.changes[..passed].last().map_or(self.offset, |change| change.offset)
    }

    /// Returns what the home's clocks show at an instant.
    pub fn local(&self, at: Timestamp) -> DateTime {
        let offset = Offset::from_seconds(self.offset_at(at)).unwrap_or(Offset::UTC);
        let end = if at.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
        offset.to_datetime(jiff::Timestamp::from_millisecond(at.0).unwrap_or(end))
    }

    /// Returns the instant at which the home's clocks show `local`: moved forward by the gap where
    /// they are put forward over it, and the first of two where they are put back over it.
    pub fn to_instant(&self, local: DateTime) -> Timestamp {
        match self.resolve(local) {
            Resolved::At(at) => at,
            Resolved::Skipped { shifted, .. } => shifted,
        }
    }

    pub(crate) fn resolve(&self, local: DateTime) -> Resolved {
        let as_utc = Offset::UTC.to_timestamp(local).map_or(i64::MAX / 2, |at| at.as_millisecond());
        let instant = |offset: i32| Timestamp(as_utc.saturating_sub(i64::from(offset) * 1000));
        let mut offset = self.offset;
        for change in &self.changes {
            let at = instant(offset);
            if at < change.at {
                return Resolved::At(at);
            }
            if instant(change.offset) < change.at {
                return Resolved::Skipped { gap_end: change.at, shifted: at };
            }
            offset = change.offset;
        }
        Resolved::At(instant(offset))
    }

    /// Returns when the sun next does `event`, seen from `offset` milliseconds later.
    pub(crate) fn sun_after(&self, event: SunEvent, offset: i64, after: Timestamp) -> Option<Timestamp> {
        let events = &self.sun.as_ref()?.events;
        let shifted = |moment: &SunMoment| Timestamp(moment.at.0.saturating_add(offset));
        let passed = events.partition_point(|moment| shifted(moment) <= after);
        events[passed..].iter().find(|moment| moment.event == event).map(shifted)
    }

    /// Returns the event on the day on which the home's clocks show this date.
    pub(crate) fn sun_on(&self, event: SunEvent, date: jiff::civil::Date) -> Option<Timestamp> {
        let events = &self.sun.as_ref()?.events;
        let is_on = |moment: &&SunMoment| self.local(moment.at).date() == date;
        let near = self.to_instant(date.to_datetime(jiff::civil::Time::midnight()));
        // A date has 25 hours or a few more, and clocks may be put back over midnight.
        let first = events.partition_point(|moment| moment.at.0 < near.0.saturating_sub(3 * 3_600_000));
        let near = events[first..].iter().take(16);
        near.filter(is_on).find(|moment| moment.event == event).map(|moment| moment.at)
    }

    /// Why these tables can not be right, if they can not.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        let is_offset = |offset: i32| offset.abs() <= OFFSET_SECONDS_MAX;
        let is_ordered = self.changes.is_sorted_by(|a, b| a.at < b.at);
        let sun = self.sun.as_ref().map_or(&[][..], |sun| &sun.events);
        match () {
            () if self.changes.len() > CHANGES_MAX => Some("it has too many changes of the clock"),
            () if sun.len() > SUN_EVENTS_MAX => Some("it has too many sun events"),
            () if !is_ordered || !sun.is_sorted() => Some("it is not in the order of time"),
            () if !is_offset(self.offset) || !self.changes.iter().all(|change| is_offset(change.offset)) => {
                Some("it puts a clock further from UTC than a day")
            }
            () => None,
        }
    }
}

impl SunTable {
    /// Whether the sun is above the horizon.
    pub(crate) fn is_up(&self, at: Timestamp) -> bool {
        let passed = self.events.partition_point(|moment| moment.at <= at);
        let last = self.events[..passed].iter().rev().find_map(|moment| match moment.event {
            SunEvent::Rising => Some(true),
            SunEvent::Setting => Some(false),
            SunEvent::Dawn | SunEvent::Noon | SunEvent::Dusk | SunEvent::Midnight => None,
        });
        last.unwrap_or(self.begins_up)
    }

    /// The next event of any kind.
    pub(crate) fn next(&self, after: Timestamp) -> Option<SunMoment> {
        self.events.get(self.events.partition_point(|moment| moment.at <= after)).copied()
    }
}

#[cfg(test)]
pub(crate) mod tests;
