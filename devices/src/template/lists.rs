//! Lists and mappings: what Jinja has that the engine lacks or does without bounds, and what Home
//! Assistant adds.

use super::args::{Args, is_given};
use super::compare::{equal, type_name};
use super::home::{Home, too_long};
use super::operators::is_list;
use super::python;
use super::spelled::is_tuple;
use minijinja::value::{Tuple, Value, ValueKind};
use minijinja::{Error, ErrorKind, State};

/// The attribute of an item: `name`, `attributes.name`, or a place in a list; the item itself
/// without one.
pub(super) fn attribute_of(item: &Value, attribute: Option<&Value>) -> Result<Value, Error> {
    let Some(attribute) = attribute.filter(|attribute| !attribute.is_none()) else { return Ok(item.clone()) };
    let Some(path) = attribute.as_str() else { return item.get_item(attribute) };
    let mut value = item.clone();
    for step in path.split('.') {
        value = match step.parse::<usize>() {
            Ok(place) => value.get_item_by_index(place)?,
            Err(_) => value.get_attr(step)?,
        };
    }
    Ok(value)
}

/// A text without regard to case, and anything else as it is.
pub(super) fn without_case(value: Value) -> Value {
    value.as_str().map(str::to_lowercase).map_or(value, Value::from)
}

fn items_of(value: &Value) -> Result<Vec<Value>, Error> {
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable | ValueKind::Map | ValueKind::String | ValueKind::Undefined => {
            Ok(value.try_iter()?.collect())
        }
        _ => {
            let message = format!("{} can not be gone through", type_name(value));
            Err(Error::new(ErrorKind::InvalidOperation, message))
        }
    }
}

/// `list(value)`.
pub(super) fn list(state: &State, value: Option<Value>) -> Result<Value, Error> {
    let items = value.map_or(Ok(Vec::new()), |value| items_of(&value))?;
    Home::of(state)?.keep(Value::from(items))
}

/// `tuple(value)`.
pub(super) fn tuple(state: &State, value: Option<Value>) -> Result<Value, Error> {
    let items = value.map_or(Ok(Vec::new()), |value| items_of(&value))?;
    Home::of(state)?.keep(Value::from(Tuple::new(items)))
}

/// `set(value)`: each item once. It stays a list, in the order of first occurrence: Python's own
/// order of a set differs from run to run.
pub(super) fn set(state: &State, value: Option<Value>) -> Result<Value, Error> {
    let items = value.map_or(Ok(Vec::new()), |value| items_of(&value))?;
    distinct(&*Home::of(state)?, items)
}

fn distinct(home: &Home, items: Vec<Value>) -> Result<Value, Error> {
    let mut kept: Vec<Value> = Vec::new();
    for item in items {
        if !holds(home, &kept, &item)? {
            kept.push(item);
        }
    }
    home.keep(Value::from(kept))
}

fn holds(home: &Home, items: &[Value], wanted: &Value) -> Result<bool, Error> {
    for item in items {
        if equal(home, item, wanted)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// `length(value)`.
pub(super) fn length(value: Value) -> Result<Value, Error> {
    match (value.len(), value.kind()) {
        (_, ValueKind::Undefined) => Ok(Value::from(0)),
        (Some(length), _) => Ok(Value::from(length)),
        (None, ValueKind::Iterable) => Ok(Value::from(value.try_iter()?.count())),
        (None, _) => {
            Err(Error::new(ErrorKind::InvalidOperation, format!("{} has no length", type_name(&value))))
        }
    }
}

/// `default(value, default_value, boolean)`.
pub(super) fn default(value: Value, args: Args) -> Result<Value, Error> {
    let [default, boolean] = args.take(["default_value", "boolean"])?;
    let is_missing = value.is_undefined() || (is_given(&boolean) && !value.is_true());
    Ok(if is_missing { default.unwrap_or(Value::from("")) } else { value })
}

/// `join(list, separator, attribute)`.
pub(super) fn join(state: &State, value: Value, args: Args) -> Result<Value, Error> {
    let [separator, attribute] = args.take(["d", "attribute"])?;
    let separator = separator.map_or(Ok(String::new()), |separator| python::to_text(&separator))?;
    let mut text = String::new();
    for (n, item) in items_of(&value)?.iter().enumerate() {
        if n > 0 {
            text += &separator;
        }
        text += &python::to_text(&attribute_of(item, attribute.as_ref())?)?;
        if text.len() > super::OUTPUT_MAX {
            return Err(too_long());
        }
    }
    Home::of(state)?.keep(Value::from(text))
}

/// `zip(a, b, ...)`: tuples, as many as the shortest has.
pub(super) fn zip(state: &State, args: Args) -> Result<Value, Error> {
    let (lists, []) = args.split([])?;
    let home = Home::of(state)?;
    let lists = lists.iter().map(items_of).collect::<Result<Vec<_>, _>>()?;
    let length = lists.iter().map(Vec::len).min().unwrap_or(0);
    let row = |n: usize| Value::from(Tuple::new(lists.iter().map(|list| list[n].clone()).collect()));
    home.work(length as u64 * lists.len() as u64 * 32)?;
    home.keep(Value::from((0..length).map(row).collect::<Vec<_>>()))
}

/// `random(list)`: one of the items, by the number of the log entry.
pub(super) fn random(state: &State, value: Value) -> Result<Value, Error> {
    let items = items_of(&value)?;
    let home = Home::of(state)?;
    home.work(items.len() as u64 * 4)?;
    let place = home.draw().checked_rem(items.len() as u64);
    Ok(place.map_or(Value::UNDEFINED, |place| items[place as usize].clone()))
}

/// `shuffle(list)`: another order, by the number of the log entry.
pub(super) fn shuffle(state: &State, value: Value, args: Args) -> Result<Value, Error> {
    let (more, [_seed]) = args.split(["seed"])?;
    let home = Home::of(state)?;
    let mut items = if is_list(&value) { items_of(&value)? } else { vec![value] };
    items.extend(more);
    for n in (1..items.len()).rev() {
        let other = home.draw() % (n as u64 + 1);
        items.swap(n, other as usize);
    }
    home.keep(Value::from(items))
}

/// `contains(list, value)`.
pub(super) fn contains(state: &State, container: Value, value: Value) -> Result<bool, Error> {
    super::operators::contains(&*Home::of(state)?, &container, &value)
}

/// `flatten(list, levels)`.
pub(super) fn flatten(state: &State, value: Value, args: Args) -> Result<Value, Error> {
    let [levels] = args.take(["levels"])?;
    let levels = levels.filter(|levels| !levels.is_none()).map_or(Ok(i64::MAX), i64::try_from)?;
    let mut items = Vec::new();
    flatten_into(&value, levels, &mut items)?;
    Home::of(state)?.keep(Value::from(items))
}

fn flatten_into(value: &Value, levels: i64, items: &mut Vec<Value>) -> Result<(), Error> {
    for item in value.try_iter()? {
        if is_list(&item) && levels > 0 {
            flatten_into(&item, levels - 1, items)?;
        } else {
            items.push(item);
        }
    }
    Ok(())
}

/// `intersect(a, b)`: what is in both.
pub(super) fn intersect(state: &State, a: Value, b: Value) -> Result<Value, Error> {
    combine_lists(state, &a, &b, |in_a, in_b| in_a && in_b)
}

/// `difference(a, b)`: what is in the first only.
pub(super) fn difference(state: &State, a: Value, b: Value) -> Result<Value, Error> {
    combine_lists(state, &a, &b, |in_a, in_b| in_a && !in_b)
}

/// `symmetric_difference(a, b)`: what is in one of them.
pub(super) fn symmetric_difference(state: &State, a: Value, b: Value) -> Result<Value, Error> {
    combine_lists(state, &a, &b, |in_a, in_b| in_a != in_b)
}

/// `union(a, b)`: what is in any of them.
pub(super) fn union(state: &State, a: Value, b: Value) -> Result<Value, Error> {
    combine_lists(state, &a, &b, |_, _| true)
}

fn combine_lists(
    state: &State,
    a: &Value,
    b: &Value,
    wanted: fn(bool, bool) -> bool,
) -> Result<Value, Error> {
    let home = Home::of(state)?;
    let (a, b) = (items_of(a)?, items_of(b)?);
    let mut kept = Vec::new();
    for item in a.iter().chain(&b) {
        if wanted(holds(&home, &a, item)?, holds(&home, &b, item)?) {
            kept.push(item.clone());
        }
    }
    distinct(&home, kept)
}

/// `combine(a, b, ..., recursive)`: one mapping of several, the last wins.
pub(super) fn combine(state: &State, args: Args) -> Result<Value, Error> {
    let (maps, [_recursive]) = args.split(["recursive"])?;
    let mut all = Vec::new();
    for map in &maps {
        if map.kind() != ValueKind::Map {
            return Err(Error::new(ErrorKind::InvalidOperation, "combine takes mappings"));
        }
        for key in map.try_iter()? {
            let value = map.get_item(&key)?;
            all.push((key, value));
        }
    }
    Home::of(state)?.keep(Value::from_pairs(all))
}

/// `dict(old, key=value)`: from a mapping or from pairs.
pub(super) fn dict(state: &State, args: Args) -> Result<Value, Error> {
    let (places, names) = args.parts();
    let mut pairs: Vec<(Value, Value)> = Vec::new();
    for place in &places {
        for item in place.try_iter()? {
            pairs.push(match place.kind() {
                ValueKind::Map => (item.clone(), place.get_item(&item)?),
                _ => (item.get_item_by_index(0)?, item.get_item_by_index(1)?),
            });
        }
    }
    for name in names.args() {
        pairs.push((Value::from(name), names.get(name)?));
    }
    Home::of(state)?.keep(Value::from_pairs(pairs))
}

/// `typeof(value)`: Python's name of the type.
pub(super) fn type_of(value: Value) -> &'static str {
    type_name(&value)
}

/// `iif(value, if_true, if_false, if_none)`: one of three by what the value is.
pub(super) fn iif(value: Value, args: Args) -> Result<Value, Error> {
    let [if_true, if_false, if_none] = args.take(["if_true", "if_false", "if_none"])?;
    match if_none {
        Some(if_none) if value.is_none() => Ok(if_none),
        _ if value.is_true() => Ok(if_true.unwrap_or(Value::from(true))),
        _ => Ok(if_false.unwrap_or(Value::from(false))),
    }
}

/// `is_defined`: passes a value on, and fails the template where there is none.
pub(super) fn is_defined(value: Value) -> Result<Value, Error> {
    if value.is_undefined() {
        return Err(Error::new(ErrorKind::UndefinedError, "the value is undefined"));
    }
    Ok(value)
}

/// `is list`.
pub(super) fn is_a_list(value: Value) -> bool {
    is_list(&value) && !is_tuple(&value)
}

/// `is tuple`.
pub(super) fn is_a_tuple(value: Value) -> bool {
    is_tuple(&value)
}

/// `is sequence`: what has a length and can be indexed, which texts and mappings do as well.
pub(super) fn is_sequence(value: Value) -> bool {
    is_list(&value) || matches!(value.kind(), ValueKind::Map | ValueKind::String | ValueKind::Undefined)
}
