//! From the names of a target to the entities meant: groups and places stand for their members.

use crate::action::target::{Chosen, PlaceKind};
use crate::helper::HelperKind;
use crate::work::Work;
use gable_devices::EntityId;
use std::collections::BTreeSet;

impl Work<'_> {
    /// The entities of a target that `fits`, each once and in the order in which they are named, and
    /// those that were named and do not fit. What is meant only as a member need not fit.
    pub(super) fn choose(
        &mut self,
        chosen: &Chosen,
        fits: impl Fn(&EntityId) -> bool,
    ) -> (Vec<EntityId>, Vec<EntityId>) {
        let (mut found, mut strangers) = (Vec::new(), Vec::new());
        for entity_id in &chosen.entity_ids {
            if fits(entity_id) {
                found.push(entity_id.clone());
            } else if entity_id.domain() == "group" {
                self.add_members(entity_id, &mut found, &mut BTreeSet::new());
            } else {
                strangers.push(entity_id.clone());
            }
        }
        if chosen.is_all {
            found.extend(self.rows.entities.keys().cloned());
            found.extend(self.home.own_entity_ids());
        }
        for (kind, name) in &chosen.places {
            match self.home.areas.members(*kind, name) {
                Some(members) => found.extend(members.iter().cloned()),
                None => {
                    let kind = match kind {
                        PlaceKind::Area => "area",
                        PlaceKind::Floor => "floor",
                        PlaceKind::Label => "label",
                    };
                    self.notice(name.as_str(), format!("there is no such {kind}; nothing was told"));
                }
            }
        }
        let mut seen = BTreeSet::new();
        found.retain(|id| fits(id) && seen.insert(id.clone()));
        (found, strangers)
    }

    /// Adds the members of a group, and of groups in it, each of which counts once.
    fn add_members(&self, group: &EntityId, found: &mut Vec<EntityId>, seen: &mut BTreeSet<EntityId>) {
        if !seen.insert(group.clone()) {
            return;
        }
        let Some(HelperKind::Group(kind)) = self.home.helper(group).map(|helper| &helper.kind) else {
            return;
        };
        for member in &kind.members {
            match member.domain() {
                "group" => self.add_members(member, found, seen),
                _ => found.push(member.clone()),
            }
        }
    }
}
