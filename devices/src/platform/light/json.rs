//! `schema: json`: state and commands are one JSON object, as Zigbee2MQTT and ESPHome speak.

use super::color::{self, Color};
use super::{Flash, Temperature, Wish, assume, expect_brightness, from_scale, read_scale, to_scale};
use crate::entity::{Fault, Payload};
use crate::platform::command::{Call, CommandTopic, Feedback};
use crate::platform::{Reported, Role, Source, Update, shorten};
use crate::yaml::Fields;
use crate::{Data, EncodeError, Encoded};
use serde_json::{Value as Json, json};

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

/// Color modes without a brightness.
const FLAT_MODES: [&str; 2] = ["onoff", "unknown"];

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
        let is_off = state == Some(Reported::State("off".to_owned()));
        update.state = state.or(update.state.take());
        let mut shown = self.decode_color(json);
        let brightness = json.get("brightness").and_then(Data::to_number);
        if self.has_brightness {
            let brightness = brightness.and_then(|brightness| from_scale(brightness, self.scale));
            shown.extend(brightness.or(is_off.then_some(Data::Null)).map(|data| ("brightness", data)));
        }
        if self.has_effect {
            shown.extend(json.get("effect").map(|effect| ("effect", effect.clone())));
        }
        for (name, data) in shown {
            // A light that is off shows none of these in Home Assistant.
            update.attributes.insert(name.to_owned(), if is_off { Data::Null } else { data });
        }
        Ok(())
    }

    /// What a message says of the color. Where it names a mode, what other modes show is no more.
    fn decode_color(&self, json: &Data) -> Vec<(&'static str, Data)> {
        let mode = json.get("color_mode").and_then(Data::as_text);
        let mut shown: Vec<_> = mode.map(|mode| ("color_mode", Data::from(mode))).into_iter().collect();
        let number = |key: &str| json.get(key).and_then(Data::to_number).filter(|number| *number >= 1.0);
        let temperature = number("color_temp").filter(|_| mode.is_none_or(|mode| mode == "color_temp"));
        if let Some(temperature) = temperature {
            let (said, other) = (temperature as i64, (1_000_000.0 / temperature) as i64);
            let (mireds, kelvin) = if self.is_kelvin { (other, said) } else { (said, other) };
            shown.extend([("color_temp", Data::Int(mireds)), ("color_temp_kelvin", Data::Int(kelvin))]);
        } else if mode.is_some() && self.has_mode("color_temp") {
            shown.extend([("color_temp", Data::Null), ("color_temp_kelvin", Data::Null)]);
        }
        match mode.and_then(|mode| read_color(mode, json.get("color")?)) {
            Some(color) => shown.extend(color.attributes()),
            None if mode.is_some() && self.has_colors() => {
                shown.extend(color::ATTRIBUTES.map(|name| (name, Data::Null)));
            }
            None => {}
        }
        shown
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
            ("state", Some(Json::from("ON"))),
            ("color", color.map(show_color)),
            ("flash", self.flash(wish)),
            ("transition", wish.transition.map(Json::from)),
            ("brightness", brightness.map(|brightness| to_scale(brightness, self.scale).into())),
            ("color_temp", said.map(Json::from)),
            ("effect", effect.clone().map(Json::from)),
        ];
        let publish = self.command.publish(call, Data::Text(object(members)))?;
        let mut encoded = self.feedback.to_state(vec![publish], "on", &[]);
        if let Some(brightness) = brightness {
            expect_brightness(&mut encoded, brightness, self.state.is_some());
        }
        assume(&mut encoded, temperature.into_iter().flat_map(Temperature::attributes));
        assume(&mut encoded, temperature.map(|_| ("color_mode", Data::from("color_temp"))));
        assume(&mut encoded, color.into_iter().flat_map(Color::attributes));
        assume(&mut encoded, color.map(|color| ("color_mode", Data::from(color.mode()))));
        assume(&mut encoded, effect.map(|effect| ("effect", Data::Text(effect))));
        Ok(encoded)
    }

    pub(super) fn encode_off(&self, call: &Call<'_>, wish: &Wish) -> Result<Encoded, EncodeError> {
        let members = [
            ("state", Some(Json::from("OFF"))),
            ("flash", self.flash(wish)),
            ("transition", wish.transition.map(Json::from)),
        ];
        let publish = self.command.publish(call, Data::Text(object(members)))?;
        Ok(self.feedback.to_state(vec![publish], "off", &[]))
    }

    fn flash(&self, wish: &Wish) -> Option<Json> {
        let (short, long) = self.flashes;
        wish.flash.map(|flash| if flash == Flash::Short { short } else { long }.into())
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

fn show_color(color: Color) -> Json {
    match color {
        Color::Hs(hue, saturation) => json!({"h": hue, "s": saturation}),
        Color::Rgb([red, green, blue]) => json!({"r": red, "g": green, "b": blue}),
        Color::Xy(x, y) => json!({"x": x, "y": y}),
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
