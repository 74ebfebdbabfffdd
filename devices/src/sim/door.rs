//! A contact on a door. The door's motor (`closer.rs`) moves the same leaf: the contact listens to
//! it in place of the magnet that it has in a real house.

use super::{Body, Model, NEVER, closer, message, title};
use crate::{Publish, Timestamp};

#[derive(Debug)]
pub(super) struct Door {
    name: String,
    is_open: bool,
    next_use: Timestamp,
}

impl Door {
    pub(super) fn new(name: &str) -> Door {
        Door { name: name.to_owned(), is_open: false, next_use: NEVER }
    }

    fn turn(&mut self, now: Timestamp, is_open: bool, body: &mut Body) {
        if self.is_open != is_open {
            self.is_open = is_open;
            body.say(now, self.states());
        }
        self.next_use = body.someday(now, 40_000, 120_000);
    }
}

impl Model for Door {
    fn declaration(&self, availability: &str) -> String {
        let (name, title) = (&self.name, title(&self.name));
        // Zigbee2MQTT's `contact` is true while magnet and switch touch, so on (open) is false.
        format!(
            "- binary_sensor:\n    name: {title}\n    unique_id: sim_{name}_contact\n    \
             default_entity_id: binary_sensor.{name}\n    state_topic: zigbee2mqtt/{name}\n    \
             value_template: \"{{{{ value_json.contact }}}}\"\n    payload_on: false\n    payload_off: true\n    \
             device_class: door\n{availability}"
        )
    }

    fn subscriptions(&self) -> Vec<String> {
        vec![closer::state_topic(&self.name)]
    }

    fn states(&self) -> Vec<Publish> {
        let payload = format!(r#"{{"battery":91,"contact":{},"linkquality":98}}"#, !self.is_open);
        vec![message(&format!("zigbee2mqtt/{}", self.name), &payload)]
    }

    fn start(&mut self, now: Timestamp, body: &mut Body) {
        self.next_use = body.someday(now, 5000, 30_000);
    }

    fn next_act(&self) -> Timestamp {
        self.next_use
    }

    fn act(&mut self, now: Timestamp, body: &mut Body) {
        self.turn(now, !self.is_open, body);
    }

    fn receive(&mut self, now: Timestamp, _: &str, payload: &str, body: &mut Body) {
        match payload {
            "closed" => self.turn(now, false, body),
            "opening" => self.turn(now, true, body),
            _ => {}
        }
    }

    /// Someone opens the door.
    fn trigger(&mut self, now: Timestamp, body: &mut Body) {
        self.turn(now, true, body);
    }
}
