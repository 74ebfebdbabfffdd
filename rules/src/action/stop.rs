//! `stop:`: the run ends here, wherever here is.

use super::{Failure, Step};
use crate::Ended;
use crate::reader::Reader;
use crate::text::{Text, shorten};
use gable_devices::yaml::Fields;
use gable_devices::{Context, Data};

/// Why it ends, and whether that is a failure.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stop {
    reason: Option<Text>,
    is_error: bool,
    /// The variable whose value whoever called gets.
    response_variable: Option<String>,
}

impl Stop {
    pub(super) fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<Stop> {
        let path = fields.path_of("stop");
        let reason = fields.get("stop").and_then(|node| reader.text(node, &path));
        let is_error = fields.boolean("error").unwrap_or(false);
        let response_variable = fields.text("response_variable");
        Some(Stop { reason, is_error, response_variable })
    }

    /// `response` is what the run has given back so far.
    pub(crate) fn perform(&self, context: &Context, response: &mut Data) -> Result<Step, Failure> {
        let reason = self.reason.as_ref().map(|reason| reason.render(context)).transpose();
        let reason = reason.map_err(Failure::mistake)?.unwrap_or_default();
        if let Some(name) = &self.response_variable {
            *response = context.variables().get(name).cloned().unwrap_or_default();
        }
        Ok(Step::End(if self.is_error { Ended::Failed(shorten(reason)) } else { Ended::Stopped }))
    }
}
