//! What the home knows about one entity.

use crate::trace::Change;
use crate::{LogIndex, NodeId};
use gable_devices::{Data, Entity, Quality, Report, Timestamp, Value};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// Home Assistant's word for an entity that nothing was heard of.
pub(crate) const UNKNOWN: &str = "unknown";
/// Home Assistant's word for an entity that is away.
pub(crate) const UNAVAILABLE: &str = "unavailable";

/// Home Assistant's word for what is on.
const ON: &str = "on";

/// The state of one entity, and where it came from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EntityState {
    /// What was last reported; its state is `unknown` before the first report. It stays while the
    /// entity is away.
    pub value: Value,
    pub quality: Quality,
    /// When [`EntityState::state`] last became another one.
    pub last_changed: Timestamp,
    /// When state or attributes last became others.
    pub last_updated: Timestamp,
    /// When a message about it was last heard, also one that repeated what was known.
    pub last_heard: Timestamp,
    /// The entry that carried that message.
    pub heard_index: LogIndex,
    /// The node that heard it.
    pub heard_by: Option<NodeId>,
    /// What changed it last.
    pub change: Change,
    /// What each of its availability topics said last.
    pub(crate) availability: BTreeMap<u16, bool>,
    /// Whether `expire_after` has passed since the last message.
    pub(crate) is_expired: bool,
    /// The attributes that its topic for further ones gave last.
    pub(crate) described: BTreeSet<String>,
    /// What it does not show until it is on again: the brightness of a light, for example.
    pub(crate) hidden: BTreeMap<String, Data>,
}

impl EntityState {
    /// Returns the state as Home Assistant shows it: `unavailable` while the entity is away.
    pub fn state(&self) -> &str {
        match self.quality {
            Quality::Unknown | Quality::Good => &self.value.state,
            Quality::Unavailable => UNAVAILABLE,
        }
    }

    /// An entity that nothing was heard of.
    pub(crate) fn new(now: Timestamp, declared: &Entity) -> EntityState {
        let mut entity = EntityState {
            value: declared.first_value(),
            last_changed: now,
            last_updated: now,
            last_heard: now,
            is_expired: declared.expire_after().is_some(),
            ..EntityState::default()
        };
        entity.judge(declared);
        entity
    }

    /// Takes over what a report says about value and availability; times are the caller's.
    pub(crate) fn take(&mut self, declared: &Entity, report: Report, now: Timestamp) {
        self.value.attributes.extend(std::mem::take(&mut self.hidden));
        match report {
            Report::Update { state, attributes } => {
                if let Some(state) = state {
                    self.value.state = state;
                    self.is_expired = false;
                }
                self.value.attributes.extend(attributes);
            }
            Report::Unknown => {
                self.value.state = UNKNOWN.to_owned();
                self.is_expired = false;
            }
            Report::Available { source, online } => {
                self.availability.insert(source, online);
            }
            Report::Happened { attributes } => {
                self.value.state = now.to_iso_text();
                self.is_expired = false;
                self.value.attributes.extend(attributes);
            }
            Report::Described { attributes } => {
                let gone = |name: &&String| !attributes.contains_key(*name);
                for name in self.described.iter().filter(gone) {
                    self.value.attributes.remove(name);
                }
                self.described = attributes.keys().cloned().collect();
                self.value.attributes.extend(attributes);
            }
        }
        self.hide(declared);
        self.judge(declared);
    }

    /// Puts aside what an entity that is not on does not show.
    fn hide(&mut self, declared: &Entity) {
        if self.value.state == ON {
            return;
        }
        for name in declared.shown_while_on() {
            if let Some(shown) = self.value.attributes.get_mut(*name).filter(|shown| **shown != Data::Null) {
                self.hidden.insert((*name).to_owned(), std::mem::take(shown));
            }
        }
    }

    /// The value with what it does not show, for whoever has to know it: none while it is not known.
    pub(crate) fn whole_value(&self) -> Option<Cow<'_, Value>> {
        let value = self.known_value()?;
        if self.hidden.is_empty() {
            return Some(Cow::Borrowed(value));
        }
        let mut value = value.clone();
        value.attributes.extend(self.hidden.clone());
        Some(Cow::Owned(value))
    }

    /// Takes over a declaration that was edited: what it gives, and no longer gives.
    pub(crate) fn redeclare(&mut self, before: &BTreeMap<String, Data>, declared: &Entity) {
        for name in before.keys() {
            self.value.attributes.remove(name);
        }
        self.value.attributes.extend(std::mem::take(&mut self.hidden));
        self.value.attributes.extend(declared.static_attributes());
        for (name, data) in declared.first_value().attributes {
            self.value.attributes.entry(name).or_insert(data);
        }
        self.hide(declared);
        self.is_expired &= declared.expire_after().is_some();
        self.judge(declared);
    }

    /// An entity that the home itself keeps, with this value.
    pub(crate) fn kept(now: Timestamp, value: Value) -> EntityState {
        let mut entity =
            EntityState { last_changed: now, last_updated: now, last_heard: now, ..EntityState::default() };
        entity.assign(value);
        entity
    }

    /// Takes over another value of an entity that the home itself keeps.
    pub(crate) fn assign(&mut self, value: Value) {
        self.quality = match value.state.as_str() {
            UNKNOWN => Quality::Unknown,
            _ => Quality::Good,
        };
        self.value = value;
    }

    /// Notes that `expire_after` has passed.
    pub(crate) fn expire(&mut self, declared: &Entity) {
        self.is_expired = true;
        self.judge(declared);
    }

    /// Derives the quality from what is known.
    fn judge(&mut self, declared: &Entity) {
        self.quality = match () {
            () if self.is_expired || !declared.is_available(&self.availability) => Quality::Unavailable,
            () if self.value.state == UNKNOWN => Quality::Unknown,
            () => Quality::Good,
        };
    }

    /// The value for whoever has to know it: none while it is not known.
    pub(crate) fn known_value(&self) -> Option<&Value> {
        match self.quality {
            Quality::Good => Some(&self.value),
            Quality::Unknown | Quality::Unavailable => None,
        }
    }
}
