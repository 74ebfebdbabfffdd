//! Python's operators. The engine's own know neither datetimes nor Python's errors, and may make
//! texts and lists of any size; see `rewrite.rs` for how templates come to call these.

use super::compare::{equal, less, type_error, type_name};
use super::home::{Home, too_long};
use super::moment::Moment;
use super::numbers::{Number, floor, to_int};
use super::python;
use super::span::Span;
use super::spelled::is_tuple;
use minijinja::value::{Rest, Tuple, Value, ValueKind};
use minijinja::{Error, ErrorKind, State};

/// Most items of a list that an operator makes.
const LIST_MAX: usize = 100_000;

pub(super) fn add(state: &State, a: Value, b: Value) -> Result<Value, Error> {
    if let (Some(a), Some(b)) = (Number::of(&a), Number::of(&b)) {
        return a.add(b);
    }
    let home = Home::of(state)?;
    if let (Some(a), Some(b)) = (a.as_str(), b.as_str()) {
        if a.len() + b.len() > super::OUTPUT_MAX {
            return Err(too_long());
        }
        return home.keep(Value::from([a, b].concat()));
    }
    let moment = |value: &Value| value.downcast_object::<Moment>();
    if let (Some(a), Some(b)) = (moment(&a).or_else(|| moment(&b)), Span::of(&b).or_else(|| Span::of(&a))) {
        return a.plus(b, &home).map(Value::from_object);
    }
    if let (Some(a), Some(b)) = (Span::of(&a), Span::of(&b)) {
        return a.plus(b).map(Value::from_object);
    }
    match (is_list(&a), is_list(&b)) {
        (true, true) if is_tuple(&a) == is_tuple(&b) => {
            let items: Vec<Value> = a.try_iter()?.chain(b.try_iter()?).take(LIST_MAX + 1).collect();
            let joined = if is_tuple(&a) { Value::from(Tuple::new(items)) } else { Value::from(items) };
            home.keep(joined)
        }
        _ => Err(unsupported("+", &a, &b)),
    }
}

pub(super) fn sub(state: &State, a: Value, b: Value) -> Result<Value, Error> {
    if let (Some(a), Some(b)) = (Number::of(&a), Number::of(&b)) {
        return a.sub(b);
    }
    let home = Home::of(state)?;
    if let Some(moment) = a.downcast_object::<Moment>() {
        if let Some(other) = b.downcast_object_ref::<Moment>() {
            return moment.minus(other).map(Value::from_object);
        }
        if let Some(span) = Span::of(&b) {
            return moment.plus(span.negated()?, &home).map(Value::from_object);
        }
    }
    match (Span::of(&a), Span::of(&b)) {
        (Some(a), Some(b)) => a.plus(b.negated()?).map(Value::from_object),
        _ => Err(unsupported("-", &a, &b)),
    }
}

pub(super) fn mul(state: &State, a: Value, b: Value) -> Result<Value, Error> {
    if let (Some(a), Some(b)) = (Number::of(&a), Number::of(&b)) {
        return a.mul(b);
    }
    if let Some((span, factor)) = either(&a, &b, Span::of, Number::of) {
        return span.times(factor).map(Value::from_object);
    }
    let times = |value: &Value| to_int(value).map(|times| usize::try_from(times).unwrap_or(0));
    let text = |value: &Value| value.as_str().map(str::to_owned);
    if let Some((text, times)) = either(&a, &b, text, times) {
        if text.len().saturating_mul(times) > super::OUTPUT_MAX {
            return Err(too_long());
        }
        return Home::of(state)?.keep(Value::from(text.repeat(times)));
    }
    let list = |value: &Value| is_list(value).then(|| value.clone());
    if let Some((list, times)) = either(&a, &b, list, times) {
        let items: Vec<Value> = list.try_iter()?.take(LIST_MAX + 1).collect();
        let length = items.len().saturating_mul(times);
        if length > LIST_MAX {
            let message = format!("a list would become longer than {LIST_MAX} items");
            return Err(Error::new(ErrorKind::InvalidOperation, message));
        }
        let items: Vec<Value> = items.iter().cycle().take(length).cloned().collect();
        let repeated = if is_tuple(&list) { Value::from(Tuple::new(items)) } else { Value::from(items) };
        return Home::of(state)?.keep(repeated);
    }
    Err(unsupported("*", &a, &b))
}

pub(super) fn div(a: Value, b: Value) -> Result<Value, Error> {
    if let (Some(a), Some(b)) = (Number::of(&a), Number::of(&b)) {
        return a.div(b);
    }
    match (Span::of(&a), Span::of(&b), Number::of(&b)) {
        (Some(a), Some(b), _) => Number::Int(a.micros().into()).div(Number::Int(b.micros().into())),
        (Some(a), None, Some(divisor)) => a.over(divisor).map(Value::from_object),
        _ => Err(unsupported("/", &a, &b)),
    }
}

pub(super) fn floordiv(a: Value, b: Value) -> Result<Value, Error> {
    if let (Some(a), Some(b)) = (Number::of(&a), Number::of(&b)) {
        return a.floordiv(b);
    }
    match (Span::of(&a), Span::of(&b), to_int(&b)) {
        (Some(a), Some(b), _) => Number::Int(a.micros().into()).floordiv(Number::Int(b.micros().into())),
        (Some(a), None, Some(divisor)) if divisor != 0 => {
            Span::from_micros(floor(i128::from(a.micros()), divisor).0).map(Value::from_object)
        }
        _ => Err(unsupported("//", &a, &b)),
    }
}

pub(super) fn modulo(state: &State, a: Value, b: Value) -> Result<Value, Error> {
    if let Some(pattern) = a.as_str() {
        let home = Home::of(state)?;
        return home.keep(Value::from(super::percent::format(pattern, &b)?));
    }
    if let (Some(a), Some(b)) = (Number::of(&a), Number::of(&b)) {
        return a.modulo(b);
    }
    match (Span::of(&a), Span::of(&b)) {
        (Some(a), Some(b)) if b.micros() != 0 => {
            Span::from_micros(floor(a.micros().into(), b.micros().into()).1).map(Value::from_object)
        }
        _ => Err(unsupported("%", &a, &b)),
    }
}

pub(super) fn pow(a: Value, b: Value) -> Result<Value, Error> {
    match (Number::of(&a), Number::of(&b)) {
        (Some(a), Some(b)) => a.pow(b),
        _ => Err(unsupported("**", &a, &b)),
    }
}

pub(super) fn neg(value: Value) -> Result<Value, Error> {
    match (Number::of(&value), Span::of(&value)) {
        (Some(number), _) => Number::Int(0).sub(number).map(|negated| match number {
            // Zero has a sign as a float.
            Number::Float(float) => Value::from(-float),
            Number::Int(_) => negated,
        }),
        (None, Some(span)) => span.negated().map(Value::from_object),
        (None, None) => Err(Error::new(
            if value.is_undefined() { ErrorKind::UndefinedError } else { ErrorKind::InvalidOperation },
            format!("`-` does not go with {}", type_name(&value)),
        )),
    }
}

/// `~`: both as Python prints them.
pub(super) fn concat(state: &State, a: Value, b: Value) -> Result<Value, Error> {
    let mut text = python::Bounded::default();
    python::write(&mut text, &a)?;
    python::write(&mut text, &b)?;
    Home::of(state)?.keep(Value::from(text.into_text()))
}

/// `a[start:stop:step]`.
pub(super) fn slice(
    state: &State,
    value: Value,
    start: Value,
    stop: Value,
    step: Value,
) -> Result<Value, Error> {
    let home = Home::of(state)?;
    let part = |value: &Value| match value {
        value if value.is_none() => Ok(None),
        value => to_int(value).map(Some).ok_or_else(|| {
            Error::new(ErrorKind::InvalidOperation, "the bounds of a slice are integers or left out")
        }),
    };
    let (start, stop, step) = (part(&start)?, part(&stop)?, part(&step)?.unwrap_or(1));
    if step == 0 {
        return Err(Error::new(ErrorKind::InvalidOperation, "the step of a slice can not be zero"));
    }
    if let Some(text) = value.as_str() {
        let characters: Vec<char> = text.chars().collect();
        let picked: String = indices(characters.len(), start, stop, step).map(|n| characters[n]).collect();
        return home.keep(Value::from(picked));
    }
    if !is_list(&value) {
        return Err(Error::new(
            if value.is_undefined() { ErrorKind::UndefinedError } else { ErrorKind::InvalidOperation },
            format!("{} has no slices", type_name(&value)),
        ));
    }
    let items: Vec<Value> = value.try_iter()?.take(LIST_MAX).collect();
    let picked: Vec<Value> = indices(items.len(), start, stop, step).map(|n| items[n].clone()).collect();
    home.keep(if is_tuple(&value) { Value::from(Tuple::new(picked)) } else { Value::from(picked) })
}

/// The places that a slice takes, as Python counts them.
fn indices(
    length: usize,
    start: Option<i128>,
    stop: Option<i128>,
    step: i128,
) -> impl Iterator<Item = usize> {
    let length = length as i128;
    let (lowest, highest) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let place = |bound: Option<i128>, default: i128| match bound {
        None => default,
        Some(bound) if bound < 0 => (bound + length).max(lowest),
        Some(bound) => bound.min(highest),
    };
    let start = place(start, if step > 0 { lowest } else { highest });
    let stop = place(stop, if step > 0 { highest } else { lowest });
    let mut next = start;
    std::iter::from_fn(move || {
        let is_inside = if step > 0 { next < stop } else { next > stop };
        let place = usize::try_from(next).ok().filter(|_| is_inside)?;
        next = next.saturating_add(step);
        Some(place)
    })
}

pub(super) fn eq(state: &State, a: Value, b: Value) -> Result<bool, Error> {
    equal(&*Home::of(state)?, &a, &b)
}

pub(super) fn ne(state: &State, a: Value, b: Value) -> Result<bool, Error> {
    equal(&*Home::of(state)?, &a, &b).map(|equal| !equal)
}

pub(super) fn lt(state: &State, a: Value, b: Value) -> Result<bool, Error> {
    compare(state, "<", &a, &b)
}

pub(super) fn le(state: &State, a: Value, b: Value) -> Result<bool, Error> {
    compare(state, "<=", &a, &b)
}

pub(super) fn gt(state: &State, a: Value, b: Value) -> Result<bool, Error> {
    compare(state, ">", &a, &b)
}

pub(super) fn ge(state: &State, a: Value, b: Value) -> Result<bool, Error> {
    compare(state, ">=", &a, &b)
}

/// `value in container`.
pub(super) fn is_in(state: &State, value: Value, container: Value) -> Result<bool, Error> {
    compare(state, "in", &value, &container)
}

/// `a < b <= c`.
pub(super) fn chain(state: &State, first: Value, rest: Rest<Value>) -> Result<bool, Error> {
    let mut left = &first;
    for pair in rest.chunks_exact(2) {
        if !compare(state, pair[0].as_str().unwrap_or_default(), left, &pair[1])? {
            return Ok(false);
        }
        left = &pair[1];
    }
    Ok(true)
}

fn compare(state: &State, op: &str, a: &Value, b: &Value) -> Result<bool, Error> {
    let home = Home::of(state)?;
    match op {
        "==" => equal(&home, a, b),
        "!=" => equal(&home, a, b).map(|equal| !equal),
        "<" => less(&home, op, a, b, false),
        "<=" => less(&home, op, a, b, true),
        ">" => less(&home, op, b, a, false).map_err(|error| swapped(error, op, a, b)),
        ">=" => less(&home, op, b, a, true).map_err(|error| swapped(error, op, a, b)),
        "not in" => contains(&home, b, a).map(|found| !found),
        _ => contains(&home, b, a),
    }
}

/// The message names the sides in the order in which they stand.
fn swapped(error: Error, op: &str, a: &Value, b: &Value) -> Error {
    if error.kind() == ErrorKind::OutOfFuel { error } else { type_error(op, a, b) }
}

/// Whether a container holds a value.
pub(super) fn contains(home: &Home, container: &Value, value: &Value) -> Result<bool, Error> {
    match container.kind() {
        ValueKind::Undefined => Ok(false),
        ValueKind::String => match (container.as_str(), value.as_str()) {
            (Some(container), Some(text)) => {
                home.work(container.len() as u64)?;
                Ok(container.contains(text))
            }
            _ => Err(type_error("in", value, container)),
        },
        ValueKind::Map => container.get_item(value).map(|found| !found.is_undefined()),
        ValueKind::Seq | ValueKind::Iterable => {
            for item in container.try_iter()? {
                if equal(home, &item, value)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        _ => Err(type_error("in", value, container)),
    }
}

/// Weighs what was made while rendering.
pub(super) fn keep(state: &State, value: Value) -> Result<Value, Error> {
    Home::of(state)?.keep(value)
}

/// Weighs what goes into a namespace.
pub(super) fn store(state: &State, value: Value) -> Result<Value, Error> {
    if super::home::is_namespace(&value) {
        let message = "a namespace can not be put into another one";
        return Err(Error::new(ErrorKind::InvalidOperation, message));
    }
    Home::of(state)?.keep(value)
}

/// What a loop goes through.
pub(super) fn iterate(state: &State, value: Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable | ValueKind::Map | ValueKind::String | ValueKind::Undefined => {
            let length = value.len().unwrap_or(0) as u64;
            Home::of(state)?.work(length.saturating_mul(8))?;
            Ok(value)
        }
        _ => {
            let message = format!("{} can not be gone through", type_name(&value));
            Err(Error::new(ErrorKind::InvalidOperation, message))
        }
    }
}

pub(super) fn is_list(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable)
}

/// Two operands in either order.
fn either<A, B>(
    a: &Value,
    b: &Value,
    first: impl Fn(&Value) -> Option<A>,
    second: impl Fn(&Value) -> Option<B>,
) -> Option<(A, B)> {
    let straight = first(a).zip(second(b));
    straight.or_else(|| first(b).zip(second(a)))
}

fn unsupported(op: &str, a: &Value, b: &Value) -> Error {
    let is_undefined = a.is_undefined() || b.is_undefined();
    let kind = if is_undefined { ErrorKind::UndefinedError } else { ErrorKind::InvalidOperation };
    Error::new(kind, format!("`{op}` does not go with {} and {}", type_name(a), type_name(b)))
}
