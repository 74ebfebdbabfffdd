//! From a topic or an entity to the triggers that have to see it, without asking every automation.

use super::windows::Windows;
use crate::automation::Automation;
use gable_devices::EntityId;
use gable_devices::topic::Index;
use std::collections::BTreeMap;

/// A trigger by its place: file order, then the order inside the automation. Triggers are always
/// asked in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TriggerRef {
    pub(crate) automation: usize,
    pub(crate) trigger: usize,
}

/// The index of all triggers, also of automations that are turned off.
#[derive(Clone, Debug, Default)]
pub(crate) struct Routes {
    by_topic: Index<TriggerRef>,
    by_entity: BTreeMap<EntityId, Vec<TriggerRef>>,
    by_event: BTreeMap<String, Vec<TriggerRef>>,
    timed: Vec<TriggerRef>,
    of_home: Vec<TriggerRef>,
    pub(crate) windows: Windows,
}

impl Routes {
    pub(super) fn new(automations: &[Automation]) -> Routes {
        let mut routes = Routes::default();
        for (automation, triggers) in
            automations.iter().enumerate().map(|(n, automation)| (n, &automation.triggers))
        {
            for (trigger, declared) in triggers.iter().enumerate().filter(|(_, trigger)| trigger.is_enabled) {
                let reference = TriggerRef { automation, trigger };
                for filter in declared.topic_filters() {
                    routes.by_topic.insert(filter, reference);
                }
                for event_type in declared.event_types() {
                    routes.by_event.entry(event_type.clone()).or_default().push(reference);
                }
                if declared.timed().is_some() {
                    routes.timed.push(reference);
                }
                if declared.is_of_home() {
                    routes.of_home.push(reference);
                }
                for entity_id in declared.entity_ids() {
                    routes.by_entity.entry(entity_id.clone()).or_default().push(reference);
                }
            }
        }
        routes.windows = Windows::new(automations);
        routes
    }

    /// The triggers that have to see a message on `topic`.
    pub(crate) fn of_topic(&self, topic: &str) -> Vec<TriggerRef> {
        self.by_topic.matches(topic)
    }

    /// The triggers that fire at instants.
    pub(crate) fn timed(&self) -> &[TriggerRef] {
        &self.timed
    }

    /// The triggers that have to see what happens to the home and its nodes.
    pub(crate) fn of_home(&self) -> &[TriggerRef] {
        &self.of_home
    }

    /// The triggers that have to see a change of an entity.
    pub(crate) fn of_entity(&self, entity_id: &EntityId) -> Vec<TriggerRef> {
        self.by_entity.get(entity_id).cloned().unwrap_or_default()
    }

    /// Whether a trigger has to see events of this type.
    pub(crate) fn hears_event(&self, event_type: &str) -> bool {
        self.by_event.contains_key(event_type)
    }

    /// The triggers that have to see an event of this type.
    pub(crate) fn of_event(&self, event_type: &str) -> Vec<TriggerRef> {
        self.by_event.get(event_type).cloned().unwrap_or_default()
    }
}
