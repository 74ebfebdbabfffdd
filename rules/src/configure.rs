//! The home's files are replaced: what goes on as it was, what begins anew, what ends.

use crate::automation::Automation;
use crate::entity::{EntityState, UNKNOWN};
use crate::home::Home;
use crate::listener::Listener;
use crate::timer::Slot;
use crate::work::{Happening, Work};
use crate::{Effect, Ended};
use gable_devices::{Entities, Entity, EntityId, Value};
use std::sync::Arc;

impl Work<'_> {
    /// Fits the rows to the home that the new files make; `before` and `declared_before` were in force.
    pub(crate) fn on_configured(&mut self, before: &Home, declared_before: &Entities) {
        self.fit_entities(declared_before);
        let home = self.home;
        self.rows.traces.retain_misses(|id| home.automation(id).is_some());
        self.fit_helpers();
        self.fit_errands();
        self.fit_standings(|automation| goes_on(before, automation));
        self.attach_new(before);
        // The entities that triggers ask for the time may have come or gone.
        self.schedule_all();
        self.tell_of_calendar();
        if std::mem::take(&mut self.rows.lives.is_untold) {
            self.happen(Happening::Start);
        }
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        self.effect(Effect::Configured {
            entities: count(self.declared.len()),
            automations: count(self.home.automations.iter().filter(|one| !one.is_script).count()),
            broken: count(self.home.broken.len() + self.home.unsupported.len()),
        });
    }

    /// Automations that `next` does not have as they are end, with their runs and their memory. It
    /// runs while their own definition is still in force.
    pub(crate) fn leave_home(&mut self, next: &Home) {
        let home = self.home;
        for automation in home.automations.iter().filter(|automation| !goes_on(next, automation)) {
            self.end_all(&automation.id, &Ended::Replaced);
            self.release(&automation.id);
            for trigger in &automation.triggers {
                self.detach(&Listener::of_automation(&automation.id, trigger.place), trigger);
            }
        }
    }

    /// Says once that times count in UTC because nobody has said yet what the home's clocks show.
    fn tell_of_calendar(&mut self) {
        let matters = !self.home.routes.timed().is_empty();
        if matters && self.rows.calendar.is_none() && !self.rows.has_told_of_calendar {
            self.rows.has_told_of_calendar = true;
            let text =
                "there is no calendar yet: until then times count in UTC, and the sun fires no trigger";
            self.notice("calendar", text);
        }
    }

    fn fit_entities(&mut self, before: &Entities) {
        let gone: Vec<EntityId> = self
            .rows
            .entities
            .keys()
            .filter(|entity_id| {
                self.declared.get(entity_id).is_none()
                    && !self.home.keeps(entity_id)
                    && !self.rows.scenes.contains_key(entity_id)
            })
            .cloned()
            .collect();
        for entity_id in gone {
            self.drop_entity(&entity_id);
        }
        for declared in self.declared.iter() {
            self.fit_entity(declared, before.get(declared.id()));
        }
    }

    /// Forgets an entity that is no longer one of the home's.
    pub(crate) fn drop_entity(&mut self, entity_id: &EntityId) {
        Arc::make_mut(&mut self.rows.entities).remove(entity_id);
        self.cancel_slot(&Slot::OffDelay(entity_id.clone()));
        self.cancel_slot(&Slot::ExpireAfter(entity_id.clone()));
        self.cancel_slot(&Slot::Helper(entity_id.clone()));
    }

    /// Fits what is known of an entity to its declaration; `former` was the one in force.
    pub(crate) fn fit_entity(&mut self, declared: &Entity, former: Option<&Entity>) {
        {
            let entity_id = declared.id();
            let now = self.rows.now;
            match Arc::make_mut(&mut self.rows.entities).get_mut(entity_id) {
                None => {
                    let entity = EntityState::new(now, declared);
                    Arc::make_mut(&mut self.rows.entities).insert(entity_id.clone(), entity);
                }
                Some(entity) => {
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

    /// Helpers that are new come into being, the others fit their declarations.
    fn fit_helpers(&mut self) {
        let home = self.home;
        for helper in home.kept.iter() {
            let entity_id = &helper.entity_id;
            let current = self.rows.entities.get(entity_id).map(|entity| entity.value.clone());
            let value = {
                let world = self.world();
                match &current {
                    Some(current) => helper.fit(current, &*world),
                    None => helper.first(&*world),
                }
            };
            let entities = Arc::make_mut(&mut self.rows.entities);
            match current {
                None => {
                    entities.insert(entity_id.clone(), EntityState::kept(self.rows.now, value));
                }
                Some(current) if current.state != value.state => self.assign(entity_id, value),
                Some(_) => {
                    if let Some(entity) = entities.get_mut(entity_id) {
                        entity.assign(value);
                    }
                }
            }
        }
        for helper in home.kept.iter() {
            if self.refresh_group(helper) {
                self.refresh_groups_of(&helper.entity_id);
            }
        }
        for scene in home.scenes() {
            let entities = Arc::make_mut(&mut self.rows.entities);
            let state = entities.get(&scene.entity_id).map(|entity| entity.value.state.clone());
            let state = state.unwrap_or_else(|| UNKNOWN.to_owned());
            let value = Value { state, attributes: scene.attributes.clone() };
            let new = || EntityState::kept(self.rows.now, Value::default());
            entities.entry(scene.entity_id.clone()).or_insert_with(new).assign(value);
            // What the files declare goes before what a service has made.
            self.rows.scenes.remove(&scene.entity_id);
        }
    }

    /// The triggers of automations that are new begin to listen.
    fn attach_new(&mut self, before: &Home) {
        let home = self.home;
        let new = home.automations.iter().filter(|automation| !goes_on(before, automation));
        for automation in new {
            if self.is_on(automation) {
                self.attach_automation(automation);
            }
        }
    }
}

/// Whether `home` has the automation as it is.
fn goes_on(home: &Home, automation: &Automation) -> bool {
    home.automation(&automation.id).is_some_and(|other| other.definition == automation.definition)
}
