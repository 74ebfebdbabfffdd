//! `climate`: a thermostat or an air conditioner: a mode, temperatures, presets, fans and swings.
//! Temperatures are taken as the device says them; nothing is converted between scales.

use super::command::{Call, CommandTopic, Feedback, merge, pulse};
use super::property::{Keys, Property, number, text_list};
use super::{Heard, Kind, PAYLOAD_NONE, Role, Source, Update, decode_word};
use crate::entity::Fault;
use crate::yaml::Fields;
use crate::{Data, EncodeError, Encoded};
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub(crate) struct Climate {
    mode_command: Option<CommandTopic>,
    mode: Option<Source>,
    modes: Vec<String>,
    mode_feedback: Feedback,
    power: Option<CommandTopic>,
    payload_on: String,
    payload_off: String,
    /// In the order of [`KEYS`].
    properties: Vec<Property>,
    /// What each of the properties may be, in the same order; empty, if any.
    options: Vec<Vec<String>>,
    temperatures: (f64, f64),
    humidities: (f64, f64),
    step: f64,
    /// To what temperatures are rounded when they are shown.
    precision: Precision,
}

#[derive(Clone, Copy, Debug)]
enum Precision {
    Tenths,
    Halves,
    Whole,
}

const TEMPERATURE: usize = 0;
const LOW: usize = 1;
const HIGH: usize = 2;
const HUMIDITY: usize = 3;
const FAN: usize = 4;
const PRESET: usize = 5;
const SWING: usize = 6;
const SWING_HORIZONTAL: usize = 7;
const CURRENT_HUMIDITY: usize = 9;
const ACTION: usize = 10;

const KEYS: [Keys; 11] = [
    Keys {
        attribute: "temperature",
        state: ("temperature_state_topic", "temperature_state_template"),
        command: Some(("temperature_command_topic", "temperature_command_template")),
    },
    Keys {
        attribute: "target_temp_low",
        state: ("temperature_low_state_topic", "temperature_low_state_template"),
        command: Some(("temperature_low_command_topic", "temperature_low_command_template")),
    },
    Keys {
        attribute: "target_temp_high",
        state: ("temperature_high_state_topic", "temperature_high_state_template"),
        command: Some(("temperature_high_command_topic", "temperature_high_command_template")),
    },
    Keys {
        attribute: "humidity",
        state: ("target_humidity_state_topic", "target_humidity_state_template"),
        command: Some(("target_humidity_command_topic", "target_humidity_command_template")),
    },
    Keys {
        attribute: "fan_mode",
        state: ("fan_mode_state_topic", "fan_mode_state_template"),
        command: Some(("fan_mode_command_topic", "fan_mode_command_template")),
    },
    Keys {
        attribute: "preset_mode",
        state: ("preset_mode_state_topic", "preset_mode_value_template"),
        command: Some(("preset_mode_command_topic", "preset_mode_command_template")),
    },
    Keys {
        attribute: "swing_mode",
        state: ("swing_mode_state_topic", "swing_mode_state_template"),
        command: Some(("swing_mode_command_topic", "swing_mode_command_template")),
    },
    Keys {
        attribute: "swing_horizontal_mode",
        state: ("swing_horizontal_mode_state_topic", "swing_horizontal_mode_state_template"),
        command: Some(("swing_horizontal_mode_command_topic", "swing_horizontal_mode_command_template")),
    },
    Keys {
        attribute: "current_temperature",
        state: ("current_temperature_topic", "current_temperature_template"),
        command: None,
    },
    Keys {
        attribute: "current_humidity",
        state: ("current_humidity_topic", "current_humidity_template"),
        command: None,
    },
    Keys { attribute: "hvac_action", state: ("action_topic", "action_template"), command: None },
];

/// The keys that list what a property may be, the attribute that shows them, and the list by default.
const LISTS: [(usize, &str, &[&str]); 4] = [
    (FAN, "fan_modes", &["auto", "low", "medium", "high"]),
    (PRESET, "preset_modes", &[]),
    (SWING, "swing_modes", &["on", "off"]),
    (SWING_HORIZONTAL, "swing_horizontal_modes", &["on", "off"]),
];
const MODES: [&str; 6] = ["auto", "off", "cool", "heat", "dry", "fan_only"];
const OFF: &str = "off";
const NO_PRESET: &str = "none";

impl Climate {
    pub(super) fn read(fields: &mut Fields<'_>) -> Option<Climate> {
        fields.accept(&["initial", "value_template"]);
        let mode_command = CommandTopic::read(fields, "mode_command_topic", "mode_command_template");
        let mode = Source::read(fields, "mode_state_topic", Some("mode_state_template"));
        let mode_feedback = Feedback::read(fields, mode.is_some());
        let power = CommandTopic::read(fields, "power_command_topic", "power_command_template");
        let payload_on = fields.text("payload_on").unwrap_or_else(|| "ON".to_owned());
        let payload_off = fields.text("payload_off").unwrap_or_else(|| "OFF".to_owned());
        let properties = KEYS.iter().map(|keys| Property::read(fields, keys)).collect();
        let mut options = vec![Vec::new(); KEYS.len()];
        for (n, key, default) in LISTS {
            options[n] = read_list(fields, key, default);
        }
        if fields.has("preset_mode_command_topic") && options[PRESET].is_empty() {
            fields.fail("`preset_mode_command_topic` needs `preset_modes` beside it");
        }
        if options[PRESET].iter().any(|preset| preset == NO_PRESET) {
            fields.fail("`preset_modes` has `none`, which is there in any case");
        }
        let least = fields.number("min_temp").unwrap_or(7.0);
        let most = fields.number("max_temp").unwrap_or(35.0);
        let driest = fields.number("min_humidity").unwrap_or(30.0);
        let wettest = fields.number("max_humidity").unwrap_or(99.0);
        if least >= most || driest >= wettest {
            fields.fail("a least value is not less than the greatest");
        }
        Some(Climate {
            mode_command,
            mode,
            modes: read_list(fields, "modes", &MODES),
            mode_feedback,
            power,
            payload_on,
            payload_off,
            properties,
            options,
            temperatures: (least, most),
            humidities: (driest, wettest),
            step: fields.number("temp_step").unwrap_or(1.0),
            precision: read_precision(fields),
        })
    }

    /// A temperature as Home Assistant shows it, halves rounded to even.
    fn round(&self, degrees: f64) -> Data {
        match self.precision {
            Precision::Tenths => number(format!("{degrees:.1}").parse().unwrap_or(degrees)),
            Precision::Halves => number((degrees * 2.0).round_ties_even() / 2.0),
            Precision::Whole => number(degrees.round_ties_even()),
        }
    }

    fn encode_mode(&self, call: &Call<'_>, mode: &str) -> Result<Encoded, EncodeError> {
        let command = self.mode_command.as_ref().ok_or_else(|| call.unsupported("mode_command_topic"))?;
        Ok(self.mode_feedback.to_state(vec![command.publish(call, mode.into())?], mode, &[]))
    }

    fn encode_temperature(&self, call: &Call<'_>) -> Result<Encoded, EncodeError> {
        call.check_data(&["temperature", "target_temp_high", "target_temp_low", "hvac_mode"])?;
        let mut parts = Vec::new();
        if call.text("hvac_mode")?.is_some() {
            parts.push(self.encode_mode(call, &call.require_option("hvac_mode", &self.modes)?)?);
        }
        let (least, most) = self.temperatures;
        for n in [TEMPERATURE, LOW, HIGH] {
            let property = &self.properties[n];
            if let Some(degrees) = call.number_between(property.attribute, least, most)? {
                parts.push(property.encode(call, number(degrees), self.round(degrees), 0)?);
            }
        }
        merge(parts).ok_or_else(|| call.data_error("temperature", "is missing"))
    }

    /// Sets a property that is one of a few words.
    fn encode_option(&self, call: &Call<'_>, n: usize) -> Result<Encoded, EncodeError> {
        let property = &self.properties[n];
        call.check_data(&[property.attribute])?;
        let mut options = self.options[n].clone();
        if n == PRESET && !options.is_empty() {
            options.insert(0, NO_PRESET.to_owned());
        }
        let option = Data::Text(call.require_option(property.attribute, &options)?);
        property.encode(call, option.clone(), option, 0)
    }

    fn encode_humidity(&self, call: &Call<'_>) -> Result<Encoded, EncodeError> {
        call.check_data(&["humidity"])?;
        let (driest, wettest) = self.humidities;
        let humidity = number(call.require_number("humidity", driest, wettest)?.trunc());
        self.properties[HUMIDITY].encode(call, humidity.clone(), humidity, 0)
    }

    fn encode_power(&self, call: &Call<'_>, is_on: bool) -> Result<Encoded, EncodeError> {
        call.check_data(&[])?;
        if let Some(power) = &self.power {
            let payload = if is_on { &self.payload_on } else { &self.payload_off };
            return Ok(Encoded {
                repeatable: true,
                ..pulse(power.publish(call, payload.as_str().into())?, false)
            });
        }
        let has = |mode: &str| self.modes.iter().any(|known| known == mode);
        let mode = match (is_on, self.modes.as_slice()) {
            (false, _) => has(OFF).then_some(OFF),
            (true, [one, other]) if one == OFF || other == OFF => {
                Some(if one == OFF { other.as_str() } else { one.as_str() })
            }
            (true, _) => ["heat_cool", "heat", "cool"].into_iter().find(|mode| has(mode)),
        };
        self.encode_mode(call, mode.ok_or_else(|| call.unsupported("power_command_topic"))?)
    }
}

fn read_precision(fields: &mut Fields<'_>) -> Precision {
    let is_fahrenheit = fields.text("temperature_unit").is_some_and(|unit| unit == "F");
    match fields.number("precision") {
        None if is_fahrenheit => Precision::Whole,
        None => Precision::Tenths,
        Some(precision) if precision < 0.3 => Precision::Tenths,
        Some(precision) if precision < 0.7 => Precision::Halves,
        Some(_) => Precision::Whole,
    }
}

fn read_list(fields: &mut Fields<'_>, key: &'static str, default: &[&str]) -> Vec<String> {
    let list = fields.texts(key);
    if list.is_empty() { default.iter().map(|item| (*item).to_owned()).collect() } else { list }
}

impl Kind for Climate {
    fn sources(&self) -> Vec<(&str, Role)> {
        let mode = self.mode.iter().map(|mode| (mode.filter.as_str(), Role::State));
        mode.chain((0..).zip(&self.properties).filter_map(|(n, property)| property.source(n))).collect()
    }

    fn decode(&self, heard: &Heard<'_, '_>, update: &mut Update) -> Result<(), Fault> {
        let Role::Property(n) = heard.role else {
            let words = self.modes.iter().map(|mode| (mode.as_str(), mode.as_str()));
            return decode_word(heard.payload, self.mode.as_ref(), words, update);
        };
        let n = usize::from(n);
        let (Some(property), Some(options)) = (self.properties.get(n), self.options.get(n)) else {
            return Ok(());
        };
        match n {
            FAN | SWING | SWING_HORIZONTAL => property.decode_text(heard, PAYLOAD_NONE, &[], update),
            PRESET => {
                property.decode_text(heard, NO_PRESET, options, update)?;
                if update.attributes.get(property.attribute) == Some(&Data::Null) {
                    property.set(update, NO_PRESET.into());
                }
                Ok(())
            }
            ACTION => {
                property.decode_text(heard, PAYLOAD_NONE, &[], update)?;
                // A device that says nothing of what it does has not ceased to do it.
                if update.attributes.get(property.attribute) == Some(&Data::Null) {
                    update.attributes.remove(property.attribute);
                }
                Ok(())
            }
            HUMIDITY | CURRENT_HUMIDITY => property.decode_number(heard, update),
            _ => {
                property.decode_number(heard, update)?;
                if let Some(degrees) = update.attributes.get(property.attribute).and_then(Data::to_number) {
                    property.set(update, self.round(degrees));
                }
                Ok(())
            }
        }
    }

    fn encode(&self, call: &Call<'_>) -> Result<Encoded, EncodeError> {
        match call.service {
            "turn_on" => self.encode_power(call, true),
            "turn_off" => self.encode_power(call, false),
            "set_hvac_mode" => {
                call.check_data(&["hvac_mode"])?;
                self.encode_mode(call, &call.require_option("hvac_mode", &self.modes)?)
            }
            "set_temperature" => self.encode_temperature(call),
            "set_humidity" => self.encode_humidity(call),
            "set_fan_mode" => self.encode_option(call, FAN),
            "set_preset_mode" => self.encode_option(call, PRESET),
            "set_swing_mode" => self.encode_option(call, SWING),
            "set_swing_horizontal_mode" => self.encode_option(call, SWING_HORIZONTAL),
            _ => self.encode_power(call, call.is_now(&[OFF])),
        }
    }

    fn add_attributes(&self, attributes: &mut BTreeMap<String, Data>) {
        let mut add = |name: &str, data: Data| attributes.insert(name.to_owned(), data);
        add("hvac_modes", text_list(&self.modes));
        add("min_temp", number(self.temperatures.0));
        add("max_temp", number(self.temperatures.1));
        add("target_temp_step", number(self.step));
        if self.properties[HUMIDITY].is_told() {
            add("min_humidity", number(self.humidities.0));
            add("max_humidity", number(self.humidities.1));
        }
        for (n, name, _) in LISTS {
            if !self.properties[n].is_told() {
                continue;
            }
            let mut options = self.options[n].clone();
            if n == PRESET {
                options.insert(0, NO_PRESET.to_owned());
            }
            add(name, text_list(&options));
        }
        super::add_assumed(self.mode_feedback.is_optimistic && self.mode_command.is_some(), attributes);
    }
}
