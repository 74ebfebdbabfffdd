//! Triggers begin to listen, and cease to: what each kind has to remember from then on.

use crate::condition::template::is_true;
use crate::listener::{Listener, Owner};
use crate::react::Candidate;
use crate::timer::{Purpose, Slot, TriggerFor, TriggerKey};
use crate::trigger::template::TemplateTrigger;
use crate::trigger::{Change, Trigger, TriggerKind};
use crate::watch::{Watch, Watcher};
use crate::work::Work;
use gable_devices::{Context, Data, EntityId, Millis, Reads, Timestamp};

/// Templates that ask for the time are rendered again at each full minute.
const MINUTE_MS: i64 = 60_000;

impl<'s> Work<'s> {
    /// Lets a trigger listen. `context` is what its templates see.
    pub(crate) fn attach(&mut self, listener: &Listener, trigger: &Trigger, context: &Context) {
        if let Owner::Run(run_id) = listener.owner {
            self.listening.add((run_id, listener.place), trigger, context.variables());
        }
        match &trigger.kind {
            TriggerKind::NumericState(kind) => {
                // It fires at the first number inside its range, unless it is inside already.
                for entity_id in &kind.entity_ids {
                    let scene = crate::condition::Scene { record: None, ..self.scene(context) };
                    let inside = scene.view(entity_id).and_then(|view| kind.holds(&scene, entity_id, &view));
                    if inside == Ok(false) {
                        let entity_id = Some(entity_id.clone());
                        self.rows.armed.insert(TriggerKey { listener: listener.clone(), entity_id });
                    }
                }
            }
            TriggerKind::Template(kind) => {
                let (text, reads) = kind.template.render_tracked(context);
                // While it can not be rendered nobody knows that it is false, so that what makes it
                // true is no rise.
                let was = !text.is_ok_and(|text| !is_true(&text));
                self.watch(Watcher::Trigger(listener.clone()), reads, was);
            }
            TriggerKind::Time(_) | TriggerKind::TimePattern(_) | TriggerKind::Sun(_) => {
                self.schedule(listener, trigger);
            }
            TriggerKind::Mqtt(_)
            | TriggerKind::State(_)
            | TriggerKind::Event(_)
            | TriggerKind::HomeAssistant(_)
            | TriggerKind::Node(_) => {}
            TriggerKind::Sequence(kind) => {
                for step in &kind.steps {
                    self.attach(&Listener::of_step(listener, step.trigger.place), &step.trigger, context);
                }
            }
        }
    }

    /// Lets a trigger forget everything.
    pub(crate) fn detach(&mut self, listener: &Listener, trigger: &Trigger) {
        if let Owner::Run(run_id) = listener.owner {
            self.listening.remove((run_id, listener.place), trigger);
        }
        for entity_id in trigger.entity_ids() {
            let key = TriggerKey { listener: listener.clone(), entity_id: Some(entity_id.clone()) };
            self.rows.armed.remove(&key);
            self.cancel_slot(&Slot::ForGap(key.clone()));
            self.cancel_slot(&Slot::Trigger(key));
        }
        self.unschedule(listener, trigger);
        if let TriggerKind::Sequence(kind) = &trigger.kind {
            self.detach_sequence(listener, kind);
        }
        if let TriggerKind::Template(_) = trigger.kind {
            self.rows.watches.remove(&Watcher::Trigger(listener.clone()));
            self.cancel_slot(&Slot::Trigger(TriggerKey { listener: listener.clone(), entity_id: None }));
        }
    }

    /// Remembers what a template looked at and whether it was true.
    pub(crate) fn watch(&mut self, watcher: Watcher, reads: Reads, was: bool) {
        let asks_time = reads.time;
        self.rows.watches.insert(watcher, Watch { reads, was });
        if asks_time && self.rows.timers.in_slot(&Slot::Minute).is_none() {
            let next = self.rows.now.0.div_euclid(MINUTE_MS).saturating_add(1).saturating_mul(MINUTE_MS);
            self.set_timer(Timestamp(next), Purpose::Minute);
        }
    }

    /// A full minute has come.
    pub(crate) fn on_minute(&mut self) {
        let watchers: Vec<Watcher> = self.rows.watches.of_time().iter().cloned().collect();
        for watcher in &watchers {
            self.render_again(watcher, None);
        }
        if !self.rows.watches.of_time().is_empty() && self.rows.timers.in_slot(&Slot::Minute).is_none() {
            let next = self.rows.now.0.div_euclid(MINUTE_MS).saturating_add(1).saturating_mul(MINUTE_MS);
            self.set_timer(Timestamp(next), Purpose::Minute);
        }
    }

    /// Renders the templates again that a change may concern.
    pub(crate) fn render_watched(&mut self, change: &Change) {
        for watcher in self.rows.watches.of_entity(&change.entity_id) {
            if self.window_of(&watcher) == self.look.window {
                self.render_again(&watcher, Some(change));
            }
        }
    }

    /// The windows in which watched templates have to see a change.
    pub(crate) fn watched_windows(&self, entity_id: &EntityId) -> impl Iterator<Item = Millis> {
        let watchers = self.rows.watches.of_entity(entity_id);
        watchers.into_iter().filter_map(|watcher| self.window_of(&watcher))
    }

    /// A run that waits for a template asks how the home is, not what happened first.
    fn window_of(&self, watcher: &Watcher) -> Option<Millis> {
        match watcher {
            Watcher::Trigger(listener) => self.candidate(listener)?.window(),
            Watcher::Wait(_) => None,
        }
    }

    fn render_again(&mut self, watcher: &Watcher, change: Option<&Change>) {
        match watcher {
            Watcher::Trigger(listener) => {
                let Some(candidate) = self.candidate(listener) else { return };
                if let TriggerKind::Template(kind) = &candidate.trigger.kind {
                    self.on_template(&candidate, kind, watcher, change);
                }
            }
            Watcher::Wait(run_id) => {
                let home = self.home;
                let Some(run) = self.rows.runs.get(*run_id) else { return };
                let template =
                    home.automation(&run.automation).and_then(|automation| run.awaited_template(automation));
                let Some(template) = template else { return };
                let context = Context::from(run.variables.clone()).with_world(self.world());
                let (text, reads) = template.render_tracked(&context);
                drop(context);
                if text.is_ok_and(|text| is_true(&text)) {
                    self.wait_is_over(*run_id, None);
                    self.run_ready();
                } else {
                    self.watch(watcher.clone(), reads, false);
                }
            }
        }
    }

    fn on_template(
        &mut self,
        candidate: &Candidate<'s>,
        kind: &TemplateTrigger,
        watcher: &Watcher,
        change: Option<&Change>,
    ) {
        let Some(was) = self.rows.watches.get(watcher).map(|watch| watch.was) else { return };
        let (text, reads) = kind.template.render_tracked(&self.base_context(candidate));
        let Ok(text) = text else {
            // What can not be rendered says nothing: what it said before stays.
            self.watch(watcher.clone(), reads, was);
            return;
        };
        let is = is_true(&text);
        self.watch(watcher.clone(), reads, is);
        let key = TriggerKey { listener: candidate.listener.clone(), entity_id: None };
        if !is {
            self.cancel_slot(&Slot::Trigger(key));
        } else if !was {
            let variable = kind.variable(candidate.trigger, change);
            match &kind.hold {
                None => self.fire(candidate, variable),
                Some(span) => {
                    let row = TriggerFor { key, held: Data::Null, previous: Data::Null, variable };
                    self.hold(candidate, span, row);
                }
            }
        }
    }
}
