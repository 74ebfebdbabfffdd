//! Who a trigger belongs to: an automation, or a run that waits for one.

use crate::RunId;
use crate::trigger::Trigger;
use gable_devices::topic::Index;
use gable_devices::{Data, EntityId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The owner of a trigger.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Owner {
    /// The automation of this id.
    Automation(String),
    /// A run that stands at a `wait_for_trigger:`.
    Run(RunId),
}

/// One trigger that listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Listener {
    pub owner: Owner,
    /// The trigger's place in its list, from 0.
    pub place: u32,
    /// Which step it is of the `trigger: sequence` at that place, if it is one.
    pub step: Option<u32>,
}

impl Listener {
    pub(crate) fn of_automation(id: &str, place: u32) -> Listener {
        Listener { owner: Owner::Automation(id.to_owned()), place, step: None }
    }

    pub(crate) fn of_run(run_id: RunId, place: u32) -> Listener {
        Listener { owner: Owner::Run(run_id), place, step: None }
    }

    pub(crate) fn of_step(sequence: &Listener, step: u32) -> Listener {
        Listener { step: Some(step), ..sequence.clone() }
    }

    /// The sequence that it is a step of.
    pub(crate) fn of_sequence(&self) -> Listener {
        Listener { step: None, ..self.clone() }
    }
}

/// The automation's id, or `run` and the run's.
impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.owner {
            Owner::Automation(id) => f.write_str(id),
            Owner::Run(run_id) => write!(f, "run {run_id}"),
        }
    }
}

/// A trigger of a run, by its place.
pub(crate) type Waiting = (RunId, u32);

/// Which waiting runs have to see what. Derived from the runs, never part of a snapshot.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listening {
    by_topic: Index<Waiting>,
    by_entity: BTreeMap<EntityId, BTreeSet<Waiting>>,
    by_event: BTreeMap<String, BTreeSet<Waiting>>,
    timed: BTreeSet<Waiting>,
    of_home: BTreeSet<Waiting>,
    /// The topic filters that were rendered for a run, which no file says.
    rendered: BTreeMap<Waiting, BTreeSet<String>>,
}

impl Listening {
    /// `variables` are those of the run.
    pub(crate) fn add(&mut self, waiting: Waiting, trigger: &Trigger, variables: &BTreeMap<String, Data>) {
        if trigger.renders_topics() {
            for filter in trigger.rendered_topics(variables).unwrap_or_default() {
                self.by_topic.insert(&filter, waiting);
                self.rendered.entry(waiting).or_default().insert(filter.into_owned());
            }
        }
        if trigger.timed().is_some() {
            self.timed.insert(waiting);
        }
        if trigger.is_of_home() {
            self.of_home.insert(waiting);
        }
        for filter in trigger.topic_filters() {
            self.by_topic.insert(filter, waiting);
        }
        for entity_id in trigger.entity_ids() {
            self.by_entity.entry(entity_id.clone()).or_default().insert(waiting);
        }
        for event in trigger.event_types() {
            self.by_event.entry(event.clone()).or_default().insert(waiting);
        }
    }

    pub(crate) fn remove(&mut self, waiting: Waiting, trigger: &Trigger) {
        self.timed.remove(&waiting);
        self.of_home.remove(&waiting);
        for filter in self.rendered.remove(&waiting).unwrap_or_default() {
            self.by_topic.remove(&filter, waiting);
        }
        for filter in trigger.topic_filters() {
            self.by_topic.remove(filter, waiting);
        }
        for entity_id in trigger.entity_ids() {
            drop_from(&mut self.by_entity, entity_id, waiting);
        }
        for event in trigger.event_types() {
            drop_from(&mut self.by_event, event, waiting);
        }
    }

    pub(crate) fn of_topic(&self, topic: &str) -> Vec<Waiting> {
        self.by_topic.matches(topic)
    }

    /// The topic filters that were rendered for runs.
    pub(crate) fn rendered_filters(&self) -> impl Iterator<Item = &str> {
        self.rendered.values().flatten().map(String::as_str)
    }

    pub(crate) fn of_entity(&self, entity_id: &EntityId) -> Vec<Waiting> {
        self.by_entity.get(entity_id).into_iter().flatten().copied().collect()
    }

    /// Those that fire at instants.
    pub(crate) fn timed(&self) -> Vec<Waiting> {
        self.timed.iter().copied().collect()
    }

    /// Those that have to see what happens to the home and its nodes.
    pub(crate) fn of_home(&self) -> Vec<Waiting> {
        self.of_home.iter().copied().collect()
    }

    pub(crate) fn hears_event(&self, event_type: &str) -> bool {
        self.by_event.contains_key(event_type)
    }

    pub(crate) fn of_event(&self, event_type: &str) -> Vec<Waiting> {
        self.by_event.get(event_type).into_iter().flatten().copied().collect()
    }
}

fn drop_from<K: Ord>(map: &mut BTreeMap<K, BTreeSet<Waiting>>, key: &K, waiting: Waiting) {
    if let Some(set) = map.get_mut(key) {
        set.remove(&waiting);
        if set.is_empty() {
            map.remove(key);
        }
    }
}
