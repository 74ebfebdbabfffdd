//! `input_datetime:`: a date, a time of day, or both, by the home's clocks.

use super::Told;
use crate::action::Failure;
use gable_devices::yaml::Fields;
use gable_devices::{Data, Value, World};
use jiff::civil::{Date, DateTime, Time};
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct InputDatetime {
    has_date: bool,
    has_time: bool,
    initial: Option<DateTime>,
}

impl InputDatetime {
    pub(super) fn read(fields: &mut Fields<'_>) -> Option<InputDatetime> {
        let has_date = fields.boolean("has_date").unwrap_or(false);
        let has_time = fields.boolean("has_time").unwrap_or(false);
        if !has_date && !has_time {
            fields.fail("it has neither `has_date: true` nor `has_time: true`");
            return None;
        }
        let mut helper = InputDatetime { has_date, has_time, initial: None };
        if let Some(text) = fields.text("initial") {
            helper.initial = helper.parse(&text, Date::ZERO);
            if helper.initial.is_none() {
                fields.fail(format!("`initial: {text}` is not {}", helper.wanted()));
            }
        }
        Some(helper)
    }

    /// What its texts look like, for people.
    fn wanted(&self) -> &'static str {
        match (self.has_date, self.has_time) {
            (true, true) => "a date and a time such as `2025-01-31 07:30:00`",
            (true, false) => "a date such as `2025-01-31`",
            (false, _) => "a time such as `07:30:00`",
        }
    }

    fn parse(&self, text: &str, today: Date) -> Option<DateTime> {
        let text = text.trim();
        match (self.has_date, self.has_time) {
            (true, true) => text.parse().ok(),
            (true, false) => text.parse::<Date>().ok().map(|date| date.to_datetime(Time::midnight())),
            (false, _) => parse_time(text).map(|time| today.to_datetime(time)),
        }
    }

    pub(super) fn first(&self, world: &dyn World) -> Value {
        let today = local_now(world).date();
        self.value(self.initial.unwrap_or(today.to_datetime(Time::midnight())), world)
    }

    pub(super) fn fit(&self, current: &Value, world: &dyn World) -> Value {
        match self.parse(&current.state, Date::ZERO) {
            Some(moment) => self.value(moment, world),
            None => self.first(world),
        }
    }

    pub(super) fn serve(&self, told: &Told<'_>) -> Result<Value, Failure> {
        if told.service != "set_datetime" {
            return Err(told.unknown());
        }
        let current = self.parse(&told.current.state, Date::ZERO);
        let current = current.unwrap_or_else(|| local_now(told.world));
        let given = |key| told.data.get(key).filter(|data| **data != Data::Null);
        let wrong = |key: &str, data: &Data| {
            Failure::mistake(format!("`{key}: {}` can not be read", crate::text::plain_text(data)))
        };
        if let Some(data) = given("timestamp") {
            let seconds = data.to_number().ok_or_else(|| wrong("timestamp", data))?;
            return Ok(self.value(local(told.world, (seconds * 1000.0) as i64), told.world));
        }
        if let Some(data) = given("datetime") {
            let moment = match data {
                Data::Time(at) | Data::LocalTime(at, _) => Some(local(told.world, at.0)),
                data => crate::text::plain_text(data).parse().ok(),
            };
            return Ok(self.value(moment.ok_or_else(|| wrong("datetime", data))?, told.world));
        }
        let date = match given("date") {
            None => None,
            Some(data) => {
                let text = crate::text::plain_text(data);
                Some(text.trim().parse::<Date>().map_err(|_| wrong("date", data))?)
            }
        };
        let time = match given("time") {
            None => None,
            Some(data) => {
                Some(parse_time(&crate::text::plain_text(data)).ok_or_else(|| wrong("time", data))?)
            }
        };
        if (date.is_some() && !self.has_date) || (time.is_some() && !self.has_time) {
            return Err(Failure::refusal(format!("it takes {} only", self.wanted())));
        }
        if date.is_none() && time.is_none() {
            return Err(Failure::mistake("one of `date`, `time`, `datetime` and `timestamp` is needed"));
        }
        let date = date.unwrap_or(current.date());
        Ok(self.value(date.to_datetime(time.unwrap_or(current.time())), told.world))
    }

    fn value(&self, moment: DateTime, world: &dyn World) -> Value {
        let whole = |number: i64| Data::Int(number);
        let mut attributes = BTreeMap::from([
            ("has_date".to_owned(), Data::Bool(self.has_date)),
            ("has_time".to_owned(), Data::Bool(self.has_time)),
        ]);
        let (date, time) = (moment.date(), moment.time());
        if self.has_date {
            attributes.insert("year".to_owned(), whole(date.year().into()));
            attributes.insert("month".to_owned(), whole(date.month().into()));
            attributes.insert("day".to_owned(), whole(date.day().into()));
        }
        if self.has_time {
            attributes.insert("hour".to_owned(), whole(time.hour().into()));
            attributes.insert("minute".to_owned(), whole(time.minute().into()));
            attributes.insert("second".to_owned(), whole(time.second().into()));
        }
        let seconds_of_day =
            i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second());
        let at = |moment: DateTime| Data::Float(world.to_instant(moment).0 as f64 / 1000.0);
        let (state, timestamp) = match (self.has_date, self.has_time) {
            (true, true) => (format!("{date} {}", clock(time)), at(moment)),
            (true, false) => (date.to_string(), at(date.to_datetime(Time::midnight()))),
            (false, _) => (clock(time), whole(seconds_of_day)),
        };
        attributes.insert("timestamp".to_owned(), timestamp);
        Value { state, attributes }
    }
}

fn clock(time: Time) -> String {
    format!("{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second())
}

/// A time of day with or without seconds.
fn parse_time(text: &str) -> Option<Time> {
    let mut parts = text.trim().split(':');
    let mut part = || parts.next().map(|part| part.parse::<i8>());
    let (hour, minute) = (part()?.ok()?, part()?.ok()?);
    let second = part().map_or(Ok(0), |second| second).ok()?;
    Time::new(hour, minute, second, 0).ok().filter(|_| parts.next().is_none())
}

fn local_now(world: &dyn World) -> DateTime {
    local(world, world.now().0)
}

/// What the home's clocks show at an instant.
fn local(world: &dyn World, millis: i64) -> DateTime {
    let offset = i64::from(world.utc_offset(gable_devices::Timestamp(millis))) * 1000;
    let shifted = jiff::Timestamp::from_millisecond(millis.saturating_add(offset)).unwrap_or_default();
    jiff::tz::Offset::UTC.to_datetime(shifted)
}
