//! Python's methods of texts, lists, mappings and numbers: `trigger.topic.split('/')`.

use super::args::Args;
use super::home::Home;
use super::numbers::Number;
use super::spelled::meaning;
use super::{compare, percent, python, text};
use minijinja::value::{Kwargs, Tuple, Value, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State};

/// Calls a method that the engine itself does not know.
pub(super) fn call(state: &State, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    let home = Home::of(state)?;
    let result = match value.kind() {
        ValueKind::String => match value.as_str() {
            Some(text) => {
                home.work(text.len() as u64)?;
                call_text(&home, text, method, args)
            }
            None => Err(ErrorKind::UnknownMethod.into()),
        },
        ValueKind::Map => call_map(value, method, args),
        ValueKind::Seq | ValueKind::Iterable => call_list(&home, value, method, args),
        ValueKind::Number => match (method, Number::of(value)) {
            ("is_integer", Some(Number::Float(float))) => Ok(Value::from(float.fract() == 0.0)),
            ("is_integer", Some(Number::Int(_))) => Ok(Value::from(true)),
            _ => Err(ErrorKind::UnknownMethod.into()),
        },
        ValueKind::Undefined => {
            let message = format!("an undefined value has no method `{method}`");
            Err(Error::new(ErrorKind::UndefinedError, message))
        }
        _ => Err(ErrorKind::UnknownMethod.into()),
    }?;
    home.keep(result)
}

fn call_text(home: &Home, text: &str, method: &str, args: &[Value]) -> Result<Value, Error> {
    let no_args = || from_args::<()>(args);
    Ok(match method {
        "split" => split(text, args, false)?,
        "rsplit" => split(text, args, true)?,
        "splitlines" => text.lines().map(Value::from).collect(),
        "partition" | "rpartition" => {
            let (separator,): (&str,) = from_args(args)?;
            let parts = match (method, text.split_once(separator), text.rsplit_once(separator)) {
                ("partition", Some((before, after)), _) | ("rpartition", _, Some((before, after))) => {
                    [before, separator, after]
                }
                ("partition", ..) => [text, "", ""],
                _ => ["", "", text],
            };
            Value::from(Tuple::from(parts.map(Value::from)))
        }
        "upper" => no_args().map(|()| text.to_uppercase().into())?,
        "lower" | "casefold" => no_args().map(|()| text.to_lowercase().into())?,
        "title" => no_args().map(|()| title(text).into())?,
        "capitalize" => no_args().map(|()| capitalize(text).into())?,
        "swapcase" => no_args().map(|()| swapcase(text).into())?,
        "strip" => strip(text, args, |text, is_cut| text.trim_matches(is_cut))?,
        "lstrip" => strip(text, args, |text, is_cut| text.trim_start_matches(is_cut))?,
        "rstrip" => strip(text, args, |text, is_cut| text.trim_end_matches(is_cut))?,
        "removeprefix" => text.strip_prefix(from_args::<(&str,)>(args)?.0).unwrap_or(text).into(),
        "removesuffix" => text.strip_suffix(from_args::<(&str,)>(args)?.0).unwrap_or(text).into(),
        "replace" => {
            let (old, new, count): (&str, &str, Option<i64>) = from_args(args)?;
            text::replace_text(text, old, new, count.unwrap_or(-1))?.into()
        }
        _ => return call_text_on_parts(home, text, method, args),
    })
}

/// The methods that look for parts, lay out, and ask what a text consists of.
fn call_text_on_parts(home: &Home, text: &str, method: &str, args: &[Value]) -> Result<Value, Error> {
    let all = |is_one: fn(char) -> bool| {
        from_args::<()>(args).map(|()| Value::from(!text.is_empty() && text.chars().all(is_one)))
    };
    Ok(match method {
        "startswith" => starts(args, |start| text.starts_with(start))?,
        "endswith" => starts(args, |end| text.ends_with(end))?,
        "count" => text.matches(from_args::<(&str,)>(args)?.0).count().into(),
        "find" | "index" | "rfind" => {
            let (part,): (&str,) = from_args(args)?;
            let place = if method == "rfind" { text.rfind(part) } else { text.find(part) };
            match place {
                Some(place) => text[..place].chars().count().into(),
                None if method == "index" => {
                    return Err(Error::new(ErrorKind::InvalidOperation, "index: there is no such part"));
                }
                None => Value::from(-1),
            }
        }
        "zfill" => {
            let (width,): (usize,) = from_args(args)?;
            let (sign, digits) = match text.strip_prefix(['+', '-']) {
                Some(digits) => (&text[..1], digits),
                None => ("", text),
            };
            format!("{sign}{}", percent::pad(digits, '0', '>', width.saturating_sub(sign.len()))).into()
        }
        "ljust" => justify(text, args, '<')?,
        "rjust" => justify(text, args, '>')?,
        "center" => justify(text, args, '^')?,
        "join" => {
            let (items,): (Value,) = from_args(args)?;
            let mut joined = String::new();
            for (n, item) in items.try_iter()?.enumerate() {
                let Some(item) = item.as_str() else {
                    return Err(Error::new(ErrorKind::InvalidOperation, "join takes texts only"));
                };
                joined += if n > 0 { text } else { "" };
                joined += item;
                if joined.len() > super::OUTPUT_MAX {
                    return Err(super::home::too_long());
                }
            }
            joined.into()
        }
        "format" => {
            let (places, names): (&[Value], Kwargs) = from_args(args)?;
            home.work(64)?;
            percent::braces(text, places, |name| names.get::<Value>(name).ok())?.into()
        }
        "isdigit" | "isdecimal" | "isnumeric" => all(|c| c.is_numeric())?,
        "isalpha" => all(char::is_alphabetic)?,
        "isalnum" => all(char::is_alphanumeric)?,
        "isspace" => all(char::is_whitespace)?,
        "isupper" => (text.chars().any(char::is_uppercase) && !text.chars().any(char::is_lowercase)).into(),
        "islower" => (text.chars().any(char::is_lowercase) && !text.chars().any(char::is_uppercase)).into(),
        _ => return Err(ErrorKind::UnknownMethod.into()),
    })
}

fn starts(args: &[Value], is_at: impl Fn(&str) -> bool) -> Result<Value, Error> {
    let (wanted,): (Value,) = from_args(args)?;
    Ok(Value::from(match wanted.as_str() {
        Some(wanted) => is_at(wanted),
        None => wanted.try_iter()?.any(|wanted| wanted.as_str().is_some_and(&is_at)),
    }))
}

fn split(text: &str, args: &[Value], from_end: bool) -> Result<Value, Error> {
    let [separator, limit] = Args::of(args)?.take(["sep", "maxsplit"])?;
    let separator = separator.filter(|separator| !separator.is_none());
    let limit = limit.map_or(Ok(-1), i64::try_from)?;
    // Python counts the cuts, Rust the pieces.
    let pieces_max = usize::try_from(limit).map_or(usize::MAX, |cuts| cuts + 1);
    let pieces: Vec<&str> = match separator.as_ref().map(Value::as_str) {
        Some(None) => return Err(Error::new(ErrorKind::InvalidOperation, "split takes a text")),
        Some(Some("")) => {
            return Err(Error::new(ErrorKind::InvalidOperation, "split got an empty separator"));
        }
        Some(Some(separator)) if from_end => {
            let mut pieces: Vec<&str> = text.rsplitn(pieces_max, separator).collect();
            pieces.reverse();
            pieces
        }
        Some(Some(separator)) => text.splitn(pieces_max, separator).collect(),
        None if pieces_max == usize::MAX || from_end => text.split_whitespace().collect(),
        None => {
            let mut pieces = Vec::new();
            let mut rest = text.trim_start();
            while !rest.is_empty() && pieces.len() + 1 < pieces_max {
                let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                pieces.push(&rest[..end]);
                rest = rest[end..].trim_start();
            }
            pieces.extend((!rest.is_empty()).then_some(rest));
            pieces
        }
    };
    Ok(pieces.into_iter().map(Value::from).collect())
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

fn justify(text: &str, args: &[Value], align: char) -> Result<Value, Error> {
    let (width, fill): (usize, Option<&str>) = from_args(args)?;
    let fill = fill.and_then(|fill| fill.chars().next()).unwrap_or(' ');
    Ok(Value::from(percent::pad(text, fill, align, width)))
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

pub(super) fn capitalize(text: &str) -> String {
    let mut characters = text.chars();
    let first: String = characters.next().into_iter().flat_map(char::to_uppercase).collect();
    first + &characters.as_str().to_lowercase()
}

fn swapcase(text: &str) -> String {
    let swap = |c: char| -> String {
        if c.is_uppercase() { c.to_lowercase().collect() } else { c.to_uppercase().collect() }
    };
    text.chars().map(swap).collect()
}

fn call_list(home: &Home, list: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    match method {
        "count" | "index" => {
            let (wanted,): (Value,) = from_args(args)?;
            let mut count = 0;
            for (n, item) in list.try_iter()?.enumerate() {
                if compare::equal(home, &item, &wanted)? {
                    if method == "index" {
                        return Ok(Value::from(n));
                    }
                    count += 1;
                }
            }
            if method == "index" {
                let shown = python::to_repr(&wanted)?;
                return Err(Error::new(
                    ErrorKind::InvalidOperation,
                    format!("index: {shown} is not in the list"),
                ));
            }
            Ok(Value::from(count))
        }
        "copy" => Ok(meaning(list).clone()),
        "append" | "extend" | "insert" | "remove" | "pop" | "clear" | "sort" | "reverse" | "add" => {
            Err(unchangeable("list", method, "make a new one: `list + [item]`"))
        }
        _ => Err(ErrorKind::UnknownMethod.into()),
    }
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
            let pair = |key: &Value| Ok(Value::from(Tuple::from([key.clone(), map.get_item(key)?])));
            keys()?.iter().map(pair).collect::<Result<Vec<_>, Error>>().map(Value::from)
        }
        "get" => {
            let (key, default): (Value, Option<Value>) = from_args(args)?;
            let found = map.get_item(&key)?;
            Ok(if found.is_undefined() { default.unwrap_or(Value::from(())) } else { found })
        }
        "copy" => Ok(meaning(map).clone()),
        "update" | "pop" | "popitem" | "setdefault" | "clear" => {
            // A key of that name may hold something to call.
            if map.get_attr(method).is_ok_and(|value| !value.is_undefined()) {
                return Err(ErrorKind::UnknownMethod.into());
            }
            Err(unchangeable("dict", method, "make a new one: `dict(old, key=value)`"))
        }
        _ => Err(ErrorKind::UnknownMethod.into()),
    }
}

/// Home Assistant runs templates in a sandbox that refuses these too.
fn unchangeable(kind: &str, method: &str, instead: &str) -> Error {
    let message = format!("`{method}` would change a {kind}, which templates can not; {instead}");
    Error::new(ErrorKind::InvalidOperation, message)
}
