//! `wait_template:` and `wait_for_trigger:`: the run goes on when the home says so, or gives up.

use super::{Failure, Step};
use crate::Ended;
use crate::reader::Reader;
use crate::span::Span;
use crate::trigger::Trigger;
use gable_devices::yaml::Fields;
use gable_devices::{Context, Millis, Template};

/// Waits until a template is true.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct WaitTemplate {
    pub(crate) template: Template,
    pub(crate) timeout: Timeout,
}

/// Waits until one of several triggers fires.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct WaitForTrigger {
    pub(crate) triggers: Vec<Trigger>,
    pub(crate) timeout: Timeout,
}

/// How long a wait may take, and whether the run goes on after that.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Timeout {
    span: Option<Span>,
    goes_on: bool,
}

impl WaitTemplate {
    pub(super) fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<WaitTemplate> {
        let path = fields.path_of("wait_template");
        let node = fields.require("wait_template")?;
        let template = reader.template(node, &path);
        let timeout = Timeout::read(reader, fields);
        Some(WaitTemplate { template: template?, timeout })
    }
}

impl WaitForTrigger {
    pub(super) fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<WaitForTrigger> {
        let path = fields.path_of("wait_for_trigger");
        let node = fields.require("wait_for_trigger")?;
        let triggers = Trigger::read_all(reader, node, &path);
        Some(WaitForTrigger { triggers, timeout: Timeout::read(reader, fields) })
    }
}

impl Timeout {
    fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> Timeout {
        let span = Span::read(reader, fields, "timeout");
        Timeout { span, goes_on: fields.boolean("continue_on_timeout").unwrap_or(true) }
    }

    /// How long one run waits; none if for ever.
    pub(crate) fn render(&self, context: &Context) -> Result<Option<Millis>, Failure> {
        self.span.as_ref().map(|span| span.render(context).map_err(Failure::mistake)).transpose()
    }

    /// Where the run goes once the wait is over.
    pub(crate) fn step(&self, has_come: bool) -> Step {
        if has_come || self.goes_on { Step::Next } else { Step::End(Ended::Stopped) }
    }
}
