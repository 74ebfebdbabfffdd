//! A dimmable bulb with Tasmota: power and dimmer.

use super::outlet::{power, word};
use super::{Body, Model, NEVER, message, title};
use crate::{Publish, Timestamp};

#[derive(Debug)]
pub(super) struct Bulb {
    name: String,
    is_on: bool,
    /// 1 to 100; it is kept while the bulb is off.
    dimmer: u64,
}

impl Bulb {
    pub(super) fn new(name: &str) -> Bulb {
        Bulb { name: name.to_owned(), is_on: false, dimmer: 100 }
    }
}

impl Model for Bulb {
    fn declaration(&self, availability: &str) -> String {
        let (name, title) = (&self.name, title(&self.name));
        format!(
            "- light:\n    name: {title}\n    unique_id: sim_{name}\n    default_entity_id: light.{name}\n    \
             command_topic: cmnd/{name}/POWER\n    state_topic: stat/{name}/RESULT\n    \
             state_value_template: \"{{{{ value_json.POWER }}}}\"\n    \
             brightness_command_topic: cmnd/{name}/Dimmer\n    brightness_state_topic: stat/{name}/RESULT\n    \
             brightness_value_template: \"{{{{ value_json.Dimmer }}}}\"\n    brightness_scale: 100\n    \
             qos: 1\n{availability}"
        )
    }

    fn subscriptions(&self) -> Vec<String> {
        vec![format!("cmnd/{}/POWER", self.name), format!("cmnd/{}/Dimmer", self.name)]
    }

    fn states(&self) -> Vec<Publish> {
        let payload = format!(r#"{{"POWER":"{}","Dimmer":{}}}"#, word(self.is_on), self.dimmer);
        vec![message(&format!("stat/{}/RESULT", self.name), &payload)]
    }

    fn start(&mut self, _: Timestamp, _: &mut Body) {}

    fn next_act(&self) -> Timestamp {
        NEVER
    }

    fn act(&mut self, _: Timestamp, _: &mut Body) {}

    fn receive(&mut self, now: Timestamp, topic: &str, payload: &str, body: &mut Body) {
        if topic.ends_with("/Dimmer") {
            // A dimmer above zero turns on, zero turns off.
            if let Ok(dimmer) = payload.trim().parse::<u64>() {
                self.is_on = dimmer > 0;
                self.dimmer = if dimmer > 0 { dimmer.min(100) } else { self.dimmer };
            }
        } else {
            self.is_on = power(payload, self.is_on).unwrap_or(self.is_on);
        }
        body.say_within(now, 20, 80, self.states());
    }

    /// Someone uses the wall switch.
    fn trigger(&mut self, now: Timestamp, body: &mut Body) {
        self.is_on = !self.is_on;
        body.say(now, self.states());
    }
}
