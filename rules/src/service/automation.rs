//! `automation.*`: automations are turned on and off, and triggered by hand.

use super::{Caller, Served};
use crate::action::Failure;
use crate::action::call::Request;
use crate::automation::Automation;
use crate::condition::logic::all_hold;
use crate::listener::Listener;
use crate::react::Candidate;
use crate::standing::word;
use crate::work::Work;
use crate::{Effect, Ended};
use gable_devices::{Context, Data, EntityId};
use std::collections::BTreeMap;
use std::sync::Arc;

impl<'s> Work<'s> {
    pub(super) fn serve_automations(
        &mut self,
        entity_ids: &[EntityId],
        service: &str,
        request: &Request,
        caller: Caller,
    ) -> Result<Served, Failure> {
        let home = self.home;
        let mut served = Served::Done;
        for entity_id in entity_ids {
            let Some(automation) = home.by_entity_id(entity_id) else {
                self.notice(entity_id.to_string(), "there is no such automation; it was not told anything");
                continue;
            };
            let stops = request.boolean("stop_actions", true);
            match service {
                "turn_on" => self.turn_automation(automation, true, stops),
                "turn_off" => self.turn_automation(automation, false, stops),
                "toggle" => self.turn_automation(automation, !self.shows_on(automation), stops),
                "trigger" => {
                    let skips = request.boolean("skip_condition", true);
                    if self.trigger_by_hand(automation, skips, caller) {
                        served = Served::Waits;
                    }
                }
                _ => {
                    let text = format!("there is no service `{}`", request.called);
                    return Err(Failure::mistake(text));
                }
            }
        }
        Ok(served)
    }

    /// Whether an automation's triggers listen.
    pub(crate) fn is_on(&self, automation: &Automation) -> bool {
        self.rows.standings.get(&automation.id).is_none_or(|standing| standing.is_on)
    }

    /// Whether it is on as people see it: one that is set apart is off.
    fn shows_on(&self, automation: &Automation) -> bool {
        self.rows.standings.get(&automation.id).is_none_or(|standing| standing.shows_on())
    }

    /// Turns an automation on or off; its triggers begin to listen or forget everything.
    fn turn_automation(&mut self, automation: &'s Automation, on: bool, stops: bool) {
        let was_on = self.is_on(automation);
        let shows_on = self.shows_on(automation);
        if was_on != on {
            let before = self.standing_view(automation);
            let now = self.rows.now;
            if let Some(standing) = Arc::make_mut(&mut self.rows.standings).get_mut(&automation.id) {
                (standing.is_on, standing.changed) = (on, now);
            }
            let shows_after = self.shows_on(automation);
            if shows_on != shows_after {
                let entity_id = automation.entity_id.clone();
                self.effect(Effect::EntityChanged { entity_id, from: word(shows_on), to: word(shows_after) });
            }
            self.tell_of_standing(automation, before);
        }
        if on {
            // Whoever turns it on has looked at it.
            self.release(&automation.id);
        }
        if on && !was_on {
            self.attach_automation(automation);
        } else if !on && was_on {
            for trigger in &automation.triggers {
                self.detach(&Listener::of_automation(&automation.id, trigger.place), trigger);
            }
        }
        if !on && stops {
            self.end_all(&automation.id, &Ended::Stopped);
        }
    }

    /// The triggers of an automation begin to listen.
    pub(crate) fn attach_automation(&mut self, automation: &'s Automation) {
        for trigger in automation.triggers.iter().filter(|trigger| trigger.is_enabled) {
            let listener = Listener::of_automation(&automation.id, trigger.place);
            let candidate = Candidate { listener, automation, trigger };
            let context = self.base_context(&candidate);
            self.attach(&candidate.listener, trigger, &context);
        }
    }

    /// Starts an automation without any of its triggers. Returns whether the caller waits for it.
    fn trigger_by_hand(&mut self, automation: &Automation, skips_conditions: bool, caller: Caller) -> bool {
        if let Some(reason) = self.quarantine_reason(automation) {
            self.miss(automation, None, &reason, Vec::new());
            return false;
        }
        let mut context = Context::default().with_world(self.world());
        self.add_this(automation, &mut context);
        let trigger = BTreeMap::from([
            ("platform".to_owned(), Data::Null),
            ("description".to_owned(), "automation.trigger".into()),
        ]);
        context.set("trigger", Data::Map(trigger));
        let asked = match automation.variables.add_missing_to(&mut context) {
            Err(failure) => Err(format!("its variables can not be rendered: {}", failure.text)),
            Ok(()) if skips_conditions => Ok(()),
            Ok(()) => all_hold(&automation.conditions, &self.scene(&context)),
        };
        context.set_world(None);
        match asked.and_then(|()| self.hold_back(automation)) {
            Ok(()) => {
                let has_started = self.start(automation, context, Some(caller.run_id)).is_some();
                if has_started {
                    self.count_start(automation);
                }
                has_started
            }
            Err(reason) => {
                self.miss(automation, context.variables().get("trigger"), &reason, Vec::new());
                self.effect(Effect::RunSkipped { automation: automation.id.clone(), reason });
                false
            }
        }
    }
}
