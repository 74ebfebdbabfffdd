//! All entities of a home: those of its files, and those that devices announced.
//!
//! A home may have thousands and gain one at a time, so adding or removing one costs what that one
//! costs. Where the files declare an entity that a device announces as well, by id or by unique id,
//! the declaration holds and the announced one waits behind it, whichever came first.

use super::{DecodeError, Entity, Payload, sections};
use crate::platform::{Domain, Role, Update};
use crate::topic::{FilterSet, Index};
use crate::yaml::{Node, Problem};
use crate::{EntityId, Event, Value, World, discovery};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// All entities of a home, indexed by id and by topic.
#[derive(Clone, Debug, Default)]
pub struct Entities {
    by_id: BTreeMap<EntityId, u32>,
    /// Where an entity stands while it is there; the index counts in it.
    slots: Vec<Option<Arc<Entity>>>,
    free_slots: Vec<u32>,
    index: Index<(u32, Role)>,
    filters: FilterSet,
    /// What the files declare.
    declared: BTreeSet<EntityId>,
    declared_identities: BTreeSet<(Domain, String)>,
    /// What devices announced, also what waits behind a declaration.
    announced: BTreeMap<EntityId, Arc<Entity>>,
    announced_identities: BTreeMap<(Domain, String), EntityId>,
    discovery_prefix: Option<String>,
}

/// What became of an announced entity.
#[derive(Clone, Debug)]
pub struct Announced {
    pub entity_id: EntityId,
    /// Whether it is in use; otherwise a declaration of the files stands before it.
    pub is_in_use: bool,
    /// What was in use before under this id, by an earlier announcement.
    pub former: Option<Arc<Entity>>,
}

/// Why an announced entity can not be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdConflict {
    #[error("the unique_id `{unique_id}` is taken by {taken_by}")]
    UniqueId { unique_id: String, taken_by: EntityId },
    #[error("no id like `{0}` is free")]
    NoneFree(EntityId),
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
        let sections = sections::read(sections);
        let mut entities = Entities::default();
        for (id, entity) in sections.entities {
            entities.declared_identities.extend(entity.identity());
            entities.declared.insert(id);
            entities.show(Arc::new(entity));
        }
        if let Some(prefix) = &sections.discovery_prefix {
            discovery::filters(prefix).iter().for_each(|filter| entities.filters.add(filter));
        }
        entities.discovery_prefix = sections.discovery_prefix;
        (entities, sections.problems)
    }

    /// The first levels of the topics on which devices announce entities; none if they shall not.
    pub fn discovery_prefix(&self) -> Option<&str> {
        self.discovery_prefix.as_deref()
    }

    /// The entity of this id.
    pub fn get(&self, id: &EntityId) -> Option<&Entity> {
        self.by_id.get(id).and_then(|slot| self.in_slot(*slot))
    }

    /// All entities in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Entity> {
        self.by_id.values().filter_map(|slot| self.in_slot(*slot))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// The topic filters that have to be subscribed: the entities' and those of [`Entities::listen`].
    pub fn topic_filters(&self) -> &FilterSet {
        &self.filters
    }

    /// Adds a topic filter that someone else needs.
    pub fn listen(&mut self, filter: &str) {
        self.filters.add(filter);
    }

    /// The announced entity of this id, also one that waits behind a declaration.
    pub fn announced(&self, id: &EntityId) -> Option<&Arc<Entity>> {
        self.announced.get(id)
    }

    /// Makes [`FilterSet::changes`] count on from the entities that these replace.
    pub fn outdate(&mut self, before: &Entities) {
        self.filters.outdate(&before.filters);
    }

    /// How many entities devices announced.
    pub fn announced_len(&self) -> usize {
        self.announced.len()
    }

    /// Takes an announced entity under the id of its earlier announcement or, without one, under the
    /// id that it wishes for, or the first free one of `..._2`, `..._3`.
    pub fn announce(
        &mut self,
        mut entity: Entity,
        earlier: Option<&EntityId>,
    ) -> Result<Announced, IdConflict> {
        if let Some(identity) = entity.identity()
            && let Some(other) = self.announced_identities.get(&identity)
            && Some(other) != earlier
        {
            return Err(IdConflict::UniqueId { unique_id: identity.1, taken_by: other.clone() });
        }
        entity.id = match earlier {
            Some(earlier) => earlier.clone(),
            None => self.free_id(&entity.id).ok_or(IdConflict::NoneFree(entity.id))?,
        };
        Ok(self.take_announced(Arc::new(entity)))
    }

    /// Takes an announced entity under the id that it has.
    pub fn take_announced(&mut self, entity: Arc<Entity>) -> Announced {
        let entity_id = entity.id.clone();
        if let Some(identity) = self.announced.get(&entity_id).and_then(|former| former.identity()) {
            self.announced_identities.remove(&identity);
        }
        let identity = entity.identity();
        let is_hidden = self.declared.contains(&entity_id)
            || identity.as_ref().is_some_and(|identity| self.declared_identities.contains(identity));
        self.announced_identities.extend(identity.map(|identity| (identity, entity_id.clone())));
        self.announced.insert(entity_id.clone(), Arc::clone(&entity));
        let is_declared = self.declared.contains(&entity_id);
        let former = if is_declared { None } else { self.hide(&entity_id) };
        if !is_hidden {
            self.show(entity);
        }
        Announced { entity_id, is_in_use: !is_hidden, former }
    }

    /// Removes an announced entity, and returns it if it was in use.
    pub fn withdraw(&mut self, entity_id: &EntityId) -> Option<Arc<Entity>> {
        let entity = self.announced.remove(entity_id)?;
        if let Some(identity) = entity.identity() {
            self.announced_identities.remove(&identity);
        }
        if self.declared.contains(entity_id) { None } else { self.hide(entity_id) }
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
        self.decode_in(None, topic, payload, current)
    }

    /// The same in a home, which value templates may ask.
    pub fn decode_in<'v>(
        &self,
        world: Option<Arc<dyn World>>,
        topic: &str,
        payload: &[u8],
        current: impl Fn(&EntityId) -> Option<&'v Value>,
    ) -> Vec<Result<Event, DecodeError>> {
        let mut payload = Payload::new(payload, world);
        let mut results = Vec::new();
        let matches = self.index.matches(topic);
        let groups = matches.chunk_by(|(a, _), (b, _)| a == b);
        let mut groups: Vec<(&Entity, &[(u32, Role)])> =
            groups.filter_map(|group| Some((self.in_slot(group[0].0)?, group))).collect();
        groups.sort_by_key(|(entity, _)| &entity.id);
        for (entity, group) in groups {
            let current = current(&entity.id);
            payload.turn_to(entity);
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

    fn in_slot(&self, slot: u32) -> Option<&Entity> {
        self.slots.get(slot as usize)?.as_deref()
    }

    fn free_id(&self, wanted: &EntityId) -> Option<EntityId> {
        if !self.announced.contains_key(wanted) {
            return Some(wanted.clone());
        }
        let numbered = (2..).map(|n| format!("{wanted}_{n}").parse::<EntityId>());
        let mut numbered = numbered.map_while(Result::ok);
        numbered.find(|id| !self.announced.contains_key(id))
    }

    /// Makes an entity one of the home's.
    fn show(&mut self, entity: Arc<Entity>) {
        let slot = self.free_slots.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).expect("memory ends before the numbers do")
        });
        for (filter, role) in entity.sources() {
            self.index.insert(filter, (slot, role));
            self.filters.add(filter);
        }
        self.by_id.insert(entity.id.clone(), slot);
        self.slots[slot as usize] = Some(entity);
    }

    /// Takes an entity out of the home.
    fn hide(&mut self, entity_id: &EntityId) -> Option<Arc<Entity>> {
        let slot = self.by_id.remove(entity_id)?;
        let entity = self.slots.get_mut(slot as usize)?.take()?;
        self.free_slots.push(slot);
        for (filter, role) in entity.sources() {
            self.index.remove(filter, (slot, role));
            self.filters.remove(filter);
        }
        Some(entity)
    }
}
