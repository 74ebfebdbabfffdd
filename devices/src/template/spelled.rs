//! Lists, mappings and tuples that remember how a template spelled them. They print as they were
//! spelled and are what they mean otherwise; whatever is made of them prints as Python prints it.

use minijinja::value::{Enumerator, Object, ObjectRepr, Value, ValueKind};
use std::fmt;
use std::sync::Arc;

/// What was spelled, and how.
#[derive(Debug)]
pub(super) struct Spelled {
    text: Arc<str>,
    meaning: Value,
}

impl Spelled {
    pub(super) fn new(text: &str, meaning: Value) -> Spelled {
        Spelled { text: text.into(), meaning }
    }

    /// How a value was spelled, if it remembers.
    pub(super) fn text_of(value: &Value) -> Option<&str> {
        value.downcast_object_ref::<Spelled>().map(|spelled| &*spelled.text)
    }
}

/// What a value means, however it was spelled.
pub(super) fn meaning(value: &Value) -> &Value {
    match value.downcast_object_ref::<Spelled>() {
        Some(spelled) => meaning(&spelled.meaning),
        None => value,
    }
}

/// Whether a value is a tuple, however it was spelled.
pub(super) fn is_tuple(value: &Value) -> bool {
    meaning(value).is_tuple()
}

impl Object for Spelled {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        match self.meaning.kind() {
            ValueKind::Map => ObjectRepr::Map,
            _ => ObjectRepr::Seq,
        }
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.meaning.get_item(key).ok().filter(|value| !value.is_undefined())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        match self.meaning.as_object() {
            Some(object) => object.enumerate(),
            None => Enumerator::NonEnumerable,
        }
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        self.meaning.len()
    }

    fn is_true(self: &Arc<Self>) -> bool {
        self.meaning.is_true()
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
