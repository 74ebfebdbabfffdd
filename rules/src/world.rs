//! The home as templates see it: a view of the rows at one moment.

use crate::calendar::Calendar;
use crate::entity::EntityState;
use crate::view::View;
use gable_devices::{Entities, EntityId, Group, Seen, Timestamp, World};
use jiff::civil::DateTime;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What templates may ask. It shares the rows: whoever changes them while one is kept copies them.
#[derive(Debug)]
pub(crate) struct HomeView {
    pub(crate) now: Timestamp,
    /// Derives from the log: where random numbers start.
    pub(crate) seed: u64,
    pub(crate) entities: Arc<BTreeMap<EntityId, EntityState>>,
    pub(crate) declared: Arc<Entities>,
    /// UTC counts without one.
    pub(crate) calendar: Option<Arc<Calendar>>,
}

impl HomeView {
    fn calendar(&self) -> &Calendar {
        self.calendar.as_deref().unwrap_or(Calendar::utc())
    }
}

impl World for HomeView {
    fn now(&self) -> Timestamp {
        self.now
    }

    fn utc_offset(&self, at: Timestamp) -> i32 {
        self.calendar().offset_at(at)
    }

    fn to_instant(&self, local: DateTime) -> Timestamp {
        self.calendar().to_instant(local)
    }

    fn entity(&self, entity_id: &str) -> Option<Seen> {
        let entity_id = entity_id.parse().ok()?;
        let view = View::new(self.entities.get(&entity_id)?, self.declared.get(&entity_id));
        Some(Seen {
            state: view.state,
            attributes: view.attributes,
            last_changed: view.last_changed,
            last_updated: view.last_updated,
        })
    }

    fn entity_ids(&self, domain: Option<&str>) -> Vec<String> {
        let wanted = |entity_id: &&EntityId| domain.is_none_or(|domain| entity_id.domain() == domain);
        self.entities.keys().filter(wanted).map(|entity_id| entity_id.to_string()).collect()
    }

    fn members(&self, _kind: Group, _name: &str) -> Vec<String> {
        Vec::new()
    }

    fn seed(&self) -> u64 {
        self.seed
    }
}
