//! Home Assistant's functions of date and time. The time is the log entry's, the time zone the
//! home's, so that all nodes agree.

use super::args::Args;
use super::home::Home;
use super::moment::{Moment, Shape};
use super::numbers::{Number, to_float};
use super::strftime;
use jiff::civil::Time;
use minijinja::value::{Rest, Value};
use minijinja::{Error, ErrorKind, State};

/// Of what `timestamp` functions take, the last second of the year 9999.
const SECONDS_MAX: f64 = 253_402_300_799.0;

fn moment_of(value: &Value) -> Option<Moment> {
    value.downcast_object_ref::<Moment>().copied()
}

fn micros_of_seconds(seconds: f64) -> Option<i128> {
    (seconds.abs() <= SECONDS_MAX).then(|| (seconds * 1e6).round_ties_even() as i128)
}

fn now_micros(home: &Home) -> i128 {
    i128::from(home.now().0) * 1000
}

/// The default, or an error.
fn default_or(default: Option<Value>, function: &str, value: &Value) -> Result<Value, Error> {
    default.ok_or_else(|| {
        let kind = if value.is_undefined() { ErrorKind::UndefinedError } else { ErrorKind::InvalidOperation };
        let shown: String = value.to_string().chars().take(80).collect();
        Error::new(kind, format!("{function} got `{shown}`, which it can not read, and no default was given"))
    })
}

/// `now()`.
pub(super) fn now(state: &State) -> Result<Value, Error> {
    let home = Home::of(state)?;
    Ok(Value::from_object(Moment::local(now_micros(&home), &home)))
}

/// `utcnow()`.
pub(super) fn utcnow(state: &State) -> Result<Value, Error> {
    Ok(Value::from_object(Moment::utc(Home::of(state)?.now())))
}

/// `today_at('7:30')`.
pub(super) fn today_at(state: &State, time: Option<Value>) -> Result<Value, Error> {
    let home = Home::of(state)?;
    let today = Moment::local(now_micros(&home), &home).wall.date();
    let time = match time {
        None => Time::midnight(),
        Some(value) => {
            let text = value.as_str().unwrap_or_default();
            let parsed = if text.is_empty() { Some(Time::midnight()) } else { strftime::parse_time(text) };
            parsed.ok_or_else(|| {
                let message = format!("today_at got `{value}`, which is no time such as 07:30");
                Error::new(ErrorKind::InvalidOperation, message)
            })?
        }
    };
    Ok(Value::from_object(Moment::at_home(today.to_datetime(time), &home)))
}

/// `as_timestamp(value, default)`: a datetime, or a text that is one, as seconds since 1970.
pub(super) fn as_timestamp(state: &State, value: Value, args: Args) -> Result<Value, Error> {
    let [default] = args.take(["default"])?;
    let moment = moment_of(&value).or_else(|| value.as_str().and_then(strftime::parse_datetime));
    match moment.filter(|moment| moment.shape == Shape::DateTime) {
        Some(moment) => Ok(Value::from(moment.instant(&*Home::of(state)?) as f64 / 1e6)),
        None => default_or(default, "as_timestamp", &value),
    }
}

/// `as_datetime(value, default)`: from seconds since 1970, or from a text; none for another text.
pub(super) fn as_datetime(value: Value, args: Args) -> Result<Value, Error> {
    let [default] = args.take(["default"])?;
    if let Some(moment) = moment_of(&value) {
        let is_day = moment.shape == Shape::Date;
        return Ok(if is_day { Value::from_object(Moment::naive(moment.wall)) } else { value });
    }
    if let Some(micros) = to_float(&value).and_then(micros_of_seconds) {
        return Ok(Value::from_object(Moment::fixed(micros, 0)));
    }
    match value.as_str().map(strftime::parse_datetime) {
        Some(Some(moment)) => Ok(Value::from_object(moment)),
        Some(None) => Ok(default.unwrap_or(Value::from(()))),
        None => default_or(default, "as_datetime", &value),
    }
}

/// `as_local(datetime)`: on the home's clocks.
pub(super) fn as_local(state: &State, value: Value) -> Result<Value, Error> {
    let home = Home::of(state)?;
    match moment_of(&value).filter(|moment| moment.shape == Shape::DateTime) {
        Some(moment) => Ok(Value::from_object(Moment::local(moment.instant(&home), &home))),
        None => default_or(None, "as_local", &value),
    }
}

/// `timestamp_local(seconds, default)`: as ISO 8601 on the home's clocks.
pub(super) fn timestamp_local(state: &State, value: Value, args: Args) -> Result<Value, Error> {
    let [default] = args.take(["default"])?;
    let home = Home::of(state)?;
    match seconds_of(&value) {
        Some(micros) => Ok(Value::from(Moment::local(micros, &home).iso("T"))),
        None => default_or(default, "timestamp_local", &value),
    }
}

/// `timestamp_utc(seconds, default)`: as ISO 8601 at UTC.
pub(super) fn timestamp_utc(value: Value, args: Args) -> Result<Value, Error> {
    let [default] = args.take(["default"])?;
    match seconds_of(&value) {
        Some(micros) => Ok(Value::from(Moment::fixed(micros, 0).iso("T"))),
        None => default_or(default, "timestamp_utc", &value),
    }
}

/// `timestamp_custom(seconds, format, local, default)`.
pub(super) fn timestamp_custom(state: &State, value: Value, args: Args) -> Result<Value, Error> {
    let [format, local, default] = args.take(["date_format", "local", "default"])?;
    let home = Home::of(state)?;
    let Some(micros) = seconds_of(&value) else { return default_or(default, "timestamp_custom", &value) };
    let is_local = local.is_none_or(|local| local.is_true());
    let moment = if is_local { Moment::local(micros, &home) } else { Moment::fixed(micros, 0) };
    let format = format.as_ref().and_then(Value::as_str).unwrap_or("%Y-%m-%d %H:%M:%S");
    strftime::write(&moment, format).map(Value::from)
}

/// A number, but no text: Home Assistant does not read those here either.
fn seconds_of(value: &Value) -> Option<i128> {
    Number::of(value)?;
    to_float(value).and_then(micros_of_seconds)
}

/// `strptime(text, format, default)`.
pub(super) fn strptime(value: Value, format: Value, args: Args) -> Result<Value, Error> {
    let [default] = args.take(["default"])?;
    let parsed = value.as_str().zip(format.as_str()).and_then(|(text, format)| strftime::parse(text, format));
    match parsed {
        Some(moment) => Ok(Value::from_object(moment)),
        None => default_or(default, "strptime", &value),
    }
}

/// `strftime(datetime, format)`.
pub(super) fn strftime(value: Value, format: &str) -> Result<Value, Error> {
    match moment_of(&value) {
        Some(moment) => strftime::write(&moment, format).map(Value::from),
        None => default_or(None, "strftime", &value),
    }
}

/// `relative_time(datetime)` and `time_since(datetime, precision)`: `5 minutes`; what lies ahead is
/// given back.
pub(super) fn time_since(state: &State, value: Value, args: Args) -> Result<Value, Error> {
    distance(state, value, args, 1)
}

/// `time_until(datetime, precision)`.
pub(super) fn time_until(state: &State, value: Value, args: Args) -> Result<Value, Error> {
    distance(state, value, args, -1)
}

fn distance(state: &State, value: Value, args: Args, direction: i128) -> Result<Value, Error> {
    let [precision] = args.take(["precision"])?;
    let precision = precision.map_or(Ok(1), usize::try_from)?;
    let home = Home::of(state)?;
    let Some(moment) = moment_of(&value).filter(|moment| moment.shape == Shape::DateTime) else {
        return Ok(value);
    };
    let micros = (now_micros(&home) - moment.instant(&home)) * direction;
    if micros < 0 {
        return Ok(value);
    }
    let seconds = (micros as f64 / 1e6).round_ties_even();
    Ok(Value::from(age_text(seconds as i64, precision)))
}

/// A span in the largest units that fit, `precision` of them; the last is rounded.
fn age_text(mut seconds: i64, precision: usize) -> String {
    const UNITS: [(&str, i64); 6] = [
        ("year", 31_536_000),
        ("month", 2_592_000),
        ("day", 86_400),
        ("hour", 3600),
        ("minute", 60),
        ("second", 1),
    ];
    if seconds == 0 {
        return "0 seconds".to_owned();
    }
    let mut parts = Vec::new();
    for (unit, size) in UNITS {
        if seconds < size {
            continue;
        }
        let is_last = parts.len() + 1 >= precision;
        let count =
            if is_last { (seconds as f64 / size as f64).round_ties_even() as i64 } else { seconds / size };
        parts.push(format!("{count} {unit}{}", if count == 1 { "" } else { "s" }));
        if is_last {
            break;
        }
        seconds -= count * size;
    }
    parts.join(" ")
}

/// `datetime(...)` is no name of a template; days and times come from texts.
pub(super) fn is_datetime(value: Value, _rest: Rest<Value>) -> bool {
    moment_of(&value).is_some_and(|moment| moment.shape == Shape::DateTime)
}
