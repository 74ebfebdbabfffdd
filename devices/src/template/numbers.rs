//! Numbers as Python reckons with them, and the functions that Home Assistant adds.
//!
//! Only what every computer computes to the last bit alike: the basic operations and the square
//! root are exact by IEEE 754; sines and logarithms are not.

use super::args::{Args, is_given};
use super::home::Home;
use super::operators::is_list;
use super::{compare, operators};
use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind, State};
use std::cmp::Ordering;

/// A number; booleans are the integers 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Int(i128),
    Float(f64),
}

impl Number {
    pub(super) fn of(value: &Value) -> Option<Number> {
        match value.kind() {
            ValueKind::Bool => Some(Number::Int(i128::from(value.is_true()))),
            ValueKind::Number if value.is_integer() => i128::try_from(value.clone()).ok().map(Number::Int),
            ValueKind::Number => f64::try_from(value.clone()).ok().map(Number::Float),
            _ => None,
        }
    }

    fn float(self) -> f64 {
        match self {
            Number::Int(int) => int as f64,
            Number::Float(float) => float,
        }
    }

    pub(super) fn compare(self, other: Number) -> Option<Ordering> {
        match (self, other) {
            (Number::Int(a), Number::Int(b)) => Some(a.cmp(&b)),
            (a, b) => a.float().partial_cmp(&b.float()),
        }
    }

    pub(super) fn add(self, other: Number) -> Result<Value, Error> {
        self.with(other, i128::checked_add, |a, b| a + b)
    }

    pub(super) fn sub(self, other: Number) -> Result<Value, Error> {
        self.with(other, i128::checked_sub, |a, b| a - b)
    }

    pub(super) fn mul(self, other: Number) -> Result<Value, Error> {
        self.with(other, i128::checked_mul, |a, b| a * b)
    }

    fn with(
        self,
        other: Number,
        int: fn(i128, i128) -> Option<i128>,
        float: fn(f64, f64) -> f64,
    ) -> Result<Value, Error> {
        match (self, other) {
            (Number::Int(a), Number::Int(b)) => int(a, b).map(int_value).ok_or_else(too_large),
            (a, b) => Ok(Value::from(float(a.float(), b.float()))),
        }
    }

    pub(super) fn div(self, other: Number) -> Result<Value, Error> {
        if other.float() == 0.0 { Err(by_zero()) } else { Ok(Value::from(self.float() / other.float())) }
    }

    pub(super) fn floordiv(self, other: Number) -> Result<Value, Error> {
        match (self, other) {
            (_, other) if other.float() == 0.0 => Err(by_zero()),
            (Number::Int(a), Number::Int(b)) => Ok(int_value(floor(a, b).0)),
            (a, b) => Ok(Value::from(floor_floats(a.float(), b.float()).0)),
        }
    }

    pub(super) fn modulo(self, other: Number) -> Result<Value, Error> {
        match (self, other) {
            (_, other) if other.float() == 0.0 => Err(by_zero()),
            (Number::Int(a), Number::Int(b)) => Ok(int_value(floor(a, b).1)),
            (a, b) => Ok(Value::from(floor_floats(a.float(), b.float()).1)),
        }
    }

    pub(super) fn pow(self, exponent: Number) -> Result<Value, Error> {
        if let (Number::Int(base), Number::Int(exponent)) = (self, exponent)
            && exponent >= 0
        {
            let power = u32::try_from(exponent).ok().and_then(|exponent| base.checked_pow(exponent));
            return power.map(int_value).ok_or_else(too_large);
        }
        let (base, exponent) = (self.float(), exponent.float());
        if base == 0.0 && exponent < 0.0 {
            return Err(by_zero());
        }
        let power = libm::pow(base, exponent);
        if power.is_nan() && !base.is_nan() && !exponent.is_nan() {
            return Err(failed("`**` of a negative number takes whole exponents"));
        }
        if power.is_infinite() && base.is_finite() && exponent.is_finite() {
            return Err(too_large());
        }
        Ok(Value::from(power))
    }
}

/// Quotient and remainder, towards minus infinity. The divisor is not zero.
pub(super) fn floor(a: i128, b: i128) -> (i128, i128) {
    let (quotient, remainder) = (a.wrapping_div(b), a.wrapping_rem(b));
    if remainder != 0 && (remainder < 0) != (b < 0) {
        (quotient.wrapping_sub(1), remainder.wrapping_add(b))
    } else {
        (quotient, remainder)
    }
}

fn floor_floats(a: f64, b: f64) -> (f64, f64) {
    let mut remainder = a % b;
    let mut quotient = (a - remainder) / b;
    if remainder != 0.0 && (remainder < 0.0) != (b < 0.0) {
        remainder += b;
        quotient -= 1.0;
    } else if remainder == 0.0 {
        remainder = 0.0_f64.copysign(b);
    }
    (if quotient == 0.0 { 0.0_f64.copysign(a / b) } else { quotient.round() }, remainder)
}

pub(super) fn int_value(int: i128) -> Value {
    i64::try_from(int).map_or_else(|_| Value::from(int), Value::from)
}

fn too_large() -> Error {
    failed("the number becomes too large")
}

fn by_zero() -> Error {
    failed("division by zero")
}

fn failed(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

/// An integer, but not a float or a text that looks like one.
pub(super) fn to_int(value: &Value) -> Option<i128> {
    match Number::of(value) {
        Some(Number::Int(int)) => Some(int),
        Some(Number::Float(_)) | None => None,
    }
}

/// What `float()` takes: a number, a boolean, or a text that is a number.
pub(super) fn to_float(value: &Value) -> Option<f64> {
    match (Number::of(value), value.as_str()) {
        (Some(number), _) => Some(number.float()),
        (None, Some(text)) => text.trim().replace('_', "").parse().ok(),
        (None, None) => None,
    }
}

/// The default, or an error that tells what was wrong.
pub(super) fn default_or(default: Option<Value>, function: &str, value: &Value) -> Result<Value, Error> {
    default.ok_or_else(|| no_number(function, value))
}

fn no_number(function: &str, value: &Value) -> Error {
    // A message need not have the key; a word where a number was promised is a mistake.
    let kind = if value.is_undefined() { ErrorKind::UndefinedError } else { ErrorKind::InvalidOperation };
    let shown: String = value.to_string().chars().take(80).collect();
    let why = if to_float(value).is_some() { "is out of its range" } else { "is no number" };
    Error::new(kind, format!("{function} got `{shown}`, which {why}, and no default was given"))
}

/// `float(value, default)`: without a default, what is no number is an error.
pub(super) fn float(value: Value, args: Args) -> Result<Value, Error> {
    let [default] = args.take(["default"])?;
    match to_float(&value) {
        Some(number) => Ok(Value::from(number)),
        None => default_or(default, "float", &value),
    }
}

/// `int(value, default, base)`: truncates.
pub(super) fn int(value: Value, args: Args) -> Result<Value, Error> {
    let [default, base] = args.take(["default", "base"])?;
    let base = base.and_then(|base| u32::try_from(base).ok());
    let whole = match (value.as_str(), base) {
        (Some(text), Some(base @ 2..=36)) => {
            let text = text.trim().to_ascii_lowercase();
            let prefix = match base {
                16 => "0x",
                8 => "0o",
                2 => "0b",
                _ => "",
            };
            i128::from_str_radix(text.strip_prefix(prefix).unwrap_or(&text), base).ok()
        }
        (Some(text), _) => text.trim().parse().ok(),
        (None, _) => to_int(&value),
    };
    let truncated = || to_float(&value).filter(|number| number.abs() < 1e38).map(|number| number as i128);
    match whole.or_else(truncated) {
        Some(whole) => Ok(int_value(whole)),
        None => default_or(default, "int", &value),
    }
}

/// `bool(value, default)`: by Home Assistant's words for it.
pub(super) fn bool(value: Value, args: Args) -> Result<Value, Error> {
    let [default] = args.take(["default"])?;
    if let Some(number) = Number::of(&value) {
        return Ok(Value::from(number.float() != 0.0));
    }
    let word = value.as_str().map(|text| text.trim().to_lowercase());
    match word.as_deref() {
        Some("1" | "true" | "yes" | "on" | "enable") => Ok(Value::from(true)),
        Some("0" | "false" | "no" | "off" | "disable") => Ok(Value::from(false)),
        _ => default
            .ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "bool got no boolean, and no default")),
    }
}

/// `round(value, precision, method, default)`: to even as Python does, and to an integer at
/// precision 0.
pub(super) fn round(value: Value, args: Args) -> Result<Value, Error> {
    let [precision, method, default] = args.take(["precision", "method", "default"])?;
    let precision = precision.filter(|value| !value.is_none()).map_or(Ok(0), i64::try_from)?;
    let method = method.as_ref().and_then(Value::as_str).unwrap_or("common");
    let Some(number) = to_float(&value) else { return default_or(default, "round", &value) };
    // No double has digits that a rounding to more places than this would change.
    let precision = precision.clamp(-308, 308);
    let scale = |number: f64, to: fn(f64) -> f64| {
        let factor: f64 = format!("1e{precision}").parse().unwrap_or(1.0);
        to(number * factor) / factor
    };
    let rounded = match method {
        "ceil" => scale(number, f64::ceil),
        "floor" => scale(number, f64::floor),
        "half" => (number * 2.0).round_ties_even() / 2.0,
        _ => match usize::try_from(precision) {
            // Through decimal digits, so that 2.675 becomes 2.67 as everywhere else.
            Ok(places) => format!("{number:.places$}").parse().unwrap_or(number),
            Err(_) => scale(number, f64::round_ties_even),
        },
    };
    if precision == 0 && rounded.abs() < 1e38 {
        Ok(int_value(rounded as i128))
    } else {
        Ok(Value::from(rounded))
    }
}

/// `is_number(value)`: whether `float` would take it, and it is finite.
pub(super) fn is_number(value: Value) -> bool {
    to_float(&value).is_some_and(f64::is_finite)
}

/// `multiply(value, amount, default)`.
pub(super) fn multiply(value: Value, amount: Value, args: Args) -> Result<Value, Error> {
    with_amount("multiply", value, amount, args, Number::mul)
}

/// `add(value, amount, default)`.
pub(super) fn add(value: Value, amount: Value, args: Args) -> Result<Value, Error> {
    with_amount("add", value, amount, args, Number::add)
}

fn with_amount(
    name: &str,
    value: Value,
    amount: Value,
    args: Args,
    reckon: fn(Number, Number) -> Result<Value, Error>,
) -> Result<Value, Error> {
    let [default] = args.take(["default"])?;
    match (to_float(&value), Number::of(&amount)) {
        (Some(value), Some(amount)) => reckon(Number::Float(value), amount),
        (Some(_), None) => default_or(default, name, &amount),
        (None, _) => default_or(default, name, &value),
    }
}

/// `sqrt(value, default)`.
pub(super) fn sqrt(value: Value, args: Args) -> Result<Value, Error> {
    let [default] = args.take(["default"])?;
    match to_float(&value).filter(|number| *number >= 0.0) {
        Some(number) => Ok(Value::from(number.sqrt())),
        None => default_or(default, "sqrt", &value),
    }
}

/// `abs(value)`.
pub(super) fn abs(value: Value) -> Result<Value, Error> {
    match Number::of(&value) {
        Some(Number::Int(int)) => int.checked_abs().map(int_value).ok_or_else(too_large),
        Some(Number::Float(float)) => Ok(Value::from(float.abs())),
        None => match super::span::Span::of(&value) {
            Some(span) if span.micros() < 0 => operators::neg(value),
            Some(_) => Ok(value),
            None => Err(no_number("abs", &value)),
        },
    }
}

/// `sum(list, attribute, start)`.
pub(super) fn sum(state: &State, value: Value, args: Args) -> Result<Value, Error> {
    let [attribute, start] = args.take(["attribute", "start"])?;
    let mut total = start.unwrap_or(Value::from(0));
    for item in value.try_iter()? {
        total = operators::add(state, total, super::lists::attribute_of(&item, attribute.as_ref())?)?;
    }
    Ok(total)
}

/// `min(list)`, `min(a, b, ...)`.
pub(super) fn min(state: &State, value: Value, args: Args) -> Result<Value, Error> {
    extreme(state, value, args, Ordering::Less)
}

/// `max(list)`, `max(a, b, ...)`.
pub(super) fn max(state: &State, value: Value, args: Args) -> Result<Value, Error> {
    extreme(state, value, args, Ordering::Greater)
}

fn extreme(state: &State, value: Value, args: Args, wanted: Ordering) -> Result<Value, Error> {
    let home = Home::of(state)?;
    let (more, [attribute, case_sensitive]) = args.split(["attribute", "case_sensitive"])?;
    let items: Vec<Value> = match more.is_empty() {
        true => value.try_iter()?.collect(),
        false => std::iter::once(value).chain(more).collect(),
    };
    let is_cased = is_given(&case_sensitive);
    let key = |item: &Value| -> Result<Value, Error> {
        let key = super::lists::attribute_of(item, attribute.as_ref())?;
        Ok(if is_cased { key } else { super::lists::without_case(key) })
    };
    let mut best: Option<(Value, Value)> = None;
    for item in items {
        let key = key(&item)?;
        let is_better = match &best {
            None => true,
            Some((best, _)) => compare::order(&home, "<", &key, best)? == Some(wanted),
        };
        if is_better {
            best = Some((key, item));
        }
    }
    Ok(best.map_or(Value::UNDEFINED, |(_, item)| item))
}

/// `average(list)`, `average(a, b, ...)`: as `statistics.fmean`.
pub(super) fn average(value: Value, args: Args) -> Result<Value, Error> {
    let (numbers, default) = numbers_of(value, args)?;
    match numbers {
        Some(numbers) if !numbers.is_empty() => {
            let total = exact_sum(numbers.iter().map(|number| number.float()));
            Ok(Value::from(total / numbers.len() as f64))
        }
        _ => default_or(default, "average", &Value::from("a list without numbers")),
    }
}

/// `median(list)`, `median(a, b, ...)`.
pub(super) fn median(value: Value, args: Args) -> Result<Value, Error> {
    let (numbers, default) = numbers_of(value, args)?;
    let mut numbers = match numbers {
        Some(numbers) if !numbers.is_empty() => numbers,
        _ => return default_or(default, "median", &Value::from("a list without numbers")),
    };
    numbers.sort_by(|a, b| a.compare(*b).unwrap_or(Ordering::Equal));
    let middle = numbers.len() / 2;
    if numbers.len() % 2 == 1 {
        return match numbers[middle] {
            Number::Int(int) => Ok(int_value(int)),
            Number::Float(float) => Ok(Value::from(float)),
        };
    }
    Ok(Value::from((numbers[middle - 1].float() + numbers[middle].float()) / 2.0))
}

/// The numbers of a list or of several arguments, unless one is none; and the default.
fn numbers_of(value: Value, args: Args) -> Result<(Option<Vec<Number>>, Option<Value>), Error> {
    let (more, [mut default]) = args.split(["default"])?;
    let mut items: Vec<Value> = Vec::new();
    if is_list(&value) {
        items.extend(value.try_iter()?);
        // Behind a list, the second place is the default's.
        default = default.or_else(|| more.into_iter().next());
    } else {
        items.push(value);
        items.extend(more);
    }
    Ok((items.iter().map(Number::of).collect(), default))
}

/// A sum without rounding on the way (Shewchuk's partial sums), as `math.fsum`.
fn exact_sum(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut partials: Vec<f64> = Vec::new();
    for mut x in numbers {
        let mut kept = 0;
        for n in 0..partials.len() {
            let mut y = partials[n];
            if x.abs() < y.abs() {
                std::mem::swap(&mut x, &mut y);
            }
            let high = x + y;
            let low = y - (high - x);
            if low != 0.0 {
                partials[kept] = low;
                kept += 1;
            }
            x = high;
        }
        partials.truncate(kept);
        partials.push(x);
    }
    partials.iter().rev().fold(0.0, |sum, partial| sum + partial)
}

/// `statistical_mode(list)`: what occurs most often, the first of several.
pub(super) fn statistical_mode(state: &State, value: Value, args: Args) -> Result<Value, Error> {
    let home = Home::of(state)?;
    let (more, [mut default]) = args.split(["default"])?;
    let items: Vec<Value> = if is_list(&value) {
        default = default.or_else(|| more.into_iter().next());
        value.try_iter()?.collect()
    } else {
        std::iter::once(value).chain(more).collect()
    };
    let mut best: Option<(usize, &Value)> = None;
    for (n, item) in items.iter().enumerate() {
        let mut count = 0;
        for other in &items[n..] {
            count += usize::from(compare::equal(&home, item, other)?);
        }
        if best.is_none_or(|(most, _)| count > most) {
            best = Some((count, item));
        }
    }
    match best {
        Some((_, item)) => Ok(item.clone()),
        None => default_or(default, "statistical_mode", &Value::from("an empty list")),
    }
}

/// `ordinal(5)`: `5th`.
pub(super) fn ordinal(value: Value) -> Result<Value, Error> {
    let number = to_float(&value).ok_or_else(|| no_number("ordinal", &value))? as i64;
    let suffix = match (number.rem_euclid(100), number.rem_euclid(10)) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    };
    Ok(Value::from(format!("{value}{suffix}")))
}

/// `bitwise_and(a, b)`.
pub(super) fn bitwise_and(a: i64, b: i64) -> i64 {
    a & b
}

/// `bitwise_or(a, b)`.
pub(super) fn bitwise_or(a: i64, b: i64) -> i64 {
    a | b
}

/// `bitwise_xor(a, b)`.
pub(super) fn bitwise_xor(a: i64, b: i64) -> i64 {
    a ^ b
}
