//! A door lock on Zigbee: its bolt takes a moment.

use super::{Body, Model, NEVER, message, title};
use crate::{Publish, Timestamp};

#[derive(Debug)]
pub(super) struct Lock {
    name: String,
    is_locked: bool,
}

/// Its name in Zigbee2MQTT, where the door's contact has the plain one.
pub(super) fn friendly_name(name: &str) -> String {
    format!("{name}_lock")
}

impl Lock {
    pub(super) fn new(name: &str) -> Lock {
        Lock { name: name.to_owned(), is_locked: true }
    }
}

impl Model for Lock {
    fn declaration(&self, availability: &str) -> String {
        let (name, title, topic) = (&self.name, title(&self.name), friendly_name(&self.name));
        format!(
            "- lock:\n    name: {title}\n    unique_id: sim_{name}_lock\n    default_entity_id: lock.{name}\n    \
             command_topic: zigbee2mqtt/{topic}/set\n    state_topic: zigbee2mqtt/{topic}\n    \
             value_template: \"{{{{ value_json.lock_state }}}}\"\n    state_locked: locked\n    \
             state_unlocked: unlocked\n    qos: 1\n{availability}"
        )
    }

    fn subscriptions(&self) -> Vec<String> {
        vec![format!("zigbee2mqtt/{}/set", friendly_name(&self.name))]
    }

    fn states(&self) -> Vec<Publish> {
        let (state, lock_state) = if self.is_locked { ("LOCK", "locked") } else { ("UNLOCK", "unlocked") };
        let payload = format!(r#"{{"linkquality":105,"lock_state":"{lock_state}","state":"{state}"}}"#);
        vec![message(&format!("zigbee2mqtt/{}", friendly_name(&self.name)), &payload)]
    }

    fn start(&mut self, _: Timestamp, _: &mut Body) {}

    fn next_act(&self) -> Timestamp {
        NEVER
    }

    fn act(&mut self, _: Timestamp, _: &mut Body) {}

    fn receive(&mut self, now: Timestamp, _: &str, payload: &str, body: &mut Body) {
        // Zigbee2MQTT takes the bare word and the object.
        self.is_locked = match payload {
            "LOCK" | r#"{"state":"LOCK"}"# | r#"{"state": "LOCK"}"# => true,
            "UNLOCK" | r#"{"state":"UNLOCK"}"# | r#"{"state": "UNLOCK"}"# => false,
            _ => return,
        };
        body.say_within(now, 200, 600, self.states());
    }

    /// Someone turns the key.
    fn trigger(&mut self, now: Timestamp, body: &mut Body) {
        self.is_locked = !self.is_locked;
        body.say(now, self.states());
    }
}
