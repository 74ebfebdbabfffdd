//! The home's files are replaced: what goes on as it was, what begins anew, what ends.

use crate::automation::Automation;
use crate::entity::EntityState;
use crate::home::Home;
use crate::timer::{Purpose, Slot, TriggerKey};
use crate::trigger::TriggerKind;
use crate::work::Work;
use crate::{Effect, Ended, TimerId};
use gable_devices::{Context, Entities, EntityId};
use std::collections::BTreeSet;

impl Work<'_> {
    /// Fits the rows to the home that the new files make; `before` and `declared_before` were in force.
    pub(crate) fn on_configured(&mut self, before: &Home, declared_before: &Entities) {
        self.fit_automations(before);
        self.fit_entities(declared_before);
        self.arm_triggers(before);
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        self.effect(Effect::Configured {
            entities: count(self.declared.len()),
            automations: count(self.home.automations.len()),
            broken: count(self.home.broken.len() + self.home.unsupported.len()),
        });
    }

    /// Automations that say what they said go on, with their runs and their memory; the others end.
    fn fit_automations(&mut self, before: &Home) {
        let home = self.home;
        for automation in before.automations.iter().filter(|automation| !goes_on(home, automation)) {
            self.end_all(&automation.id, &Ended::Replaced);
        }
        let kept = |key: &TriggerKey| before.automation(&key.automation).is_some_and(|it| goes_on(home, it));
        let is_obsolete = |(timer_id, purpose): (TimerId, &Purpose)| match purpose {
            Purpose::TriggerFor(row) => (!kept(&row.key)).then_some(timer_id),
            Purpose::RunDelay(_)
            | Purpose::CommandExpiry(_)
            | Purpose::OffDelay(_)
            | Purpose::ExpireAfter(_) => None,
        };
        let timers = self.rows.timers.iter().map(|(timer_id, timer)| (timer_id, &timer.purpose));
        let obsolete: Vec<TimerId> = timers.filter_map(is_obsolete).collect();
        for timer_id in obsolete {
            self.cancel_timer(timer_id);
        }
        self.rows.armed.retain(|key| kept(key));
    }

    fn fit_entities(&mut self, before: &Entities) {
        let gone: Vec<EntityId> = self
            .rows
            .entities
            .keys()
            .filter(|entity_id| self.declared.get(entity_id).is_none())
            .cloned()
            .collect();
        for entity_id in gone {
            self.rows.entities.remove(&entity_id);
            self.cancel_slot(&Slot::OffDelay(entity_id.clone()));
            self.cancel_slot(&Slot::ExpireAfter(entity_id));
        }
        for declared in self.declared.iter() {
            let entity_id = declared.id();
            let now = self.rows.now;
            match self.rows.entities.get_mut(entity_id) {
                None => {
                    let entity = EntityState::new(now, declared);
                    self.rows.entities.insert(entity_id.clone(), entity);
                }
                Some(entity) => {
                    let former = before.get(entity_id);
                    let former = former.map(|former| former.static_attributes()).unwrap_or_default();
                    entity.redeclare(&former, declared);
                }
            }
            if declared.off_delay().is_none() {
                self.cancel_slot(&Slot::OffDelay(entity_id.clone()));
            }
            if declared.expire_after().is_none() {
                self.cancel_slot(&Slot::ExpireAfter(entity_id.clone()));
            }
        }
    }

    /// Numeric triggers that are new fire at the first number inside their range, unless it is
    /// inside already.
    fn arm_triggers(&mut self, before: &Home) {
        let context = Context::default();
        let mut armed = BTreeSet::new();
        let new = self.home.automations.iter().filter(|automation| !goes_on(before, automation));
        for (automation, trigger) in new.flat_map(|it| it.triggers.iter().map(move |trigger| (it, trigger))) {
            let TriggerKind::NumericState(kind) = &trigger.kind else { continue };
            let scene = self.scene(&context);
            for entity_id in &kind.entity_ids {
                let inside = scene.view(entity_id).and_then(|view| kind.holds(&scene, entity_id, &view));
                if inside == Ok(false) {
                    armed.insert(TriggerKey {
                        automation: automation.id.clone(),
                        trigger: trigger.place,
                        entity_id: entity_id.clone(),
                    });
                }
            }
        }
        self.rows.armed.extend(armed);
    }
}

/// Whether `home` has the automation as it is.
fn goes_on(home: &Home, automation: &Automation) -> bool {
    home.automation(&automation.id).is_some_and(|other| other.definition == automation.definition)
}
