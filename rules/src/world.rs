//! The home as templates see it: a view of the rows at one moment.

use crate::RunId;
use crate::calendar::Calendar;
use crate::entity::EntityState;
use crate::helper::HelperKind;
use crate::home::Home;
use crate::standing::{self, Standings};
use crate::state::Rows;
use crate::view::View;
use gable_devices::{Entities, EntityId, Group, Seen, Timestamp, World};
use jiff::civil::DateTime;
use std::collections::{BTreeMap, BTreeSet};
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
    pub(crate) home: Arc<Home>,
    pub(crate) standings: Arc<Standings>,
    pub(crate) running: Arc<BTreeMap<String, BTreeSet<RunId>>>,
}

impl HomeView {
    /// The home as it is now, for the rendering of this number.
    pub(crate) fn of(rows: &Rows, home: &Arc<Home>, declared: &Arc<Entities>, rendering: u64) -> HomeView {
        HomeView {
            now: rows.now,
            seed: rows.index.0.wrapping_mul(0x1_0000).wrapping_add(rendering),
            entities: Arc::clone(&rows.entities),
            declared: Arc::clone(declared),
            calendar: rows.calendar.clone(),
            home: Arc::clone(home),
            standings: Arc::clone(&rows.standings),
            running: rows.runs.counts(),
        }
    }

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
        let view = match self.entities.get(&entity_id) {
            Some(entity) => View::new(entity, self.declared.get(&entity_id)),
            None => {
                let running = |id: &str| self.running.get(id).map_or(0, BTreeSet::len);
                standing::view(&self.home, &self.standings, running, &entity_id)?
            }
        };
        Some(Seen {
            state: view.state,
            attributes: view.attributes,
            last_changed: view.last_changed,
            last_updated: view.last_updated,
        })
    }

    fn entity_ids(&self, domain: Option<&str>) -> Vec<String> {
        let wanted = |entity_id: &&EntityId| domain.is_none_or(|domain| entity_id.domain() == domain);
        let own = self.home.own_entity_ids().filter(|id| domain.is_none_or(|domain| id.domain() == domain));
        let mut found: Vec<String> = self.entities.keys().filter(wanted).map(ToString::to_string).collect();
        found.extend(own.map(|id| id.to_string()));
        found.sort();
        found
    }

    fn members(&self, kind: Group, name: &str) -> Vec<String> {
        let group = || {
            let helper = self.home.helper(&name.parse().ok()?)?;
            match &helper.kind {
                HelperKind::Group(group) => Some(group.members.as_slice()),
                _ => None,
            }
        };
        let members = self.home.areas.of(kind, name).or_else(|| (kind == Group::Group).then(group).flatten());
        members.unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    fn seed(&self) -> u64 {
        self.seed
    }
}
