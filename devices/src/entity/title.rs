//! What an entity is called that has no name of its own: after what it measures, or after its kind,
//! in Home Assistant's English.

use crate::platform::Domain;

/// Classes whose names are not simply their words.
const CLASSES: [(&str, &str); 10] = [
    ("aqi", "Air quality index"),
    ("battery_charging", "Charging"),
    ("energy_distance", "Energy per distance"),
    ("energy_storage", "Stored energy"),
    ("monetary", "Balance"),
    ("ph", "pH"),
    ("pm1", "PM1"),
    ("pm10", "PM10"),
    ("pm25", "PM2.5"),
    ("volume_storage", "Stored volume"),
];

/// The name of an entity without one.
pub(super) fn title(domain: Domain, class: Option<&str>, schema: Option<&str>) -> String {
    match class {
        Some(class) if is_called_after_class(domain) && class != "enum" => of_class(class),
        Some(_) | None => of_kind(domain, schema).to_owned(),
    }
}

fn is_called_after_class(domain: Domain) -> bool {
    match domain {
        Domain::BinarySensor
        | Domain::Button
        | Domain::Event
        | Domain::Number
        | Domain::Sensor
        | Domain::Update => true,
        Domain::Climate
        | Domain::Cover
        | Domain::DeviceTracker
        | Domain::Fan
        | Domain::Light
        | Domain::Lock
        | Domain::Notify
        | Domain::Scene
        | Domain::Select
        | Domain::Siren
        | Domain::Switch
        | Domain::Text
        | Domain::Valve => false,
    }
}

fn of_class(class: &str) -> String {
    if let Some((_, name)) = CLASSES.iter().find(|(known, _)| *known == class) {
        return (*name).to_owned();
    }
    let words = class.replace('_', " ");
    let mut chars = words.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn of_kind(domain: Domain, schema: Option<&str>) -> &'static str {
    match domain {
        Domain::BinarySensor => "MQTT Binary sensor",
        Domain::Button => "MQTT Button",
        Domain::Climate => "MQTT HVAC",
        Domain::Cover => "MQTT Cover",
        Domain::DeviceTracker => "MQTT Device tracker",
        Domain::Event => "MQTT Event",
        Domain::Fan => "MQTT Fan",
        Domain::Light if schema == Some("json") => "MQTT JSON Light",
        Domain::Light => "MQTT LightEntity",
        Domain::Lock => "MQTT Lock",
        Domain::Notify => "MQTT notify",
        Domain::Number => "MQTT Number",
        Domain::Scene => "MQTT Scene",
        Domain::Select => "MQTT Select",
        Domain::Sensor => "MQTT Sensor",
        Domain::Siren => "MQTT Siren",
        Domain::Switch => "MQTT Switch",
        Domain::Text => "MQTT Text",
        Domain::Update => "MQTT Update",
        Domain::Valve => "MQTT Valve",
    }
}
