//! `schema: json`: state and commands are one JSON object, as Zigbee2MQTT and ESPHome speak.

use super::color::Color;
use super::{
    FLAT_MODES, Flash, Temperature, Wish, assume, expect_brightness, from_scale, read_scale, to_scale,
};
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
    effects: Vec<String>,
    /// Whether color temperatures are said in kelvin rather than in mireds.
    is_kelvin: bool,
    /// How many seconds a short and a long flash take.
    flashes: (i64, i64),
    feedback: Feedback,
}

const ACCEPTED: [&str; 8] = [
    "color_mode",
    "color_temp",
    "max_kelvin",
    "max_mireds",
    "min_kelvin",
    "min_mireds",
    "transition",
    "white_scale",
];

impl JsonLight {
    pub(super) fn read(fields: &mut Fields<'_>) -> Option<JsonLight> {
        fields.accept(&ACCEPTED);
        fields.accept(&["hs", "rgb", "xy"]);
        fields.require("command_topic");
        let command = CommandTopic::read(fields, "command_topic", "command_template");
        let state = Source::read(fields, "state_topic", None);
        let scale = read_scale(fields);
        let mut color_modes = fields.texts("supported_color_modes");
        let is_dimmable = fields.boolean("brightness").unwrap_or(false);
        let has_effect = fields.boolean("effect").unwrap_or(false);
        let effects = fields.texts("effect_list");
        let is_kelvin = fields.boolean("color_temp_kelvin").unwrap_or(false);
        let flashes = (
            fields.integer("flash_time_short").unwrap_or(2),
            fields.integer("flash_time_long").unwrap_or(10),
        );
        let feedback = Feedback::read(fields, state.is_some());
        if color_modes.is_empty() {
            color_modes.push(if is_dimmable { "brightness" } else { "onoff" }.to_owned());
        }
        let has_brightness = color_modes.iter().any(|mode| !FLAT_MODES.contains(&mode.as_str()));
        Some(JsonLight {
            command: command?,
            state,
            scale,
            color_modes,
            has_brightness,
            has_effect,
            effects,
            is_kelvin,
            flashes,
            feedback,
        })
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
        update.state = state.or(update.state.take());
        let mut shown = self.decode_color(json);
        if self.has_brightness {
            let brightness = json.get("brightness").and_then(Data::to_number);
            let brightness = brightness.and_then(|brightness| from_scale(brightness, self.scale));
            shown.extend(brightness.map(|data| ("brightness", data)));
        }
        if self.has_effect {
            shown.extend(json.get("effect").map(|effect| ("effect", effect.clone())));
        }
        update.attributes.extend(shown.into_iter().map(|(name, data)| (name.to_owned(), data)));
        Ok(())
    }

    /// What a message says of the color. Where it names a mode, what other modes show is no more.
    fn decode_color(&self, json: &Data) -> Vec<(&'static str, Data)> {
        let mode = json.get("color_mode").and_then(Data::as_text);
        let temperature = json.get("color_temp").and_then(Data::to_number).filter(|number| *number >= 1.0);
        let temperature = temperature.map(|number| Temperature::said(number, self.is_kelvin));
        let has_temperature = self.has_mode("color_temp");
        match (mode, temperature) {
            (Some("color_temp") | None, Some(temperature)) if has_temperature => {
                temperature.shown().collect()
            }
            (None, _) => Vec::new(),
            (Some(mode), _) => match json.get("color").and_then(|color| read_color(mode, color)) {
                Some(color) => color.shown(has_temperature),
                None => {
                    let mut shown = vec![("color_mode", Data::from(mode))];
                    let temperature = ["color_temp", "color_temp_kelvin"].iter().filter(|_| has_temperature);
                    let colors = ["hs_color", "rgb_color", "xy_color"].iter();
                    let colors = colors.filter(|_| has_temperature || self.has_colors());
                    shown.extend(temperature.chain(colors).map(|name| (*name, Data::Null)));
                    shown
                }
            },
        }
    }

    fn has_mode(&self, mode: &str) -> bool {
        self.color_modes.iter().any(|known| known == mode)
    }

    fn has_colors(&self) -> bool {
        ["hs", "rgb", "xy"].into_iter().any(|mode| self.has_mode(mode))
    }

    pub(super) fn encode_on(&self, call: &Call<'_>, wish: &Wish) -> Result<Encoded, EncodeError> {
        let brightness = wish.brightness.filter(|_| self.has_brightness);
        let temperature = wish.temperature.filter(|_| self.has_mode("color_temp"));
        let color = wish.color.and_then(|color| color.for_modes(|mode| self.has_mode(mode)));
        let effect = wish.effect.clone().filter(|_| self.has_effect);
        let said = temperature.map(|both| if self.is_kelvin { both.kelvin } else { both.mireds });
        let members = [
            ("state", Some(json("ON"))),
            ("color", color.map(show_color)),
            ("flash", self.flash(wish)),
            ("transition", wish.transition.map(json)),
            ("brightness", brightness.map(|brightness| json(to_scale(brightness, self.scale)))),
            ("color_temp", said.map(json)),
            ("effect", effect.clone().map(json)),
        ];
        let publish = self.command.publish(call, Data::Text(object(members)))?;
        let mut encoded = self.feedback.to_state(vec![publish], "on", &[]);
        if let Some(brightness) = brightness {
            expect_brightness(&mut encoded, brightness, self.state.is_some());
        }
        assume(&mut encoded, temperature.into_iter().flat_map(Temperature::shown));
        let has_temperature = self.has_mode("color_temp");
        assume(&mut encoded, color.into_iter().flat_map(|color| color.shown(has_temperature)));
        assume(&mut encoded, effect.map(|effect| ("effect", Data::Text(effect))));
        Ok(encoded)
    }

    pub(super) fn encode_off(&self, call: &Call<'_>, wish: &Wish) -> Result<Encoded, EncodeError> {
        let members = [
            ("state", Some(json("OFF"))),
            ("flash", self.flash(wish)),
            ("transition", wish.transition.map(json)),
        ];
        let publish = self.command.publish(call, Data::Text(object(members)))?;
        Ok(self.feedback.to_state(vec![publish], "off", &[]))
    }

    fn flash(&self, wish: &Wish) -> Option<String> {
        let (short, long) = self.flashes;
        wish.flash.map(|flash| json(if flash == Flash::Short { short } else { long }))
    }

    pub(super) fn has_brightness(&self) -> bool {
        self.has_brightness
    }

    pub(super) fn has_effect(&self) -> bool {
        self.has_effect
    }

    pub(super) fn effects(&self) -> &[String] {
        if self.has_effect { &self.effects } else { &[] }
    }

    pub(super) fn color_modes(&self) -> Vec<&str> {
        self.color_modes.iter().map(String::as_str).collect()
    }

    pub(super) fn feedback(&self) -> Feedback {
        self.feedback
    }
}

/// A color as a device says it in a color mode.
fn read_color(mode: &str, json: &Data) -> Option<Color> {
    let number = |key: &str| json.get(key).and_then(Data::to_number).filter(|number| number.is_finite());
    match mode {
        "hs" => Some(Color::Hs(number("h")?, number("s")?)),
        "rgb" => {
            let channel = |key: &str| number(key).map(|channel| channel.clamp(0.0, 255.0) as i64);
            Some(Color::Rgb([channel("r")?, channel("g")?, channel("b")?]))
        }
        "xy" => Some(Color::Xy(number("x")?, number("y")?)),
        _ => None,
    }
}

fn show_color(color: Color) -> String {
    match color {
        Color::Hs(hue, saturation) => object([("h", Some(json(hue))), ("s", Some(json(saturation)))]),
        Color::Rgb([red, green, blue]) => {
            object([("r", Some(json(red))), ("g", Some(json(green))), ("b", Some(json(blue)))])
        }
        Color::Xy(x, y) => object([("x", Some(json(x))), ("y", Some(json(y)))]),
    }
}

fn json(value: impl Into<Json>) -> String {
    value.into().to_string()
}

/// A compact JSON object with its members, which are JSON, in this order, which is Home Assistant's.
fn object<const N: usize>(members: [(&str, Option<String>); N]) -> String {
    let members: Vec<String> = members
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| format!("{}:{value}", json(name))))
        .collect();
    format!("{{{}}}", members.join(","))
}
