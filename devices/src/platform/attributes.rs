//! The attributes that each kind of entity gives itself. A device's topic for further attributes may
//! not set them, as in Home Assistant.

use super::Domain;

const CLIMATE: &[&str] = &[
    "current_humidity",
    "current_temperature",
    "fan_mode",
    "fan_modes",
    "humidity",
    "hvac_action",
    "hvac_modes",
    "max_humidity",
    "max_temp",
    "min_humidity",
    "min_temp",
    "preset_mode",
    "preset_modes",
    "swing_horizontal_mode",
    "swing_horizontal_modes",
    "swing_mode",
    "swing_modes",
    "target_temp_high",
    "target_temp_low",
    "target_temp_step",
    "temperature",
];
const COVER: &[&str] = &["current_position", "current_tilt_position"];
const EVENT: &[&str] = &["event_type", "event_types"];
const FAN: &[&str] =
    &["direction", "oscillating", "percentage", "percentage_step", "preset_mode", "preset_modes"];
const LIGHT: &[&str] = &[
    "brightness",
    "color_mode",
    "color_temp",
    "color_temp_kelvin",
    "effect",
    "effect_list",
    "hs_color",
    "max_color_temp_kelvin",
    "max_mireds",
    "min_color_temp_kelvin",
    "min_mireds",
    "rgb_color",
    "rgbw_color",
    "rgbww_color",
    "supported_color_modes",
    "xy_color",
];
const LOCK: &[&str] = &["changed_by", "code_format"];
const NUMBER: &[&str] = &["max", "min", "step"];
const SELECT: &[&str] = &["options"];
const SENSOR: &[&str] = &["last_reset", "state_class"];
const SIREN: &[&str] = &["available_tones", "duration", "tone", "volume_level"];
const TEXT: &[&str] = &["max", "min", "mode", "pattern"];
const UPDATE: &[&str] = &[
    "auto_update",
    "display_precision",
    "in_progress",
    "installed_version",
    "latest_version",
    "release_summary",
    "release_url",
    "skipped_version",
    "title",
    "update_percentage",
];
const VALVE: &[&str] = &["current_position"];

pub(super) fn own(domain: Domain) -> &'static [&'static str] {
    match domain {
        Domain::Climate => CLIMATE,
        Domain::Cover => COVER,
        Domain::Event => EVENT,
        Domain::Fan => FAN,
        Domain::Light => LIGHT,
        Domain::Lock => LOCK,
        Domain::Number => NUMBER,
        Domain::Select => SELECT,
        Domain::Sensor => SENSOR,
        Domain::Siren => SIREN,
        Domain::Text => TEXT,
        Domain::Update => UPDATE,
        Domain::Valve => VALVE,
        Domain::BinarySensor
        | Domain::Button
        | Domain::DeviceTracker
        | Domain::Notify
        | Domain::Scene
        | Domain::Switch => &[],
    }
}
