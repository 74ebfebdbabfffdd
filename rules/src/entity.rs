//! What the home knows about one entity.

use crate::{LogIndex, NodeId};
use gable_devices::{Quality, Timestamp, Value};
use serde::{Deserialize, Serialize};

/// Home Assistant's word for an entity that nothing was heard of.
pub(crate) const UNKNOWN: &str = "unknown";
/// Home Assistant's word for an entity that is away.
pub(crate) const UNAVAILABLE: &str = "unavailable";

/// The state of one entity, and where it came from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EntityState {
    /// What was last reported; its state is `unknown` before the first report. It stays while the
    /// entity is away.
    pub value: Value,
    pub quality: Quality,
    /// When [`EntityState::state`] last became another one.
    pub last_changed: Timestamp,
    /// When state or attributes last became others.
    pub last_updated: Timestamp,
    /// When a message about it was last heard, also one that repeated what was known.
    pub last_heard: Timestamp,
    /// The entry that carried that message.
    pub heard_index: LogIndex,
    /// The node that heard it.
    pub heard_by: Option<NodeId>,
    /// Whether the device said that it is away.
    pub(crate) is_offline: bool,
    /// Whether `expire_after` has passed since the last message.
    pub(crate) is_expired: bool,
}

impl EntityState {
    /// Returns the state as Home Assistant shows it: `unavailable` while the entity is away.
    pub fn state(&self) -> &str {
        match self.quality {
            Quality::Unknown | Quality::Good => &self.value.state,
            Quality::Unavailable => UNAVAILABLE,
        }
    }

    /// An entity that nothing was heard of.
    pub(crate) fn new(now: Timestamp) -> EntityState {
        let value = Value { state: UNKNOWN.to_owned(), ..Value::default() };
        EntityState { value, last_changed: now, last_updated: now, last_heard: now, ..EntityState::default() }
    }

    /// Derives the quality from what is known.
    pub(crate) fn judge(&mut self) {
        self.quality = match () {
            () if self.is_offline || self.is_expired => Quality::Unavailable,
            () if self.value.state == UNKNOWN => Quality::Unknown,
            () => Quality::Good,
        };
    }
}
