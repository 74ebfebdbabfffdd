//! What triggers make of what happened: they fire at once, begin or end a `for:`, or do nothing.

use crate::automation::Automation;
use crate::condition::logic::all_hold;
use crate::event::Event;
use crate::home::TriggerRef;
use crate::listener::{Listener, Owner, Waiting};
use crate::span::Span;
use crate::text::timedelta_text;
use crate::timer::{Purpose, Slot, TriggerFor, TriggerKey};
use crate::trigger::mqtt::MessageText;
use crate::trigger::node::NodeEvent;
use crate::trigger::numeric_state::NumericStateTrigger;
use crate::trigger::state::StateTrigger;
use crate::trigger::{Change, Reaction, Trigger, TriggerKind};
use crate::work::Work;
use crate::{Effect, Message, NodeId};
use gable_devices::{Context, Data};

/// A trigger that something may concern: one of an automation, or one that a run waits for.
#[derive(Clone)]
pub(crate) struct Candidate<'s> {
    pub(crate) listener: Listener,
    pub(crate) automation: &'s Automation,
    pub(crate) trigger: &'s Trigger,
}

impl Candidate<'_> {
    fn key(&self, change: &Change) -> TriggerKey {
        TriggerKey { listener: self.listener.clone(), entity_id: Some(change.entity_id.clone()) }
    }
}

impl<'s> Work<'s> {
    /// Asks the triggers that listen to a message's topic.
    pub(crate) fn on_message_triggers(&mut self, message: &Message) {
        let declared = self.routes.of_topic(&self.home.routes, &message.topic);
        let waiting = self.listening.of_topic(&message.topic);
        if declared.is_empty() && waiting.is_empty() {
            return;
        }
        let Some(text) = MessageText::new(message) else {
            return self.notice(message.topic.as_str(), "the payload is no text, so no trigger can read it");
        };
        for candidate in self.candidates(&declared, &waiting) {
            if let TriggerKind::Mqtt(kind) = &candidate.trigger.kind
                && kind.fires(&text)
            {
                self.fire(&candidate, kind.variable(candidate.trigger, &text));
            }
        }
    }

    /// Asks the triggers that listen to an entity.
    pub(crate) fn on_change(&mut self, change: &Change) {
        let declared = self.routes.of_entity(&self.home.routes, &change.entity_id);
        let waiting = self.listening.of_entity(&change.entity_id);
        for candidate in self.candidates(&declared, &waiting) {
            match &candidate.trigger.kind {
                TriggerKind::State(kind) => self.on_state(&candidate, kind, change),
                TriggerKind::NumericState(kind) => self.on_number(&candidate, kind, change),
                TriggerKind::Time(_) => self.schedule(&candidate.listener, candidate.trigger),
                TriggerKind::Mqtt(_)
                | TriggerKind::Template(_)
                | TriggerKind::Event(_)
                | TriggerKind::TimePattern(_)
                | TriggerKind::Sun(_)
                | TriggerKind::HomeAssistant(_)
                | TriggerKind::Node(_) => {}
            }
        }
        self.render_watched(change);
        self.refresh_groups_of(&change.entity_id);
    }

    /// Asks the triggers that listen to an event's type.
    pub(crate) fn on_event(&mut self, event: &Event) {
        let declared = self.home.routes.of_event(&event.event_type);
        let waiting = self.listening.of_event(&event.event_type);
        for candidate in self.candidates(&declared, &waiting) {
            if let TriggerKind::Event(kind) = &candidate.trigger.kind
                && kind.fires(event)
            {
                self.fire(&candidate, kind.variable(candidate.trigger, event));
            }
        }
    }

    /// The home starts.
    pub(crate) fn on_start(&mut self) {
        for candidate in self.candidates(self.home.routes.of_home(), &self.listening.of_home()) {
            if let TriggerKind::HomeAssistant(kind) = &candidate.trigger.kind
                && kind.is_start
            {
                self.fire(&candidate, kind.variable(candidate.trigger));
            }
        }
    }

    /// A node came, went, or began to lead.
    pub(crate) fn on_node_event(&mut self, node: NodeId, event: NodeEvent) {
        for candidate in self.candidates(self.home.routes.of_home(), &self.listening.of_home()) {
            if let TriggerKind::Node(kind) = &candidate.trigger.kind
                && kind.fires(node, event)
            {
                self.fire(&candidate, kind.variable(candidate.trigger, node));
            }
        }
    }

    /// A trigger's `for:` has passed without its entity changing its mind.
    pub(crate) fn on_held(&mut self, row: TriggerFor) {
        if let Some(candidate) = self.candidate(&row.key.listener) {
            self.fire(&candidate, row.variable);
        }
    }

    fn on_state(&mut self, candidate: &Candidate<'s>, kind: &StateTrigger, change: &Change) {
        let key = candidate.key(change);
        if let Some((timer_id, timer)) = self.rows.timers.in_slot(&Slot::Trigger(key.clone()))
            && let Purpose::TriggerFor(row) = &timer.purpose
        {
            if kind.holds_on(&change.to, &row.previous, &row.held) {
                // An attribute or a forced update moved; the state that it waits for still holds.
                return;
            }
            self.cancel_timer(timer_id);
        }
        match kind.react(candidate.trigger, change) {
            Reaction::Nothing => {}
            Reaction::Fire(variable) => self.fire(candidate, variable),
            Reaction::Hold(span, variable) => {
                let (previous, held) = (kind.read_view(&change.from), kind.read_view(&change.to));
                self.hold(candidate, &span, TriggerFor { key, held, previous, variable });
            }
        }
    }

    fn on_number(&mut self, candidate: &Candidate<'s>, kind: &NumericStateTrigger, change: &Change) {
        let key = candidate.key(change);
        let context = kind.context(candidate.trigger, change).with_world(self.world());
        let inside = kind.holds(&self.scene(&context), &change.entity_id, &change.to);
        drop(context);
        if !matches!(inside, Ok(true)) {
            self.cancel_slot(&Slot::Trigger(key.clone()));
        }
        match inside {
            // What is no number leaves the memory of the last crossing alone.
            Err(_) => {}
            Ok(false) => {
                self.rows.armed.insert(key);
            }
            Ok(true) if self.rows.armed.remove(&key) => {
                let variable = kind.variable(candidate.trigger, change);
                match &kind.hold {
                    None => self.fire(candidate, variable),
                    Some(span) => {
                        let row = TriggerFor { key, held: Data::Null, previous: Data::Null, variable };
                        self.hold(candidate, span, row);
                    }
                }
            }
            Ok(true) => {}
        }
    }

    /// Promises that a trigger fires after a span unless its entity changes its mind.
    pub(crate) fn hold(&mut self, candidate: &Candidate<'s>, span: &Span, mut row: TriggerFor) {
        let rendered = {
            let mut context = self.base_context(candidate);
            context.set("trigger", row.variable.clone());
            span.render(&context)
        };
        match rendered {
            Err(error) => {
                self.notice(candidate.automation.id.as_str(), format!("its `for` is wrong: {error}"))
            }
            Ok(span) => {
                if let Data::Map(map) = &mut row.variable {
                    map.insert("for".to_owned(), Data::Text(timedelta_text(span)));
                }
                self.set_timer(self.now().after(span), Purpose::TriggerFor(row));
            }
        }
    }

    /// What a trigger's own templates see: the variables of the run that waits, or those that the
    /// automation gives its triggers.
    pub(crate) fn base_context(&mut self, candidate: &Candidate<'s>) -> Context {
        let variables = match candidate.listener.owner {
            Owner::Automation(_) => None,
            Owner::Run(run_id) => self.rows.runs.get(run_id).map(|run| run.variables.clone()),
        };
        let mut context = Context::from(variables.unwrap_or_default()).with_world(self.world());
        if matches!(candidate.listener.owner, Owner::Automation(_)) {
            self.add_this(candidate.automation, &mut context);
        }
        if matches!(candidate.listener.owner, Owner::Automation(_))
            && let Err(failure) = candidate.automation.trigger_variables.add_to(&mut context)
        {
            self.notice(candidate.automation.id.as_str(), failure.text);
        }
        context
    }

    /// A trigger fired: the run that waits for it goes on, or its automation starts one if the
    /// conditions hold and its mode allows.
    pub(crate) fn fire(&mut self, candidate: &Candidate<'s>, variable: Data) {
        match candidate.listener.owner {
            Owner::Run(run_id) => self.wait_is_over(run_id, Some(variable)),
            Owner::Automation(_) => self.trigger(candidate, variable),
        }
        self.run_ready();
    }

    fn trigger(&mut self, candidate: &Candidate<'s>, variable: Data) {
        let automation = candidate.automation;
        if let Some(reason) = self.quarantine_reason(automation) {
            return self.miss(automation, Some(&variable), &reason, Vec::new());
        }
        let mut context = self.base_context(candidate);
        context.set("trigger", variable);
        let variables = [&candidate.trigger.variables, &automation.variables];
        let added = variables.into_iter().try_for_each(|variables| variables.add_to(&mut context));
        self.record(automation.stored_traces > 0);
        let asked = match added {
            Err(failure) => Err(format!("its variables can not be rendered: {}", failure.text)),
            Ok(()) => all_hold(&automation.conditions, &self.scene(&context)),
        };
        context.set_world(None);
        let conditions = self.recorded();
        let asked = asked.and_then(|()| self.hold_back(automation));
        match asked {
            Ok(()) => match self.start(automation, context, None) {
                Some(run_id) => {
                    self.count_start(automation);
                    self.rows.traces.set_conditions(run_id, conditions);
                }
                None => self.rows.traces.set_miss_conditions(&automation.id, conditions),
            },
            Err(reason) => {
                self.miss(automation, context.variables().get("trigger"), &reason, conditions);
                self.effect(Effect::RunSkipped { automation: automation.id.clone(), reason });
            }
        }
    }

    /// The triggers of automations in the order of the files, then those of runs.
    pub(crate) fn candidates(&self, declared: &[TriggerRef], waiting: &[Waiting]) -> Vec<Candidate<'s>> {
        let declared = declared.iter().filter_map(|reference| {
            let automation = self.home.automations.get(reference.automation).filter(|one| self.is_on(one))?;
            let trigger = automation.triggers.get(reference.trigger)?;
            let listener = Listener::of_automation(&automation.id, trigger.place);
            Some(Candidate { listener, automation, trigger })
        });
        let waiting =
            waiting.iter().filter_map(|(run_id, place)| self.candidate(&Listener::of_run(*run_id, *place)));
        declared.chain(waiting).collect()
    }

    /// The trigger behind a listener, while it listens.
    pub(crate) fn candidate(&self, listener: &Listener) -> Option<Candidate<'s>> {
        let home = self.home;
        let (automation, triggers) = match &listener.owner {
            Owner::Automation(id) => {
                let automation = home.automation(id)?;
                (automation, &automation.triggers)
            }
            Owner::Run(run_id) => {
                let run = self.rows.runs.get(*run_id)?;
                let automation = home.automation(&run.automation)?;
                (automation, run.awaited_triggers(automation)?)
            }
        };
        let trigger = triggers.iter().find(|trigger| trigger.place == listener.place)?;
        Some(Candidate { listener: listener.clone(), automation, trigger })
    }
}
