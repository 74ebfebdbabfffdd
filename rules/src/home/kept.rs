//! What the home itself keeps: its helpers, and which groups have to be judged again.

use crate::helper::{Helper, HelperKind};
use gable_devices::EntityId;
use std::collections::BTreeMap;

/// The helpers, found by their ids and by the members of groups.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Kept {
    helpers: BTreeMap<EntityId, Helper>,
    /// The groups that each entity is a member of.
    groups: BTreeMap<EntityId, Vec<EntityId>>,
}

impl Kept {
    pub(super) fn add(&mut self, helper: Helper) {
        if let HelperKind::Group(group) = &helper.kind {
            for member in &group.members {
                self.groups.entry(member.clone()).or_default().push(helper.entity_id.clone());
            }
        }
        self.helpers.insert(helper.entity_id.clone(), helper);
    }

    pub(crate) fn get(&self, entity_id: &EntityId) -> Option<&Helper> {
        self.helpers.get(entity_id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Helper> {
        self.helpers.values()
    }

    /// The groups that an entity is a member of.
    pub(crate) fn groups_of(&self, entity_id: &EntityId) -> impl Iterator<Item = &Helper> {
        let groups = self.groups.get(entity_id).into_iter().flatten();
        groups.filter_map(|group| self.helpers.get(group))
    }
}
