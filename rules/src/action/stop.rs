//! `stop:`: the run ends here, wherever here is.

use super::{Failure, Step};
use crate::Ended;
use crate::reader::Reader;
use crate::text::{Text, shorten};
use gable_devices::Context;
use gable_devices::yaml::Fields;

/// Why it ends, and whether that is a failure.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stop {
    reason: Option<Text>,
    is_error: bool,
}

impl Stop {
    pub(super) fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<Stop> {
        let path = fields.path_of("stop");
        let reason = fields.get("stop").and_then(|node| reader.text(node, &path));
        let is_error = fields.boolean("error").unwrap_or(false);
        reader.not_yet(fields, &["response_variable"]);
        Some(Stop { reason, is_error })
    }

    pub(crate) fn perform(&self, context: &Context) -> Result<Step, Failure> {
        let reason = self.reason.as_ref().map(|reason| reason.render(context)).transpose();
        let reason = reason.map_err(Failure::mistake)?.unwrap_or_default();
        Ok(Step::End(if self.is_error { Ended::Failed(shorten(reason)) } else { Ended::Stopped }))
    }
}
