//! The short way for templates that hold nothing but text and plain paths, such as
//! `{{ value_json.temperature }}`: most value templates do. They are looked up in the data as it
//! stands, several times faster than through the engine, and give the same output (a test compares).

use super::{TemplateError, python, to_value};
use crate::Data;
use minijinja::value::Value;
use std::collections::BTreeMap;

/// A piece of such a template.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Segment {
    Text(String),
    /// A variable and the steps into it.
    Path(String, Vec<Step>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// Words that mean something to Jinja where a variable may stand.
const RESERVED: [&str; 16] = [
    "true", "True", "false", "False", "none", "None", "not", "and", "or", "in", "is", "if", "else", "loop",
    "self", "super",
];

/// Takes a template apart, if text and plain paths are all it holds.
pub(super) fn parse(text: &str, is_variable: impl Fn(&str) -> bool) -> Option<Vec<Segment>> {
    if text.contains("{%") || text.contains("{#") {
        return None;
    }
    let mut segments = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        if !before.is_empty() {
            segments.push(Segment::Text(before.to_owned()));
        }
        let (expression, after) = after.split_once("}}")?;
        let (root, steps) = parse_path(expression.trim_matches(' '))?;
        if RESERVED.contains(&root) || !is_variable(root) {
            return None;
        }
        segments.push(Segment::Path(root.to_owned(), steps));
        rest = after;
    }
    if !rest.is_empty() {
        segments.push(Segment::Text(rest.to_owned()));
    }
    Some(segments)
}

fn parse_path(expression: &str) -> Option<(&str, Vec<Step>)> {
    let (root, mut rest) = identifier(expression)?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let step;
        if let Some(after) = rest.strip_prefix('.') {
            let (key, after) = identifier(after)?;
            (step, rest) = (Step::Key(key.to_owned()), after);
        } else {
            let (inside, after) = rest.strip_prefix('[')?.split_once(']')?;
            (step, rest) = (subscript(inside.trim())?, after);
        }
        steps.push(step);
    }
    Some((root, steps))
}

fn identifier(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    (starts_well && end > 0).then(|| text.split_at(end))
}

fn subscript(text: &str) -> Option<Step> {
    let quote = text.chars().next()?;
    if quote == '"' || quote == '\'' {
        let key = text[1..].strip_suffix(quote)?;
        let is_plain = !key.contains(['"', '\'', '\\', '{', '}']);
        return is_plain.then(|| Step::Key(key.to_owned()));
    }
    let digits = text.len() <= 6 && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().map(Step::Index)
}

/// Renders the pieces.
pub(super) fn render(
    segments: &[Segment],
    variables: &BTreeMap<String, Data>,
) -> Result<String, TemplateError> {
    let mut output = String::new();
    for segment in segments {
        match segment {
            Segment::Text(text) => output.push_str(text),
            Segment::Path(root, steps) => match look_up(root, steps, variables)? {
                Found::Nothing => {}
                Found::Data(data) => push(&mut output, data)?,
                Found::Member(value) => write(&mut output, &value)?,
            },
        }
        if output.len() > super::OUTPUT_MAX {
            return Err(TemplateError::OutputTooLong);
        }
    }
    Ok(output)
}

/// Where a path leads.
enum Found<'d> {
    Nothing,
    Data(&'d Data),
    /// A member of a `datetime`, which only the engine knows.
    Member(Value),
}

fn look_up<'d>(
    root: &str,
    steps: &[Step],
    variables: &'d BTreeMap<String, Data>,
) -> Result<Found<'d>, TemplateError> {
    let mut found = variables.get(root);
    let mut name = root;
    for (n, step) in steps.iter().enumerate() {
        let Some(data) = found.map(Data::meaning) else {
            return Err(TemplateError::Undefined(format!("`{name}` is undefined")));
        };
        if let Data::Time(_) | Data::LocalTime(..) = data {
            return member(to_value(data), steps.get(n..).unwrap_or_default());
        }
        found = match (step, data) {
            (Step::Key(key), Data::Map(map)) => map.get(key),
            (Step::Index(index), Data::List(list) | Data::Tuple(list)) => list.get(*index),
            _ => None,
        };
        if let Step::Key(key) = step {
            name = key;
        }
    }
    Ok(found.map_or(Found::Nothing, Found::Data))
}

fn member<'d>(mut value: Value, steps: &[Step]) -> Result<Found<'d>, TemplateError> {
    for step in steps {
        let member = match step {
            Step::Key(key) => value.get_attr(key),
            Step::Index(index) => value.get_item_by_index(*index),
        };
        value = member.map_err(|error| super::from_engine(&error))?;
    }
    Ok(if value.is_undefined() { Found::Nothing } else { Found::Member(value) })
}

fn push(output: &mut String, data: &Data) -> Result<(), TemplateError> {
    match data {
        Data::Text(text) => output.push_str(text),
        Data::Spelled(text, _) => output.push_str(text),
        Data::Int(int) => output.push_str(&int.to_string()),
        other => write(output, &to_value(other))?,
    }
    Ok(())
}

fn write(output: &mut String, value: &Value) -> Result<(), TemplateError> {
    python::write(output, value).map_err(|_| TemplateError::Failed("can not print the value".to_owned()))
}
