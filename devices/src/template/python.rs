//! Values as Python prints them, since that is what Home Assistant publishes and compares.

use super::moment::{Moment, Shape, Zone};
use super::span::Span;
use super::spelled::{Spelled, meaning};
use crate::yaml::float_text;
use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind};
use std::fmt::{self, Write};

/// How deep a printed value may nest.
const DEPTH_MAX: usize = 64;

/// A text that refuses to become longer than what a template may put out.
#[derive(Debug, Default)]
pub(super) struct Bounded(String);

impl Bounded {
    pub(super) fn into_text(self) -> String {
        self.0
    }
}

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > super::OUTPUT_MAX {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

/// `str()` as a text.
pub(super) fn to_text(value: &Value) -> Result<String, Error> {
    let mut text = Bounded::default();
    write(&mut text, value)?;
    Ok(text.into_text())
}

/// `repr()` as a text.
pub(super) fn to_repr(value: &Value) -> Result<String, Error> {
    let mut text = Bounded::default();
    write_repr(&mut text, value, 0)?;
    Ok(text.into_text())
}

/// Prints a value as `str()` does; undefined prints as nothing.
pub(super) fn write(output: &mut impl Write, value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::Undefined => Ok(()),
        ValueKind::String => match value.as_str() {
            Some(text) => Ok(output.write_str(text)?),
            None => Ok(write!(output, "{value}")?),
        },
        ValueKind::Plain => Ok(write!(output, "{value}")?),
        _ => match Spelled::text_of(value) {
            Some(text) => Ok(output.write_str(text)?),
            None => write_repr(output, value, 0),
        },
    }
}

/// Prints a value as `repr()` does: texts in quotes.
fn write_repr(output: &mut impl Write, value: &Value, depth: usize) -> Result<(), Error> {
    let value = meaning(value);
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
            let (open, close) = if value.is_tuple() { ('(', ")") } else { ('[', "]") };
            output.write_char(open)?;
            for (n, item) in value.try_iter()?.enumerate() {
                if n > 0 {
                    output.write_str(", ")?;
                }
                write_repr(output, &item, depth + 1)?;
            }
            let is_single = value.is_tuple() && value.len() == Some(1);
            output.write_str(if is_single { "," } else { "" })?;
            output.write_str(close)?;
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
        _ => match (value.downcast_object_ref::<Moment>(), Span::of(value)) {
            (Some(moment), _) => write_moment(output, moment)?,
            (None, Some(span)) => write_span(output, span)?,
            (None, None) => write!(output, "{value}")?,
        },
    }
    Ok(())
}

fn write_moment(output: &mut impl Write, moment: &Moment) -> fmt::Result {
    let (date, time) = (moment.wall.date(), moment.wall.time());
    write!(output, "datetime.{}(", moment.type_name())?;
    let mut separator = "";
    if moment.shape != Shape::Time {
        write!(output, "{}, {}, {}", date.year(), date.month(), date.day())?;
        separator = ", ";
    }
    if moment.shape != Shape::Date {
        write!(output, "{separator}{}, {}", time.hour(), time.minute())?;
        let micros = time.subsec_nanosecond() / 1000;
        if time.second() > 0 || micros > 0 {
            write!(output, ", {}", time.second())?;
        }
        if micros > 0 {
            write!(output, ", {micros}")?;
        }
    }
    match moment.zone {
        Zone::None => {}
        Zone::Fixed(0) => output.write_str(", tzinfo=datetime.timezone.utc")?,
        Zone::Fixed(offset) | Zone::Home(offset) => {
            write!(output, ", tzinfo=datetime.timezone(datetime.timedelta(seconds={offset}))")?;
        }
    }
    output.write_char(')')
}

fn write_span(output: &mut impl Write, span: Span) -> fmt::Result {
    let day = 86_400_000_000;
    let (days, rest) = (span.micros().div_euclid(day), span.micros().rem_euclid(day));
    let parts = [("days", days), ("seconds", rest / 1_000_000), ("microseconds", rest % 1_000_000)];
    let parts: Vec<String> =
        parts.iter().filter(|(_, part)| *part != 0).map(|(name, part)| format!("{name}={part}")).collect();
    let parts = if parts.is_empty() { "0".to_owned() } else { parts.join(", ") };
    write!(output, "datetime.timedelta({parts})")
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
