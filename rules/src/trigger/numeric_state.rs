//! `trigger: numeric_state`: fires when a number enters a range, once per crossing.

use super::{Change, Trigger};
use crate::condition::Scene;
use crate::gap;
use crate::range::{Limit, Range};
use crate::reader::Reader;
use crate::span::Span;
use crate::view::View;
use gable_devices::yaml::Fields;
use gable_devices::{Context, Data, EntityId};

/// What numbers fire it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NumericStateTrigger {
    pub(crate) entity_ids: Vec<EntityId>,
    range: Range,
    pub(crate) hold: Option<Span>,
    /// How long the entity may be away without that counting (`for_gap:`).
    pub(crate) gap: Option<Span>,
}

impl NumericStateTrigger {
    pub(super) fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<NumericStateTrigger> {
        let entity_ids = reader.entity_ids_of(fields);
        let range = Range::read(reader, fields)?;
        let (hold, gap) = gap::read(reader, fields);
        Some(NumericStateTrigger { entity_ids, range, hold, gap })
    }

    /// Whether the number lies in the range; an error where it should be one and is none.
    pub(crate) fn holds(&self, scene: &Scene<'_>, entity_id: &EntityId, view: &View) -> Result<bool, String> {
        self.range.holds(scene, entity_id, view)
    }

    /// What its template sees besides the entity; nothing if it has none.
    pub(crate) fn context(&self, trigger: &Trigger, change: &Change) -> Context {
        match self.range.value_template {
            None => Context::default(),
            Some(_) => Context::new([("trigger", self.variable(trigger, change))]),
        }
    }

    /// The `trigger` variable of the run to come.
    pub(crate) fn variable(&self, trigger: &Trigger, change: &Change) -> Data {
        trigger.variable(
            format!("numeric state of {}", change.entity_id),
            [
                ("platform", "numeric_state".into()),
                ("entity_id", Data::Text(change.entity_id.to_string())),
                ("above", Limit::to_data(self.range.above.as_ref())),
                ("below", Limit::to_data(self.range.below.as_ref())),
                ("from_state", change.from.to_data(&change.entity_id)),
                ("to_state", change.to.to_data(&change.entity_id)),
                ("attribute", self.range.attribute.clone().map_or(Data::Null, Data::Text)),
                ("for", Data::Null),
            ],
        )
    }
}
