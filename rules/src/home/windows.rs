//! What has to be held back, for how long: what automations with `ordered:` may have to see.

use crate::action::{ActionKind, Sequence};
use crate::automation::Automation;
use crate::trigger::Trigger;
use gable_devices::topic::Index;
use gable_devices::{EntityId, Millis};
use std::collections::{BTreeMap, BTreeSet};

/// The windows by what is held back in them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Windows {
    /// Whether there is none at all.
    pub(crate) is_empty: bool,
    by_topic: Index<Millis>,
    by_entity: BTreeMap<EntityId, BTreeSet<Millis>>,
    by_event: BTreeMap<String, BTreeSet<Millis>>,
}

impl Windows {
    pub(super) fn new(automations: &[Automation]) -> Windows {
        let mut windows = Windows { is_empty: true, ..Windows::default() };
        for automation in automations {
            let mut triggers: Vec<&Trigger> = automation.triggers.iter().collect();
            // A run may come to wait for a trigger between something and its release.
            triggers.extend(awaited(automation));
            for trigger in triggers.into_iter().filter(|trigger| trigger.is_enabled) {
                windows.add(trigger, automation.ordered);
            }
        }
        windows
    }

    fn add(&mut self, trigger: &Trigger, ordered: Option<Millis>) {
        if let Some(sequence) = trigger.sequence() {
            sequence.steps.iter().for_each(|step| self.add(&step.trigger, ordered));
            return;
        }
        let Some(window) = trigger.ordered.or(ordered) else { return };
        self.is_empty = false;
        for filter in trigger.topic_filters() {
            self.by_topic.insert(filter, window);
        }
        if trigger.renders_topics() {
            // Which topic it is will be known when a run waits for it.
            self.by_topic.insert("#", window);
        }
        for entity_id in trigger.entity_ids() {
            self.by_entity.entry(entity_id.clone()).or_default().insert(window);
        }
        for event_type in trigger.event_types() {
            self.by_event.entry(event_type.clone()).or_default().insert(window);
        }
    }

    pub(crate) fn of_topic(&self, topic: &str) -> Vec<Millis> {
        if self.is_empty { Vec::new() } else { self.by_topic.matches(topic) }
    }

    pub(crate) fn of_entity(&self, entity_id: &EntityId) -> BTreeSet<Millis> {
        self.by_entity.get(entity_id).cloned().unwrap_or_default()
    }

    pub(crate) fn of_event(&self, event_type: &str) -> BTreeSet<Millis> {
        self.by_event.get(event_type).cloned().unwrap_or_default()
    }
}

/// All triggers that the runs of an automation may wait for.
pub(super) fn awaited(automation: &Automation) -> Vec<&Trigger> {
    let mut triggers = Vec::new();
    collect_awaited(&automation.actions, &mut triggers);
    triggers
}

/// All triggers that actions may wait for. Files bound how deep actions stand in actions.
fn collect_awaited<'h>(actions: &'h Sequence, found: &mut Vec<&'h Trigger>) {
    for action in &actions.0 {
        if let ActionKind::WaitForTrigger(wait) = &action.kind {
            found.extend(&wait.triggers);
        }
        for branch in (0..).map_while(|number| action.branch(number)) {
            collect_awaited(branch, found);
        }
    }
}
