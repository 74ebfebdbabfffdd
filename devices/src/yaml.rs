//! YAML as Home Assistant reads it, as a tree in which every node knows its file, line and column.
//!
//! [`parse`] turns one document into [`Node`]s; [`Fields`] reads a mapping's keys into types and
//! collects what is wrong. Tags such as `!secret` stay on the node: this module does not resolve
//! them, it only sees to it that nobody mistakes a tagged text for a plain one.

mod build;
mod fields;
mod problem;
mod scalar;

use crate::Data;
use std::sync::Arc;

pub use build::{DEPTH_MAX, parse};
pub use fields::Fields;
pub use problem::{Location, Problem, did_you_mean};
pub use scalar::float_text;

/// One value of a document, and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub kind: Kind,
    pub location: Location,
    /// An unresolved tag with its exclamation mark: `!secret`, `!include`, `!input`.
    pub tag: Option<Arc<str>>,
}

/// The types of YAML 1.1 as PyYAML, and so Home Assistant, resolves them.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    /// Keys and values in the order of the file; no key occurs twice. Where the file repeats one, the
    /// last value is here, under a tag that makes every reader report it.
    Map(Vec<(Key, Node)>),
}

/// A mapping's key. It is always text, also where YAML 1.1 would read `on` as a boolean.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    pub text: String,
    pub location: Location,
}

impl Kind {
    /// Names the type for people.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Null => "nothing",
            Kind::Bool(_) => "a boolean",
            Kind::Int(_) => "an integer",
            Kind::Float(_) => "a number",
            Kind::Text(_) => "a text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }
}

impl Node {
    /// Makes a problem that points at this node. `path` is the way to it in words a person knows:
    /// `mqtt.light[0].state_topic`.
    pub fn problem(&self, path: &str, message: impl Into<String>) -> Problem {
        Problem {
            location: Some(self.location.clone()),
            path: path.to_owned(),
            message: message.into(),
            hint: None,
        }
    }

    /// Whether there is nothing here: `key:` with no value, `~` or `null`.
    pub fn is_null(&self) -> bool {
        self.tag.is_none() && self.kind == Kind::Null
    }

    /// The value of `key`, if this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_map()?.iter().find(|(name, _)| name.text == key).map(|(_, node)| node)
    }

    /// The entries, if this is a mapping.
    pub fn as_map(&self) -> Option<&[(Key, Node)]> {
        match &self.kind {
            Kind::Map(entries) if self.tag.is_none() => Some(entries),
            _ => None,
        }
    }

    /// The items, if this is a list.
    pub fn as_list(&self) -> Option<&[Node]> {
        match &self.kind {
            Kind::List(items) if self.tag.is_none() => Some(items),
            _ => None,
        }
    }

    /// The text, if this is one; numbers and booleans are not (see [`Node::text`]).
    pub fn as_text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) if self.tag.is_none() => Some(text),
            _ => None,
        }
    }

    /// The entries of a mapping, or a problem that says what stands here instead.
    pub fn expect_map(&self, path: &str) -> Result<&[(Key, Node)], Problem> {
        self.as_map().ok_or_else(|| self.expected("a mapping", path))
    }

    /// A list's items, a single value as a list of one, nothing as an empty list: Home Assistant's
    /// `cv.ensure_list`.
    pub fn list_or_single(&self) -> &[Node] {
        match &self.kind {
            Kind::List(items) if self.tag.is_none() => items,
            Kind::Null if self.tag.is_none() => &[],
            _ => std::slice::from_ref(self),
        }
    }

    /// Any scalar as Python prints it (`true` -> `True`, `5.50` -> `5.5`): Home Assistant's
    /// `cv.string`.
    pub fn text(&self, path: &str) -> Result<String, Problem> {
        match &self.kind {
            _ if self.tag.is_some() => Err(self.expected("a text", path)),
            Kind::Text(text) => Ok(text.clone()),
            Kind::Bool(bool) => Ok(if *bool { "True" } else { "False" }.to_owned()),
            Kind::Int(int) => Ok(int.to_string()),
            Kind::Float(float) => Ok(float_text(*float)),
            Kind::Null | Kind::List(_) | Kind::Map(_) => Err(self.expected("a text", path)),
        }
    }

    /// A boolean as Home Assistant's `cv.boolean` takes it: also `"on"`, `"yes"`, `"enable"`, `1`.
    pub fn boolean(&self, path: &str) -> Result<bool, Problem> {
        match &self.kind {
            _ if self.tag.is_some() => Err(self.expected("a boolean", path)),
            Kind::Bool(bool) => Ok(*bool),
            Kind::Int(int) => Ok(*int != 0),
            Kind::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
                "1" | "true" | "yes" | "on" | "enable" => Ok(true),
                "0" | "false" | "no" | "off" | "disable" => Ok(false),
                _ => Err(self.expected("a boolean", path)),
            },
            _ => Err(self.expected("a boolean", path)),
        }
    }

    /// An integer, also one in quotes.
    pub fn integer(&self, path: &str) -> Result<i64, Problem> {
        match &self.kind {
            _ if self.tag.is_some() => Err(self.expected("an integer", path)),
            Kind::Int(int) => Ok(*int),
            Kind::Text(text) => text.trim().parse().map_err(|_| self.expected("an integer", path)),
            _ => Err(self.expected("an integer", path)),
        }
    }

    /// A finite number, also one in quotes.
    pub fn number(&self, path: &str) -> Result<f64, Problem> {
        let number = match &self.kind {
            _ if self.tag.is_some() => None,
            Kind::Int(int) => Some(*int as f64),
            Kind::Float(float) => Some(*float),
            Kind::Text(text) => text.trim().parse().ok(),
            _ => None,
        };
        number.filter(|number: &f64| number.is_finite()).ok_or_else(|| self.expected("a number", path))
    }

    /// The same as data without positions. A tagged text becomes the bare text, so callers that
    /// meet tags report them first (see [`Node::unresolved_tags`]).
    pub fn to_data(&self) -> Data {
        match &self.kind {
            Kind::Null => Data::Null,
            Kind::Bool(bool) => Data::Bool(*bool),
            Kind::Int(int) => Data::Int(*int),
            Kind::Float(float) => Data::Float(*float),
            Kind::Text(text) => Data::Text(text.clone()),
            Kind::List(items) => Data::List(items.iter().map(Node::to_data).collect()),
            Kind::Map(entries) => {
                Data::Map(entries.iter().map(|(key, node)| (key.text.clone(), node.to_data())).collect())
            }
        }
    }

    /// What the tree takes in memory, in about bytes. It bounds what includes may bring together.
    pub fn weight(&self) -> usize {
        let inside: usize = match &self.kind {
            Kind::List(items) => items.iter().map(Node::weight).sum(),
            Kind::Map(entries) => {
                entries.iter().map(|(key, node)| build::NODE_WEIGHT + key.text.len() + node.weight()).sum()
            }
            _ => 0,
        };
        build::node_weight(self) + inside
    }

    /// How many lists and mappings stand inside one another.
    pub fn depth(&self) -> usize {
        match &self.kind {
            Kind::List(items) => 1 + items.iter().map(Node::depth).max().unwrap_or(0),
            Kind::Map(entries) => 1 + entries.iter().map(|(_, node)| node.depth()).max().unwrap_or(0),
            _ => 0,
        }
    }

    /// Marks the value of a key that stands a second time; `first` is the line of the first.
    fn mark_repeated(&mut self, key: &Key, first: u32) {
        self.tag = Some(format!("{REPEATED}{first} {}", key.text).into());
        self.location = key.location.clone();
    }

    /// One problem for each tag in this tree that nobody resolved.
    pub fn unresolved_tags(&self, path: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        if let Some(tag) = &self.tag {
            let message = repeated(tag).unwrap_or_else(|| format!("the tag `{tag}` is not supported here"));
            problems.push(self.problem(path, message));
        }
        match &self.kind {
            Kind::List(items) => {
                for (n, item) in items.iter().enumerate() {
                    problems.extend(item.unresolved_tags(&format!("{path}[{n}]")));
                }
            }
            Kind::Map(entries) => {
                for (key, node) in entries {
                    problems.extend(node.unresolved_tags(&join(path, &key.text)));
                }
            }
            _ => {}
        }
        problems
    }

    fn expected(&self, what: &str, path: &str) -> Problem {
        match &self.tag {
            Some(tag) => self.problem(
                path,
                repeated(tag)
                    .unwrap_or_else(|| format!("expected {what}, and the tag `{tag}` is not supported here")),
            ),
            None => self.problem(path, format!("expected {what}, found {}", self.kind.name())),
        }
    }
}

/// The mark of a repeated key's value. No tag in a file can hold a space, so none can be mistaken.
const REPEATED: &str = "!repeated ";

/// What a mark says for people, if `tag` is one.
fn repeated(tag: &str) -> Option<String> {
    let (line, key) = tag.strip_prefix(REPEATED)?.split_once(' ')?;
    Some(format!("the key `{key}` stands a second time in this mapping; the first is on line {line}"))
}

/// Extends a path by a key: `mqtt` and `light` give `mqtt.light`.
pub fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

#[cfg(test)]
mod tests;
