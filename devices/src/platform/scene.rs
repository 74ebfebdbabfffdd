//! `scene`: a device's own scene, which is turned on and never off. Its state is when that was.

use super::command::{Call, CommandTopic, pulse};
use super::{Heard, Kind, Role, Update};
use crate::entity::Fault;
use crate::yaml::Fields;
use crate::{EncodeError, Encoded};

#[derive(Clone, Debug)]
pub(crate) struct Scene {
    command: CommandTopic,
    payload_on: String,
}

impl Scene {
    pub(super) fn read(fields: &mut Fields<'_>) -> Option<Scene> {
        fields.require("command_topic");
        let command = CommandTopic::read(fields, "command_topic", "command_template");
        let payload_on = fields.text("payload_on").unwrap_or_else(|| "ON".to_owned());
        Some(Scene { command: command?, payload_on })
    }
}

impl Kind for Scene {
    fn sources(&self) -> Vec<(&str, Role)> {
        Vec::new()
    }

    fn decode(&self, _: &Heard<'_, '_>, _: &mut Update) -> Result<(), Fault> {
        Ok(())
    }

    fn encode(&self, call: &Call<'_>) -> Result<Encoded, EncodeError> {
        // The device has its own idea of how fast.
        call.check_data(&["transition"])?;
        Ok(pulse(self.command.publish(call, self.payload_on.as_str().into())?, true))
    }
}
