//! Where an entity hears something: a topic filter and a value template.

use crate::yaml::{Fields, Node, Problem};
use crate::{Template, topic};

/// A topic filter and what to make of a payload there.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) filter: String,
    pub(crate) template: Option<Template>,
}

impl Source {
    /// Reads a topic and, under its own key, a template.
    pub(crate) fn read(
        fields: &mut Fields<'_>,
        topic_key: &'static str,
        template_key: Option<&'static str>,
    ) -> Option<Source> {
        let template = template_key.and_then(|key| read_template(fields, key));
        read_filter(fields, topic_key).map(|filter| Source { filter, template })
    }
}

/// Reads a topic filter to subscribe to; wildcards are allowed.
pub(crate) fn read_filter(fields: &mut Fields<'_>, key: &'static str) -> Option<String> {
    fields.read(key, |node, path| checked(node, path, topic::check_filter))
}

/// Reads a topic to publish to.
pub(crate) fn read_topic(fields: &mut Fields<'_>, key: &'static str) -> Option<String> {
    fields.read(key, |node, path| checked(node, path, topic::check_topic))
}

fn checked(node: &Node, path: &str, check: fn(&str) -> Result<(), &'static str>) -> Result<String, Problem> {
    let text = node.text(path)?;
    match check(&text) {
        Ok(()) => Ok(text),
        Err(reason) => Err(node.problem(path, format!("`{text}` is not usable as a topic: {reason}"))),
    }
}

/// Reads a template.
pub(crate) fn read_template(fields: &mut Fields<'_>, key: &'static str) -> Option<Template> {
    fields.read(key, |node, path| {
        let text = node.text(path)?;
        Template::parse(&text).map_err(|error| node.problem(path, error.to_string()))
    })
}
