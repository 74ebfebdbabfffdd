//! A thermometer: a slow walk around a room's temperature, told every few seconds.

use super::{Body, Model, NEVER, message, title};
use crate::{Publish, Timestamp};

#[derive(Debug)]
pub(super) struct Temperature {
    name: String,
    /// In hundredths of a degree Celsius, so that no arithmetic of floats is involved.
    hundredths: u64,
    next_reading: Timestamp,
}

/// The walk stays within 16 and 26 degrees.
const RANGE: (u64, u64) = (1600, 2600);

impl Temperature {
    pub(super) fn new(name: &str) -> Temperature {
        Temperature { name: name.to_owned(), hundredths: 2100, next_reading: NEVER }
    }

    fn walk(&mut self, now: Timestamp, most: u64, body: &mut Body) {
        let step = body.random.between(0, 2 * most);
        self.hundredths = (self.hundredths + step).saturating_sub(most).clamp(RANGE.0, RANGE.1);
        self.next_reading = body.someday(now, 8000, 12_000);
        body.say(now, self.states());
    }
}

impl Model for Temperature {
    fn declaration(&self, availability: &str) -> String {
        let (name, title) = (&self.name, title(&self.name));
        format!(
            "- sensor:\n    name: {title}\n    unique_id: sim_{name}\n    default_entity_id: sensor.{name}\n    \
             state_topic: zigbee2mqtt/{name}\n    value_template: \"{{{{ value_json.temperature }}}}\"\n    \
             device_class: temperature\n    state_class: measurement\n    unit_of_measurement: °C\n{availability}"
        )
    }

    fn subscriptions(&self) -> Vec<String> {
        Vec::new()
    }

    fn states(&self) -> Vec<Publish> {
        let (whole, rest) = (self.hundredths / 100, self.hundredths % 100);
        let payload =
            format!(r#"{{"battery":78,"humidity":48.2,"linkquality":88,"temperature":{whole}.{rest:02}}}"#);
        vec![message(&format!("zigbee2mqtt/{}", self.name), &payload)]
    }

    fn start(&mut self, now: Timestamp, body: &mut Body) {
        self.next_reading = body.someday(now, 500, 5000);
    }

    fn next_act(&self) -> Timestamp {
        self.next_reading
    }

    fn act(&mut self, now: Timestamp, body: &mut Body) {
        self.walk(now, 15, body);
    }

    fn receive(&mut self, _: Timestamp, _: &str, _: &str, _: &mut Body) {}

    /// Someone opens a window or turns the heating up.
    fn trigger(&mut self, now: Timestamp, body: &mut Body) {
        self.walk(now, 200, body);
    }
}
