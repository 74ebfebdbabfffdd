//! An outlet with Tasmota: power on and off.

use super::{Body, Model, NEVER, message, title};
use crate::{Publish, Timestamp};

#[derive(Debug)]
pub(super) struct Outlet {
    name: String,
    is_on: bool,
    next_report: Timestamp,
}

/// What Tasmota's POWER command makes of the present power; none if the payload is no power or asks
/// only.
pub(super) fn power(payload: &str, is_on: bool) -> Option<bool> {
    match payload.trim().to_ascii_uppercase().as_str() {
        "ON" | "1" | "TRUE" => Some(true),
        "OFF" | "0" | "FALSE" => Some(false),
        "TOGGLE" | "2" => Some(!is_on),
        _ => None,
    }
}

/// Tasmota's word for it.
pub(super) fn word(is_on: bool) -> &'static str {
    if is_on { "ON" } else { "OFF" }
}

impl Outlet {
    pub(super) fn new(name: &str) -> Outlet {
        Outlet { name: name.to_owned(), is_on: false, next_report: NEVER }
    }
}

impl Model for Outlet {
    fn declaration(&self, availability: &str) -> String {
        let (name, title) = (&self.name, title(&self.name));
        format!(
            "- switch:\n    name: {title}\n    unique_id: sim_{name}\n    default_entity_id: switch.{name}\n    \
             command_topic: cmnd/{name}/POWER\n    state_topic: stat/{name}/RESULT\n    \
             value_template: \"{{{{ value_json.POWER }}}}\"\n    device_class: outlet\n    qos: 1\n{availability}"
        )
    }

    fn subscriptions(&self) -> Vec<String> {
        vec![format!("cmnd/{}/POWER", self.name)]
    }

    fn states(&self) -> Vec<Publish> {
        let payload = format!(r#"{{"POWER":"{}"}}"#, word(self.is_on));
        vec![
            message(&format!("stat/{}/RESULT", self.name), &payload),
            message(&format!("stat/{}/POWER", self.name), word(self.is_on)),
        ]
    }

    fn start(&mut self, now: Timestamp, body: &mut Body) {
        self.next_report = body.someday(now, 5000, 10_000);
    }

    fn next_act(&self) -> Timestamp {
        self.next_report
    }

    /// Tells its consumption now and then, as Tasmota's telemetry does.
    fn act(&mut self, now: Timestamp, body: &mut Body) {
        let watts = if self.is_on { body.random.between(38, 44) } else { 0 };
        let payload = format!(r#"{{"ENERGY":{{"Power":{watts},"Voltage":230}}}}"#);
        body.say(now, vec![message(&format!("tele/{}/SENSOR", self.name), &payload)]);
        self.next_report = body.someday(now, 25_000, 35_000);
    }

    fn receive(&mut self, now: Timestamp, _: &str, payload: &str, body: &mut Body) {
        self.is_on = power(payload, self.is_on).unwrap_or(self.is_on);
        body.say_within(now, 20, 80, self.states());
    }

    /// Someone presses its button.
    fn trigger(&mut self, now: Timestamp, body: &mut Body) {
        self.is_on = !self.is_on;
        body.say(now, self.states());
    }
}
