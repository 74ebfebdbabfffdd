//! What triggers make of what happened: they fire at once, begin or end a `for:`, or do nothing.

use crate::automation::Automation;
use crate::condition::logic::all_hold;
use crate::event::Event;
use crate::home::TriggerRef;
use crate::listener::{Listener, Owner, Waiting};
use crate::order::Deferred;
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
use gable_devices::{Context, Data, Millis, Timestamp, topic};
use std::collections::BTreeMap;

/// A trigger that something may concern: one of an automation, or one that a run waits for.
#[derive(Clone)]
pub(crate) struct Candidate<'s> {
    pub(crate) listener: Listener,
    pub(crate) automation: &'s Automation,
    pub(crate) trigger: &'s Trigger,
}

impl Candidate<'_> {
    /// The window in which what happens is put in order for it.
    pub(crate) fn window(&self) -> Option<Millis> {
        self.trigger.ordered.or(self.automation.ordered)
    }

    fn key(&self, change: &Change) -> TriggerKey {
        TriggerKey { listener: self.listener.clone(), entity_id: Some(change.entity_id.clone()) }
    }
}

impl<'s> Work<'s> {
    /// Asks the triggers that listen to a message's topic.
    pub(crate) fn on_message_triggers(&mut self, message: &Message) {
        let declared = self.routes.of_topic(&self.home.routes, &message.topic);
        let waiting = self.listening.of_topic(&message.topic);
        if self.look.window.is_none() {
            for window in self.home.routes.windows.of_topic(&message.topic) {
                self.defer(window, Deferred::Message(message.clone()));
            }
        }
        let hears = |listener: &Listener, trigger: &Trigger| {
            let filters = trigger.rendered_topics(self.variables_of(listener)).unwrap_or_default();
            filters.iter().any(|filter| topic::covers(filter, &message.topic))
        };
        let candidates = self.onlookers(&declared, &waiting, hears);
        if candidates.is_empty() {
            return;
        }
        let Some(text) = MessageText::new(message) else {
            return self.notice(message.topic.as_str(), "the payload is no text, so no trigger can read it");
        };
        for candidate in candidates {
            if let TriggerKind::Mqtt(kind) = &candidate.trigger.kind
                && kind.fires(&text, self.variables_of(&candidate.listener))
            {
                self.fire(&candidate, kind.variable(candidate.trigger, &text));
            }
        }
    }

    /// Asks the triggers that listen to an entity.
    pub(crate) fn on_change(&mut self, change: &Change) {
        let declared = self.routes.of_entity(&self.home.routes, &change.entity_id);
        let waiting = self.listening.of_entity(&change.entity_id);
        if self.look.window.is_none() && !self.home.routes.windows.is_empty {
            let mut windows = self.home.routes.windows.of_entity(&change.entity_id);
            windows.extend(self.watched_windows(&change.entity_id));
            for window in windows {
                self.defer(window, Deferred::Change(change.clone()));
            }
        }
        let sees = |_: &Listener, trigger: &Trigger| trigger.entity_ids().contains(&change.entity_id);
        for candidate in self.onlookers(&declared, &waiting, sees) {
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
                | TriggerKind::Node(_)
                | TriggerKind::Sequence(_) => {}
            }
        }
        self.render_watched(change);
        self.tell_of_change(change);
    }

    /// Asks the triggers that listen to an event's type.
    pub(crate) fn on_event(&mut self, event: &Event) {
        let declared = self.home.routes.of_event(&event.event_type);
        let waiting = self.listening.of_event(&event.event_type);
        if self.look.window.is_none() {
            for window in self.home.routes.windows.of_event(&event.event_type) {
                self.defer(window, Deferred::Event(event.clone()));
            }
        }
        let hears = |_: &Listener, trigger: &Trigger| trigger.event_types().contains(&event.event_type);
        for candidate in self.onlookers(&declared, &waiting, hears) {
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
        self.tell_of_start();
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
            // It began a window after the change; that is no reason to count as later than it was.
            let window = candidate.window().unwrap_or_default();
            self.look.heard.at.wall = Timestamp(self.rows.now.0.saturating_sub_unsigned(window.0));
            self.fire(&candidate, row.variable);
        }
    }

    fn on_state(&mut self, candidate: &Candidate<'s>, kind: &StateTrigger, change: &Change) {
        let key = candidate.key(change);
        let bridged = self.bridge_gap(candidate, kind.gap.as_ref(), kind.is_value(&change.to), change);
        let Some(change) = bridged.as_deref() else { return };
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
        let bridged = self.bridge_gap(candidate, kind.gap.as_ref(), !change.to.is_away(), change);
        let Some(change) = bridged.as_deref() else { return };
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

    /// The variables of the run that waits; what automations give their triggers was rendered before.
    fn variables_of(&self, listener: &Listener) -> &BTreeMap<String, Data> {
        const NONE: &BTreeMap<String, Data> = &BTreeMap::new();
        match listener.owner {
            Owner::Automation(_) => NONE,
            Owner::Run(run_id) => self.rows.runs.get(run_id).map_or(NONE, |run| &run.variables),
        }
    }

    /// A trigger fired: the sequence that it is a step of goes on, or the run that waits for it, or
    /// its automation starts one if the conditions hold and its mode allows.
    pub(crate) fn fire(&mut self, candidate: &Candidate<'s>, mut variable: Data) {
        if self.look.window.is_some()
            && let Data::Map(map) = &mut variable
        {
            map.entry("late".to_owned()).or_insert(Data::Bool(self.look.is_late));
        }
        match (candidate.listener.step, &candidate.listener.owner) {
            (Some(step), _) => self.on_step(candidate, step, variable),
            (None, Owner::Run(run_id)) => self.wait_is_over(*run_id, Some(variable)),
            (None, Owner::Automation(_)) => self.trigger(candidate, variable),
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
        let added = variables.into_iter().try_for_each(|variables| variables.add_missing_to(&mut context));
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

    /// Those candidates that are to look now. In place of sequences stand those of their steps that
    /// `is_meant`, the last first.
    fn onlookers(
        &self,
        declared: &[TriggerRef],
        waiting: &[Waiting],
        is_meant: impl Fn(&Listener, &Trigger) -> bool,
    ) -> Vec<Candidate<'s>> {
        let mut onlookers = Vec::new();
        for candidate in self.candidates(declared, waiting) {
            let Some(sequence) = candidate.trigger.sequence() else {
                onlookers.push(candidate);
                continue;
            };
            let steps = sequence.steps.iter().rev().map(|step| &step.trigger);
            let meant = steps.filter(|step| is_meant(&candidate.listener, step));
            onlookers.extend(meant.map(|step| Candidate {
                listener: Listener::of_step(&candidate.listener, step.place),
                automation: candidate.automation,
                trigger: step,
            }));
        }
        onlookers.retain(|candidate| candidate.window() == self.look.window);
        onlookers
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
        let trigger = match listener.step {
            None => trigger,
            Some(step) => &trigger.sequence()?.step(step)?.trigger,
        };
        Some(Candidate { listener: listener.clone(), automation, trigger })
    }
}
