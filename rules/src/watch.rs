//! Templates that are being watched: those of template triggers, and those that runs wait for.
//!
//! Rendering a template says what it looked at; only a change of that makes it worth rendering
//! again. What asks for the time is rendered again at each full minute, as in Home Assistant.

use crate::RunId;
use crate::listener::Listener;
use gable_devices::{EntityId, Reads};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Whom a watched template belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Watcher {
    Trigger(Listener),
    /// A run at a `wait_template:`.
    Wait(RunId),
}

/// What a template looked at when it was last rendered, and whether it was true.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Watch {
    pub(crate) reads: Reads,
    pub(crate) was: bool,
}

/// The rows, and which of them a change may concern.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watches {
    rows: BTreeMap<Watcher, Watch>,
    by_entity: BTreeMap<String, BTreeSet<Watcher>>,
    by_domain: BTreeMap<String, BTreeSet<Watcher>>,
    of_all: BTreeSet<Watcher>,
    of_time: BTreeSet<Watcher>,
}

impl Watches {
    pub(crate) fn get(&self, watcher: &Watcher) -> Option<&Watch> {
        self.rows.get(watcher)
    }

    pub(crate) fn insert(&mut self, watcher: Watcher, watch: Watch) {
        // Most templates look at the same things again.
        if let Some(row) = self.rows.get_mut(&watcher)
            && row.reads == watch.reads
        {
            row.was = watch.was;
            return;
        }
        self.remove(&watcher);
        for entity_id in &watch.reads.entities {
            self.by_entity.entry(entity_id.clone()).or_default().insert(watcher.clone());
        }
        for domain in &watch.reads.domains {
            self.by_domain.entry(domain.clone()).or_default().insert(watcher.clone());
        }
        if watch.reads.all {
            self.of_all.insert(watcher.clone());
        }
        if watch.reads.time {
            self.of_time.insert(watcher.clone());
        }
        self.rows.insert(watcher, watch);
    }

    pub(crate) fn remove(&mut self, watcher: &Watcher) {
        let Some(watch) = self.rows.remove(watcher) else { return };
        for entity_id in &watch.reads.entities {
            drop_from(&mut self.by_entity, entity_id, watcher);
        }
        for domain in &watch.reads.domains {
            drop_from(&mut self.by_domain, domain, watcher);
        }
        self.of_all.remove(watcher);
        self.of_time.remove(watcher);
    }

    /// The watchers that a change of this entity may concern, in a fixed order.
    pub(crate) fn of_entity(&self, entity_id: &EntityId) -> BTreeSet<Watcher> {
        let mut found = self.of_all.clone();
        found.extend(self.by_entity.get(entity_id.as_str()).into_iter().flatten().cloned());
        found.extend(self.by_domain.get(entity_id.domain()).into_iter().flatten().cloned());
        found
    }

    /// The watchers that look at the time.
    pub(crate) fn of_time(&self) -> &BTreeSet<Watcher> {
        &self.of_time
    }
}

fn drop_from(map: &mut BTreeMap<String, BTreeSet<Watcher>>, key: &str, watcher: &Watcher) {
    if let Some(watchers) = map.get_mut(key) {
        watchers.remove(watcher);
        if watchers.is_empty() {
            map.remove(key);
        }
    }
}

impl Serialize for Watches {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.rows.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Watches {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Watches, D::Error> {
        let mut watches = Watches::default();
        for (watcher, watch) in BTreeMap::<Watcher, Watch>::deserialize(deserializer)? {
            watches.insert(watcher, watch);
        }
        Ok(watches)
    }
}
