//! The figures under `$SYS/` as who subscribes to them sees them: kept by the hub, beside the log.

use gable_devices::{Timestamp, topic};
use gable_rules::broker::{Publication, Retained, Sending, SubscribeOptions};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the hub knows of this node's clients.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Presence {
    pub(super) connected: usize,
    /// The most that were connected at once.
    pub(super) connected_max: usize,
    /// Those of clean sessions.
    pub(super) subscriptions: usize,
}

/// The last figures. As many as there are topics that the node tells of itself.
#[derive(Debug, Default)]
pub(super) struct Figures(BTreeMap<String, Retained>);

impl Figures {
    /// Whether a filter can match figures: no wildcard at its start does [MQTT-4.7.2-1].
    pub(super) fn are_in(filter: &str) -> bool {
        filter.starts_with("$SYS/")
    }

    /// Sets a figure; returns the message for who is subscribed, if it is another than before.
    pub(super) fn set(&mut self, topic: String, payload: String, at: Timestamp) -> Option<Arc<Publication>> {
        let payload = payload.into_bytes();
        if self.0.get(&topic).is_some_and(|before| before.publication.payload == payload) {
            return None;
        }
        let publication =
            Publication { topic: topic.clone(), payload, retain: true, ..Publication::default() };
        let publication = Arc::new(publication);
        self.0.insert(topic, Retained { publication: publication.clone(), at });
        Some(publication)
    }

    /// What a new subscription gets.
    pub(super) fn matching(&self, filter: &str, options: &SubscribeOptions) -> Vec<Sending> {
        if !Figures::are_in(filter) {
            return Vec::new();
        }
        let matching = self.0.iter().filter(|(topic, _)| topic::covers(filter, topic));
        matching.map(|(_, figure)| figure.sending(options)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_come_at_once_if_asked_for_and_later_if_they_change() {
        let mut figures = Figures::default();
        let mut set = |payload: &str| {
            figures.set("$SYS/broker/uptime".to_owned(), payload.to_owned(), Timestamp(1)).is_some()
        };
        assert!(set("1 seconds"));
        assert!(!set("1 seconds"));
        assert!(set("2 seconds"));
        let count = |filter: &str| figures.matching(filter, &SubscribeOptions::default()).len();
        assert_eq!(["$SYS/#", "$SYS/broker/+", "$SYS/broker/uptime"].map(count), [1; 3]);
        assert_eq!(["#", "+/broker/uptime", "$SYS", "$SYS/gable/#"].map(count), [0; 4]);
        let found = figures.matching("$SYS/#", &SubscribeOptions::default());
        assert!(found.iter().all(|it| it.retain && it.publication.payload == b"2 seconds"));
    }
}
