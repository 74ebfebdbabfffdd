//! `switch`: an outlet, a relay.

use super::command::{Call, CommandTopic, Feedback};
use super::{Heard, Kind, Role, Source, Update, add_assumed, decode_word};
use crate::entity::Fault;
use crate::yaml::Fields;
use crate::{Data, EncodeError, Encoded};
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub(crate) struct Switch {
    command: CommandTopic,
    state: Option<Source>,
    payload_on: String,
    payload_off: String,
    state_on: String,
    state_off: String,
    feedback: Feedback,
}

impl Switch {
    pub(super) fn read(fields: &mut Fields<'_>) -> Option<Switch> {
        fields.require("command_topic");
        let command = CommandTopic::read(fields, "command_topic", "command_template");
        let state = Source::read(fields, "state_topic", Some("value_template"));
        let payload_on = fields.text("payload_on").unwrap_or_else(|| "ON".to_owned());
        let payload_off = fields.text("payload_off").unwrap_or_else(|| "OFF".to_owned());
        let state_on = fields.text("state_on").unwrap_or_else(|| payload_on.clone());
        let state_off = fields.text("state_off").unwrap_or_else(|| payload_off.clone());
        let feedback = Feedback::read(fields, state.is_some());
        Some(Switch { command: command?, state, payload_on, payload_off, state_on, state_off, feedback })
    }
}

impl Kind for Switch {
    fn sources(&self) -> Vec<(&str, Role)> {
        self.state.iter().map(|state| (state.filter.as_str(), Role::State)).collect()
    }

    fn decode(&self, heard: &Heard<'_, '_>, update: &mut Update) -> Result<(), Fault> {
        let words = [(self.state_on.as_str(), "on"), (&self.state_off, "off")];
        decode_word(heard.payload, self.state.as_ref(), words, update)
    }

    fn encode(&self, call: &Call<'_>) -> Result<Encoded, EncodeError> {
        call.check_data(&[])?;
        let is_on = match call.service {
            "turn_on" => true,
            "turn_off" => false,
            _ => !call.is_now(&["on"]),
        };
        let (payload, state) = if is_on { (&self.payload_on, "on") } else { (&self.payload_off, "off") };
        let publish = self.command.publish(call, payload.as_str().into())?;
        Ok(self.feedback.to_state(vec![publish], state, &[]))
    }

    fn add_attributes(&self, attributes: &mut BTreeMap<String, Data>) {
        add_assumed(self.feedback.is_optimistic, attributes);
    }
}
