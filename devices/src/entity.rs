//! Entities as the home's files declare them, found by id and by topic.

mod availability;
mod declared;
mod payload;
mod sections;
mod slug;

use crate::platform::{Call, Domain, Platform, Role, Update};
use crate::topic::Index;
use crate::yaml::{Node, Problem};
use crate::{Data, EncodeError, Encoded, EntityId, Event, Millis, TemplateError, Value, yaml::did_you_mean};
use declared::Declared;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) use payload::Payload;
pub use slug::slugify;

/// One declared entity.
#[derive(Clone, Debug)]
pub struct Entity {
    id: EntityId,
    declared: Declared,
    platform: Platform,
}

/// All entities of a home, indexed by topic.
#[derive(Clone, Debug, Default)]
pub struct Entities {
    /// In the order of their ids; the index below counts in it.
    entities: Vec<Entity>,
    index: Index<(usize, Role)>,
    filters: BTreeSet<String>,
}

/// Why a message says nothing usable about an entity that listens to its topic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{entity_id}: the payload on {topic} {fault}")]
pub struct DecodeError {
    pub entity_id: EntityId,
    pub topic: String,
    pub fault: Fault,
}

/// What is wrong with a payload, in words that follow "the payload".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("is not UTF-8 text")]
    NotText,
    #[error("is not JSON")]
    NotJson,
    #[error("is not a JSON object")]
    NotObject,
    #[error("gives `{found}`, expected {expected}")]
    Unexpected { found: String, expected: String },
    #[error("gives `{0}`, expected a number")]
    NotNumber(String),
    #[error("gives a state longer than 255 characters")]
    TooLong,
    #[error("can not be read: {0}")]
    Template(TemplateError),
}

impl Entity {
    /// The entity's id.
    pub fn id(&self) -> &EntityId {
        &self.id
    }

    /// How people call it: the device's name and its own.
    pub fn name(&self) -> &str {
        &self.declared.friendly_name
    }

    /// The id that its maker gave it, which survives renaming.
    pub fn unique_id(&self) -> Option<&str> {
        self.declared.unique_id.as_deref()
    }

    /// The device it belongs to, as declared.
    pub fn device(&self) -> Option<&Data> {
        self.declared.device.as_ref()
    }

    /// The attributes that the declaration alone gives: `friendly_name`, `device_class`, ...
    pub fn static_attributes(&self) -> BTreeMap<String, Data> {
        let mut attributes = self.declared.attributes.clone();
        self.platform.add_attributes(&mut attributes);
        attributes
    }

    /// Whether the device is there, by what its availability topics last said (`heard`, by
    /// [`Report::Available`](crate::Report::Available)'s `source`). Without such topics it is; before they said enough it
    /// is not.
    pub fn is_available(&self, heard: &BTreeMap<u16, bool>) -> bool {
        self.declared.availability.is_met(heard)
    }

    /// How long after `on` a binary sensor turns `off` by itself.
    pub fn off_delay(&self) -> Option<Millis> {
        self.platform.off_delay()
    }

    /// How long after its last report the entity becomes unavailable.
    pub fn expire_after(&self) -> Option<Millis> {
        self.declared.expire_after
    }

    /// Whether an equal report counts as a change (`force_update`).
    pub fn force_update(&self) -> bool {
        self.declared.force_update
    }

    /// The services that the entity's kind knows, without the domain.
    pub fn services(&self) -> &'static [&'static str] {
        self.platform.services()
    }

    /// Turns a service call into messages. `current` is what the entity last reported; a toggle is
    /// resolved from it, so that sending the result twice is harmless.
    pub fn encode(
        &self,
        service: &str,
        data: &BTreeMap<String, Data>,
        current: Option<&Value>,
    ) -> Result<Encoded, EncodeError> {
        if !self.services().contains(&service) {
            let hint = did_you_mean(service, self.services().iter().copied()).map(str::to_owned);
            return Err(EncodeError::UnknownService {
                entity_id: self.id.clone(),
                service: service.to_owned(),
                hint,
            });
        }
        let call = Call { entity_id: &self.id, name: self.name(), service, data, current };
        self.platform.encode(&call)
    }

    fn sources(&self) -> impl Iterator<Item = (&str, Role)> {
        self.declared
            .availability
            .sources()
            .chain(self.declared.attributes_source())
            .chain(self.platform.sources())
    }

    /// What one message says in one role.
    fn decode(
        &self,
        role: Role,
        payload: &Payload<'_>,
        current: Option<&Value>,
        update: &mut Update,
    ) -> Result<(), Fault> {
        match role {
            Role::Availability(n) => {
                if let Some(online) = self.declared.availability.decode(n, payload)? {
                    update.available.push((self.declared.availability.source(n), online));
                }
                Ok(())
            }
            Role::Attributes => self.declared.decode_attributes(payload, update),
            role => self.platform.decode(role, payload, current, update),
        }
    }
}

impl Entities {
    /// Reads the `mqtt:` sections of several files (each node is what stands under `mqtt:`). A
    /// broken declaration is a problem; the others load.
    ///
    /// ```
    /// use gable_devices::{Entities, Report, yaml};
    ///
    /// let section = yaml::parse("home.yaml", "binary_sensor: {name: Door, state_topic: door}").unwrap();
    /// let (entities, problems) = Entities::from_nodes([&section]);
    /// assert!(problems.is_empty());
    ///
    /// let event = entities.decode("door", b"ON", |_| None).pop().unwrap().unwrap();
    /// assert_eq!(event.entity_id.as_str(), "binary_sensor.door");
    /// assert!(matches!(event.report, Report::Update { state: Some(state), .. } if state == "on"));
    /// ```
    pub fn from_nodes<'n>(sections: impl IntoIterator<Item = &'n Node>) -> (Entities, Vec<Problem>) {
        let (entities, problems) = sections::read(sections);
        (Entities::from_entities(entities), problems)
    }

    fn from_entities(by_id: BTreeMap<EntityId, Entity>) -> Entities {
        let entities: Vec<Entity> = by_id.into_values().collect();
        let mut index = Index::default();
        let mut filters = BTreeSet::new();
        for (n, entity) in entities.iter().enumerate() {
            for (filter, role) in entity.sources() {
                index.insert(filter, (n, role));
                filters.insert(filter.to_owned());
            }
        }
        Entities { entities, index, filters }
    }

    /// The entity of this id.
    pub fn get(&self, id: &EntityId) -> Option<&Entity> {
        self.entities.binary_search_by(|entity| entity.id.cmp(id)).ok().map(|n| &self.entities[n])
    }

    /// All entities in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Entity> {
        self.entities.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entities.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entities.is_empty()
    }

    /// The topic filters that have to be subscribed, sorted, each once.
    pub fn topic_filters(&self) -> impl Iterator<Item = &str> {
        self.filters.iter().map(String::as_str)
    }

    /// What a message says, in the order of the entities' ids. `current` gives what an entity last
    /// reported, for the few payloads whose meaning depends on it (a cover's `stopped`).
    ///
    /// Several topics of one entity may be one and the same; what they say comes as one event, so
    /// that nobody sees the new state beside the old brightness.
    pub fn decode<'v>(
        &self,
        topic: &str,
        payload: &[u8],
        current: impl Fn(&EntityId) -> Option<&'v Value>,
    ) -> Vec<Result<Event, DecodeError>> {
        let payload = Payload::new(payload);
        let mut results = Vec::new();
        let matches = self.index.matches(topic);
        for group in matches.chunk_by(|(a, _), (b, _)| a == b) {
            let entity = &self.entities[group[0].0];
            let current = current(&entity.id);
            let mut update = Update::default();
            for (_, role) in group {
                if let Err(fault) = entity.decode(*role, &payload, current, &mut update) {
                    let (entity_id, topic) = (entity.id.clone(), topic.to_owned());
                    results.push(Err(DecodeError { entity_id, topic, fault }));
                }
            }
            let reports = update.into_reports();
            results.extend(reports.map(|report| Ok(Event { entity_id: entity.id.clone(), report })));
        }
        results
    }
}

#[cfg(test)]
mod tests;
