//! `number`: a setting that is a number, within bounds.

use super::command::{Call, CommandTopic, Feedback};
use super::property::{number, read_number};
use super::{Heard, Kind, PAYLOAD_NONE, Reported, Role, Source, Update, add_assumed, shorten};
use crate::entity::Fault;
use crate::yaml::Fields;
use crate::{Data, EncodeError, Encoded};
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub(crate) struct Number {
    command: CommandTopic,
    state: Option<Source>,
    payload_reset: String,
    least: f64,
    most: f64,
    attributes: BTreeMap<String, Data>,
    feedback: Feedback,
}

impl Number {
    pub(super) fn read(fields: &mut Fields<'_>) -> Option<Number> {
        fields.require("command_topic");
        let command = CommandTopic::read(fields, "command_topic", "command_template");
        let state = Source::read(fields, "state_topic", Some("value_template"));
        let payload_reset = fields.text("payload_reset").unwrap_or_else(|| PAYLOAD_NONE.to_owned());
        // Home Assistant 2025.4 documents 1 as the least, and takes 0.
        let least = fields.number("min").unwrap_or(0.0);
        let most = fields.number("max").unwrap_or(100.0);
        let step = fields.number("step").unwrap_or(1.0);
        if least > most {
            fields.fail("`min` is greater than `max`");
        }
        if step < 0.001 {
            fields.fail("`step` is less than 0.001");
        }
        let modes = [("auto", "auto"), ("box", "box"), ("slider", "slider")];
        let mode = fields.choice("mode", &modes).unwrap_or("auto");
        let mut attributes = BTreeMap::from([
            ("min".to_owned(), number(least)),
            ("max".to_owned(), number(most)),
            ("step".to_owned(), number(step)),
            ("mode".to_owned(), mode.into()),
        ]);
        if let Some(unit) = fields.text("unit_of_measurement") {
            attributes.insert("unit_of_measurement".to_owned(), Data::Text(unit));
        }
        let feedback = Feedback::read(fields, state.is_some());
        Some(Number { command: command?, state, payload_reset, least, most, attributes, feedback })
    }
}

impl Kind for Number {
    fn sources(&self) -> Vec<(&str, Role)> {
        self.state.iter().map(|state| (state.filter.as_str(), Role::State)).collect()
    }

    fn decode(&self, heard: &Heard<'_, '_>, update: &mut Update) -> Result<(), Fault> {
        let template = self.state.as_ref().and_then(|state| state.template.as_ref());
        let Some(found) = heard.payload.render(template)? else { return Ok(()) };
        if found == self.payload_reset {
            update.state = Some(Reported::Unknown);
            return Ok(());
        }
        let value = read_number(&found)?;
        if !(self.least..=self.most).contains(&value) {
            let expected = format!("a number from {} to {}", self.least, self.most);
            return Err(Fault::Unexpected { found: shorten(&found), expected });
        }
        update.state = Some(Reported::State(state_text(found.trim(), value)));
        Ok(())
    }

    fn encode(&self, call: &Call<'_>) -> Result<Encoded, EncodeError> {
        call.check_data(&["value"])?;
        let value = number(call.require_number("value", self.least, self.most)?);
        let publish = self.command.publish(call, value.clone())?;
        Ok(self.feedback.to_number(vec![publish], &value))
    }

    fn add_attributes(&self, attributes: &mut BTreeMap<String, Data>) {
        attributes.extend(self.attributes.clone());
        add_assumed(self.feedback.is_optimistic, attributes);
    }
}

/// Digits alone are a whole number; all else is one with a point, as Python writes it.
fn state_text(found: &str, value: f64) -> String {
    if found.bytes().all(|byte| byte.is_ascii_digit()) && value < 1e15 {
        return Data::Int(value as i64).to_json().to_string();
    }
    Data::Float(value).to_json().to_string()
}
