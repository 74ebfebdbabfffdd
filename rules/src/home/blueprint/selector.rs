//! Selectors: of which type an input's value has to be.
//!
//! Home Assistant's editor keeps to selectors and its loader does not ask them. Here a value of
//! another type is an error; one of the right type that the editor would not offer is a warning.

use super::super::Severity;
use gable_devices::yaml::{Fields, Kind, Node, Problem};
use gable_devices::{EntityId, duration, is_template};
use std::collections::BTreeSet;

/// What may fill an input.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Selector {
    /// Anything: no selector, or one whose values are not of one type.
    #[default]
    Any,
    Number {
        min: Option<f64>,
        max: Option<f64>,
    },
    Boolean,
    Text,
    Time,
    Duration,
    Entity {
        domains: BTreeSet<String>,
        is_multiple: bool,
    },
    Select {
        options: Vec<String>,
        is_open: bool,
        is_multiple: bool,
    },
    Target,
    /// Triggers, conditions or actions: mappings, or lists of them.
    Items,
}

/// What is wrong, and whether the value can be used all the same.
type Wrong = (Severity, Problem);

/// Selectors whose values are texts.
const TEXTS: [&str; 16] = [
    "text",
    "icon",
    "theme",
    "date",
    "datetime",
    "template",
    "state",
    "attribute",
    "constant",
    "addon",
    "language",
    "country",
    "conversation_agent",
    "config_entry",
    "backup_location",
    "color_rgb",
];
/// Selectors whose values may be of several types, ids of things that are not in YAML among them.
const OPEN: [&str; 14] = [
    "device",
    "area",
    "floor",
    "label",
    "media",
    "location",
    "color_temp",
    "file",
    "qr_code",
    "assist_pipeline",
    "statistic",
    "trigger_id",
    "selector",
    "schedule",
];

impl Selector {
    /// Reads `selector: {number: {min: 1}}`; the name alone is one as well.
    pub(super) fn read(node: &Node, path: &str) -> Result<Selector, Problem> {
        if let Some(name) = node.as_text() {
            return named(name, None, node, path);
        }
        match node.expect_map(path)? {
            [(key, about)] => named(&key.text, (!about.is_null()).then_some(about), node, path),
            _ => Err(node.problem(path, "expected one selector, as in `selector: {entity: {}}`")),
        }
    }

    /// Checks a value. What holds a template is known only when it runs.
    pub(super) fn check(&self, node: &Node, path: &str) -> Result<(), Wrong> {
        if node.is_null() || node.as_text().is_some_and(is_template) {
            return Ok(());
        }
        let wrong = |problem: Problem| (Severity::Error, problem);
        match self {
            Selector::Any => Ok(()),
            Selector::Number { min, max } => check_number(node, path, *min, *max),
            Selector::Boolean => node.boolean(path).map(drop).map_err(wrong),
            Selector::Text => each(node, |item| item.text(path).map(drop).map_err(wrong)),
            Selector::Time => check_time(node, path),
            Selector::Duration => duration::from_node(node, path).map(drop).map_err(wrong),
            Selector::Entity { domains, is_multiple } => check_entity(node, path, domains, *is_multiple),
            Selector::Select { options, is_open, is_multiple } => {
                check_select(node, path, options, *is_open, *is_multiple)
            }
            Selector::Target => match &node.kind {
                Kind::Map(_) | Kind::Text(_) | Kind::List(_) => Ok(()),
                _ => {
                    Err(wrong(node.problem(path, expected("a target such as `entity_id: light.hall`", node))))
                }
            },
            Selector::Items => each(node, |item| match &item.kind {
                Kind::Map(_) | Kind::Text(_) | Kind::List(_) => Ok(()),
                _ => Err(wrong(item.problem(path, expected("a trigger, condition or action", item)))),
            }),
        }
    }
}

fn named(name: &str, about: Option<&Node>, node: &Node, path: &str) -> Result<Selector, Problem> {
    let flag = |key: &str| about.and_then(|about| about.get(key)?.boolean(key).ok()).unwrap_or(false);
    Ok(match name {
        "number" => {
            let number = |key: &str| about.and_then(|about| about.get(key)?.number(key).ok());
            Selector::Number { min: number("min"), max: number("max") }
        }
        "boolean" => Selector::Boolean,
        "time" => Selector::Time,
        "duration" => Selector::Duration,
        "entity" => Selector::Entity { domains: domains(about), is_multiple: flag("multiple") },
        "select" => {
            let options = about.map(|about| options(about, path)).transpose()?.unwrap_or_default();
            Selector::Select { options, is_open: flag("custom_value"), is_multiple: flag("multiple") }
        }
        "target" => Selector::Target,
        "action" | "trigger" | "condition" => Selector::Items,
        "object" => Selector::Any,
        name if TEXTS.contains(&name) => Selector::Text,
        name if OPEN.contains(&name) => Selector::Any,
        name => {
            let known = ["number", "boolean", "time", "duration", "entity", "select", "target", "action"];
            let known = known.into_iter().chain(["trigger", "condition", "object"]).chain(TEXTS).chain(OPEN);
            return Err(node.problem(path, format!("unknown selector `{name}`")).meant(name, known));
        }
    })
}

/// The domains an entity may be of, in the three places where they are written.
fn domains(about: Option<&Node>) -> BTreeSet<String> {
    let Some(about) = about else { return BTreeSet::new() };
    let filters = about.get("filter").map(Node::list_or_single).unwrap_or_default();
    let of = |node: &Node| -> Vec<String> {
        let domains = node.get("domain").map(Node::list_or_single).unwrap_or_default();
        domains.iter().filter_map(|domain| domain.text("domain").ok()).collect()
    };
    // A filter without a domain lets every domain pass.
    if filters.iter().any(|filter| filter.get("domain").is_none()) {
        return of(about).into_iter().collect();
    }
    filters.iter().flat_map(of).chain(of(about)).collect()
}

fn options(about: &Node, path: &str) -> Result<Vec<String>, Problem> {
    let mut fields = Fields::new(about, path)?;
    let items = fields.get("options").map(Node::list_or_single).unwrap_or_default();
    let text = |item: &Node| item.get("value").unwrap_or(item).text(path);
    items.iter().map(text).collect()
}

fn check_number(node: &Node, path: &str, min: Option<f64>, max: Option<f64>) -> Result<(), Wrong> {
    let number = node.number(path).map_err(|problem| (Severity::Error, problem))?;
    let bound = match (min, max) {
        (Some(min), _) if number < min => format!("below the smallest offered, {min}"),
        (_, Some(max)) if number > max => format!("above the largest offered, {max}"),
        _ => return Ok(()),
    };
    Err((Severity::Warning, node.problem(path, format!("{number} is {bound}"))))
}

fn check_time(node: &Node, path: &str) -> Result<(), Wrong> {
    let text = node.text(path).map_err(|problem| (Severity::Error, problem))?;
    let parts: Vec<Option<u32>> = text.split(':').map(|part| part.parse().ok()).collect();
    let is_time = match parts.as_slice() {
        [Some(hour), Some(minute)] => *hour < 24 && *minute < 60,
        [Some(hour), Some(minute), Some(second)] => *hour < 24 && *minute < 60 && *second < 60,
        _ => false,
    };
    // Helpers that hold a time are as good.
    if is_time || text.parse::<EntityId>().is_ok() {
        return Ok(());
    }
    Err((Severity::Error, node.problem(path, "expected a time such as \"07:30:00\", in quotes")))
}

fn check_entity(node: &Node, path: &str, domains: &BTreeSet<String>, is_multiple: bool) -> Result<(), Wrong> {
    if matches!(&node.kind, Kind::List(items) if !is_multiple && items.len() > 1) {
        return Err((Severity::Warning, node.problem(path, "expected one entity, found several")));
    }
    each(node, |item| {
        let text = item.text(path).map_err(|problem| (Severity::Error, problem))?;
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let id: EntityId = word
                .to_lowercase()
                .parse()
                .map_err(|error| (Severity::Error, item.problem(path, format!("{error}"))))?;
            if !domains.is_empty() && !domains.contains(id.domain()) {
                let names: Vec<&str> = domains.iter().map(String::as_str).collect();
                let message = format!("`{id}` is not of the domain {}", names.join(", "));
                return Err((Severity::Warning, item.problem(path, message)));
            }
        }
        Ok(())
    })
}

fn check_select(
    node: &Node,
    path: &str,
    options: &[String],
    is_open: bool,
    is_multiple: bool,
) -> Result<(), Wrong> {
    if matches!(&node.kind, Kind::List(items) if !is_multiple && items.len() > 1) {
        return Err((Severity::Warning, node.problem(path, "expected one option, found several")));
    }
    each(node, |item| {
        let text = item.text(path).map_err(|problem| (Severity::Error, problem))?;
        if is_open || options.is_empty() || options.contains(&text) {
            return Ok(());
        }
        let message = format!("`{text}` is not one of {}", options.join(", "));
        Err((Severity::Warning, item.problem(path, message).meant(&text, options.iter().map(String::as_str))))
    })
}

fn each(node: &Node, check: impl FnMut(&Node) -> Result<(), Wrong>) -> Result<(), Wrong> {
    node.list_or_single().iter().try_for_each(check)
}

fn expected(what: &str, node: &Node) -> String {
    format!("expected {what}, found {}", node.kind.name())
}
