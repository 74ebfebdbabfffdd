//! Templates that count before anything runs: `enabled:`, and what a trigger listens to. They see
//! variables and never the home ("limited templates" in Home Assistant), so that a file says once and
//! for all what they render to.

use super::Reader;
use crate::action::variables;
use crate::condition::template::is_truthy;
use crate::text::Text;
use gable_devices::yaml::{Fields, Node};
use gable_devices::{Context, Data, Reads, Template, is_template};

/// The `trigger_variables:` of the automation that is being read, or why there are none.
pub(crate) type Variables = Result<Context, String>;

/// The `trigger_variables:` for templates that are rendered while the file is read.
pub(crate) fn variables(declared: &variables::Variables) -> Variables {
    let mut context = Context::default();
    for (name, value) in declared.iter() {
        let value = value.render_by(&mut |template| render_data(template, &context));
        let value = value.map_err(|why| format!("`{name}` of the trigger_variables: {why}"))?;
        context.set(name, value);
    }
    Ok(context)
}

/// Renders a template that must not look at the home.
pub(crate) fn render(template: &Template, context: &Context) -> Result<String, String> {
    let (text, reads) = template.render_tracked(context);
    if reads != Reads::default() {
        return Err("this template sees variables only, and neither the home nor the time".to_owned());
    }
    text.map_err(|error| error.to_string())
}

fn render_data(template: &Template, context: &Context) -> Result<Data, String> {
    render(template, context)?;
    template.render_data(context).map_err(|error| error.to_string())
}

impl Reader {
    /// Reads a text that may be a template: rendered if it can be known by now.
    pub(crate) fn early_text(&mut self, node: &Node, path: &str) -> Option<Text> {
        let text = self.text(node, path)?;
        let (Text::Template(template), Some(variables)) = (&text, &self.early) else { return Some(text) };
        let rendered = variables.as_ref().map_err(Clone::clone).and_then(|context| render(template, context));
        self.keep(rendered.map_err(|message| node.problem(path, message))).map(Text::Plain)
    }

    /// Reads `enabled:`.
    pub(crate) fn is_enabled(&mut self, fields: &mut Fields<'_>) -> bool {
        let node = fields.get("enabled").filter(|node| node.as_text().is_some_and(is_template));
        let Some(node) = node else { return fields.boolean("enabled").unwrap_or(true) };
        let path = fields.path_of("enabled");
        let Some(template) = self.template(node, &path) else { return true };
        let is_enabled = self.early.as_ref().map_or_else(
            || is_enabled(&template, &Context::default()),
            |variables| {
                variables.as_ref().map_err(Clone::clone).and_then(|context| is_enabled(&template, context))
            },
        );
        self.keep(is_enabled.map_err(|message| node.problem(&path, message))).unwrap_or(true)
    }
}

fn is_enabled(template: &Template, context: &Context) -> Result<bool, String> {
    match template.names().into_iter().find(|name| !context.variables().contains_key(name)) {
        Some(name) => Err(format!("`{name}` is not known before anything runs")),
        None => render_data(template, context).map(|data| is_truthy(&data)),
    }
}
