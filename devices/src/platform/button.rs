//! `button`: pressed, and that is all. Its state is when that was.

use super::command::{Call, CommandTopic, pulse};
use super::{Heard, Kind, Role, Update};
use crate::entity::Fault;
use crate::yaml::Fields;
use crate::{EncodeError, Encoded};

#[derive(Clone, Debug)]
pub(crate) struct Button {
    command: CommandTopic,
    payload_press: String,
}

impl Button {
    pub(super) fn read(fields: &mut Fields<'_>) -> Option<Button> {
        fields.require("command_topic");
        let command = CommandTopic::read(fields, "command_topic", "command_template");
        let payload_press = fields.text("payload_press").unwrap_or_else(|| "PRESS".to_owned());
        Some(Button { command: command?, payload_press })
    }
}

impl Kind for Button {
    fn sources(&self) -> Vec<(&str, Role)> {
        Vec::new()
    }

    fn decode(&self, _: &Heard<'_, '_>, _: &mut Update) -> Result<(), Fault> {
        Ok(())
    }

    fn encode(&self, call: &Call<'_>) -> Result<Encoded, EncodeError> {
        call.check_data(&[])?;
        Ok(pulse(self.command.publish(call, self.payload_press.as_str().into())?, true))
    }
}
