//! Python's `timedelta`.

use super::args::Args;
use super::numbers::Number;
use minijinja::value::{Enumerator, Object, ObjectRepr, Value};
use minijinja::{Error, ErrorKind, State};
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

const DAY: i64 = 86_400_000_000;

/// A span of time in microseconds, forwards or backwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span(i64);

impl Span {
    pub(super) fn of(value: &Value) -> Option<Span> {
        value.downcast_object_ref::<Span>().copied()
    }

    pub(super) fn from_micros(micros: i128) -> Result<Span, Error> {
        // Python's limit is higher; 270,000 years will do.
        let micros = i64::try_from(micros);
        micros.map(Span).map_err(|_| Error::new(ErrorKind::InvalidOperation, "the time span is too long"))
    }

    /// Rounds to whole microseconds, to even as Python does.
    pub(super) fn from_seconds(seconds: f64) -> Result<Span, Error> {
        let micros = (seconds * 1e6).round_ties_even();
        Span::from_micros(if micros.is_nan() { i128::MAX } else { micros as i128 })
    }

    pub(super) fn micros(self) -> i64 {
        self.0
    }

    pub(super) fn plus(self, other: Span) -> Result<Span, Error> {
        Span::from_micros(i128::from(self.0) + i128::from(other.0))
    }

    pub(super) fn negated(self) -> Result<Span, Error> {
        Span::from_micros(-i128::from(self.0))
    }

    pub(super) fn times(self, factor: Number) -> Result<Span, Error> {
        match factor {
            Number::Int(factor) => Span::from_micros(i128::from(self.0).saturating_mul(factor)),
            Number::Float(factor) => Span::from_micros(to_int((self.0 as f64 * factor).round_ties_even())),
        }
    }

    pub(super) fn over(self, divisor: Number) -> Result<Span, Error> {
        let divisor = match divisor {
            Number::Int(divisor) => divisor as f64,
            Number::Float(divisor) => divisor,
        };
        if divisor == 0.0 {
            return Err(Error::new(ErrorKind::InvalidOperation, "division by zero"));
        }
        Span::from_micros(to_int((self.0 as f64 / divisor).round_ties_even()))
    }

    pub(super) fn seconds(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

fn to_int(number: f64) -> i128 {
    if number.is_nan() { i128::MAX } else { number as i128 }
}

/// `timedelta(days, seconds, microseconds, milliseconds, minutes, hours, weeks)`.
pub(super) fn timedelta(args: Args) -> Result<Value, Error> {
    let parts =
        args.take(["days", "seconds", "microseconds", "milliseconds", "minutes", "hours", "weeks"])?;
    let units = [DAY, 1_000_000, 1, 1000, 60_000_000, 3_600_000_000, 7 * DAY];
    let mut total = Span(0);
    for (part, unit) in parts.iter().zip(units) {
        let Some(part) = part else { continue };
        let Some(number) = Number::of(part) else {
            let kind = super::compare::type_name(part);
            let message = format!("timedelta takes numbers, not {kind}");
            return Err(Error::new(ErrorKind::InvalidOperation, message));
        };
        total = total.plus(Span(unit).times(number)?)?;
    }
    Ok(Value::from_object(total))
}

/// `as_timedelta('1 day, 2:03:04')`: none for what is no span.
pub(super) fn as_timedelta(value: Value) -> Value {
    if Span::of(&value).is_some() {
        return value;
    }
    let span = value.as_str().and_then(|text| parse(text.trim()));
    span.map_or(Value::from(()), Value::from_object)
}

/// `[-]D days, H:MM:SS.ffffff`, any part of which but the seconds may be missing, or ISO 8601's
/// `P1DT2H`.
fn parse(text: &str) -> Option<Span> {
    if let Some(rest) = text.strip_prefix(['P', 'p']) {
        return parse_iso(rest);
    }
    let (days, clock) = match text.split_once(' ') {
        None => (0, text),
        Some((days, rest)) => {
            let rest = rest.strip_prefix("day").map_or(rest, |rest| rest.strip_prefix('s').unwrap_or(rest));
            (days.parse().ok()?, rest.trim_start_matches([',', ' ']))
        }
    };
    let (is_negative, clock) = match clock.strip_prefix('-') {
        Some(clock) => (true, clock),
        None => (false, clock),
    };
    let mut seconds = 0_i64;
    let (whole, fraction) = clock.split_once(['.', ',']).unwrap_or((clock, ""));
    let parts: Vec<&str> = whole.split(':').collect();
    if parts.len() > 3 || parts.iter().any(|part| part.is_empty() || part.len() > 9) {
        return None;
    }
    for part in parts {
        seconds = seconds.checked_mul(60)?.checked_add(part.parse::<u32>().ok()?.into())?;
    }
    let micros = i128::from(seconds) * 1_000_000 + i128::from(fraction_micros(fraction)?);
    let micros = if is_negative { -micros } else { micros };
    Span::from_micros(i128::from(days) * i128::from(DAY) + micros).ok()
}

/// Digits behind a point, as microseconds; what is finer is cut.
pub(super) fn fraction_micros(digits: &str) -> Option<i32> {
    if digits.len() > 12 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    format!("{digits:0<6}").get(..6)?.parse().ok()
}

fn parse_iso(text: &str) -> Option<Span> {
    let (date, time) = text.split_once(['T', 't']).unwrap_or((text, ""));
    let mut seconds = 0.0;
    let mut rest = date;
    let units = [('W', 604_800.0), ('D', 86_400.0), ('H', 3600.0), ('M', 60.0), ('S', 1.0)];
    for (units, part) in [(&units[..2], rest), (&units[2..], time)] {
        rest = part;
        for (letter, size) in units {
            if let Some((number, after)) = rest.split_once([*letter, letter.to_ascii_lowercase()]) {
                seconds += number.replace(',', ".").parse::<f64>().ok()? * size;
                rest = after;
            }
        }
        if !rest.is_empty() {
            return None;
        }
    }
    Span::from_seconds(seconds).ok()
}

/// `1 day, 2:03:04.500000`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, rest) = (self.0.div_euclid(DAY), self.0.rem_euclid(DAY));
        if days != 0 {
            write!(f, "{days} day{}, ", if days.abs() == 1 { "" } else { "s" })?;
        }
        let (seconds, micros) = (rest / 1_000_000, rest % 1_000_000);
        write!(f, "{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)?;
        if micros > 0 { write!(f, ".{micros:06}") } else { Ok(()) }
    }
}

impl Object for Span {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let rest = self.0.rem_euclid(DAY);
        match key.as_str()? {
            "days" => Some(Value::from(self.0.div_euclid(DAY))),
            "seconds" => Some(Value::from(rest / 1_000_000)),
            "microseconds" => Some(Value::from(rest % 1_000_000)),
            _ => None,
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }

    fn is_true(self: &Arc<Self>) -> bool {
        self.0 != 0
    }

    fn call_method(self: &Arc<Self>, _: &mut State, method: &str, args: &[Value]) -> Result<Value, Error> {
        match method {
            "total_seconds" => {
                Args::of(args)?.take([])?;
                Ok(Value::from(self.seconds()))
            }
            _ => Err(ErrorKind::UnknownMethod.into()),
        }
    }

    fn custom_cmp(self: &Arc<Self>, other: &minijinja::value::DynObject) -> Option<Ordering> {
        other.downcast_ref::<Span>().map(|other| self.0.cmp(&other.0))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
