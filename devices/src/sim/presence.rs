//! A presence radar: someone stays for a while, then nobody.

use super::{Body, Model, NEVER, message, title};
use crate::{Publish, Timestamp};

#[derive(Debug)]
pub(super) struct Presence {
    name: String,
    is_present: bool,
    next_change: Timestamp,
}

/// The device's name in ESPHome, which has hyphens in place of underscores.
pub(super) fn node(name: &str) -> String {
    name.replace('_', "-")
}

impl Presence {
    pub(super) fn new(name: &str) -> Presence {
        Presence { name: name.to_owned(), is_present: false, next_change: NEVER }
    }

    fn topic(&self) -> String {
        format!("{}/binary_sensor/presence/state", node(&self.name))
    }
}

impl Model for Presence {
    fn declaration(&self, availability: &str) -> String {
        let (name, title, topic) = (&self.name, title(&self.name), self.topic());
        format!(
            "- binary_sensor:\n    name: {title}\n    unique_id: sim_{name}\n    \
             default_entity_id: binary_sensor.{name}\n    state_topic: {topic}\n    \
             device_class: occupancy\n{availability}"
        )
    }

    fn subscriptions(&self) -> Vec<String> {
        Vec::new()
    }

    fn states(&self) -> Vec<Publish> {
        let payload = if self.is_present { "ON" } else { "OFF" };
        // ESPHome retains states unless told otherwise.
        vec![Publish { retain: true, ..message(&self.topic(), payload) }]
    }

    fn start(&mut self, now: Timestamp, body: &mut Body) {
        self.next_change = body.someday(now, 5000, 30_000);
    }

    fn next_act(&self) -> Timestamp {
        self.next_change
    }

    fn act(&mut self, now: Timestamp, body: &mut Body) {
        self.trigger(now, body);
    }

    fn receive(&mut self, _: Timestamp, _: &str, _: &str, _: &mut Body) {}

    /// Someone enters or leaves.
    fn trigger(&mut self, now: Timestamp, body: &mut Body) {
        self.is_present = !self.is_present;
        self.next_change = body.someday(now, 20_000, 90_000);
        body.say(now, self.states());
    }
}
