//! `to_json` and `from_json`.

use super::args::{Args, is_given};
use super::compare::type_name;
use super::home::Home;
use super::moment::Moment;
use super::python::Bounded;
use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind, State};
use std::fmt::Write;

/// `from_json(text, default)`.
pub(super) fn from_json(state: &State, value: Value, args: Args) -> Result<Value, Error> {
    let [default] = args.take(["default"])?;
    let parsed = value.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
    match (parsed, default) {
        (Some(parsed), _) => Home::of(state)?.keep(parsed),
        (None, Some(default)) => Ok(default),
        (None, None) => {
            let kind =
                if value.is_undefined() { ErrorKind::UndefinedError } else { ErrorKind::InvalidOperation };
            Err(Error::new(kind, "from_json got no JSON, and no default was given"))
        }
    }
}

/// `to_json(value, ensure_ascii, pretty_print, sort_keys)`.
pub(super) fn to_json(state: &State, value: Value, args: Args) -> Result<Value, Error> {
    let [ascii, pretty, sorted] = args.take(["ensure_ascii", "pretty_print", "sort_keys"])?;
    let layout =
        Layout { is_ascii: is_given(&ascii), is_pretty: is_given(&pretty), is_sorted: is_given(&sorted) };
    let mut text = Bounded::default();
    layout.write(&mut text, &value, 0)?;
    Home::of(state)?.keep(Value::from(text.into_text()))
}

struct Layout {
    is_ascii: bool,
    is_pretty: bool,
    is_sorted: bool,
}

impl Layout {
    fn write(&self, text: &mut Bounded, value: &Value, depth: usize) -> Result<(), Error> {
        match value.kind() {
            ValueKind::None => text.write_str("null")?,
            ValueKind::Bool => text.write_str(if value.is_true() { "true" } else { "false" })?,
            ValueKind::Number if value.is_integer() => write!(text, "{value}")?,
            ValueKind::Number => match f64::try_from(value.clone()) {
                // JSON has no word for what is not finite.
                Ok(float) if float.is_finite() => {
                    text.write_str(&serde_json::Value::from(float).to_string())?;
                }
                _ => text.write_str("null")?,
            },
            ValueKind::String => self.quote(text, value.as_str().unwrap_or_default())?,
            ValueKind::Seq | ValueKind::Iterable => {
                text.write_char('[')?;
                for (n, item) in value.try_iter()?.enumerate() {
                    self.start(text, n, depth + 1)?;
                    self.write(text, &item, depth + 1)?;
                }
                self.end(text, value, depth, ']')?;
            }
            ValueKind::Map => {
                text.write_char('{')?;
                let mut keys: Vec<Value> = value.try_iter()?.collect();
                if self.is_sorted {
                    keys.sort();
                }
                for (n, key) in keys.iter().enumerate() {
                    self.start(text, n, depth + 1)?;
                    match key.as_str() {
                        Some(key) => self.quote(text, key)?,
                        None => self.quote(text, &key.to_string())?,
                    }
                    text.write_str(if self.is_pretty { ": " } else { ":" })?;
                    self.write(text, &value.get_item(key)?, depth + 1)?;
                }
                self.end(text, value, depth, '}')?;
            }
            _ => match value.downcast_object_ref::<Moment>() {
                Some(moment) => self.quote(text, &moment.iso("T"))?,
                None => {
                    let message = format!("to_json: {} has no JSON form", type_name(value));
                    return Err(Error::new(ErrorKind::BadSerialization, message));
                }
            },
        }
        Ok(())
    }

    fn start(&self, text: &mut Bounded, place: usize, depth: usize) -> Result<(), Error> {
        text.write_str(if place > 0 { "," } else { "" })?;
        if self.is_pretty {
            write!(text, "\n{:1$}", "", depth * 2)?;
        }
        Ok(())
    }

    fn end(&self, text: &mut Bounded, value: &Value, depth: usize, close: char) -> Result<(), Error> {
        if self.is_pretty && value.is_true() {
            write!(text, "\n{:1$}", "", depth * 2)?;
        }
        Ok(text.write_char(close)?)
    }

    fn quote(&self, text: &mut Bounded, content: &str) -> Result<(), Error> {
        let quoted = serde_json::Value::from(content).to_string();
        if !self.is_ascii {
            return Ok(text.write_str(&quoted)?);
        }
        for c in quoted.chars() {
            match c.is_ascii() {
                true => text.write_char(c)?,
                false => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        write!(text, "\\u{unit:04x}")?;
                    }
                }
            }
        }
        Ok(())
    }
}
