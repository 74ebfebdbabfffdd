//! `group:`: several entities under one name, on while one of them is (or all, if it says so).

use super::{Helper, HelperKind};
use crate::entity::{UNAVAILABLE, UNKNOWN};
use crate::reader::Reader;
use crate::work::Work;
use gable_devices::yaml::Fields;
use gable_devices::{Data, EntityId, Value};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GroupHelper {
    /// In the order of the file.
    pub(crate) members: Vec<EntityId>,
    /// `all: true`: it is on while every member is.
    needs_all: bool,
}

/// How many groups one change may make judge again: groups that hold each other would go on for ever.
/// The rest stay as they are, with a notice.
const JUDGED_PER_CHANGE_MAX: u32 = 1_000;

/// The words for on and off where a domain has others.
const WORDS: [(&str, &str, &str); 5] = [
    ("cover", "open", "closed"),
    ("valve", "open", "closed"),
    ("lock", "unlocked", "locked"),
    ("person", "home", "not_home"),
    ("device_tracker", "home", "not_home"),
];

impl GroupHelper {
    pub(super) fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> GroupHelper {
        let path = fields.path_of("entities");
        let node = fields.get("entities");
        let members = node.map(|node| reader.entity_ids(node, &path)).unwrap_or_default();
        GroupHelper { members, needs_all: fields.boolean("all").unwrap_or(false) }
    }

    pub(super) fn first(&self) -> Value {
        self.value(UNKNOWN.to_owned())
    }

    pub(super) fn value(&self, state: String) -> Value {
        let members = self.members.iter().map(|id| Data::Text(id.to_string())).collect();
        Value { state, attributes: BTreeMap::from([("entity_id".to_owned(), Data::List(members))]) }
    }

    /// Its state, by those of its members.
    fn judge<'s>(&self, state_of: impl Fn(&EntityId) -> Option<&'s str>) -> &'static str {
        let states: Vec<(&EntityId, &str)> =
            self.members.iter().filter_map(|id| Some((id, state_of(id)?))).collect();
        let is_on = |(id, state): &(&EntityId, &str)| *state == "on" || *state == words_of(id.domain()).0;
        let known: Vec<_> =
            states.iter().filter(|(_, state)| *state != UNKNOWN && *state != UNAVAILABLE).collect();
        if known.is_empty() {
            let is_away = !states.is_empty() && states.iter().all(|(_, state)| *state == UNAVAILABLE);
            return if is_away { UNAVAILABLE } else { UNKNOWN };
        }
        // Members of one kind lend the group their words.
        let words: BTreeSet<_> = known.iter().map(|(id, _)| words_of(id.domain())).collect();
        let (on, off) = if words.len() == 1 { words.first().copied() } else { None }.unwrap_or(("on", "off"));
        let mut members = known.into_iter();
        let holds = if self.needs_all { members.all(is_on) } else { members.any(is_on) };
        if holds { on } else { off }
    }
}

fn words_of(domain: &str) -> (&'static str, &'static str) {
    WORDS.iter().find(|(known, _, _)| *known == domain).map_or(("on", "off"), |(_, on, off)| (on, off))
}

impl Work<'_> {
    /// Judges the groups again that an entity is a member of, and those that have them as members.
    /// At once, so that a group shows each state through which its members pass.
    pub(crate) fn refresh_groups_of(&mut self, entity_id: &EntityId) {
        let home = self.home;
        let mut changed = VecDeque::from([entity_id.clone()]);
        let mut left = JUDGED_PER_CHANGE_MAX;
        while let Some(entity_id) = changed.pop_front() {
            for group in home.kept.groups_of(&entity_id) {
                if left == 0 {
                    return self.notice(group.entity_id.to_string(), "too many groups follow one another");
                }
                left -= 1;
                if self.refresh_group(group) {
                    changed.push_back(group.entity_id.clone());
                }
            }
        }
    }

    /// Judges a group again, and returns whether it changed. Groups that it is a member of are the
    /// caller's matter.
    pub(crate) fn refresh_group(&mut self, helper: &Helper) -> bool {
        let HelperKind::Group(group) = &helper.kind else { return false };
        let entities = &self.rows.entities;
        let state = group.judge(|id| entities.get(id).map(|entity| entity.state()));
        let value = helper.dress(group.value(state.to_owned()));
        self.update_one(&helper.entity_id, None, false, |entity, _| entity.assign(value))
    }
}
