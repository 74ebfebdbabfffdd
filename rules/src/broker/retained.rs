//! Retained messages.

use crate::broker::publish::Wanted;
use crate::broker::{BrokerLimits, Publication, Sending, SubscribeOptions};
use gable_devices::{Timestamp, topic};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// A message that was published, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retained {
    pub publication: Arc<Publication>,
    pub at: Timestamp,
}

/// The last retained message of each topic.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct RetainedMessages {
    by_topic: BTreeMap<String, Retained>,
    bytes: u64,
}

impl Retained {
    /// What a subscriber gets of it: marked as retained, whatever it said of live messages.
    pub fn sending(&self, options: &SubscribeOptions) -> Sending {
        let wanted = Wanted::of([options], false).unwrap_or_default();
        Sending { retain: true, ..wanted.sending(&self.publication, self.at) }
    }

    /// When it is of no more use.
    pub(crate) fn expires_at(&self) -> Option<Timestamp> {
        expires_at(&self.publication, self.at)
    }
}

/// When a message is of no more use.
pub(crate) fn expires_at(publication: &Publication, at: Timestamp) -> Option<Timestamp> {
    let seconds = publication.properties.message_expiry_interval?;
    Some(at.after(gable_devices::Millis::from_secs(seconds.into())))
}

impl RetainedMessages {
    /// Keeps a message, or forgets the topic's if it is empty [MQTT-3.3.1-6]. False if there is no
    /// room; then the topic keeps none, since what it had is outdated.
    pub(crate) fn set(
        &mut self,
        publication: &Arc<Publication>,
        at: Timestamp,
        limits: &BrokerLimits,
    ) -> bool {
        self.remove(&publication.topic);
        if publication.payload.is_empty() {
            return true;
        }
        let bytes = publication.bytes() as u64;
        let has_room = (self.by_topic.len() as u64) < u64::from(limits.retained_max)
            && self.bytes.saturating_add(bytes) <= limits.retained_bytes_max;
        if has_room {
            self.bytes += bytes;
            let retained = Retained { publication: publication.clone(), at };
            self.by_topic.insert(publication.topic.clone(), retained);
        }
        has_room
    }

    fn remove(&mut self, topic: &str) {
        if let Some(retained) = self.by_topic.remove(topic) {
            self.bytes = self.bytes.saturating_sub(retained.publication.bytes() as u64);
        }
    }

    /// Returns the messages whose topics match a filter, in the order of their topics.
    pub(crate) fn matching<'a>(
        &'a self,
        filter: &'a str,
        now: Timestamp,
    ) -> impl Iterator<Item = &'a Retained> {
        // Topics with the filter's literal beginning stand together.
        let literal = filter.find(['+', '#']).map_or(filter, |wildcard| &filter[..wildcard]);
        // `a/#` matches `a`, which stands before `a/`.
        let begin = if filter.ends_with("/#") { literal.trim_end_matches('/') } else { literal };
        self.by_topic
            .range::<str, _>((Bound::Included(begin), Bound::Unbounded))
            .take_while(move |(topic, _)| topic.starts_with(begin))
            .filter(move |(topic, _)| topic::covers(filter, topic))
            .map(|(_, retained)| retained)
            .filter(move |retained| retained.expires_at().is_none_or(|at| now < at))
    }

    /// Forgets what is of no more use, and returns when the next one will be.
    pub(crate) fn sweep(&mut self, now: Timestamp) -> Option<Timestamp> {
        let is_over = |retained: &Retained| retained.expires_at().is_some_and(|at| at <= now);
        let over = self.by_topic.iter().filter(|(_, retained)| is_over(retained));
        let over: Vec<String> = over.map(|(topic, _)| topic.clone()).collect();
        over.iter().for_each(|topic| self.remove(topic));
        self.by_topic.values().filter_map(Retained::expires_at).min()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_topic.len()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(topic: &str, payload: &str) -> Arc<Publication> {
        let (topic, payload) = (topic.to_owned(), payload.as_bytes().to_vec());
        Arc::new(Publication { topic, payload, retain: true, ..Publication::default() })
    }

    fn topics(retained: &RetainedMessages, filter: &str) -> String {
        let topics = retained.matching(filter, Timestamp(0)).map(|it| it.publication.topic.as_str());
        topics.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn filters_find_topics_as_in_section_4_7() {
        let mut retained = RetainedMessages::default();
        for topic in ["a", "a-b", "a/b", "a/b/c", "a/c", "b", "$SYS/x"] {
            assert!(retained.set(&message(topic, "1"), Timestamp(0), &BrokerLimits::default()));
        }
        for (filter, expected) in [
            ("a/#", "a a/b a/b/c a/c"),
            ("a/+", "a/b a/c"),
            ("a/+/c", "a/b/c"),
            ("a/b", "a/b"),
            ("a", "a"),
            ("#", "a a-b a/b a/b/c a/c b"),
            ("+", "a a-b b"),
            ("+/b", "a/b"),
            ("$SYS/#", "$SYS/x"),
            ("c/#", ""),
        ] {
            assert_eq!(topics(&retained, filter), expected, "{filter}");
        }
    }

    #[test]
    fn an_empty_message_forgets_the_topic() {
        let mut retained = RetainedMessages::default();
        let limits = BrokerLimits::default();
        retained.set(&message("a", "1"), Timestamp(0), &limits);
        assert!(retained.set(&message("a", ""), Timestamp(0), &limits));
        assert_eq!((retained.len(), retained.bytes()), (0, 0));
    }

    #[test]
    fn room_is_bounded_by_count_and_bytes() {
        let mut retained = RetainedMessages::default();
        let limits = BrokerLimits { retained_max: 2, retained_bytes_max: 1000, ..BrokerLimits::default() };
        assert!(retained.set(&message("a", "1"), Timestamp(0), &limits));
        assert!(retained.set(&message("b", "1"), Timestamp(0), &limits));
        assert!(!retained.set(&message("c", "1"), Timestamp(0), &limits));
        assert!(retained.set(&message("a", "2"), Timestamp(0), &limits), "an update needs no more room");
        assert!(!retained.set(&message("a", &"x".repeat(1000)), Timestamp(0), &limits));
        assert_eq!(topics(&retained, "#"), "b");
    }

    #[test]
    fn what_expires_is_not_found_and_swept() {
        let mut retained = RetainedMessages::default();
        for (topic, seconds) in [("a", Some(5)), ("b", Some(9)), ("c", None), ("d", Some(0))] {
            let mut publication = Publication::clone(&message(topic, "1"));
            publication.properties.message_expiry_interval = seconds;
            retained.set(&Arc::new(publication), Timestamp(1_000), &BrokerLimits::default());
        }
        let found = |at| retained.matching("#", Timestamp(at)).count();
        assert_eq!((found(1_000), found(5_999), found(6_000), found(10_000)), (3, 3, 2, 1));
        assert_eq!(retained.sweep(Timestamp(6_000)), Some(Timestamp(10_000)));
        assert_eq!(retained.sweep(Timestamp(10_000)), None);
        assert_eq!(retained.len(), 1);
    }
}
