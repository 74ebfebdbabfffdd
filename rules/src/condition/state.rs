//! `condition: state`: an entity is in one of some states, perhaps for some time.

use super::Scene;
use crate::reader::Reader;
use crate::span::Span;
use crate::text::{plain_text, timedelta_text};
use crate::trace::Saw;
use gable_devices::EntityId;
use gable_devices::yaml::Fields;

/// Which entities, and which states.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StateCondition {
    entity_ids: Vec<EntityId>,
    states: Vec<String>,
    attribute: Option<String>,
    hold: Option<Span>,
    /// `match: any`: one of the entities is enough.
    is_any: bool,
}

impl StateCondition {
    pub(super) fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<StateCondition> {
        let entity_ids = reader.entity_ids_of(fields);
        let path = fields.path_of("state");
        let node = fields.require("state");
        let items = node.map(|node| node.list_or_single()).unwrap_or_default();
        let states = items.iter().filter_map(|item| reader.state_text(item, &path)).collect();
        Some(StateCondition {
            entity_ids,
            states,
            attribute: fields.text("attribute"),
            hold: Span::read(reader, fields, "for"),
            is_any: fields.choice("match", &[("all", false), ("any", true)]).unwrap_or(false),
        })
    }

    pub(super) fn holds(&self, scene: &Scene<'_>) -> Result<bool, String> {
        for entity_id in &self.entity_ids {
            if self.holds_for(scene, entity_id)? == self.is_any {
                return Ok(self.is_any);
            }
        }
        Ok(!self.is_any)
    }

    fn holds_for(&self, scene: &Scene<'_>, entity_id: &EntityId) -> Result<bool, String> {
        let (current, last_changed) = scene.state(entity_id)?;
        let is_state = match &self.attribute {
            None => {
                scene.saw(|| Saw::new(entity_id.as_str(), &*current, self.states.join(" or ")));
                self.states.iter().any(|state| *state == current)
            }
            Some(name) => {
                let value = scene.view(entity_id)?.attributes.get(name).map(plain_text);
                scene.saw(|| {
                    let found = value.clone().unwrap_or_else(|| "(no such attribute)".to_owned());
                    Saw::new(format!("{entity_id} {name}"), found, self.states.join(" or "))
                });
                value.is_some_and(|value| self.states.contains(&value))
            }
        };
        let hold = self.hold.as_ref().map(|hold| hold.render(scene.context)).transpose()?;
        let held = scene.rows.now.since(last_changed);
        if let Some(hold) = hold {
            scene.saw(|| Saw::new(format!("{entity_id} for"), timedelta_text(held), timedelta_text(hold)));
        }
        Ok(is_state && hold.is_none_or(|hold| held >= hold))
    }
}
