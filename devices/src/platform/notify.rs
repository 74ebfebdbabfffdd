//! `notify`: a topic on which people are told something. Its state is when that last was.

use super::command::{Call, CommandTopic, pulse};
use super::{Heard, Kind, Role, Update};
use crate::entity::Fault;
use crate::yaml::Fields;
use crate::{EncodeError, Encoded};

#[derive(Clone, Debug)]
pub(crate) struct Notify {
    command: CommandTopic,
}

impl Notify {
    pub(super) fn read(fields: &mut Fields<'_>) -> Option<Notify> {
        fields.require("command_topic");
        let command = CommandTopic::read(fields, "command_topic", "command_template");
        Some(Notify { command: command? })
    }
}

impl Kind for Notify {
    fn sources(&self) -> Vec<(&str, Role)> {
        Vec::new()
    }

    fn decode(&self, _: &Heard<'_, '_>, _: &mut Update) -> Result<(), Fault> {
        Ok(())
    }

    fn encode(&self, call: &Call<'_>) -> Result<Encoded, EncodeError> {
        // Home Assistant has no place for the title in an MQTT message either.
        call.check_data(&["message", "title"])?;
        let message = call.require_text("message")?;
        Ok(pulse(self.command.publish(call, message.as_str().into())?, true))
    }
}
