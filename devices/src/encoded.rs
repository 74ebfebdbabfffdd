//! What a service call becomes: messages, and how the entity's own state will confirm them.

use crate::{Data, EntityId, Publish, Report, Value};
use serde::{Deserialize, Serialize};

/// A command in the form in which it goes out.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoded {
    /// In the order in which they have to be sent; mostly one.
    pub publishes: Vec<Publish>,
    /// What of the entity the command sets. A newer command on the same property supersedes it; the
    /// empty one is never superseded, since two presses are not one.
    pub property: &'static str,
    pub expect: Expectation,
    /// What the entity is taken to report at once, for lack of a state topic or because it is
    /// declared optimistic.
    pub assume: Option<Report>,
    /// Whether sending it twice is harmless. A pulse (`stop_cover`, `lock.open`) is not repeatable.
    pub repeatable: bool,
}

/// How an entity's own state shows that a command has arrived.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Expectation {
    /// It does not; the broker's acknowledgement is all there is.
    #[default]
    None,
    /// By one of these states.
    State(Vec<String>),
    /// By an attribute that comes within `tolerance` of this number (a device that counts in
    /// another scale rounds), or equals it if it is no number, while the state is one of `states`
    /// (any, if that is empty).
    Attribute { name: String, value: Data, tolerance: u32, states: Vec<String> },
}

impl Expectation {
    /// Whether `value`, as just reported, confirms the command.
    pub fn is_met(&self, value: &Value) -> bool {
        match self {
            Expectation::None => false,
            Expectation::State(states) => states.contains(&value.state),
            Expectation::Attribute { states, .. } if !states.is_empty() && !states.contains(&value.state) => {
                false
            }
            Expectation::Attribute { name, value: expected, tolerance, .. } => {
                let Some(found) = value.attributes.get(name) else { return false };
                match (found.to_number(), expected.to_number()) {
                    (Some(found), Some(expected)) => (found - expected).abs() <= f64::from(*tolerance),
                    _ => found == expected,
                }
            }
        }
    }
}

/// Why a service call can not be carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    #[error("{entity_id} has no service `{service}`{}", hint.as_ref().map(|hint| format!(" (did you mean `{hint}`?)")).unwrap_or_default())]
    UnknownService { entity_id: EntityId, service: String, hint: Option<String> },
    /// The service exists, the declaration lacks what it needs.
    #[error("{entity_id} can not do `{service}`: its declaration has no `{key}`")]
    Unsupported { entity_id: EntityId, service: String, key: &'static str },
    #[error("{entity_id}: `{key}` of `{service}` {problem}")]
    Data { entity_id: EntityId, service: String, key: String, problem: String },
    #[error("{entity_id}: the command template failed")]
    Template {
        entity_id: EntityId,
        #[source]
        source: crate::TemplateError,
    },
}
