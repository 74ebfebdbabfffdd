//! Python's `datetime`, `date` and `time`: what a clock on a wall shows, and whose clock it is.

use super::args::Args;
use super::home::Home;
use super::span::Span;
use super::strftime;
use crate::Timestamp;
use jiff::SignedDuration;
use jiff::civil::{Date, DateTime, Time};
use minijinja::value::{Enumerator, Object, ObjectRepr, Tuple, Value};
use minijinja::{Error, ErrorKind, State};
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// A point in time, a day, or a time of day.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) wall: DateTime,
    pub(super) zone: Zone,
    pub(super) shape: Shape,
}

/// Whose clock shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Zone {
    /// Nobody's: a naive datetime.
    None,
    /// A clock at a fixed distance from UTC, in seconds.
    Fixed(i32),
    /// The home's, with the distance from UTC in force then.
    Home(i32),
}

/// Which of Python's types it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    DateTime,
    Date,
    Time,
}

impl Moment {
    /// An instant on the clock of Greenwich.
    pub(super) fn utc(at: Timestamp) -> Moment {
        Moment::fixed(i128::from(at.0) * 1000, 0)
    }

    /// An instant on a clock at a fixed distance from UTC.
    pub(super) fn fixed(micros: i128, offset: i32) -> Moment {
        Moment { wall: wall_at(micros, offset), zone: Zone::Fixed(offset), shape: Shape::DateTime }
    }

    /// An instant on the home's clocks.
    pub(super) fn local(micros: i128, home: &Home) -> Moment {
        let offset = home.utc_offset(Timestamp(to_millis(micros)));
        Moment { wall: wall_at(micros, offset), zone: Zone::Home(offset), shape: Shape::DateTime }
    }

    /// What the home's clocks show as `wall`.
    pub(super) fn at_home(wall: DateTime, home: &Home) -> Moment {
        // The sky may tell milliseconds; what is finer passes by.
        let fine = i128::from(micros_of(wall).rem_euclid(1000));
        let instant = i128::from(home.to_instant(wall).0) * 1000 + fine;
        let offset = (i128::from(micros_of(wall)) - instant).div_euclid(1_000_000);
        Moment { wall, zone: Zone::Home(offset as i32), shape: Shape::DateTime }
    }

    pub(super) fn naive(wall: DateTime) -> Moment {
        Moment { wall, zone: Zone::None, shape: Shape::DateTime }
    }

    pub(super) fn day(date: Date) -> Moment {
        Moment { wall: date.to_datetime(Time::midnight()), zone: Zone::None, shape: Shape::Date }
    }

    fn clock(time: Time) -> Moment {
        Moment { wall: EPOCH.date().to_datetime(time), zone: Zone::None, shape: Shape::Time }
    }

    pub(super) fn type_name(&self) -> &'static str {
        match self.shape {
            Shape::DateTime => "datetime",
            Shape::Date => "date",
            Shape::Time => "time",
        }
    }

    /// Seconds east of UTC.
    pub(super) fn offset(&self) -> Option<i32> {
        match self.zone {
            Zone::None => None,
            Zone::Fixed(offset) | Zone::Home(offset) => Some(offset),
        }
    }

    /// The instant in microseconds; a naive datetime is taken for the home's time.
    pub(super) fn instant(&self, home: &Home) -> i128 {
        match self.offset() {
            Some(offset) => i128::from(micros_of(self.wall)) - i128::from(offset) * 1_000_000,
            None => Moment::at_home(self.wall, home).instant(home),
        }
    }

    /// Moves the hands of the clock, as Python does: across a change of summer time, an hour of the
    /// wall clock is not an hour that passed.
    pub(super) fn plus(&self, span: Span, home: &Home) -> Result<Moment, Error> {
        let span = match self.shape {
            Shape::DateTime => SignedDuration::from_micros(span.micros()),
            Shape::Date => SignedDuration::from_hours(span.micros().div_euclid(86_400_000_000) * 24),
            Shape::Time => {
                return Err(Error::new(
                    ErrorKind::InvalidOperation,
                    "a time of day and a timedelta do not add",
                ));
            }
        };
        let wall = self.wall.checked_add(span).ok().filter(|wall| (1..=9999).contains(&wall.year()));
        let wall = wall.ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "the date is out of range"))?;
        Ok(match self.zone {
            Zone::Home(_) => Moment::at_home(wall, home),
            Zone::None | Zone::Fixed(_) => Moment { wall, ..*self },
        })
    }

    /// The two on one scale: on the same clock what it shows, on different ones the instants.
    fn scales(&self, other: &Moment) -> Option<(i128, i128)> {
        let (a, b) = (i128::from(micros_of(self.wall)), i128::from(micros_of(other.wall)));
        let is_same_clock = match (self.zone, other.zone) {
            (Zone::None, Zone::None) | (Zone::Home(_), Zone::Home(_)) => true,
            (Zone::Fixed(a), Zone::Fixed(b)) => a == b,
            _ => false,
        };
        if self.shape != other.shape {
            return None;
        }
        if is_same_clock {
            return Some((a, b));
        }
        let (left, right) = self.offset().zip(other.offset())?;
        Some((a - i128::from(left) * 1_000_000, b - i128::from(right) * 1_000_000))
    }

    pub(super) fn minus(&self, other: &Moment) -> Result<Span, Error> {
        match self.scales(other) {
            Some((a, b)) if self.shape != Shape::Time => Span::from_micros(a - b),
            _ => Err(Error::new(
                ErrorKind::InvalidOperation,
                format!(
                    "`-` does not go with {} and {}, or one of them knows its time zone and the other does not",
                    self.type_name(),
                    other.type_name()
                ),
            )),
        }
    }

    /// Which is first; none if they can not be compared.
    pub(super) fn order(&self, other: &Moment) -> Option<Ordering> {
        self.scales(other).map(|(a, b)| a.cmp(&b))
    }

    /// ISO 8601, with `separator` between day and time.
    pub(super) fn iso(&self, separator: &str) -> String {
        let (date, time) = (self.wall.date(), self.wall.time());
        let mut text = String::new();
        if self.shape != Shape::Time {
            text += &format!("{:04}-{:02}-{:02}", date.year(), date.month(), date.day());
        }
        if self.shape == Shape::Date {
            return text;
        }
        if self.shape == Shape::DateTime {
            text += separator;
        }
        text += &format!("{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second());
        let micros = time.subsec_nanosecond() / 1000;
        if micros > 0 {
            text += &format!(".{micros:06}");
        }
        self.offset()
            .map(|offset| strftime::offset_text(offset, ":"))
            .into_iter()
            .for_each(|part| text += &part);
        text
    }
}

/// Microseconds of a wall clock since 1970.
pub(super) fn micros_of(wall: DateTime) -> i64 {
    i64::try_from(wall.duration_since(EPOCH).as_micros()).unwrap_or(i64::MAX)
}

fn to_millis(micros: i128) -> i64 {
    i64::try_from(micros.div_euclid(1000)).unwrap_or(i64::MAX)
}

/// What a clock shows; the first or the last time that there is for what lies outside.
fn wall_at(micros: i128, offset: i32) -> DateTime {
    let local = micros + i128::from(offset) * 1_000_000;
    let local = i64::try_from(local).unwrap_or(if local < 0 { i64::MIN } else { i64::MAX });
    EPOCH.saturating_add(SignedDuration::from_micros(local))
}

impl Moment {
    fn attribute(&self, name: &str) -> Option<Value> {
        let (date, time) = (self.wall.date(), self.wall.time());
        let (has_date, has_time) = (self.shape != Shape::Time, self.shape != Shape::Date);
        Some(match name {
            "year" if has_date => Value::from(date.year()),
            "month" if has_date => Value::from(date.month()),
            "day" if has_date => Value::from(date.day()),
            "hour" if has_time => Value::from(time.hour()),
            "minute" if has_time => Value::from(time.minute()),
            "second" if has_time => Value::from(time.second()),
            "microsecond" if has_time => Value::from(time.subsec_nanosecond() / 1000),
            "fold" if has_time => Value::from(0),
            "tzinfo" if has_time => match self.zone {
                Zone::None => Value::from(()),
                Zone::Fixed(_) | Zone::Home(_) => Value::from_object(self.zone),
            },
            _ => return None,
        })
    }

    fn method(&self, home: &Home, name: &str, args: Args) -> Result<Value, Error> {
        let (has_date, has_time) = (self.shape != Shape::Time, self.shape != Shape::Date);
        let is_both = has_date && has_time;
        let date = self.wall.date();
        Ok(match name {
            "strftime" => {
                let [format] = args.take(["format"])?;
                let format = format.as_ref().and_then(Value::as_str).unwrap_or_default();
                return strftime::write(self, format).map(Value::from);
            }
            "isoformat" => {
                let [separator, _precision] = args.take(["sep", "timespec"])?;
                Value::from(self.iso(separator.as_ref().and_then(Value::as_str).unwrap_or("T")))
            }
            "replace" => return self.replace(home, args).map(Value::from_object),
            "timestamp" if is_both => {
                args.take([])?;
                Value::from(self.instant(home) as f64 / 1e6)
            }
            "date" if is_both => {
                args.take([])?;
                Value::from_object(Moment::day(date))
            }
            "time" if is_both => {
                args.take([])?;
                Value::from_object(Moment::clock(self.wall.time()))
            }
            "utcoffset" if has_time => {
                args.take([])?;
                match self.offset() {
                    None => Value::from(()),
                    Some(offset) => Value::from_object(Span::from_seconds(f64::from(offset))?),
                }
            }
            "astimezone" if is_both => {
                let [zone] = args.take(["tz"])?;
                let instant = self.instant(home);
                Value::from_object(match zone.and_then(|zone| zone.downcast_object_ref::<Zone>().copied()) {
                    Some(Zone::Fixed(offset)) => Moment::fixed(instant, offset),
                    Some(Zone::Home(_) | Zone::None) | None => Moment::local(instant, home),
                })
            }
            name if has_date => return self.calendar_method(name, args),
            _ => return Err(ErrorKind::UnknownMethod.into()),
        })
    }

    /// What days answer.
    fn calendar_method(&self, name: &str, args: Args) -> Result<Value, Error> {
        let date = self.wall.date();
        let value = match name {
            "weekday" => Value::from(date.weekday().to_monday_zero_offset()),
            "isoweekday" => Value::from(date.weekday().to_monday_one_offset()),
            "isocalendar" => {
                let week = date.iso_week_date();
                let parts =
                    [week.year().into(), week.week().into(), week.weekday().to_monday_one_offset().into()];
                Value::from(Tuple::from(parts.map(|part: i64| Value::from(part))))
            }
            "toordinal" => Value::from(
                micros_of(date.to_datetime(Time::midnight())).div_euclid(86_400_000_000) + 719_163,
            ),
            "timetuple" => Value::from_pairs([
                ("tm_year", Value::from(date.year())),
                ("tm_mon", Value::from(date.month())),
                ("tm_mday", Value::from(date.day())),
                ("tm_hour", Value::from(self.wall.hour())),
                ("tm_min", Value::from(self.wall.minute())),
                ("tm_sec", Value::from(self.wall.second())),
                ("tm_wday", Value::from(date.weekday().to_monday_zero_offset())),
                ("tm_yday", Value::from(date.day_of_year())),
            ]),
            _ => return Err(ErrorKind::UnknownMethod.into()),
        };
        args.take([])?;
        Ok(value)
    }

    fn replace(&self, home: &Home, args: Args) -> Result<Moment, Error> {
        let names = ["year", "month", "day", "hour", "minute", "second", "microsecond", "tzinfo", "fold"];
        let [year, month, day, hour, minute, second, micro, zone, _fold] = args.take(names)?;
        let part = |given: Option<Value>, now: i64| given.map_or(Ok(now), i64::try_from);
        let wrong = || Error::new(ErrorKind::InvalidOperation, "replace got a value that no calendar has");
        let wall = self.wall;
        let year = part(year, wall.year().into())?;
        let small = |part: i64| i8::try_from(part).map_err(|_| wrong());
        let date = Date::new(
            i16::try_from(year).ok().filter(|year| (1..=9999).contains(year)).ok_or_else(wrong)?,
            small(part(month, wall.month().into())?)?,
            small(part(day, wall.day().into())?)?,
        );
        let micros = part(micro, i64::from(wall.subsec_nanosecond() / 1000))?;
        let time = Time::new(
            small(part(hour, wall.hour().into())?)?,
            small(part(minute, wall.minute().into())?)?,
            small(part(second, wall.second().into())?)?,
            i32::try_from(micros.saturating_mul(1000)).map_err(|_| wrong())?,
        );
        let wall = date.map_err(|_| wrong())?.to_datetime(time.map_err(|_| wrong())?);
        let zone = match zone {
            None => self.zone,
            Some(zone) => zone.downcast_object_ref::<Zone>().copied().unwrap_or(Zone::None),
        };
        Ok(match zone {
            Zone::Home(_) => Moment::at_home(wall, home),
            Zone::None | Zone::Fixed(_) => Moment { wall, zone, shape: self.shape },
        })
    }
}

/// `2024-01-01 12:00:00.123000+00:00`.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.iso(" "))
    }
}

impl Object for Moment {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.attribute(key.as_str()?)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }

    fn call_method(
        self: &Arc<Self>,
        state: &mut State,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        self.method(&*Home::of(state)?, method, Args::of(args)?)
    }

    fn custom_cmp(self: &Arc<Self>, other: &minijinja::value::DynObject) -> Option<Ordering> {
        other.downcast_ref::<Moment>().and_then(|other| self.order(other))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A `tzinfo`, to be handed on.
impl Object for Zone {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match **self {
            Zone::None => f.write_str("None"),
            Zone::Fixed(0) => f.write_str("UTC"),
            Zone::Fixed(offset) | Zone::Home(offset) => {
                write!(f, "UTC{}", strftime::offset_text(offset, ":"))
            }
        }
    }
}
