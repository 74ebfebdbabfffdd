//! The home as templates see it: who answers `states('light.hall')` and `now()`, and what a
//! rendering asked for.

use crate::{Data, Timestamp};
use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The home as templates see it at one moment. All answers are functions of the log, so that a
/// template renders alike on every node.
pub trait World: fmt::Debug + Send + Sync + 'static {
    /// The entry's time.
    fn now(&self) -> Timestamp;

    /// How many seconds east of UTC the home's clocks stand at that instant.
    fn utc_offset(&self, at: Timestamp) -> i32;

    /// The instant at which the home's clocks show `local`: moved forward where clocks skip it, the
    /// first of two where they show it twice.
    fn to_instant(&self, local: DateTime) -> Timestamp;

    /// What is known of an entity.
    fn entity(&self, entity_id: &str) -> Option<Seen>;

    /// All entities, or those of one domain, in order.
    fn entity_ids(&self, domain: Option<&str>) -> Vec<String>;

    /// The entities of an area, a label or a group, in order; none for a name that is not known.
    fn members(&self, kind: Group, name: &str) -> Vec<String>;

    /// A number that derives from the log index: where `random` starts.
    fn seed(&self) -> u64;
}

/// An entity at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    pub state: String,
    pub attributes: BTreeMap<String, Data>,
    pub last_changed: Timestamp,
    pub last_updated: Timestamp,
}

/// A way in which entities are gathered under one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    Area,
    Label,
    Group,
}

/// What one rendering looked at. When none of that changes, it renders alike.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reads {
    /// Entities, also those that do not exist.
    pub entities: BTreeSet<String>,
    /// Domains whose entities it went through.
    pub domains: BTreeSet<String>,
    /// Whether it went through all entities.
    pub all: bool,
    /// Whether it asked for the time.
    pub time: bool,
}

impl Reads {
    /// Returns whether a change of this entity may change what was rendered.
    pub fn concerns(&self, entity_id: &str) -> bool {
        let domain = entity_id.split('.').next().unwrap_or_default();
        self.all || self.entities.contains(entity_id) || self.domains.contains(domain)
    }

    /// Adds what another rendering looked at.
    pub fn extend(&mut self, other: Reads) {
        self.entities.extend(other.entities);
        self.domains.extend(other.domains);
        self.all |= other.all;
        self.time |= other.time;
    }
}
