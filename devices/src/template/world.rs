//! The home as templates see it: who answers `states('light.hall')` and `now()`, and what a
//! rendering asked for.

use crate::{Data, EntityId, Timestamp};
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

impl Seen {
    /// Returns the form in which templates see it as a variable: Home Assistant's state object.
    pub fn into_data(self, entity_id: &EntityId) -> Data {
        let name = self.attributes.get("friendly_name").cloned();
        let name = name.unwrap_or_else(|| Data::Text(entity_id.object_id().replace('_', " ")));
        Data::Map(BTreeMap::from([
            ("entity_id".to_owned(), entity_id.as_str().into()),
            ("domain".to_owned(), entity_id.domain().into()),
            ("object_id".to_owned(), entity_id.object_id().into()),
            ("name".to_owned(), name),
            ("state".to_owned(), Data::Text(self.state)),
            ("attributes".to_owned(), Data::Map(self.attributes)),
            ("last_changed".to_owned(), Data::Time(self.last_changed)),
            ("last_updated".to_owned(), Data::Time(self.last_updated)),
        ]))
    }
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
