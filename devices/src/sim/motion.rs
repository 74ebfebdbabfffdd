//! A motion sensor: it sees someone, and a few seconds later nobody.

use super::{Body, Model, NEVER, message, title};
use crate::{Millis, Publish, Timestamp};

/// How long it goes on to report motion after the last one.
const HOLD: Millis = Millis(3000);

#[derive(Debug)]
pub(super) struct Motion {
    name: String,
    is_occupied: bool,
    clears_at: Timestamp,
    next_visit: Timestamp,
    battery: u64,
}

impl Motion {
    pub(super) fn new(name: &str) -> Motion {
        let name = name.to_owned();
        Motion { name, is_occupied: false, clears_at: NEVER, next_visit: NEVER, battery: 100 }
    }

    fn see(&mut self, now: Timestamp, body: &mut Body) {
        self.is_occupied = true;
        self.clears_at = now.after(HOLD);
        self.next_visit = body.someday(now, 15_000, 45_000);
        // The battery tells a little less about once in fifty visits.
        self.battery = self.battery.saturating_sub(u64::from(body.random.between(1, 50) == 1)).max(1);
        body.say(now, self.states());
    }
}

impl Model for Motion {
    fn declaration(&self, availability: &str) -> String {
        let (name, title) = (&self.name, title(&self.name));
        format!(
            "- binary_sensor:\n    name: {title}\n    unique_id: sim_{name}\n    default_entity_id: binary_sensor.{name}\n    \
             state_topic: zigbee2mqtt/{name}\n    value_template: \"{{{{ value_json.occupancy }}}}\"\n    \
             payload_on: true\n    payload_off: false\n    device_class: motion\n{availability}"
        )
    }

    fn subscriptions(&self) -> Vec<String> {
        Vec::new()
    }

    fn states(&self) -> Vec<Publish> {
        let (battery, occupied) = (self.battery, self.is_occupied);
        let payload = format!(r#"{{"battery":{battery},"linkquality":120,"occupancy":{occupied}}}"#);
        vec![message(&format!("zigbee2mqtt/{}", self.name), &payload)]
    }

    fn start(&mut self, now: Timestamp, body: &mut Body) {
        self.next_visit = body.someday(now, 2000, 20_000);
    }

    fn next_act(&self) -> Timestamp {
        self.clears_at.min(self.next_visit)
    }

    fn act(&mut self, now: Timestamp, body: &mut Body) {
        if self.next_visit <= now {
            self.see(now, body);
        } else {
            self.is_occupied = false;
            self.clears_at = NEVER;
            body.say(now, self.states());
        }
    }

    fn receive(&mut self, _: Timestamp, _: &str, _: &str, _: &mut Body) {}

    fn trigger(&mut self, now: Timestamp, body: &mut Body) {
        self.see(now, body);
    }
}
