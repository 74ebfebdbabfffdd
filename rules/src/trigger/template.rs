//! `trigger: template`: fires when a template becomes true.

use super::{Change, Trigger};
use crate::reader::Reader;
use crate::span::Span;
use gable_devices::yaml::Fields;
use gable_devices::{Data, Template};

/// The template that is watched.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TemplateTrigger {
    pub(crate) template: Template,
    pub(crate) hold: Option<Span>,
}

impl TemplateTrigger {
    pub(super) fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<TemplateTrigger> {
        let path = fields.path_of("value_template");
        let node = fields.require("value_template")?;
        let template = reader.template(node, &path);
        let hold = Span::read(reader, fields, "for").filter(|hold| !hold.is_zero());
        Some(TemplateTrigger { template: template?, hold })
    }

    /// The `trigger` variable of the run to come; `change` is what made it true, and none where the
    /// time did.
    pub(crate) fn variable(&self, trigger: &Trigger, change: Option<&Change>) -> Data {
        let (entity_id, from, to) = match change {
            None => (Data::Null, Data::Null, Data::Null),
            Some(change) => (
                Data::Text(change.entity_id.to_string()),
                change.from.to_data(&change.entity_id),
                change.to.to_data(&change.entity_id),
            ),
        };
        let description = match change {
            None => "time change or manual update via template".to_owned(),
            Some(change) => format!("{} via template", change.entity_id),
        };
        trigger.variable(
            description,
            [
                ("platform", "template".into()),
                ("entity_id", entity_id),
                ("from_state", from),
                ("to_state", to),
                ("for", Data::Null),
            ],
        )
    }
}
