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
