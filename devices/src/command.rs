//! What a device shall do, and the message that tells it.

use crate::{Data, EntityId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A service call on one entity, in Home Assistant's words: `light.turn_on` with its data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Command {
    pub entity_id: EntityId,
    /// The service without its domain: `turn_on`, `close_cover`, `lock`.
    pub service: String,
    pub data: BTreeMap<String, Data>,
}

/// An MQTT message to be published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publish {
    pub topic: String,
    pub payload: Vec<u8>,
    pub qos: QoS,
    pub retain: bool,
}

/// MQTT's quality of service (MQTT 3.1.1, section 4.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum QoS {
    #[default]
    AtMostOnce,
    AtLeastOnce,
    ExactlyOnce,
}
