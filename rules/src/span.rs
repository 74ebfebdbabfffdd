//! Spans of time in automations, any part of which may be a template: `delay:`, `for:`, `timeout:`.

use crate::reader::Reader;
use crate::text::DataText;
use gable_devices::yaml::{Fields, Node};
use gable_devices::{Context, Millis, duration, is_template};

/// How long.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Span {
    Fixed(Millis),
    /// With templates in it.
    Rendered(DataText),
}

impl Span {
    /// Reads the span at `key`, if there is one.
    pub(crate) fn read(reader: &mut Reader, fields: &mut Fields<'_>, key: &'static str) -> Option<Span> {
        let node = fields.get(key)?;
        let path = fields.path_of(key);
        let has_template = |node: &Node| node.as_text().is_some_and(is_template);
        let parts = node.as_map().unwrap_or_default();
        if has_template(node) || parts.iter().any(|(_, part)| has_template(part)) {
            return DataText::read(reader, node, &path).map(Span::Rendered);
        }
        reader.keep(duration::from_node(node, &path)).map(Span::Fixed)
    }

    /// Reads the span at `key`, if there is one, in a key of Gable's own: these also take `50ms`,
    /// `30s`, `20min` and `2h`.
    pub(crate) fn read_with_unit(
        reader: &mut Reader,
        fields: &mut Fields<'_>,
        key: &'static str,
    ) -> Option<Span> {
        match fields.get(key)?.as_text().and_then(with_unit) {
            Some(span) => Some(Span::Fixed(span)),
            None => Span::read(reader, fields, key),
        }
    }

    /// Reads the window at `key`, if there is one: a span that is known, from 1 ms to `longest`.
    pub(crate) fn read_window(
        reader: &mut Reader,
        fields: &mut Fields<'_>,
        key: &'static str,
        longest: Millis,
    ) -> Option<Millis> {
        match Span::read_with_unit(reader, fields, key)? {
            Span::Fixed(span) if (1..=longest.0).contains(&span.0) => Some(span),
            Span::Fixed(_) | Span::Rendered(_) => {
                fields.fail(format!("`{key}` is a span from 1 ms to {} ms, without templates", longest.0));
                None
            }
        }
    }

    /// The span for one run, or why there is none.
    pub(crate) fn render(&self, context: &Context) -> Result<Millis, String> {
        match self {
            Span::Fixed(span) => Ok(*span),
            Span::Rendered(data) => {
                let data = data.render(context).map_err(|error| error.to_string())?;
                duration::from_data(&data).map_err(|error| error.to_string())
            }
        }
    }

    /// Whether it is known to be no time at all.
    pub(crate) fn is_zero(&self) -> bool {
        *self == Span::Fixed(Millis(0))
    }
}

/// A number and a unit.
fn with_unit(text: &str) -> Option<Millis> {
    let text = text.trim();
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let millis = match unit.trim_start() {
        "ms" => 1.0,
        "s" => 1000.0,
        "min" => 60_000.0,
        "h" => 3_600_000.0,
        _ => return None,
    };
    let number = text.strip_suffix(unit)?.parse::<f64>().ok()?;
    Some(Millis((number * millis).round() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_with_units_are_read() {
        let check = |text, expected: Option<u64>| assert_eq!(with_unit(text).map(|span| span.0), expected);
        check("50ms", Some(50));
        check(" 1.5 s ", Some(1500));
        check("20min", Some(1_200_000));
        check("2h", Some(7_200_000));
        check("20 m", None);
        check("00:20", None);
        check("5", None);
        check("-5s", None);
        check("1.2.3s", None);
        check("min", None);
    }
}
