//! `light`: on or off, and how bright, in the two schemas that devices mostly speak.

mod color;
mod json;
mod names;
mod topics;

use super::command::{Call, expect_attribute};
use super::property::text_list;
use super::{Heard, Kind, Role, Update};
use crate::entity::Fault;
use crate::yaml::Fields;
use crate::{Data, EncodeError, Encoded, Report, Value};
use color::Color;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub(crate) enum Light {
    /// `schema: basic`, the default: a topic for each property.
    Topics(Box<topics::TopicLight>),
    /// `schema: json`: one object for all.
    Json(json::JsonLight),
}

#[derive(Clone, Copy)]
enum Schema {
    Basic,
    Json,
    Template,
}

/// Brightness as Home Assistant counts it: 1 to 255.
const FULL: f64 = 255.0;

/// How far a reported brightness may be from the one commanded: a device that counts to 100 or 254
/// rounds twice.
const BRIGHTNESS_TOLERANCE: u32 = 3;

/// What `turn_on` takes. Colours are known and left out where a light has no use for them, as Home
/// Assistant does.
const DATA: [&str; 18] = [
    "brightness",
    "brightness_pct",
    "brightness_step",
    "brightness_step_pct",
    "color_name",
    "color_temp",
    "color_temp_kelvin",
    "effect",
    "flash",
    "hs_color",
    "kelvin",
    "profile",
    "rgb_color",
    "rgbw_color",
    "rgbww_color",
    "transition",
    "white",
    "xy_color",
];

/// What a light shows only while it is on.
const SHOWN_WHILE_ON: [&str; 8] = [
    "brightness",
    "color_mode",
    "color_temp",
    "color_temp_kelvin",
    "effect",
    "hs_color",
    "rgb_color",
    "xy_color",
];

/// Color modes without a brightness.
const FLAT_MODES: [&str; 2] = ["onoff", "unknown"];

/// What a call asks of a light.
struct Wish {
    brightness: Option<f64>,
    transition: Option<f64>,
    temperature: Option<Temperature>,
    color: Option<Color>,
    effect: Option<String>,
    flash: Option<Flash>,
}

/// A colour temperature, as asked for and in the other unit.
#[derive(Clone, Copy)]
struct Temperature {
    mireds: i64,
    kelvin: i64,
}

/// How long to flash.
#[derive(Clone, Copy, PartialEq)]
enum Flash {
    Short,
    Long,
}

impl Light {
    pub(super) fn read(fields: &mut Fields<'_>) -> Option<Light> {
        let schemas = [
            ("basic", Schema::Basic),
            ("default", Schema::Basic),
            ("json", Schema::Json),
            ("template", Schema::Template),
        ];
        match fields.choice("schema", &schemas).unwrap_or(Schema::Basic) {
            Schema::Basic => topics::TopicLight::read(fields).map(Box::new).map(Light::Topics),
            Schema::Json => json::JsonLight::read(fields).map(Light::Json),
            Schema::Template => {
                fields.fail("`schema: template` is not supported; `json` and `basic` are");
                None
            }
        }
    }
}

impl Kind for Light {
    fn sources(&self) -> Vec<(&str, Role)> {
        match self {
            Light::Topics(light) => light.sources(),
            Light::Json(light) => light.sources(),
        }
    }

    fn decode(&self, heard: &Heard<'_, '_>, update: &mut Update) -> Result<(), Fault> {
        match self {
            Light::Topics(light) => light.decode(heard, update),
            Light::Json(light) => light.decode(heard.payload, update),
        }
    }

    fn encode(&self, call: &Call<'_>) -> Result<Encoded, EncodeError> {
        let wish = Wish::read(call)?;
        let is_on = match call.service {
            "turn_on" => true,
            "turn_off" => false,
            _ => !call.is_now(&["on"]),
        };
        // Brightness zero is how a slider says off.
        let is_on = is_on && wish.brightness != Some(0.0);
        match (self, is_on) {
            (Light::Topics(light), true) => light.encode_on(call, &wish),
            (Light::Topics(light), false) => light.encode_off(call),
            (Light::Json(light), true) => light.encode_on(call, &wish),
            (Light::Json(light), false) => light.encode_off(call, &wish),
        }
    }

    fn add_attributes(&self, attributes: &mut BTreeMap<String, Data>) {
        let (modes, feedback) = match self {
            Light::Topics(light) => (light.color_modes(), light.feedback()),
            Light::Json(light) => (light.color_modes(), light.feedback()),
        };
        let modes = modes.into_iter().map(|mode| Data::Text(mode.to_owned())).collect();
        attributes.insert("supported_color_modes".to_owned(), Data::List(modes));
        let effects = match self {
            Light::Topics(light) => light.effects(),
            Light::Json(light) => light.effects(),
        };
        if !effects.is_empty() {
            attributes.insert("effect_list".to_owned(), text_list(effects));
        }
        super::add_assumed(feedback.is_optimistic, attributes);
    }

    fn begin(&self, value: &mut Value) {
        let (modes, has_brightness, has_effect) = match self {
            Light::Topics(light) => (light.color_modes(), light.has_brightness(), light.has_effect()),
            Light::Json(light) => (light.color_modes(), light.has_brightness(), light.has_effect()),
        };
        let mode = if let [mode] = modes.as_slice() { mode } else { "unknown" };
        let mut show = |name: &str, data| value.attributes.insert(name.to_owned(), data);
        // Shown once the light is on.
        show("color_mode", mode.into());
        if has_brightness {
            show("brightness", Data::Null);
        }
        if has_effect {
            show("effect", Data::Null);
        }
        if modes.contains(&"color_temp") {
            show("color_temp", Data::Null);
            show("color_temp_kelvin", Data::Null);
        }
        if modes.iter().any(|mode| !FLAT_MODES.contains(mode) && *mode != "brightness") {
            for name in ["hs_color", "rgb_color", "xy_color"] {
                show(name, Data::Null);
            }
        }
    }

    fn shown_while_on(&self) -> &'static [&'static str] {
        &SHOWN_WHILE_ON
    }
}

impl Wish {
    fn read(call: &Call<'_>) -> Result<Wish, EncodeError> {
        call.check_data(&DATA)?;
        let flash = match call.text("flash")?.as_deref() {
            None => None,
            Some("short") => Some(Flash::Short),
            Some("long") => Some(Flash::Long),
            Some(_) => return Err(call.data_error("flash", "is neither `short` nor `long`")),
        };
        Ok(Wish {
            brightness: read_brightness(call)?,
            transition: call.number("transition")?.map(|seconds| seconds.clamp(0.0, 6553.0)),
            temperature: Temperature::read(call)?,
            color: read_color(call)?,
            effect: call.text("effect")?,
            flash,
        })
    }
}

impl Temperature {
    fn read(call: &Call<'_>) -> Result<Option<Temperature>, EncodeError> {
        const MOST: f64 = 1_000_000.0;
        let other = |number: f64| (MOST / number).floor() as i64;
        if let Some(mireds) = call.number_between("color_temp", 1.0, MOST)?.map(f64::trunc) {
            return Ok(Some(Temperature { mireds: mireds as i64, kelvin: other(mireds) }));
        }
        let kelvin = match call.number_between("color_temp_kelvin", 1.0, MOST)? {
            Some(kelvin) => Some(kelvin),
            None => call.number_between("kelvin", 1.0, MOST)?,
        };
        let kelvin = kelvin.map(f64::trunc);
        Ok(kelvin.map(|kelvin| Temperature { mireds: other(kelvin), kelvin: kelvin as i64 }))
    }

    /// A temperature as a device says it.
    fn said(number: f64, is_kelvin: bool) -> Temperature {
        let (said, other) = (number as i64, (1_000_000.0 / number) as i64);
        let (mireds, kelvin) = if is_kelvin { (other, said) } else { (said, other) };
        Temperature { mireds, kelvin }
    }

    /// The attributes that show it.
    fn shown(self) -> impl Iterator<Item = (&'static str, Data)> {
        let own = [
            ("color_mode", Data::from("color_temp")),
            ("color_temp", Data::Int(self.mireds)),
            ("color_temp_kelvin", Data::Int(self.kelvin)),
        ];
        own.into_iter().chain(Color::from_kelvin(self.kelvin).attributes())
    }
}

/// The colour asked for, by name or by numbers.
fn read_color(call: &Call<'_>) -> Result<Option<Color>, EncodeError> {
    if let Some(name) = call.text("color_name")? {
        let unknown = || call.data_error("color_name", &format!("`{name}` is not a colour known here"));
        return Color::from_name(&name).map(Some).ok_or_else(unknown);
    }
    if let Some([hue, saturation]) = read_numbers(call, "hs_color", [360.0, 100.0])? {
        return Ok(Some(Color::Hs(hue, saturation)));
    }
    if let Some([x, y]) = read_numbers(call, "xy_color", [1.0, 1.0])? {
        return Ok(Some(Color::Xy(x, y)));
    }
    let rgb = read_numbers(call, "rgb_color", [FULL; 3])?;
    Ok(rgb.map(|rgb| Color::Rgb(rgb.map(|channel| channel as i64))))
}

/// Numbers from zero up to `most`, as a list or in a text (a rendered template).
fn read_numbers<const N: usize>(
    call: &Call<'_>,
    key: &str,
    most: [f64; N],
) -> Result<Option<[f64; N]>, EncodeError> {
    let numbers: Option<Vec<f64>> = match call.data.get(key).map(Data::meaning) {
        None | Some(Data::Null) => return Ok(None),
        Some(Data::List(list) | Data::Tuple(list)) => list.iter().map(Data::to_number).collect(),
        Some(Data::Text(text)) => {
            let text = text.trim().trim_matches(['[', ']', '(', ')']);
            text.split(',').map(|number| number.trim().parse().ok()).collect()
        }
        Some(
            Data::Bool(_)
            | Data::Int(_)
            | Data::Float(_)
            | Data::Map(_)
            | Data::Time(_)
            | Data::LocalTime(..)
            | Data::Spelled(..),
        ) => None,
    };
    let numbers: Option<[f64; N]> = numbers.and_then(|numbers| numbers.try_into().ok());
    match numbers {
        Some(numbers) if numbers.iter().zip(most).all(|(number, most)| (0.0..=most).contains(number)) => {
            Ok(Some(numbers))
        }
        Some(_) | None => Err(call.data_error(
            key,
            &format!("is not {N} numbers from 0 to {}", most.map(|most| most.to_string()).join(", ")),
        )),
    }
}

/// The brightness asked for, absolute or as a step from the present one. Python rounds halves to
/// even, and so does this.
fn read_brightness(call: &Call<'_>) -> Result<Option<f64>, EncodeError> {
    let absolute = call.number("brightness")?.map(f64::trunc);
    let percent = call.number_between("brightness_pct", 0.0, 100.0)?;
    let step = call.number("brightness_step")?.map(|step| step.trunc().clamp(-FULL, FULL));
    let step_percent = call.number("brightness_step_pct")?.map(|step| step.clamp(-100.0, 100.0));
    let of_percent = |percent: f64| (percent / 100.0 * FULL).round_ties_even();
    let brightness = match (absolute, percent, step.or(step_percent.map(of_percent))) {
        (Some(brightness), ..) => brightness,
        (None, Some(percent), _) => of_percent(percent),
        (None, None, Some(step)) => current_brightness(call).unwrap_or(0.0) + step,
        (None, None, None) => return Ok(None),
    };
    Ok(Some(brightness.clamp(0.0, FULL)))
}

fn current_brightness(call: &Call<'_>) -> Option<f64> {
    last_brightness(call).filter(|_| call.is_now(&["on"]))
}

/// The brightness that a light has, or had before it was turned off.
fn last_brightness(call: &Call<'_>) -> Option<f64> {
    call.attribute("brightness").and_then(Data::to_number)
}

/// From the device's scale to 255; zero is no brightness but a way to say off, and says nothing.
fn from_scale(brightness: f64, scale: f64) -> Option<Data> {
    let full = (brightness / scale * FULL).round_ties_even().min(FULL);
    (brightness > 0.0 && full.is_finite()).then_some(Data::Int(full as i64))
}

/// From 255 to the device's scale, and never down to zero.
fn to_scale(brightness: f64, scale: f64) -> i64 {
    (brightness / FULL * scale).round_ties_even().min(scale).max(1.0) as i64
}

fn read_scale(fields: &mut Fields<'_>) -> f64 {
    let scale = fields.number("brightness_scale").unwrap_or(FULL);
    if scale < 1.0 {
        fields.fail("`brightness_scale` is less than 1");
    }
    scale.max(1.0)
}

/// Makes the brightness part of what confirms `encoded` and of what is assumed.
fn expect_brightness(encoded: &mut Encoded, brightness: f64, is_heard: bool) {
    let value = Data::Int(brightness as i64);
    expect_attribute(encoded, "brightness", value, BRIGHTNESS_TOLERANCE, is_heard);
}

/// Makes attributes part of what is assumed.
fn assume(encoded: &mut Encoded, more: impl IntoIterator<Item = (&'static str, Data)>) {
    if let Some(Report::Update { attributes, .. }) = &mut encoded.assume {
        attributes.extend(more.into_iter().map(|(name, data)| (name.to_owned(), data)));
    }
}
