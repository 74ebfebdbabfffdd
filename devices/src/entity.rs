//! Entities as the home's files declare them, found by id and by topic.

use crate::yaml::{Node, Problem};
use crate::{Data, EncodeError, Encoded, EntityId, Event, Millis, Value};
use std::collections::BTreeMap;

/// One declared entity.
#[derive(Clone, Debug)]
pub struct Entity {
    id: EntityId,
}

/// All entities of a home, indexed by topic.
#[derive(Clone, Debug, Default)]
pub struct Entities {
    by_id: BTreeMap<EntityId, Entity>,
}

/// Why a message says nothing about an entity that listens to its topic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("{entity_id}: the payload on {topic} is not text")]
    NotText { entity_id: EntityId, topic: String },
}

impl Entity {
    /// The entity's id.
    pub fn id(&self) -> &EntityId {
        &self.id
    }

    /// How people call it.
    pub fn name(&self) -> &str {
        ""
    }

    /// The attributes that the declaration alone gives: `friendly_name`, `device_class`, ...
    pub fn static_attributes(&self) -> BTreeMap<String, Data> {
        BTreeMap::new()
    }

    /// Whether the device is there, by what its availability topics last said (`heard`, by
    /// [`Report::Available`](crate::Report::Available)'s `source`). Without such topics it is.
    pub fn is_available(&self, _heard: &BTreeMap<u16, bool>) -> bool {
        true
    }

    /// How long after `on` a binary sensor turns `off` by itself.
    pub fn off_delay(&self) -> Option<Millis> {
        None
    }

    /// How long after its last report the entity becomes unavailable.
    pub fn expire_after(&self) -> Option<Millis> {
        None
    }

    /// Whether an equal report counts as a change (`force_update`).
    pub fn force_update(&self) -> bool {
        false
    }

    /// The services that the entity's kind knows, without the domain.
    pub fn services(&self) -> &'static [&'static str] {
        &[]
    }

    /// Turns a service call into messages. `current` is what the entity last reported; a toggle is
    /// resolved from it, so that sending the result twice is harmless.
    pub fn encode(
        &self,
        service: &str,
        _data: &BTreeMap<String, Data>,
        _current: Option<&Value>,
    ) -> Result<Encoded, EncodeError> {
        Err(EncodeError::UnknownService {
            entity_id: self.id.clone(),
            service: service.to_owned(),
            hint: None,
        })
    }
}

impl Entities {
    /// Reads the `mqtt:` sections of several files (each node is what stands under `mqtt:`). A broken declaration is
    /// a problem; the others load.
    pub fn from_nodes<'n>(_sections: impl IntoIterator<Item = &'n Node>) -> (Entities, Vec<Problem>) {
        (Entities::default(), Vec::new())
    }

    /// The entity of this id.
    pub fn get(&self, id: &EntityId) -> Option<&Entity> {
        self.by_id.get(id)
    }

    /// All entities in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Entity> {
        self.by_id.values()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// The topic filters that have to be subscribed, sorted, each once.
    pub fn topic_filters(&self) -> Vec<&str> {
        Vec::new()
    }

    /// What a message says, in the order of the entities' ids. `current` gives what an entity last
    /// reported, for the few payloads whose meaning depends on it.
    pub fn decode<'v>(
        &self,
        _topic: &str,
        _payload: &[u8],
        _current: impl Fn(&EntityId) -> Option<&'v Value>,
    ) -> Vec<Result<Event, DecodeError>> {
        Vec::new()
    }
}
