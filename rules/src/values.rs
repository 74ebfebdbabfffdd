//! What reports do to entities: new values, the timers that go with them, confirmed commands, and
//! the change that triggers will see.

use crate::entity::EntityState;
use crate::timer::{Purpose, Slot};
use crate::trigger::Change;
use crate::view::View;
use crate::work::{Happening, Work};
use crate::{Effect, LogIndex, NodeId};
use gable_devices::{Entity, EntityId, Report, Timestamp, Value};
use std::sync::Arc;

impl Work<'_> {
    /// Takes over what is reported about an entity at once, as one change. `heard_by` is the node that
    /// heard it, and none where the home itself concludes it.
    pub(crate) fn report(&mut self, entity_id: &EntityId, reports: Vec<Report>, heard_by: Option<NodeId>) {
        let Some(declared) = self.declared.get(entity_id) else { return };
        let gives_value = reports.iter().any(|report| match report {
            Report::Update { state, .. } => state.is_some(),
            Report::Unknown | Report::Happened { .. } => true,
            Report::Available { .. } | Report::Described { .. } => false,
        });
        let turns_on =
            |report: &Report| matches!(report, Report::Update { state: Some(state), .. } if state == "on");
        let turned_on = reports.iter().any(turns_on);
        // Two things may happen at one instant.
        let has_happened = reports.iter().any(|report| matches!(report, Report::Happened { .. }));
        let is_forced = has_happened || gives_value && heard_by.is_some() && declared.force_update();
        self.update(entity_id, Some(declared), is_forced, |entity, moment| {
            if let Some(node) = heard_by {
                entity.last_heard = moment.now;
                entity.heard_index = moment.index;
                entity.heard_by = Some(node);
            }
            for report in reports {
                entity.take(declared, report, moment.now);
            }
        });
        if gives_value {
            self.set_value_timers(entity_id, declared, turned_on);
        }
        if heard_by.is_some() {
            self.confirm_by(entity_id);
        }
    }

    /// An entity was not heard of for as long as `expire_after` says.
    pub(crate) fn expire_entity(&mut self, entity_id: &EntityId) {
        let Some(declared) = self.declared.get(entity_id) else { return };
        self.update(entity_id, Some(declared), false, |entity, _| entity.expire(declared));
    }

    /// Gives an entity that the home itself keeps another value.
    pub(crate) fn assign(&mut self, entity_id: &EntityId, value: Value) {
        self.update(entity_id, None, false, |entity, _| entity.assign(value));
    }

    /// Changes an entity by `change` and tells whoever has to know, if anything became another.
    pub(crate) fn update(
        &mut self,
        entity_id: &EntityId,
        declared: Option<&Entity>,
        is_forced: bool,
        change: impl FnOnce(&mut EntityState, Moment),
    ) {
        if self.update_one(entity_id, declared, is_forced, change) {
            self.refresh_groups_of(entity_id);
        }
    }

    /// The same without the groups that follow the entity. Returns whether it became another one.
    pub(crate) fn update_one(
        &mut self,
        entity_id: &EntityId,
        declared: Option<&Entity>,
        is_forced: bool,
        change: impl FnOnce(&mut EntityState, Moment),
    ) -> bool {
        let moment = Moment { now: self.rows.now, index: self.rows.index };
        let cause = self.change_now();
        let Some(entity) = Arc::make_mut(&mut self.rows.entities).get_mut(entity_id) else { return false };
        let from = View::new(entity, declared);
        change(entity, moment);
        let mut to = View::new(entity, declared);
        if from == to && !is_forced {
            return false;
        }
        if from.state != to.state || is_forced {
            entity.last_changed = moment.now;
        }
        entity.last_updated = moment.now;
        entity.change = cause;
        (to.last_changed, to.last_updated) = (entity.last_changed, entity.last_updated);
        self.effect(Effect::EntityChanged {
            entity_id: entity_id.clone(),
            from: from.state.clone(),
            to: to.state.clone(),
        });
        self.happen(Happening::Change(Change { entity_id: entity_id.clone(), from, to }));
        true
    }

    /// Sets or gives up what runs from a report on: `off_delay` and `expire_after`.
    fn set_value_timers(&mut self, entity_id: &EntityId, declared: &Entity, turned_on: bool) {
        match declared.off_delay() {
            Some(delay) if turned_on => {
                let deadline = self.now().after(delay);
                self.set_timer(deadline, Purpose::OffDelay(entity_id.clone()));
            }
            _ => self.cancel_slot(&Slot::OffDelay(entity_id.clone())),
        }
        if let Some(span) = declared.expire_after() {
            let deadline = self.now().after(span);
            self.set_timer(deadline, Purpose::ExpireAfter(entity_id.clone()));
        }
    }
}

/// Where in the log a change happens.
#[derive(Clone, Copy)]
pub(crate) struct Moment {
    now: Timestamp,
    index: LogIndex,
}
