//! A decoded fact from a device.

use crate::{Data, EntityId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One fact about one entity, as decoded from one message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub entity_id: EntityId,
    pub report: Report,
}

/// What a message says about an entity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Report {
    /// A new state, new attributes, or both; attributes not named stay as they were.
    Update { state: Option<String>, attributes: BTreeMap<String, Data> },
    /// The device has the value none; Home Assistant's payload `None`.
    Unknown,
    /// One of the entity's availability topics (`source` counts them from 0) says that the device is
    /// there or away. [`Entity::is_available`](crate::Entity::is_available) weighs them all.
    Available { source: u16, online: bool },
    /// Something happened (a button was pressed, an event came): its instant is the new state.
    Happened { attributes: BTreeMap<String, Data> },
    /// What the topic for further attributes says; these replace those that it gave before.
    Described { attributes: BTreeMap<String, Data> },
}
