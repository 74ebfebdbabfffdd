//! Python's methods of texts and mappings that templates call: `trigger.topic.split('/')`.

use minijinja::value::{Value, ValueKind, from_args};
use minijinja::{Error, ErrorKind};

/// Calls a method that the engine itself does not know.
pub(super) fn call(value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::String => match value.as_str() {
            Some(text) => call_text(text, method, args),
            None => Err(ErrorKind::UnknownMethod.into()),
        },
        ValueKind::Map => call_map(value, method, args),
        _ => Err(ErrorKind::UnknownMethod.into()),
    }
}

fn call_text(text: &str, method: &str, args: &[Value]) -> Result<Value, Error> {
    let no_args = || from_args::<()>(args);
    Ok(match method {
        "split" => {
            let (separator, limit): (Option<&str>, Option<i64>) = from_args(args)?;
            split(text, separator, limit)?
        }
        "upper" => no_args().map(|()| text.to_uppercase().into())?,
        "lower" => no_args().map(|()| text.to_lowercase().into())?,
        "title" => no_args().map(|()| title(text).into())?,
        "capitalize" => no_args().map(|()| capitalize(text).into())?,
        "strip" => strip(text, args, |text, is_cut| text.trim_matches(is_cut))?,
        "lstrip" => strip(text, args, |text, is_cut| text.trim_start_matches(is_cut))?,
        "rstrip" => strip(text, args, |text, is_cut| text.trim_end_matches(is_cut))?,
        "replace" => {
            let (old, new): (&str, &str) = from_args(args)?;
            let grown = text.matches(old).count().saturating_mul(new.len());
            if grown.saturating_add(text.len()) > super::OUTPUT_MAX {
                return Err(Error::new(ErrorKind::InvalidOperation, "replace gives a text that is too long"));
            }
            text.replace(old, new).into()
        }
        "startswith" => text.starts_with(from_args::<(&str,)>(args)?.0).into(),
        "endswith" => text.ends_with(from_args::<(&str,)>(args)?.0).into(),
        "isdigit" => no_args().map(|()| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))?.into(),
        _ => return Err(ErrorKind::UnknownMethod.into()),
    })
}

fn split(text: &str, separator: Option<&str>, limit: Option<i64>) -> Result<Value, Error> {
    // Python counts the cuts, Rust the pieces.
    let pieces_max = limit.and_then(|limit| usize::try_from(limit).ok()).map_or(usize::MAX, |n| n + 1);
    Ok(match separator {
        Some("") => return Err(Error::new(ErrorKind::InvalidOperation, "split got an empty separator")),
        Some(separator) => text.splitn(pieces_max, separator).map(Value::from).collect(),
        None if limit.is_none() => text.split_whitespace().map(Value::from).collect(),
        None => text.trim().splitn(pieces_max, char::is_whitespace).map(Value::from).collect(),
    })
}

fn strip(
    text: &str,
    args: &[Value],
    cut: for<'t> fn(&'t str, &dyn Fn(char) -> bool) -> &'t str,
) -> Result<Value, Error> {
    let (characters,): (Option<&str>,) = from_args(args)?;
    let is_cut = |c: char| characters.map_or(c.is_whitespace(), |characters| characters.contains(c));
    Ok(cut(text, &is_cut).into())
}

fn title(text: &str) -> String {
    let mut is_inside = false;
    let letter = |c: char| {
        let letters: String = if is_inside { c.to_lowercase().collect() } else { c.to_uppercase().collect() };
        is_inside = c.is_alphabetic();
        letters
    };
    text.chars().map(letter).collect()
}

fn capitalize(text: &str) -> String {
    let mut characters = text.chars();
    let first: String = characters.next().into_iter().flat_map(char::to_uppercase).collect();
    first + &characters.as_str().to_lowercase()
}

fn call_map(map: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    let keys = || map.try_iter().map(|keys| keys.collect::<Vec<Value>>());
    match method {
        "keys" => from_args::<()>(args).and_then(|()| keys()).map(Value::from),
        "values" => {
            from_args::<()>(args)?;
            keys()?.iter().map(|key| map.get_item(key)).collect::<Result<Vec<_>, _>>().map(Value::from)
        }
        "items" => {
            from_args::<()>(args)?;
            let pair = |key: &Value| Ok(Value::from(vec![key.clone(), map.get_item(key)?]));
            keys()?.iter().map(pair).collect::<Result<Vec<_>, Error>>().map(Value::from)
        }
        "get" => {
            let (key, default): (Value, Option<Value>) = from_args(args)?;
            let found = map.get_item(&key)?;
            Ok(if found.is_undefined() { default.unwrap_or(Value::from(())) } else { found })
        }
        _ => Err(ErrorKind::UnknownMethod.into()),
    }
}
