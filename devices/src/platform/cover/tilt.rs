//! The slats of a cover: topics and services of their own, from 0 (closed) to 100 (open).

use crate::entity::Fault;
use crate::platform::command::{Call, CommandTopic, Feedback, pulse};
use crate::platform::property::{Keys, Property, number, read_number};
use crate::platform::{Heard, Role, Update, read_payload, shorten};
use crate::yaml::Fields;
use crate::{Data, EncodeError, Encoded};

#[derive(Clone, Debug)]
pub(super) struct Tilt {
    property: Property,
    stop: Option<CommandTopic>,
    payload_stop: Option<String>,
    /// What the device says for 0 and for 100.
    least: f64,
    most: f64,
    /// What the device is told to close and to open.
    closed: f64,
    opened: f64,
    /// What the cover's position is when it is open and closed, for templates.
    positions: (f64, f64),
}

const TILT: Keys = Keys {
    attribute: "current_tilt_position",
    state: ("tilt_status_topic", "tilt_status_template"),
    command: Some(("tilt_command_topic", "tilt_command_template")),
};

/// How far a reported tilt may be from the one commanded: motors and scales round.
const TOLERANCE: u32 = 2;

impl Tilt {
    pub(super) fn read(fields: &mut Fields<'_>, positions: (f64, f64)) -> Tilt {
        let least = fields.number("tilt_min").unwrap_or(0.0);
        let most = fields.number("tilt_max").unwrap_or(100.0);
        if least == most {
            fields.fail("`tilt_min` and `tilt_max` are the same");
        }
        let property = Property::read(fields, &TILT);
        let is_heard = property.source(0).is_some();
        let is_optimistic = fields.boolean("tilt_optimistic").unwrap_or(false) || !is_heard;
        Tilt {
            property: property.with_feedback(Feedback { is_heard, is_optimistic }),
            stop: CommandTopic::read(fields, "tilt_command_topic", "tilt_command_template"),
            payload_stop: read_payload(fields, "payload_stop_tilt", Some("STOP")),
            least,
            most,
            closed: fields.number("tilt_closed_value").unwrap_or(0.0),
            opened: fields.number("tilt_opened_value").unwrap_or(100.0),
            positions,
        }
    }

    pub(super) fn source(&self) -> Option<(&str, Role)> {
        self.property.source(0)
    }

    pub(super) fn decode(&self, heard: &Heard<'_, '_>, update: &mut Update) -> Result<(), Fault> {
        let Some(found) = self.property.render(heard)? else { return Ok(()) };
        let said = read_number(&found)?.round_ties_even();
        if !(self.least.min(self.most)..=self.least.max(self.most)).contains(&said) {
            let expected = format!("a tilt from {} to {}", self.least, self.most);
            return Err(Fault::Unexpected { found: shorten(&found), expected });
        }
        self.property.set(update, Data::Int(self.to_percentage(said)));
        Ok(())
    }

    pub(super) fn encode(&self, call: &Call<'_>) -> Result<Encoded, EncodeError> {
        if call.service == "set_cover_tilt_position" {
            call.check_data(&["tilt_position"])?;
            let percentage = call.require_number("tilt_position", 0.0, 100.0)?.trunc();
            let said = (percentage / 100.0 * (self.most - self.least) + self.least).round_ties_even();
            return self.encode_to(call, said, percentage as i64);
        }
        call.check_data(&[])?;
        let closed = self.to_percentage(self.closed);
        let opens = match call.service {
            "open_cover_tilt" => true,
            "close_cover_tilt" => false,
            "stop_cover_tilt" => return self.encode_stop(call),
            // Slats that are closed open; all others close.
            _ => call.attribute(TILT.attribute).and_then(Data::to_number) == Some(closed as f64),
        };
        match opens {
            true => self.encode_to(call, self.opened, self.to_percentage(self.opened)),
            false => self.encode_to(call, self.closed, closed),
        }
    }

    fn encode_to(&self, call: &Call<'_>, said: f64, percentage: i64) -> Result<Encoded, EncodeError> {
        let (open, closed) = self.positions;
        let mut variables = vec![
            ("position_open", number(open)),
            ("position_closed", number(closed)),
            ("tilt_min", number(self.least)),
            ("tilt_max", number(self.most)),
        ];
        if call.service == "set_cover_tilt_position" {
            variables.push(("tilt_position", Data::Int(percentage)));
        }
        self.property.encode_with(call, (number(said), variables), Data::Int(percentage), TOLERANCE)
    }

    fn encode_stop(&self, call: &Call<'_>) -> Result<Encoded, EncodeError> {
        let topic = self.stop.as_ref().ok_or_else(|| call.unsupported("tilt_command_topic"))?;
        let payload = self.payload_stop.as_deref().ok_or_else(|| call.unsupported("payload_stop_tilt"))?;
        Ok(pulse(topic.publish_plain(payload), false))
    }

    fn to_percentage(&self, said: f64) -> i64 {
        ((said - self.least) * 100.0 / (self.most - self.least)).floor() as i64
    }
}
