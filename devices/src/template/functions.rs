//! The names that Home Assistant adds to Jinja, or gives another meaning. One function each; to add
//! one, write it and name it in [`add_to`].

use minijinja::value::{Kwargs, Rest, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind};

/// Makes them known to the engine.
pub(super) fn add_to(environment: &mut Environment<'static>) {
    environment.add_filter("float", float);
    environment.add_function("float", float);
    environment.add_filter("int", int);
    environment.add_function("int", int);
    environment.add_filter("round", round);
    environment.add_filter("iif", iif);
    environment.add_function("iif", iif);
    environment.add_filter("to_json", to_json);
    environment.add_function("to_json", to_json);
    environment.add_filter("is_defined", is_defined);
    environment.add_filter("is_number", is_number);
    environment.add_function("is_number", is_number);
}

/// `float(value, default)`: without a default, what is no number is an error.
fn float(value: Value, args: Rest<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    let default = argument(&args, &kwargs, 0, "default")?;
    kwargs.assert_all_used()?;
    match to_float(&value) {
        Some(number) => Ok(Value::from(number)),
        None => default.ok_or_else(|| no_number("float", &value)),
    }
}

/// `int(value, default, base)`: truncates.
fn int(value: Value, args: Rest<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    let default = argument(&args, &kwargs, 0, "default")?;
    let base = argument(&args, &kwargs, 1, "base")?.and_then(|base| u32::try_from(base).ok());
    kwargs.assert_all_used()?;
    let whole = match (value.as_str(), base) {
        (Some(text), Some(base @ 2..=36)) => {
            let text = text.trim();
            let digits = text.strip_prefix(if base == 16 { "0x" } else { "" }).unwrap_or(text);
            i64::from_str_radix(digits, base).ok()
        }
        (Some(text), _) => text.trim().parse().ok(),
        _ => i64::try_from(value.clone()).ok().filter(|_| value.is_integer()),
    };
    let truncated = || to_float(&value).filter(|number| number.abs() < 9.2e18).map(|number| number as i64);
    match whole.or_else(truncated) {
        Some(whole) => Ok(Value::from(whole)),
        None => default.ok_or_else(|| no_number("int", &value)),
    }
}

/// `round(value, precision, method, default)`: to even as Python does, and to an integer at
/// precision 0.
fn round(value: Value, args: Rest<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    let precision = argument(&args, &kwargs, 0, "precision")?.map_or(Ok(0), i64::try_from)?;
    let method = argument(&args, &kwargs, 1, "method")?;
    let method = method.as_ref().and_then(Value::as_str).unwrap_or("common");
    let default = argument(&args, &kwargs, 2, "default")?;
    kwargs.assert_all_used()?;
    let Some(number) = to_float(&value) else { return default.ok_or_else(|| no_number("round", &value)) };
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
    if precision == 0 && rounded.abs() < 9.2e18 {
        Ok(Value::from(rounded as i64))
    } else {
        Ok(Value::from(rounded))
    }
}

/// `iif(value, if_true, if_false, if_none)`: one of three by what the value is.
fn iif(value: Value, args: Rest<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    let if_true = argument(&args, &kwargs, 0, "if_true")?.unwrap_or(Value::from(true));
    let if_false = argument(&args, &kwargs, 1, "if_false")?.unwrap_or(Value::from(false));
    let if_none = argument(&args, &kwargs, 2, "if_none")?;
    kwargs.assert_all_used()?;
    match if_none {
        Some(if_none) if value.is_none() => Ok(if_none),
        _ => Ok(if value.is_true() { if_true } else { if_false }),
    }
}

/// `to_json(value)`: compact JSON; the options for layout are accepted and change nothing.
fn to_json(value: Value, kwargs: Kwargs) -> Result<Value, Error> {
    for option in ["ensure_ascii", "pretty_print", "sort_keys"] {
        let _accepted: Option<Value> = kwargs.get(option)?;
    }
    kwargs.assert_all_used()?;
    serde_json::to_string(&value).map(Value::from).map_err(|error| {
        Error::new(ErrorKind::BadSerialization, "to_json: the value has no JSON form").with_source(error)
    })
}

/// `is_defined`: passes a value on, and fails the template where there is none.
fn is_defined(value: Value) -> Result<Value, Error> {
    if value.is_undefined() {
        return Err(Error::new(ErrorKind::UndefinedError, "the value is undefined"));
    }
    Ok(value)
}

/// `is_number(value)`: whether `float` would take it, and it is finite.
fn is_number(value: Value) -> bool {
    to_float(&value).is_some_and(f64::is_finite)
}

fn to_float(value: &Value) -> Option<f64> {
    match value.kind() {
        ValueKind::Bool => Some(if value.is_true() { 1.0 } else { 0.0 }),
        ValueKind::Number => f64::try_from(value.clone()).ok(),
        ValueKind::String => value.as_str().and_then(|text| text.trim().parse().ok()),
        _ => None,
    }
}

/// An argument by place or by name.
fn argument(args: &[Value], kwargs: &Kwargs, place: usize, name: &str) -> Result<Option<Value>, Error> {
    match args.get(place) {
        Some(value) => Ok(Some(value.clone())),
        None if kwargs.has(name) => kwargs.get::<Value>(name).map(Some),
        None => Ok(None),
    }
}

fn no_number(function: &str, value: &Value) -> Error {
    // A message need not have the key; a word where a number was promised is a mistake.
    let kind = if value.is_undefined() { ErrorKind::UndefinedError } else { ErrorKind::InvalidOperation };
    Error::new(kind, format!("{function} got `{value}`, which is no number, and no default was given"))
}
