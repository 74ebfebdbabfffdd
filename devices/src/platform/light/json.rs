//! `schema: json`: state and commands are one JSON object, as Zigbee2MQTT and ESPHome speak.

use super::{Wish, expect_brightness, from_scale, read_scale, to_scale};
use crate::entity::{Fault, Payload};
use crate::platform::command::{Call, CommandTopic, Feedback};
use crate::platform::{Reported, Role, Source, Update, shorten};
use crate::yaml::Fields;
use crate::{Data, EncodeError, Encoded};
use serde_json::Value as Json;

#[derive(Clone, Debug)]
pub(crate) struct JsonLight {
    command: CommandTopic,
    state: Option<Source>,
    scale: f64,
    color_modes: Vec<String>,
    has_brightness: bool,
    has_effect: bool,
    feedback: Feedback,
}

const ACCEPTED: [&str; 11] = [
    "color_mode",
    "color_temp",
    "color_temp_kelvin",
    "flash_time_long",
    "flash_time_short",
    "max_kelvin",
    "max_mireds",
    "min_kelvin",
    "min_mireds",
    "transition",
    "white_scale",
];

/// Color modes without a brightness.
const FLAT_MODES: [&str; 2] = ["onoff", "unknown"];

impl JsonLight {
    pub(super) fn read(fields: &mut Fields<'_>) -> Option<JsonLight> {
        fields.accept(&ACCEPTED);
        fields.accept(&["effect_list", "hs", "rgb", "xy"]);
        fields.require("command_topic");
        let command = CommandTopic::read(fields, "command_topic", "command_template");
        let state = Source::read(fields, "state_topic", None);
        let scale = read_scale(fields);
        let mut color_modes = fields.texts("supported_color_modes");
        let is_dimmable = fields.boolean("brightness").unwrap_or(false);
        let has_effect = fields.boolean("effect").unwrap_or(false);
        let feedback = Feedback::read(fields, state.is_some());
        if color_modes.is_empty() {
            color_modes.push(if is_dimmable { "brightness" } else { "onoff" }.to_owned());
        }
        let has_brightness = color_modes.iter().any(|mode| !FLAT_MODES.contains(&mode.as_str()));
        Some(JsonLight { command: command?, state, scale, color_modes, has_brightness, has_effect, feedback })
    }

    pub(super) fn sources(&self) -> Vec<(&str, Role)> {
        self.state.iter().map(|state| (state.filter.as_str(), Role::State)).collect()
    }

    pub(super) fn decode(&self, payload: &Payload<'_>, update: &mut Update) -> Result<(), Fault> {
        if payload.text()?.trim().is_empty() {
            return Ok(());
        }
        let json = payload.json()?;
        if !matches!(json, Data::Map(_)) {
            return Err(Fault::NotObject);
        }
        let state = match json.get("state") {
            // A partial update, of the link quality for example.
            None => None,
            Some(Data::Null) => Some(Reported::Unknown),
            Some(Data::Text(word)) if word == "ON" => Some(Reported::State("on".to_owned())),
            Some(Data::Text(word)) if word == "OFF" => Some(Reported::State("off".to_owned())),
            Some(other) => {
                let found = shorten(&other.to_json().to_string());
                return Err(Fault::Unexpected { found, expected: "`ON` or `OFF`".to_owned() });
            }
        };
        let is_off = state == Some(Reported::State("off".to_owned()));
        update.state = state.or(update.state.take());
        let mut set = |name: &str, data: Option<Data>| {
            if let Some(data) = data {
                // A light that is off shows none of these in Home Assistant.
                update.attributes.insert(name.to_owned(), if is_off { Data::Null } else { data });
            }
        };
        let number = |key: &str| json.get(key).and_then(Data::to_number).filter(|number| number.is_finite());
        if self.has_brightness {
            let brightness = number("brightness").and_then(|brightness| from_scale(brightness, self.scale));
            set("brightness", brightness.or(is_off.then_some(Data::Null)));
        }
        set("color_mode", json.get("color_mode").cloned());
        set("effect", json.get("effect").filter(|_| self.has_effect).cloned());
        let mireds = number("color_temp").filter(|mireds| *mireds >= 1.0);
        set("color_temp", mireds.map(|mireds| Data::Int(mireds as i64)));
        set("color_temp_kelvin", mireds.map(|mireds| Data::Int((1_000_000.0 / mireds) as i64)));
        Ok(())
    }

    pub(super) fn encode_on(&self, call: &Call<'_>, wish: &Wish) -> Result<Encoded, EncodeError> {
        let brightness = wish.brightness.filter(|_| self.has_brightness);
        let has_color_temp = self.color_modes.iter().any(|mode| mode == "color_temp");
        let members = [
            ("state", Some(Json::from("ON"))),
            ("transition", wish.transition.map(Json::from)),
            ("brightness", brightness.map(|brightness| to_scale(brightness, self.scale).into())),
            ("color_temp", wish.mireds.filter(|_| has_color_temp).map(Json::from)),
            ("effect", wish.effect.clone().filter(|_| self.has_effect).map(Json::from)),
        ];
        let publish = self.command.publish(call, Data::Text(object(members)))?;
        let mut encoded = self.feedback.to_state(vec![publish], "on", &[]);
        if let Some(brightness) = brightness {
            expect_brightness(&mut encoded, brightness, self.state.is_some());
        }
        Ok(encoded)
    }

    pub(super) fn encode_off(&self, call: &Call<'_>, wish: &Wish) -> Result<Encoded, EncodeError> {
        let members = [("state", Some(Json::from("OFF"))), ("transition", wish.transition.map(Json::from))];
        let publish = self.command.publish(call, Data::Text(object(members)))?;
        Ok(self.feedback.to_state(vec![publish], "off", &[]))
    }

    pub(super) fn color_modes(&self) -> Vec<&str> {
        self.color_modes.iter().map(String::as_str).collect()
    }

    pub(super) fn feedback(&self) -> Feedback {
        self.feedback
    }
}

/// A compact JSON object with its members in this order, which is Home Assistant's.
fn object<const N: usize>(members: [(&str, Option<Json>); N]) -> String {
    let members: Vec<String> = members
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| format!("{}:{value}", Json::from(name))))
        .collect();
    format!("{{{}}}", members.join(","))
}
