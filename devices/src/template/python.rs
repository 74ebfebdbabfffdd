//! Values as Python prints them, since that is what Home Assistant publishes and compares.

use crate::yaml::float_text;
use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind};
use std::fmt::Write;

/// How deep a printed value may nest.
const DEPTH_MAX: usize = 64;

/// Prints a value as `str()` does; undefined prints as nothing.
pub(super) fn write(output: &mut impl Write, value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::Undefined => Ok(()),
        ValueKind::String => match value.as_str() {
            Some(text) => Ok(output.write_str(text)?),
            None => Ok(write!(output, "{value}")?),
        },
        _ => write_repr(output, value, 0),
    }
}

/// Prints a value as `repr()` does: texts in quotes.
fn write_repr(output: &mut impl Write, value: &Value, depth: usize) -> Result<(), Error> {
    if depth > DEPTH_MAX {
        return Err(Error::new(ErrorKind::InvalidOperation, "the value is nested too deep to be printed"));
    }
    match value.kind() {
        ValueKind::Undefined => output.write_str("Undefined")?,
        ValueKind::None => output.write_str("None")?,
        ValueKind::Bool => output.write_str(if value.is_true() { "True" } else { "False" })?,
        ValueKind::Number if value.is_integer() => write!(output, "{value}")?,
        ValueKind::Number => match f64::try_from(value.clone()) {
            Ok(float) => output.write_str(&float_text(float))?,
            Err(_) => write!(output, "{value}")?,
        },
        ValueKind::String => write_quoted(output, value.as_str().unwrap_or_default())?,
        ValueKind::Seq | ValueKind::Iterable => {
            output.write_char('[')?;
            for (n, item) in value.try_iter()?.enumerate() {
                if n > 0 {
                    output.write_str(", ")?;
                }
                write_repr(output, &item, depth + 1)?;
            }
            output.write_char(']')?;
        }
        ValueKind::Map => {
            output.write_char('{')?;
            for (n, key) in value.try_iter()?.enumerate() {
                if n > 0 {
                    output.write_str(", ")?;
                }
                write_repr(output, &key, depth + 1)?;
                output.write_str(": ")?;
                write_repr(output, &value.get_item(&key)?, depth + 1)?;
            }
            output.write_char('}')?;
        }
        _ => write!(output, "{value}")?,
    }
    Ok(())
}

/// Python prefers single quotes, and takes double ones for a text that holds only single ones.
fn write_quoted(output: &mut impl Write, text: &str) -> Result<(), Error> {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    output.write_char(quote)?;
    for c in text.chars() {
        match c {
            '\n' => output.write_str("\\n")?,
            '\r' => output.write_str("\\r")?,
            '\t' => output.write_str("\\t")?,
            '\\' => output.write_str("\\\\")?,
            c if c == quote => write!(output, "\\{c}")?,
            c if u32::from(c) < 0x20 || c == '\x7f' => write!(output, "\\x{:02x}", u32::from(c))?,
            c => output.write_char(c)?,
        }
    }
    Ok(output.write_char(quote)?)
}
