//! What triggers make of what happened: they fire at once, begin or end a `for:`, or do nothing.

use crate::automation::Automation;
use crate::condition::logic::all_hold;
use crate::home::TriggerRef;
use crate::timer::{Purpose, Slot, TriggerFor, TriggerKey};
use crate::trigger::mqtt::MessageText;
use crate::trigger::numeric_state::NumericStateTrigger;
use crate::trigger::state::StateTrigger;
use crate::trigger::{Change, Reaction, Trigger, TriggerKind};
use crate::work::Work;
use crate::{Effect, Message};
use gable_devices::{Context, Data};

impl<'s> Work<'s> {
    /// Asks the triggers that listen to a message's topic.
    pub(crate) fn on_message_triggers(&mut self, message: &Message) {
        let candidates = self.routes.of_topic(&self.home.routes, &message.topic);
        if candidates.is_empty() {
            return;
        }
        let Some(text) = MessageText::new(message) else {
            return self.notice(message.topic.as_str(), "the payload is no text, so no trigger can read it");
        };
        for &reference in candidates.iter() {
            let Some((automation, trigger)) = self.trigger(reference) else { continue };
            match &trigger.kind {
                TriggerKind::Mqtt(kind) if kind.fires(&text) => {
                    self.fire(automation, kind.variable(trigger, &text));
                }
                TriggerKind::Mqtt(_) | TriggerKind::State(_) | TriggerKind::NumericState(_) => {}
            }
        }
    }

    /// Asks the triggers that listen to an entity.
    pub(crate) fn on_change(&mut self, change: &Change) {
        let candidates = self.routes.of_entity(&self.home.routes, &change.entity_id);
        for &reference in candidates.iter() {
            let Some((automation, trigger)) = self.trigger(reference) else { continue };
            match &trigger.kind {
                TriggerKind::State(kind) => self.on_state(automation, trigger, kind, change),
                TriggerKind::NumericState(kind) => self.on_number(automation, trigger, kind, change),
                TriggerKind::Mqtt(_) => {}
            }
        }
    }

    /// A trigger's `for:` has passed without its entity changing its mind.
    pub(crate) fn on_held(&mut self, row: TriggerFor) {
        if let Some(automation) = self.home.automation(&row.key.automation) {
            self.fire(automation, row.variable);
        }
    }

    fn on_state(&mut self, automation: &Automation, trigger: &Trigger, kind: &StateTrigger, change: &Change) {
        let key = key(automation, trigger, change);
        if let Some((timer_id, timer)) = self.rows.timers.in_slot(&Slot::Trigger(key.clone()))
            && let Purpose::TriggerFor(row) = &timer.purpose
        {
            if kind.holds_on(&change.to, &row.previous, &row.held) {
                // An attribute or a forced update moved; the state that it waits for still holds.
                return;
            }
            self.cancel_timer(timer_id);
        }
        match kind.react(trigger, change) {
            Reaction::Nothing => {}
            Reaction::Fire(variable) => self.fire(automation, variable),
            Reaction::Hold(span, variable) => {
                let (previous, held) = (kind.read_view(&change.from), kind.read_view(&change.to));
                let row = TriggerFor { key, held, previous, variable };
                self.set_timer(self.now().after(span), Purpose::TriggerFor(row));
            }
        }
    }

    fn on_number(
        &mut self,
        automation: &Automation,
        trigger: &Trigger,
        kind: &NumericStateTrigger,
        change: &Change,
    ) {
        let key = key(automation, trigger, change);
        let context = kind.context(trigger, change);
        let inside = kind.holds(&self.scene(&context), &change.entity_id, &change.to);
        if !matches!(inside, Ok(true)) {
            self.cancel_slot(&Slot::Trigger(key.clone()));
        }
        match inside {
            // What is no number leaves the memory of the last crossing alone.
            Err(_) => {}
            Ok(false) => {
                self.rows.armed.insert(key);
            }
            Ok(true) if self.rows.armed.remove(&key) => match kind.hold {
                None => self.fire(automation, kind.variable(trigger, change)),
                Some(span) => {
                    let variable = kind.variable(trigger, change);
                    let row = TriggerFor { key, held: Data::Null, previous: Data::Null, variable };
                    self.set_timer(self.now().after(span), Purpose::TriggerFor(row));
                }
            },
            Ok(true) => {}
        }
    }

    /// A trigger fired: asks the conditions, and starts a run if the mode allows one.
    fn fire(&mut self, automation: &Automation, variable: Data) {
        let context = Context::new([("trigger", variable)]);
        let scene = self.scene(&context);
        match all_hold(&automation.conditions, &scene) {
            Ok(()) => self.start(automation, context),
            Err(reason) => self.effect(Effect::RunSkipped { automation: automation.id.clone(), reason }),
        }
    }

    fn trigger(&self, reference: TriggerRef) -> Option<(&'s Automation, &'s Trigger)> {
        let automation = self.home.automations.get(reference.automation)?;
        Some((automation, automation.triggers.get(reference.trigger)?))
    }
}

fn key(automation: &Automation, trigger: &Trigger, change: &Change) -> TriggerKey {
    TriggerKey {
        automation: automation.id.clone(),
        trigger: trigger.place,
        entity_id: change.entity_id.clone(),
    }
}
