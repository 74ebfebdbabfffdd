//! An entity as automations see it at one moment.

use crate::entity::{EntityState, UNAVAILABLE, UNKNOWN};
use crate::text::plain_text;
use gable_devices::{Data, Entity, EntityId, Quality, Seen, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// State and attributes at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct View {
    pub(crate) state: String,
    pub(crate) attributes: BTreeMap<String, Data>,
    pub(crate) last_changed: Timestamp,
    pub(crate) last_updated: Timestamp,
}

impl View {
    /// What automations see of an entity: while it is away, only what its declaration gives.
    pub(crate) fn new(entity: &EntityState, declared: Option<&Entity>) -> View {
        let attributes = match entity.quality {
            Quality::Unknown | Quality::Good => entity.value.attributes.clone(),
            Quality::Unavailable => declared.map(Entity::static_attributes).unwrap_or_default(),
        };
        View {
            state: entity.state().to_owned(),
            attributes,
            last_changed: entity.last_changed,
            last_updated: entity.last_updated,
        }
    }

    /// Whether nothing is known of the entity.
    pub(crate) fn is_away(&self) -> bool {
        self.state == UNAVAILABLE || self.state == UNKNOWN
    }

    /// The state, or one attribute.
    pub(crate) fn read(&self, attribute: Option<&str>) -> Data {
        match attribute {
            None => Data::Text(self.state.clone()),
            Some(name) => self.attributes.get(name).cloned().unwrap_or_default(),
        }
    }

    /// The form in which templates see `this`, which is no state object in Home Assistant: its times
    /// are texts.
    pub(crate) fn to_dict(&self, entity_id: &EntityId) -> Data {
        let text = |at| Data::Text(plain_text(&Data::Time(at)));
        Data::Map(BTreeMap::from([
            ("entity_id".to_owned(), Data::Text(entity_id.to_string())),
            ("state".to_owned(), Data::Text(self.state.clone())),
            ("attributes".to_owned(), Data::Map(self.attributes.clone())),
            ("last_changed".to_owned(), text(self.last_changed)),
            ("last_reported".to_owned(), text(self.last_updated)),
            ("last_updated".to_owned(), text(self.last_updated)),
        ]))
    }

    /// The form in which templates see it, as Home Assistant's state object.
    pub(crate) fn to_data(&self, entity_id: &EntityId) -> Data {
        let seen = Seen {
            state: self.state.clone(),
            attributes: self.attributes.clone(),
            last_changed: self.last_changed,
            last_updated: self.last_updated,
        };
        seen.into_data(entity_id)
    }
}
