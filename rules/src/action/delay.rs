//! `delay:`: the run goes on later.

use super::{Failure, Step};
use crate::reader::Reader;
use crate::text::DataText;
use gable_devices::yaml::Fields;
use gable_devices::{Context, Millis, duration, is_template};

/// How long to wait.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Delay {
    Fixed(Millis),
    /// With templates in it.
    Rendered(DataText),
}

impl Delay {
    pub(super) fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<Delay> {
        let node = fields.require("delay")?;
        let path = fields.path_of("delay");
        let has_template = |node: &gable_devices::yaml::Node| node.as_text().is_some_and(is_template);
        let parts = node.as_map().unwrap_or_default();
        if has_template(node) || parts.iter().any(|(_, part)| has_template(part)) {
            return DataText::read(reader, node, &path).map(Delay::Rendered);
        }
        reader.keep(duration::from_node(node, &path)).map(Delay::Fixed)
    }

    pub(crate) fn perform(&self, context: &Context) -> Result<Step, Failure> {
        let span = match self {
            Delay::Fixed(span) => *span,
            Delay::Rendered(data) => {
                let data = data.render(context).map_err(Failure::mistake)?;
                duration::from_data(&data).map_err(Failure::mistake)?
            }
        };
        Ok(if span.0 == 0 { Step::Next } else { Step::Wait(span) })
    }
}
