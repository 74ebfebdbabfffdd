//! Rules for instants: every day at a time, a pattern of the clock, a date, the sun. Pure.
//!
//! Across daylight saving, a daily time is for people, and comes once a day: one that clocks skip
//! comes when they are put forward, and one that they show twice comes the first time. (Home
//! Assistant 2025.4 leaves out the former and runs the latter twice.) A pattern is for the clock,
//! as in Home Assistant: it comes whenever the clock shows it, so not in the hour that is skipped,
//! and in both of the hours that are shown twice.

use crate::calendar::{Calendar, Resolved, SunEvent};
use gable_devices::{Millis, Timestamp};
use jiff::ToSpan;
use jiff::civil::{Time, Weekday};
use std::collections::VecDeque;

const SECONDS_PER_DAY: i64 = 86_400;

/// A rule for instants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Recurrence {
    /// Once on each of these days.
    Daily { time: Time, days: Weekdays },
    /// Once, if it falls on one of these days.
    Once { at: Timestamp, days: Weekdays },
    /// Whenever the clock shows it.
    Pattern(Pattern),
    /// So many milliseconds after the sun does something.
    Sun { event: SunEvent, offset: i64 },
}

/// Days of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Weekdays(u8);

/// Which hours, minutes and seconds of the clock are meant, each as bits. None is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    pub(crate) hours: u64,
    pub(crate) minutes: u64,
    pub(crate) seconds: u64,
}

impl Weekdays {
    pub(crate) const ALL: Weekdays = Weekdays(0x7f);
    pub(crate) const NAMES: [(&str, Weekday); 7] = [
        ("mon", Weekday::Monday),
        ("tue", Weekday::Tuesday),
        ("wed", Weekday::Wednesday),
        ("thu", Weekday::Thursday),
        ("fri", Weekday::Friday),
        ("sat", Weekday::Saturday),
        ("sun", Weekday::Sunday),
    ];

    pub(crate) fn new(days: impl IntoIterator<Item = Weekday>) -> Weekdays {
        Weekdays(days.into_iter().fold(0, |bits, day| bits | Weekdays::bit(day)))
    }

    pub(crate) fn contains(self, day: Weekday) -> bool {
        self.0 & Weekdays::bit(day) != 0
    }

    fn bit(day: Weekday) -> u8 {
        1 << day.to_monday_zero_offset()
    }
}

impl Recurrence {
    /// The first instant later than `after`, as far as the calendar tells.
    pub(crate) fn next_after(&self, calendar: &Calendar, after: Timestamp) -> Option<Timestamp> {
        match *self {
            Recurrence::Daily { time, days } => next_daily(calendar, time, days, after),
            Recurrence::Once { at, days } => {
                (at > after && days.contains(calendar.local(at).weekday())).then_some(at)
            }
            Recurrence::Pattern(pattern) => pattern.next_after(calendar, after),
            Recurrence::Sun { event, offset } => calendar.sun_after(event, offset, after),
        }
    }

    /// The last instant in `from..=until`.
    ///
    /// It is looked for in longer and longer spans before `until`, since the rules look forward
    /// only, and one that comes every second is found in the first span.
    pub(crate) fn latest(&self, calendar: &Calendar, from: Timestamp, until: Timestamp) -> Option<Timestamp> {
        const SPANS_MS: [i64; 4] = [60_000, 3_600_000, 24 * 3_600_000, i64::MAX];
        SPANS_MS.iter().find_map(|span| {
            let from = from.max(Timestamp(until.0.saturating_sub(*span)));
            self.all(calendar, from, until, 1).pop_back()
        })
    }

    /// The last `max` instants in `from..=until`, in order.
    pub(crate) fn all(
        &self,
        calendar: &Calendar,
        from: Timestamp,
        until: Timestamp,
        max: usize,
    ) -> VecDeque<Timestamp> {
        let mut found = VecDeque::new();
        let mut after = Timestamp(from.0.saturating_sub(1));
        while let Some(next) = self.next_after(calendar, after).filter(|next| *next <= until) {
            if found.len() == max {
                found.pop_front();
            }
            found.push_back(next);
            after = next;
        }
        found
    }
}

fn next_daily(calendar: &Calendar, time: Time, days: Weekdays, after: Timestamp) -> Option<Timestamp> {
    let today = calendar.local(after).date();
    // Clocks may show the day before once more, and the day looked for may be one week away.
    (-1..=9).find_map(|day: i32| {
        let date = today.checked_add(day.days()).ok()?;
        let at = match calendar.resolve(date.to_datetime(time)) {
            Resolved::At(at) => at,
            Resolved::Skipped { gap_end, .. } => gap_end,
        };
        (days.contains(date.weekday()) && at > after).then_some(at)
    })
}

impl Pattern {
    fn next_after(self, calendar: &Calendar, after: Timestamp) -> Option<Timestamp> {
        let mut from = after.0.div_euclid(1000).checked_add(1)?;
        loop {
            let offset = i64::from(calendar.offset_at(Timestamp(from.checked_mul(1000)?)));
            let next = self.at_or_after(from.checked_add(offset)?)?.checked_sub(offset)?;
            let passed = calendar.changes.partition_point(|change| change.at.0 <= from.saturating_mul(1000));
            match calendar.changes.get(passed) {
                // The clock is put to another time before it would show this one.
                Some(change) if change.at.0 <= next.saturating_mul(1000) => {
                    from = change.at.0.div_euclid(1000).max(from.checked_add(1)?);
                }
                _ => return Some(Timestamp(next.checked_mul(1000)?)),
            }
        }
    }

    /// The first second at or after `second`, counted from 1970 by a clock that is never put to
    /// another time.
    fn at_or_after(self, second: i64) -> Option<i64> {
        let day = second.div_euclid(SECONDS_PER_DAY);
        let rest = second.rem_euclid(SECONDS_PER_DAY);
        match self.in_day(rest) {
            Some(rest) => Some(day * SECONDS_PER_DAY + rest),
            None => (day + 1).checked_mul(SECONDS_PER_DAY)?.checked_add(self.in_day(0)?),
        }
    }

    fn in_day(self, second: i64) -> Option<i64> {
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let first_minute = bit_at_or_after(self.minutes, 0)?;
        let first_second = bit_at_or_after(self.seconds, 0)?;
        if has_bit(self.hours, hour) {
            if has_bit(self.minutes, minute)
                && let Some(second) = bit_at_or_after(self.seconds, second)
            {
                return Some(hour * 3600 + minute * 60 + second);
            }
            if let Some(minute) = bit_at_or_after(self.minutes, minute + 1) {
                return Some(hour * 3600 + minute * 60 + first_second);
            }
        }
        let hour = bit_at_or_after(self.hours, hour + 1)?;
        Some(hour * 3600 + first_minute * 60 + first_second)
    }
}

/// The lowest `count` bits.
pub(crate) const fn full(count: u32) -> u64 {
    (1 << count) - 1
}

fn has_bit(bits: u64, place: i64) -> bool {
    bits >> place & 1 == 1
}

fn bit_at_or_after(bits: u64, place: i64) -> Option<i64> {
    let rest = bits.checked_shr(u32::try_from(place).ok()?)?;
    (rest != 0).then(|| place + i64::from(rest.trailing_zeros()))
}

/// How late something is, in words.
pub(crate) fn span_text(span: Millis) -> String {
    let seconds = span.0 / 1000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match () {
        () if days > 0 => format!("{days} d {hours} h"),
        () if hours > 0 => format!("{hours} h {minutes} min"),
        () if minutes > 0 => format!("{minutes} min {} s", seconds % 60),
        () => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests;
