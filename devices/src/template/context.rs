//! What one rendering gets: variables, and the home as it stands.

use super::moment;
use super::spelled::Spelled;
use super::world::World;
use crate::Data;
use minijinja::value::{Tuple, Value};
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The variables a template sees, and the home. One context may serve many templates; it is
/// converted for the template engine at most once, and only if one of them needs that.
#[derive(Clone, Debug, Default)]
pub struct Context {
    variables: BTreeMap<String, Data>,
    world: Option<Arc<dyn World>>,
    value: OnceCell<Value>,
}

impl Context {
    /// A context of these variables, in an empty home.
    pub fn new<K: Into<String>>(variables: impl IntoIterator<Item = (K, Data)>) -> Context {
        let variables = variables.into_iter().map(|(name, data)| (name.into(), data)).collect();
        Context { variables, ..Context::default() }
    }

    /// Puts the variables into a home. Without one, a template sees an empty home at the epoch.
    pub fn with_world(mut self, world: Arc<dyn World>) -> Context {
        self.world = Some(world);
        self
    }

    /// Puts the variables into another home, or takes them out of one.
    pub fn set_world(&mut self, world: Option<Arc<dyn World>>) {
        self.world = world;
    }

    /// Removes a variable.
    pub fn unset(&mut self, name: &str) {
        self.variables.remove(name);
        self.value = OnceCell::new();
    }

    /// The home.
    pub fn world(&self) -> Option<&Arc<dyn World>> {
        self.world.as_ref()
    }

    /// The variables.
    pub fn variables(&self) -> &BTreeMap<String, Data> {
        &self.variables
    }

    /// Gives the variables back.
    pub fn into_variables(self) -> BTreeMap<String, Data> {
        self.variables
    }

    /// Adds or replaces a variable.
    pub fn set(&mut self, name: impl Into<String>, data: Data) {
        self.variables.insert(name.into(), data);
        self.value = OnceCell::new();
    }

    pub(super) fn to_value(&self) -> Value {
        self.value.get_or_init(|| map_to_value(&self.variables)).clone()
    }
}

impl From<BTreeMap<String, Data>> for Context {
    fn from(variables: BTreeMap<String, Data>) -> Context {
        Context { variables, ..Context::default() }
    }
}

/// Data as the template engine holds it.
pub(super) fn to_value(data: &Data) -> Value {
    match data {
        Data::Null => Value::from(()),
        Data::Bool(bool) => Value::from(*bool),
        Data::Int(int) => Value::from(*int),
        Data::Float(float) => Value::from(*float),
        Data::Text(text) => Value::from(text.as_str()),
        Data::List(list) => list.iter().map(to_value).collect(),
        Data::Tuple(items) => Value::from(Tuple::new(items.iter().map(to_value).collect())),
        Data::Map(map) => map_to_value(map),
        Data::Time(timestamp) => Value::from_object(moment::Moment::utc(*timestamp)),
        Data::LocalTime(timestamp, offset) => {
            Value::from_object(moment::Moment::fixed(i128::from(timestamp.0) * 1000, *offset))
        }
        Data::Spelled(text, meaning) => Value::from_object(Spelled::new(text, to_value(meaning))),
    }
}

fn map_to_value(map: &BTreeMap<String, Data>) -> Value {
    let map: BTreeMap<String, Value> = map.iter().map(|(key, data)| (key.clone(), to_value(data))).collect();
    Value::from(map)
}
