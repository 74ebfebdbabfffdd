//! The cache between a message or a change and the triggers that have to see it.

use crate::cache::{Cache, Counters, Policy};
use crate::home::{Routes, TriggerRef};
use gable_devices::EntityId;
use std::sync::Arc;

/// How many topics, and how many entities, are remembered where nobody says.
const CAPACITY: usize = 4096;

/// Candidates by topic and by entity; what it answers depends on the compiled home alone.
#[derive(Debug)]
pub(crate) struct RouteCache {
    policy: Policy,
    capacity: usize,
    topics: Cache<String, Arc<[TriggerRef]>>,
    entities: Cache<EntityId, Arc<[TriggerRef]>>,
}

impl RouteCache {
    pub(crate) fn new(policy: Policy, capacity: usize) -> RouteCache {
        let (topics, entities) = (Cache::new(policy, capacity), Cache::new(policy, capacity));
        RouteCache { policy, capacity, topics, entities }
    }

    /// The triggers that have to see a message on `topic`.
    pub(crate) fn of_topic(&mut self, routes: &Routes, topic: &str) -> Arc<[TriggerRef]> {
        if let Some(found) = self.topics.get(topic) {
            return Arc::clone(found);
        }
        let found: Arc<[TriggerRef]> = routes.of_topic(topic).into();
        self.topics.put(topic.to_owned(), Arc::clone(&found));
        found
    }

    /// The triggers that have to see a change of an entity.
    pub(crate) fn of_entity(&mut self, routes: &Routes, entity_id: &EntityId) -> Arc<[TriggerRef]> {
        if let Some(found) = self.entities.get(entity_id) {
            return Arc::clone(found);
        }
        let found: Arc<[TriggerRef]> = routes.of_entity(entity_id).into();
        self.entities.put(entity_id.clone(), Arc::clone(&found));
        found
    }

    /// Forgets everything: the home was compiled anew.
    pub(crate) fn clear(&mut self) {
        self.topics.clear();
        self.entities.clear();
    }

    /// Both caches taken together.
    pub(crate) fn counters(&self) -> Counters {
        let (topics, entities) = (self.topics.counters(), self.entities.counters());
        Counters {
            hits: topics.hits + entities.hits,
            misses: topics.misses + entities.misses,
            evictions: topics.evictions + entities.evictions,
            entries: topics.entries + entities.entries,
        }
    }
}

impl Default for RouteCache {
    fn default() -> RouteCache {
        RouteCache::new(Policy::default(), CAPACITY)
    }
}

impl Clone for RouteCache {
    /// A clone starts empty: clones serve readers, and what is cached is soon found again.
    fn clone(&self) -> RouteCache {
        RouteCache::new(self.policy, self.capacity)
    }
}
