//! `condition: numeric_state`: the numbers of all entities lie inside a range.

use super::Scene;
use crate::range::Range;
use crate::reader::Reader;
use gable_devices::EntityId;
use gable_devices::yaml::Fields;

/// Which entities, and which range.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NumericStateCondition {
    entity_ids: Vec<EntityId>,
    range: Range,
}

impl NumericStateCondition {
    pub(super) fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<NumericStateCondition> {
        let entity_ids = reader.entity_ids_of(fields);
        Some(NumericStateCondition { entity_ids, range: Range::read(reader, fields)? })
    }

    pub(super) fn holds(&self, scene: &Scene<'_>) -> Result<bool, String> {
        for entity_id in &self.entity_ids {
            if !self.range.holds(scene, entity_id, &scene.view(entity_id)?)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
