//! `condition: trigger`: the run was started by one of the triggers of these ids.

use super::Scene;
use crate::reader::Reader;
use crate::trace::Saw;
use gable_devices::Data;
use gable_devices::yaml::Fields;

/// The ids of which one has to be the trigger's.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TriggerCondition {
    ids: Vec<String>,
}

impl TriggerCondition {
    pub(super) fn read(_reader: &mut Reader, fields: &mut Fields<'_>) -> Option<TriggerCondition> {
        fields.require("id")?;
        Some(TriggerCondition { ids: fields.texts("id") })
    }

    pub(super) fn holds(&self, scene: &Scene<'_>) -> bool {
        let id = scene.context.variables().get("trigger").and_then(|trigger| trigger.get("id"));
        let id = id.and_then(Data::as_text);
        scene.saw(|| Saw::new("trigger.id", id.unwrap_or_default(), self.ids.join(" or ")));
        id.is_some_and(|id| self.ids.iter().any(|wanted| wanted == id))
    }
}
