//! What was said a moment ago, to tell news from what comes back: our own publishes, and the
//! retained messages that a broker repeats at every subscription.

use super::fingerprint::Fingerprint;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use tokio::time::Instant;

/// How long our own publish may take to come back to us.
const ECHO_MAX: Duration = Duration::from_secs(10);

/// How many publishes are remembered. When one more comes the oldest is forgotten, and would be
/// proposed like any other message should it still come back.
const ECHO_COUNT_MAX: usize = 4096;

/// How many topics are remembered. When one more comes all are forgotten, and each retained
/// message counts as news once more.
const TOPIC_COUNT_MAX: usize = 100_000;

/// Our own publishes that the broker will deliver back to us.
///
/// Each node publishes a command to its own broker. Where an automation listens on a command's
/// topic every node hears its own copy, and one event would become one per node: so all but the
/// topic's owner drop theirs. Equal content stands for identity; a device's message that is equal
/// to ours and comes first is dropped in its place, and ours is then taken for the device's.
#[derive(Debug, Default)]
pub(super) struct Echoes(VecDeque<(Fingerprint, Instant)>);

impl Echoes {
    /// Notes a publish on a topic that we subscribe.
    pub(super) fn published(&mut self, now: Instant, fingerprint: Fingerprint) {
        if self.0.len() == ECHO_COUNT_MAX {
            self.0.pop_front();
        }
        self.0.push_back((fingerprint, now));
    }

    /// Whether a message is the return of a publish. Each publish returns once.
    pub(super) fn returned(&mut self, now: Instant, fingerprint: Fingerprint) -> bool {
        while self.0.front().is_some_and(|(_, at)| now - *at > ECHO_MAX) {
            self.0.pop_front();
        }
        let position = self.0.iter().position(|(published, _)| *published == fingerprint);
        position.and_then(|position| self.0.remove(position)).is_some()
    }
}

/// The last message of each topic, as heard here or applied from any node.
///
/// A broker delivers a topic's retained message at every subscription, and Gable subscribes at
/// every connection. Home Assistant takes such a message as an event when it starts. Here a node
/// that lost its broker for a moment would fire automations again for states that the home knows
/// long since. So a retained message counts only when it differs from the last one of its topic.
#[derive(Debug, Default)]
pub(super) struct LastHeard(HashMap<String, Fingerprint>);

impl LastHeard {
    /// Notes a message, and says whether it differs from the last one of its topic.
    pub(super) fn note(&mut self, topic: &str, fingerprint: Fingerprint) -> bool {
        if let Some(last) = self.0.get_mut(topic) {
            return std::mem::replace(last, fingerprint) != fingerprint;
        }
        if self.0.len() == TOPIC_COUNT_MAX {
            self.0.clear();
        }
        self.0.insert(topic.to_owned(), fingerprint);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint(payload: &str) -> Fingerprint {
        Fingerprint::of("t", payload.as_bytes())
    }

    #[test]
    fn each_publish_returns_once_and_soon() {
        let (mut echoes, now) = (Echoes::default(), Instant::now());
        echoes.published(now, fingerprint("on"));
        echoes.published(now, fingerprint("on"));
        assert!(!echoes.returned(now, fingerprint("off")));
        assert!(echoes.returned(now, fingerprint("on")));
        let later = now + ECHO_MAX;
        assert!(echoes.returned(later, fingerprint("on")));
        assert!(!echoes.returned(later, fingerprint("on")));
        echoes.published(later, fingerprint("on"));
        assert!(!echoes.returned(later + ECHO_MAX + Duration::from_millis(1), fingerprint("on")));
        for n in 0..=ECHO_COUNT_MAX {
            echoes.published(later, fingerprint(&n.to_string()));
        }
        assert!(!echoes.returned(later, fingerprint("0")), "the oldest is forgotten");
        assert!(echoes.returned(later, fingerprint("1")));
    }

    #[test]
    fn a_message_is_news_when_it_differs_from_its_topics_last() {
        let mut last = LastHeard::default();
        assert!(last.note("t", fingerprint("on")));
        assert!(!last.note("t", fingerprint("on")));
        assert!(last.note("u", fingerprint("on")));
        assert!(last.note("t", fingerprint("off")));
        assert!(last.note("t", fingerprint("on")));
    }
}
