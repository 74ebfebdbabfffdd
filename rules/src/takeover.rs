//! The recent messages of a shared broker, so that one proposed in place of a silent node is not
//! counted beside the same one from that node.
//!
//! With one broker for all nodes each hears everything and only a topic's owner proposes. When the
//! owner falls silent, others propose what they heard from its topics; whether the owner's own
//! proposal made it into the log is decided here. MQTT messages carry no identity, so equal topic
//! and payload is the best there is: each message matches one takeover at most, and only within
//! the window.

use crate::fnv;
use crate::{Message, NodeId};
use gable_devices::{Millis, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// How many messages of either kind are remembered. At more than this within [`AGE_MAX`] the
/// oldest is forgotten, and a takeover that comes later still is counted twice rather than lost.
const COUNT_MAX: usize = 4096;

/// How long a message is remembered: longer than two proposals of it are apart. Whoever sees it
/// applied proposes it no more, so only what is under way at once can meet here; a longer memory
/// would rather take the next message of equal content for the same one.
const AGE_MAX: Millis = Millis::from_secs(15);

/// Recent messages that no takeover or late owner has matched yet, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Window {
    heard: VecDeque<Heard>,
    taken_over: VecDeque<Heard>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Heard {
    hash: u64,
    node: NodeId,
    at: Timestamp,
}

impl Window {
    /// Says whether `message` is news, and remembers it if so.
    ///
    /// `owner` is the topic's owner now: what the owner itself says is always news, while the late
    /// word of a former owner may have been taken over already.
    pub(crate) fn is_news(
        &mut self,
        now: Timestamp,
        node: NodeId,
        owner: Option<NodeId>,
        message: &Message,
    ) -> bool {
        forget_old(&mut self.heard, now);
        forget_old(&mut self.taken_over, now);
        let hash = fnv::extend(fnv::extend(fnv::fnv1a(message.topic.as_bytes()), &[0]), &message.payload);
        let heard = Heard { hash, node, at: now };
        if message.takeover {
            // Another node may have taken it over as well, when owners changed twice in a row.
            if remove_match(&mut self.heard, heard) || remove_match(&mut self.taken_over, heard) {
                return false;
            }
            remember(&mut self.taken_over, heard);
        } else {
            if owner != Some(node) && remove_match(&mut self.taken_over, heard) {
                return false;
            }
            remember(&mut self.heard, heard);
        }
        true
    }
}

/// Drops what is too old. The log's time never goes back, so the oldest stand first.
fn forget_old(messages: &mut VecDeque<Heard>, now: Timestamp) {
    while messages.front().is_some_and(|oldest| now.since(oldest.at) > AGE_MAX) {
        messages.pop_front();
    }
}

/// Removes the oldest equal message of another node.
fn remove_match(messages: &mut VecDeque<Heard>, wanted: Heard) -> bool {
    let position = messages.iter().position(|heard| heard.hash == wanted.hash && heard.node != wanted.node);
    position.and_then(|position| messages.remove(position)).is_some()
}

fn remember(messages: &mut VecDeque<Heard>, heard: Heard) {
    if messages.len() >= COUNT_MAX {
        messages.pop_front();
    }
    messages.push_back(heard);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays `(seconds, node, takeover, payload)` on one topic owned by node 2 and compares which
    /// messages are news.
    #[track_caller]
    fn check(script: &[(i64, u64, bool, &str)], expected: &[bool]) {
        let mut window = Window::default();
        let news: Vec<bool> = script
            .iter()
            .map(|&(seconds, node, takeover, payload)| {
                let message =
                    Message { topic: "t".into(), payload: payload.into(), takeover, ..Message::default() };
                window.is_news(Timestamp(seconds * 1000), NodeId(node), Some(NodeId(2)), &message)
            })
            .collect();
        assert_eq!(news, expected);
    }

    #[test]
    fn a_takeover_of_a_proposed_message_is_heard_already() {
        check(&[(0, 1, false, "on"), (1, 2, true, "on"), (2, 2, true, "off")], &[true, false, true]);
    }

    #[test]
    fn a_second_takeover_by_another_node_is_heard_already() {
        check(&[(0, 1, true, "on"), (1, 2, true, "on"), (2, 2, true, "on")], &[true, false, true]);
    }

    #[test]
    fn each_message_matches_one_takeover_at_most() {
        check(&[(0, 1, false, "on"), (1, 2, true, "on"), (1, 2, true, "on")], &[true, false, true]);
        check(
            &[(0, 1, false, "on"), (0, 1, false, "on"), (1, 2, true, "on"), (1, 2, true, "on")],
            &[true, true, false, false],
        );
    }

    #[test]
    fn repeats_without_takeover_are_news() {
        check(&[(0, 1, false, "on"), (0, 1, false, "on"), (0, 3, false, "on")], &[true, true, true]);
    }

    #[test]
    fn the_late_word_of_a_former_owner_is_heard_already_but_the_owner_is_not_doubted() {
        check(&[(0, 2, true, "on"), (1, 1, false, "on"), (2, 1, false, "on")], &[true, false, true]);
        check(&[(0, 3, true, "on"), (1, 2, false, "on")], &[true, true]);
    }

    #[test]
    fn the_window_ends_by_age_and_by_count() {
        check(&[(0, 1, false, "on"), (16, 2, true, "on")], &[true, true]);
        let mut window = Window::default();
        for n in 0..COUNT_MAX + 1 {
            let message = Message { topic: n.to_string(), ..Message::default() };
            assert!(window.is_news(Timestamp(0), NodeId(1), None, &message));
        }
        assert_eq!(window.heard.len(), COUNT_MAX);
        let first = Message { topic: "0".into(), takeover: true, ..Message::default() };
        assert!(window.is_news(Timestamp(0), NodeId(2), None, &first), "forgotten, so counted again");
    }
}
