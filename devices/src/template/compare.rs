//! Python's equality and order.

use super::home::Home;
use super::moment::Moment;
use super::numbers::Number;
use super::span::Span;
use super::spelled::is_tuple;
use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind};
use std::cmp::Ordering;

/// What Python calls the type of a value.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value.kind() {
        ValueKind::Undefined => "Undefined",
        ValueKind::None => "NoneType",
        ValueKind::Bool => "bool",
        ValueKind::Number if value.is_integer() => "int",
        ValueKind::Number => "float",
        ValueKind::String => "str",
        ValueKind::Seq | ValueKind::Iterable if is_tuple(value) => "tuple",
        ValueKind::Seq | ValueKind::Iterable => "list",
        ValueKind::Map => "dict",
        _ => match (value.downcast_object_ref::<Moment>(), Span::of(value)) {
            (Some(moment), _) => moment.type_name(),
            (None, Some(_)) => "timedelta",
            (None, None) => "object",
        },
    }
}

/// `==`. Values of different types are not equal, save for numbers and booleans.
pub(super) fn equal(home: &Home, a: &Value, b: &Value) -> Result<bool, Error> {
    home.work(8)?;
    if let (Some(a), Some(b)) = (Number::of(a), Number::of(b)) {
        return Ok(a.compare(b) == Some(Ordering::Equal));
    }
    match (a.kind(), b.kind()) {
        (ValueKind::String, ValueKind::String) => Ok(a.as_str() == b.as_str()),
        (ValueKind::None, ValueKind::None) | (ValueKind::Undefined, ValueKind::Undefined) => Ok(true),
        (ValueKind::Seq | ValueKind::Iterable, ValueKind::Seq | ValueKind::Iterable) => {
            if is_tuple(a) != is_tuple(b) || a.len() != b.len() {
                return Ok(false);
            }
            for (a, b) in a.try_iter()?.zip(b.try_iter()?) {
                if !equal(home, &a, &b)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (ValueKind::Map, ValueKind::Map) => {
            if a.len() != b.len() {
                return Ok(false);
            }
            for key in a.try_iter()? {
                let (left, right) = (a.get_item(&key)?, b.get_item(&key)?);
                if right.is_undefined() || !equal(home, &left, &right)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        _ => Ok(match (a.downcast_object_ref::<Moment>(), b.downcast_object_ref::<Moment>()) {
            (Some(a), Some(b)) => a.order(b) == Some(Ordering::Equal),
            _ => match (Span::of(a), Span::of(b)) {
                (Some(a), Some(b)) => a == b,
                _ => false,
            },
        }),
    }
}

/// `a < b`, or `a <= b` with `or_equal`. What has no order is an error, as in Python.
pub(super) fn less(home: &Home, op: &str, a: &Value, b: &Value, or_equal: bool) -> Result<bool, Error> {
    Ok(match order(home, op, a, b)? {
        Some(Ordering::Less) => true,
        Some(Ordering::Equal) => or_equal,
        Some(Ordering::Greater) | None => false,
    })
}

/// The order of two values; none for what is not a number.
pub(super) fn order(home: &Home, op: &str, a: &Value, b: &Value) -> Result<Option<Ordering>, Error> {
    home.work(8)?;
    if let (Some(a), Some(b)) = (Number::of(a), Number::of(b)) {
        return Ok(a.compare(b));
    }
    if let (Some(a), Some(b)) = (a.as_str(), b.as_str()) {
        return Ok(Some(a.cmp(b)));
    }
    if let (Some(a), Some(b)) = (Span::of(a), Span::of(b)) {
        return Ok(Some(a.cmp(&b)));
    }
    if let (Some(left), Some(right)) = (a.downcast_object_ref::<Moment>(), b.downcast_object_ref::<Moment>())
    {
        return left.order(right).map(Some).ok_or_else(|| type_error(op, a, b));
    }
    let is_list = |value: &Value| matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable);
    if is_list(a) && is_list(b) && is_tuple(a) == is_tuple(b) {
        for (left, right) in a.try_iter()?.zip(b.try_iter()?) {
            if !equal(home, &left, &right)? {
                return order(home, op, &left, &right);
            }
        }
        return Ok(Some(a.len().cmp(&b.len())));
    }
    Err(type_error(op, a, b))
}

/// What Python says when two values have no order.
pub(super) fn type_error(op: &str, a: &Value, b: &Value) -> Error {
    let is_undefined = a.is_undefined() || b.is_undefined();
    let kind = if is_undefined { ErrorKind::UndefinedError } else { ErrorKind::InvalidOperation };
    Error::new(kind, format!("`{op}` does not go with {} and {}", type_name(a), type_name(b)))
}
