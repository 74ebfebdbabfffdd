//! Python's `datetime` as templates have it: a wall-clock time and the zone whose clock it is.

use crate::Timestamp;
use jiff::civil::DateTime;
use minijinja::value::{Object, ObjectRepr};
use std::fmt;
use std::sync::Arc;

/// A point in time.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    wall: DateTime,
    zone: Zone,
}

/// Whose clock shows it.
#[derive(Clone, Debug)]
pub(super) enum Zone {
    /// A fixed distance from UTC, in seconds.
    Fixed(i32),
}

impl Moment {
    /// An instant on the clock of Greenwich.
    pub(super) fn utc(at: Timestamp) -> Moment {
        Moment { wall: wall_at(at), zone: Zone::Fixed(0) }
    }
}

/// What a clock at UTC shows; the first or the last time that there is for what lies outside.
fn wall_at(at: Timestamp) -> DateTime {
    let start = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
    start.saturating_add(jiff::SignedDuration::from_millis(at.0))
}

/// `2024-01-01 12:00:00.123000+00:00`.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (date, time) = (self.wall.date(), self.wall.time());
        write!(f, "{:04}-{:02}-{:02} ", date.year(), date.month(), date.day())?;
        write!(f, "{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second())?;
        let micros = time.subsec_nanosecond() / 1000;
        if micros > 0 {
            write!(f, ".{micros:06}")?;
        }
        match self.zone {
            Zone::Fixed(offset) => {
                let (sign, offset) = if offset < 0 { ('-', -offset) } else { ('+', offset) };
                write!(f, "{sign}{:02}:{:02}", offset / 3600, offset / 60 % 60)
            }
        }
    }
}

impl Object for Moment {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
