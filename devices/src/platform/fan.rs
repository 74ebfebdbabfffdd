//! `fan`: on or off, with a speed, presets, oscillation and a direction.

use super::command::{Call, CommandTopic, Feedback};
use super::property::{Keys, Property, read_number, text_list};
use super::{Heard, Kind, PAYLOAD_NONE, Role, Source, Update, add_assumed, decode_word, shorten};
use crate::entity::Fault;
use crate::yaml::Fields;
use crate::{Data, EncodeError, Encoded, Value};
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub(crate) struct Fan {
    command: CommandTopic,
    state: Option<Source>,
    payload_on: String,
    payload_off: String,
    percentage: Property,
    payload_reset_percentage: String,
    /// The device's least speed that is not off, and its greatest.
    speed_range: (i64, i64),
    preset: Property,
    payload_reset_preset: String,
    presets: Vec<String>,
    oscillation: Property,
    payload_oscillation_on: String,
    payload_oscillation_off: String,
    direction: Property,
    feedback: Feedback,
}

const PERCENTAGE: Keys = Keys {
    attribute: "percentage",
    state: ("percentage_state_topic", "percentage_value_template"),
    command: Some(("percentage_command_topic", "percentage_command_template")),
};
const PRESET: Keys = Keys {
    attribute: "preset_mode",
    state: ("preset_mode_state_topic", "preset_mode_value_template"),
    command: Some(("preset_mode_command_topic", "preset_mode_command_template")),
};
const OSCILLATION: Keys = Keys {
    attribute: "oscillating",
    state: ("oscillation_state_topic", "oscillation_value_template"),
    command: Some(("oscillation_command_topic", "oscillation_command_template")),
};
const DIRECTION: Keys = Keys {
    attribute: "direction",
    state: ("direction_state_topic", "direction_value_template"),
    command: Some(("direction_command_topic", "direction_command_template")),
};
const DIRECTIONS: [&str; 2] = ["forward", "reverse"];

/// How far a reported percentage may be from the one commanded, beyond the width of a speed.
const PERCENTAGE_TOLERANCE: u32 = 1;

impl Fan {
    pub(super) fn read(fields: &mut Fields<'_>) -> Option<Fan> {
        fields.require("command_topic");
        let command = CommandTopic::read(fields, "command_topic", "command_template");
        let state = Source::read(fields, "state_topic", Some("state_value_template"));
        let feedback = Feedback::read(fields, state.is_some());
        let mut word = |key, default: &str| fields.text(key).unwrap_or_else(|| default.to_owned());
        let (payload_on, payload_off) = (word("payload_on", "ON"), word("payload_off", "OFF"));
        let payload_oscillation_on = word("payload_oscillation_on", "oscillate_on");
        let payload_oscillation_off = word("payload_oscillation_off", "oscillate_off");
        let payload_reset_percentage = word("payload_reset_percentage", PAYLOAD_NONE);
        let payload_reset_preset = word("payload_reset_preset_mode", PAYLOAD_NONE);
        let least = fields.integer("speed_range_min").unwrap_or(1);
        let most = fields.integer("speed_range_max").unwrap_or(100);
        if least < 1 || most <= least || most > 1_000_000 {
            fields.fail("`speed_range_min` has to be 1 or more, and less than `speed_range_max`");
        }
        let presets = fields.texts("preset_modes");
        let preset = Property::read(fields, &PRESET);
        if preset.is_told() && presets.is_empty() {
            fields.fail("`preset_mode_command_topic` needs `preset_modes` beside it");
        }
        Some(Fan {
            command: command?,
            state,
            payload_on,
            payload_off,
            percentage: Property::read(fields, &PERCENTAGE),
            payload_reset_percentage,
            speed_range: (least, most.max(least + 1)),
            preset,
            payload_reset_preset,
            presets,
            oscillation: Property::read(fields, &OSCILLATION),
            payload_oscillation_on,
            payload_oscillation_off,
            direction: Property::read(fields, &DIRECTION),
            feedback,
        })
    }

    /// How many speeds there are, and how many numbers stand before the first of them.
    fn speeds(&self) -> (i64, i64) {
        let (least, most) = self.speed_range;
        (most - least + 1, least - 1)
    }

    /// From the device's speed to percent, rounded down as Home Assistant does.
    fn to_percentage(&self, speed: f64) -> i64 {
        let (count, before) = self.speeds();
        ((speed - before as f64) * 100.0 / count as f64).floor() as i64
    }

    /// From percent to the device's speed, rounded up, so that a little is not off.
    fn to_speed(&self, percentage: f64) -> i64 {
        let (count, before) = self.speeds();
        // A third of a hundred is a hair more than the first of three speeds.
        (percentage * count as f64 / 100.0 + before as f64 - 1e-9).ceil() as i64
    }

    fn decode_percentage(&self, heard: &Heard<'_, '_>, update: &mut Update) -> Result<(), Fault> {
        let Some(found) = self.percentage.render(heard)? else { return Ok(()) };
        let percentage = match found == self.payload_reset_percentage {
            true => Data::Null,
            false => {
                let percentage = self.to_percentage(read_number(&found)?);
                if !(0..=100).contains(&percentage) {
                    let (least, most) = self.speed_range;
                    let expected = format!("a speed from {} to {most}", least - 1);
                    return Err(Fault::Unexpected { found: shorten(&found), expected });
                }
                Data::Int(percentage)
            }
        };
        self.percentage.set(update, percentage);
        Ok(())
    }

    fn decode_oscillation(&self, heard: &Heard<'_, '_>, update: &mut Update) -> Result<(), Fault> {
        let Some(found) = self.oscillation.render(heard)? else { return Ok(()) };
        let is_on = match () {
            () if found == self.payload_oscillation_on => true,
            () if found == self.payload_oscillation_off => false,
            () => {
                let words = [&self.payload_oscillation_on, &self.payload_oscillation_off];
                let expected = words.map(|word| format!("`{word}`")).join(" or ");
                return Err(Fault::Unexpected { found: shorten(&found), expected });
            }
        };
        self.oscillation.set(update, Data::Bool(is_on));
        Ok(())
    }

    fn encode_on(&self, call: &Call<'_>) -> Result<Encoded, EncodeError> {
        call.check_data(&["percentage", "preset_mode"])?;
        let percentage =
            call.number_between("percentage", 0.0, 100.0)?.filter(|percentage| *percentage > 0.0);
        let publish = self.command.publish(call, self.payload_on.as_str().into())?;
        let mut encoded = self.feedback.to_state(vec![publish], "on", &[]);
        if let Some(percentage) = percentage {
            let (payload, value) = (Data::Int(self.to_speed(percentage)), Data::Int(percentage as i64));
            self.percentage.append(call, &mut encoded, payload, value, self.tolerance())?;
        }
        if call.text("preset_mode")?.is_some() {
            let preset = Data::Text(call.require_option("preset_mode", &self.presets)?);
            self.preset.append(call, &mut encoded, preset.clone(), preset, 0)?;
        }
        Ok(encoded)
    }

    fn encode_off(&self, call: &Call<'_>) -> Result<Encoded, EncodeError> {
        call.check_data(&[])?;
        let publish = self.command.publish(call, self.payload_off.as_str().into())?;
        Ok(self.feedback.to_state(vec![publish], "off", &[]))
    }

    fn encode_percentage(&self, call: &Call<'_>, percentage: f64) -> Result<Encoded, EncodeError> {
        let (payload, value) = (Data::Int(self.to_speed(percentage)), Data::Int(percentage as i64));
        self.percentage.encode(call, payload, value, self.tolerance())
    }

    /// One speed up or down, or as many percent as the call says.
    fn encode_step(&self, call: &Call<'_>, sign: f64) -> Result<Encoded, EncodeError> {
        call.check_data(&["percentage_step"])?;
        let now = call.attribute("percentage").and_then(Data::to_number).unwrap_or(0.0);
        let percentage = match call.number_between("percentage_step", 0.0, 100.0)? {
            Some(step) => now + sign * step,
            None => {
                let count = self.speeds().0.min(100) as f64;
                let speed = (now * count / 100.0 - 1e-9).ceil() + sign;
                (speed * 100.0 / count).floor()
            }
        };
        self.encode_percentage(call, percentage.clamp(0.0, 100.0))
    }

    /// The width of a speed in percent: a fan of three speeds that is told 50 reports 66.
    fn tolerance(&self) -> u32 {
        u32::try_from(100 / self.speeds().0).unwrap_or(100) + PERCENTAGE_TOLERANCE
    }
}

impl Kind for Fan {
    fn sources(&self) -> Vec<(&str, Role)> {
        let state = self.state.iter().map(|state| (state.filter.as_str(), Role::State));
        let properties = [&self.percentage, &self.preset, &self.oscillation, &self.direction];
        state.chain((0..).zip(properties).filter_map(|(n, property)| property.source(n))).collect()
    }

    fn decode(&self, heard: &Heard<'_, '_>, update: &mut Update) -> Result<(), Fault> {
        match heard.role {
            Role::Property(0) => self.decode_percentage(heard, update),
            Role::Property(1) => {
                self.preset.decode_text(heard, &self.payload_reset_preset, &self.presets, update)
            }
            Role::Property(2) => self.decode_oscillation(heard, update),
            Role::Property(_) => self.direction.decode_text(heard, PAYLOAD_NONE, &[], update),
            _ => {
                let words = [(self.payload_on.as_str(), "on"), (&self.payload_off, "off")];
                decode_word(heard.payload, self.state.as_ref(), words, update)
            }
        }
    }

    fn encode(&self, call: &Call<'_>) -> Result<Encoded, EncodeError> {
        match call.service {
            "turn_on" => self.encode_on(call),
            "turn_off" => self.encode_off(call),
            "set_percentage" => {
                call.check_data(&["percentage"])?;
                self.encode_percentage(call, call.require_number("percentage", 0.0, 100.0)?)
            }
            "increase_speed" => self.encode_step(call, 1.0),
            "decrease_speed" => self.encode_step(call, -1.0),
            "set_preset_mode" => {
                call.check_data(&["preset_mode"])?;
                let preset = Data::Text(call.require_option("preset_mode", &self.presets)?);
                self.preset.encode(call, preset.clone(), preset, 0)
            }
            "oscillate" => {
                call.check_data(&["oscillating"])?;
                let is_on = call.boolean("oscillating")?;
                let is_on = is_on.ok_or_else(|| call.data_error("oscillating", "is missing"))?;
                let payload =
                    if is_on { &self.payload_oscillation_on } else { &self.payload_oscillation_off };
                self.oscillation.encode(call, payload.as_str().into(), Data::Bool(is_on), 0)
            }
            "set_direction" => {
                call.check_data(&["direction"])?;
                let direction = call.require_option("direction", &DIRECTIONS.map(str::to_owned))?;
                let direction = Data::Text(direction);
                self.direction.encode(call, direction.clone(), direction, 0)
            }
            _ if call.is_now(&["on"]) => self.encode_off(call),
            _ => self.encode_on(call),
        }
    }

    fn add_attributes(&self, attributes: &mut BTreeMap<String, Data>) {
        if self.percentage.is_told() {
            let step = 100.0 / self.speeds().0.min(100) as f64;
            attributes.insert("percentage_step".to_owned(), Data::Float(step));
        }
        if !self.presets.is_empty() {
            attributes.insert("preset_modes".to_owned(), text_list(&self.presets));
        }
        add_assumed(self.feedback.is_optimistic, attributes);
    }

    fn begin(&self, value: &mut Value) {
        let mut show = |property: &Property, data| {
            if property.is_told() {
                value.attributes.insert(property.attribute.to_owned(), data);
            }
        };
        show(&self.percentage, Data::Null);
        show(&self.preset, Data::Null);
        show(&self.oscillation, Data::Bool(false));
        show(&self.direction, Data::Null);
    }
}
