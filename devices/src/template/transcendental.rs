//! Logarithms and trigonometry, by `libm` alone: it reckons in software and alike on every computer,
//! so that all nodes agree on each digit. The standard library asks the computer's own.

use super::args::Args;
use super::numbers::{default_or, to_float};
use minijinja::Error;
use minijinja::value::{Value, ValueKind};

/// `log(value, base, default)`: to the base e where none is given.
pub(super) fn log(value: Value, args: Args) -> Result<Value, Error> {
    let [base, default] = args.take(["base", "default"])?;
    let logarithm = |number: f64| (number > 0.0).then(|| libm::log(number));
    let base = match base {
        None => Some(1.0),
        Some(base) => to_float(&base).and_then(logarithm).filter(|logarithm| *logarithm != 0.0),
    };
    match (to_float(&value).and_then(logarithm), base) {
        (Some(number), Some(base)) => Ok(Value::from(number / base)),
        _ => default_or(default, "log", &value),
    }
}

/// `atan2(y, x, default)`, or both in a list: `atan2([y, x], default)`.
pub(super) fn atan2(y: Value, args: Args) -> Result<Value, Error> {
    let (y, x, default) = if matches!(y.kind(), ValueKind::Seq) {
        let [default] = args.take(["default"])?;
        let both: Vec<Value> = y.try_iter()?.take(3).collect();
        match <[Value; 2]>::try_from(both) {
            Ok([y, x]) => (y, Some(x), default),
            Err(_) => return default_or(default, "atan2", &y),
        }
    } else {
        let [x, default] = args.take(["x", "default"])?;
        (y, x, default)
    };
    match (to_float(&y), x.as_ref().and_then(to_float)) {
        (Some(y), Some(x)) => Ok(Value::from(libm::atan2(y, x))),
        (Some(_), None) => default_or(default, "atan2", &x.unwrap_or_default()),
        (None, _) => default_or(default, "atan2", &y),
    }
}

/// `f(value, default)`; a value for which it says nothing counts as none.
pub(super) fn of_one(
    name: &'static str,
    function: fn(f64) -> f64,
) -> impl Fn(Value, Args) -> Result<Value, Error> + Copy + Send + Sync + 'static {
    move |value, args| {
        let [default] = args.take(["default"])?;
        match to_float(&value).map(function).filter(|result| !result.is_nan()) {
            Some(result) => Ok(Value::from(result)),
            None => default_or(default, name, &value),
        }
    }
}
