//! The services of each kind of entity, as Home Assistant names them. This is the one table of what
//! may be called; who serves a domain that no device belongs to is not known here.

use super::Domain;

const SWITCHED: &[&str] = &["turn_on", "turn_off", "toggle"];

const CLIMATE: &[&str] = &[
    "turn_on",
    "turn_off",
    "toggle",
    "set_hvac_mode",
    "set_temperature",
    "set_humidity",
    "set_fan_mode",
    "set_preset_mode",
    "set_swing_mode",
    "set_swing_horizontal_mode",
];
const COVER: &[&str] = &[
    "open_cover",
    "close_cover",
    "stop_cover",
    "toggle",
    "set_cover_position",
    "open_cover_tilt",
    "close_cover_tilt",
    "stop_cover_tilt",
    "toggle_cover_tilt",
    "set_cover_tilt_position",
];
const FAN: &[&str] = &[
    "turn_on",
    "turn_off",
    "toggle",
    "set_percentage",
    "increase_speed",
    "decrease_speed",
    "set_preset_mode",
    "oscillate",
    "set_direction",
];
const SELECT: &[&str] = &["select_option", "select_next", "select_previous", "select_first", "select_last"];

/// The services of a domain whose entities are devices; none if it is no such domain.
///
/// ```
/// use gable_devices::services_of;
///
/// assert_eq!(services_of("lock"), Some(["lock", "unlock", "open"].as_slice()));
/// assert_eq!(services_of("sensor"), Some([].as_slice()));
/// assert_eq!(services_of("automation"), None);
/// ```
pub fn services_of(domain: &str) -> Option<&'static [&'static str]> {
    Domain::from_name(domain).map(of)
}

/// The domains whose entities are devices.
pub fn domains() -> impl Iterator<Item = &'static str> {
    Domain::ALL.into_iter().map(Domain::name)
}

pub(super) fn of(domain: Domain) -> &'static [&'static str] {
    match domain {
        Domain::BinarySensor | Domain::DeviceTracker | Domain::Event | Domain::Sensor => &[],
        Domain::Cover => COVER,
        Domain::Button => &["press"],
        Domain::Climate => CLIMATE,
        Domain::Fan => FAN,
        Domain::Light | Domain::Siren | Domain::Switch => SWITCHED,
        Domain::Lock => &["lock", "unlock", "open"],
        Domain::Notify => &["send_message"],
        Domain::Number | Domain::Text => &["set_value"],
        Domain::Scene => &["turn_on"],
        Domain::Select => SELECT,
        Domain::Update => &["install"],
        Domain::Valve => &["open_valve", "close_valve", "stop_valve", "toggle", "set_valve_position"],
    }
}
