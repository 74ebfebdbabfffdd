//! Jinja templates as Home Assistant renders them: Python's words for values (`True`, `None`,
//! `21.5`), undefined as nothing, and a bound on work and output.
//!
//! A template sees its [`Context`] and nothing else: the home through its [`World`], no clock, no
//! randomness of its own, no files. So it renders alike on every node. The names that templates may
//! call are listed in `template/functions.rs`; how operators come to follow Python is told in
//! `template/rewrite.rs`.

mod args;
mod compare;
mod context;
mod functions;
mod home;
mod json;
mod lists;
mod literal;
mod methods;
mod moment;
mod numbers;
mod operators;
mod path;
mod percent;
mod python;
mod regex;
mod rewrite;
mod span;
mod spelled;
mod states;
mod strftime;
mod text;
mod time;
mod transcendental;
mod world;

pub use context::Context;
pub use world::{Group, Reads, Seen, World};

use crate::{Data, Timestamp};
use context::to_value;
use minijinja::value::Value;
use minijinja::{Environment, ErrorKind, Output, State};
use path::Segment;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};

/// Longest template text, in bytes.
const TEXT_MAX: usize = 64 << 10;
/// Most instructions one rendering may execute.
const FUEL: u64 = 100_000;
/// Longest output, in bytes. An MQTT payload may be larger, a rendered one has no reason to be.
const OUTPUT_MAX: usize = 256 << 10;
/// How deep macros and blocks may call each other; a bound on the native stack.
const RECURSION_MAX: usize = 100;

/// The name under which a template's own environment knows it.
const NAME: &str = "template";

/// What templates of entities see of their entity.
const ABOUT_ENTITY: [&str; 3] = ["this", "entity_id", "name"];

/// A compiled template; clones share the compiled form.
#[derive(Clone)]
pub struct Template {
    text: Arc<str>,
    form: Arc<Form>,
    asks_about_its_entity: bool,
}

enum Form {
    /// Text and plain paths only, looked up in the data as it stands.
    Paths(Vec<Segment>),
    /// Anything else.
    Jinja(Box<Environment<'static>>),
}

/// Why a template can not be compiled or rendered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("template line {line}: {message}")]
    Syntax { line: usize, message: String },
    #[error("the template is longer than {} kB", TEXT_MAX >> 10)]
    TooLong,
    /// It asked for a member of something that does not exist, or made a number of it.
    #[error("template: {0}")]
    Undefined(String),
    #[error("template: {0}")]
    Failed(String),
    #[error("the template takes more than {FUEL} steps")]
    OutOfFuel,
    #[error("the template renders to more than {} kB", OUTPUT_MAX >> 10)]
    OutputTooLong,
}

/// Whether Home Assistant would take `text` for a template rather than for plain text.
pub fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

/// An instant on a clock that is `offset` seconds ahead of UTC, as Python's `isoformat()` writes it:
/// `2024-01-01T12:00:00.123000+00:00`.
pub(crate) fn iso_text(at: Timestamp, offset: i32) -> String {
    moment::Moment::fixed(i128::from(at.0) * 1000, offset).to_string().replacen(' ', "T", 1)
}

/// What Python's `str()` makes of data; nothing where that would be too long.
pub(crate) fn python_text(data: &Data) -> String {
    python::to_text(&to_value(data)).unwrap_or_default()
}

impl Template {
    /// Compiles a template.
    ///
    /// ```
    /// use gable_devices::{Context, Data, Template};
    ///
    /// let template = Template::parse("{{ value_json.temperature | round(1) }} °C").unwrap();
    /// let json = serde_json::json!({ "temperature": 21.449 });
    /// let context = Context::new([("value_json", Data::from(json))]);
    /// assert_eq!(template.render(&context).unwrap(), "21.4 °C");
    /// ```
    pub fn parse(text: &str) -> Result<Template, TemplateError> {
        if text.len() > TEXT_MAX {
            return Err(TemplateError::TooLong);
        }
        let text = text.trim();
        // What is a name of the engine itself is no variable.
        let is_variable = |root: &str| root != "states" && !globals().contains(root);
        let form = match path::parse(text, is_variable) {
            Some(segments) => Form::Paths(segments),
            None => {
                let (base, names) = base();
                let mut environment = base.clone();
                let text = rewrite::rewrite(text, names)?;
                environment.add_template_owned(NAME, text).map_err(|error| from_engine(&error))?;
                Form::Jinja(Box::new(environment))
            }
        };
        let mut template = Template { text: text.into(), form: Arc::new(form), asks_about_its_entity: false };
        if ABOUT_ENTITY.iter().any(|word| text.contains(word)) {
            let names = template.names();
            template.asks_about_its_entity = ABOUT_ENTITY.iter().any(|word| names.contains(*word));
        }
        Ok(template)
    }

    /// Whether the template of an entity takes more than the payload: what it is called, and how it
    /// stands.
    pub(crate) fn asks_about_its_entity(&self) -> bool {
        self.asks_about_its_entity
    }

    /// The template's own text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The names that it takes from outside: variables, and functions that it calls.
    pub fn names(&self) -> BTreeSet<String> {
        match &*self.form {
            Form::Paths(segments) => {
                let roots = segments.iter().filter_map(|segment| match segment {
                    Segment::Text(_) => None,
                    Segment::Path(root, _) => Some(root.clone()),
                });
                roots.collect()
            }
            Form::Jinja(environment) => {
                let template = environment.get_template(NAME);
                template
                    .map(|template| template.undeclared_variables(false).into_iter().collect())
                    .unwrap_or_default()
            }
        }
    }

    /// Renders to what Home Assistant makes of the text: the value, where it is a Python literal such
    /// as `5`, `[1, 2]` or `None`, and the text otherwise.
    pub fn render_data(&self, context: &Context) -> Result<Data, TemplateError> {
        self.render(context).map(literal::native)
    }

    /// Renders, without white space at both ends, as Home Assistant does.
    pub fn render(&self, context: &Context) -> Result<String, TemplateError> {
        self.render_tracked(context).0
    }

    /// Renders, and tells what of the home the text depends on, also where that failed.
    pub fn render_tracked(&self, context: &Context) -> (Result<String, TemplateError>, Reads) {
        let (output, reads) = match &*self.form {
            Form::Paths(segments) => (path::render(segments, context.variables()), Reads::default()),
            Form::Jinja(environment) => {
                let (root, home) = home::Root::new(context);
                let output = render_jinja(environment, Value::from_object(root));
                (output, home.reads())
            }
        };
        let trim = |output: String| {
            let trimmed = output.trim();
            if trimmed.len() == output.len() { output } else { trimmed.to_owned() }
        };
        (output.map(trim), reads)
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Template").field(&self.text).finish()
    }
}

impl PartialEq for Template {
    fn eq(&self, other: &Template) -> bool {
        self.text == other.text
    }
}

fn render_jinja(environment: &Environment<'static>, context: Value) -> Result<String, TemplateError> {
    let template = environment.get_template(NAME).map_err(|error| from_engine(&error))?;
    let mut output = Bounded(Vec::new());
    template.render_captured_to(context, &mut output).map_err(|error| from_engine(&error))?;
    String::from_utf8(output.0).map_err(|_| TemplateError::Failed("the output is not UTF-8".to_owned()))
}

/// A buffer that refuses to grow past the longest output.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > OUTPUT_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What all templates share, and the names in it; a clone of it costs a few reference counts.
fn base() -> &'static (Environment<'static>, rewrite::Names) {
    static BASE: OnceLock<(Environment<'static>, rewrite::Names)> = OnceLock::new();
    BASE.get_or_init(|| {
        let mut environment = Environment::new();
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(RECURSION_MAX);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_formatter(|output, state, value| put_out(output, state, value));
        // It prints addresses and the engine's inner state, which may differ between nodes.
        environment.remove_global("debug");
        environment.set_unknown_method_callback(|state, value, method, args| {
            methods::call(state, value, method, args)
        });
        let names = functions::add_to(&mut environment);
        (environment, names)
    })
}

/// Prints a value as Python does, and counts it: what a block gathers is not yet output.
fn put_out(output: &mut Output, state: &State, value: &Value) -> Result<(), minijinja::Error> {
    let text = match value.as_str() {
        Some(text) => Cow::Borrowed(text),
        None => Cow::Owned(python::to_text(value)?),
    };
    home::Home::of(state)?.work(text.len() as u64)?;
    Ok(output.write_str(&text)?)
}

fn globals() -> &'static BTreeSet<String> {
    static NAMES: OnceLock<BTreeSet<String>> = OnceLock::new();
    NAMES.get_or_init(|| base().0.globals().map(|(name, _)| name.to_owned()).collect())
}

fn from_engine(error: &minijinja::Error) -> TemplateError {
    let message = || match error.detail() {
        Some(detail) => detail.to_owned(),
        None => error.kind().to_string(),
    };
    match error.kind() {
        ErrorKind::SyntaxError
        | ErrorKind::UnknownFilter
        | ErrorKind::UnknownTest
        | ErrorKind::UnknownFunction => {
            TemplateError::Syntax { line: error.line().unwrap_or(1), message: message() }
        }
        ErrorKind::UndefinedError => TemplateError::Undefined(message()),
        ErrorKind::OutOfFuel => TemplateError::OutOfFuel,
        ErrorKind::WriteFailure => TemplateError::OutputTooLong,
        _ => TemplateError::Failed(message()),
    }
}

#[cfg(test)]
mod tests;
