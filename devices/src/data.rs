//! Free-form data (attributes, service data, parsed payloads) in a shape that every serialisation
//! format can hold, also those that do not describe themselves.

use crate::Timestamp;
use crate::template::{iso_text, python_text};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A JSON-shaped value with ordered maps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Data {
    #[default]
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Data>),
    Map(BTreeMap<String, Data>),
    /// An instant, such as the `last_changed` of an entity; a `datetime` in templates.
    Time(Timestamp),
    /// An instant on the home's clocks, which then were so many seconds ahead of UTC.
    LocalTime(Timestamp, i32),
    /// Python's fixed list: a colour, `(1, 2)` in a template. Outside of templates a list like others.
    Tuple(Vec<Data>),
    /// A list, mapping or tuple that a template spelled otherwise than Python prints it, such as
    /// `{"a":1}`: its text, and what it means. It prints as that text, and is its meaning otherwise.
    Spelled(String, Box<Data>),
}

impl Data {
    /// Returns what the data means, however it was spelled.
    pub fn meaning(&self) -> &Data {
        let mut data = self;
        while let Data::Spelled(_, meaning) = data {
            data = meaning;
        }
        data
    }

    /// Returns what the data means, however it was spelled.
    pub fn into_meaning(self) -> Data {
        let mut data = self;
        while let Data::Spelled(_, meaning) = data {
            data = *meaning;
        }
        data
    }

    /// Returns whether both mean the same, however they and what they hold was spelled.
    pub fn means(&self, other: &Data) -> bool {
        match (self.meaning(), other.meaning()) {
            (Data::List(left), Data::List(right)) | (Data::Tuple(left), Data::Tuple(right)) => {
                left.len() == right.len() && left.iter().zip(right).all(|(left, right)| left.means(right))
            }
            (Data::Map(left), Data::Map(right)) => {
                left.len() == right.len()
                    && left.iter().zip(right).all(|(left, right)| left.0 == right.0 && left.1.means(right.1))
            }
            (left, right) => left == right,
        }
    }

    /// Returns the text that Python's `str()` makes of it.
    pub fn to_python(&self) -> String {
        python_text(self)
    }

    /// Returns the member `key` of a map.
    pub fn get(&self, key: &str) -> Option<&Data> {
        match self.meaning() {
            Data::Map(map) => map.get(key),
            _ => None,
        }
    }

    /// Returns what is in a list or a tuple.
    pub fn items(&self) -> Option<&[Data]> {
        match self.meaning() {
            Data::List(items) | Data::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// Returns the text, if this is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Data::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the number: an integer, a float, or a text that is one.
    pub fn to_number(&self) -> Option<f64> {
        match self {
            Data::Int(int) => Some(*int as f64),
            Data::Float(float) => Some(*float),
            Data::Text(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
            _ => None,
        }
    }

    /// Converts to JSON for people and programs outside.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Data::Null => serde_json::Value::Null,
            Data::Bool(bool) => (*bool).into(),
            Data::Int(int) => (*int).into(),
            Data::Float(float) => (*float).into(),
            Data::Text(text) => text.as_str().into(),
            Data::List(list) | Data::Tuple(list) => list.iter().map(Data::to_json).collect(),
            Data::Map(map) => serde_json::Value::Object(
                map.iter().map(|(key, data)| (key.clone(), data.to_json())).collect(),
            ),
            Data::Time(at) => iso_text(*at, 0).into(),
            Data::LocalTime(at, offset) => iso_text(*at, *offset).into(),
            Data::Spelled(_, meaning) => meaning.to_json(),
        }
    }
}

impl From<serde_json::Value> for Data {
    fn from(json: serde_json::Value) -> Data {
        match json {
            serde_json::Value::Null => Data::Null,
            serde_json::Value::Bool(bool) => Data::Bool(bool),
            serde_json::Value::Number(number) => match number.as_i64() {
                Some(int) => Data::Int(int),
                None => number.as_f64().map_or(Data::Null, Data::Float),
            },
            serde_json::Value::String(text) => Data::Text(text),
            serde_json::Value::Array(list) => Data::List(list.into_iter().map(Data::from).collect()),
            serde_json::Value::Object(map) => {
                Data::Map(map.into_iter().map(|(key, json)| (key, Data::from(json))).collect())
            }
        }
    }
}

impl From<&str> for Data {
    fn from(text: &str) -> Data {
        Data::Text(text.to_owned())
    }
}
