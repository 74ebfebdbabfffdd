//! What each node's broker delivered lately, to tell a repeated delivery from news.
//!
//! A broker delivers a message anew when a node died between the commit and the acknowledgement,
//! and a retained one at every subscription. The node that restarts has forgotten what it proposed;
//! the log has not.

use crate::fnv;
use crate::{LogIndex, Message, NodeId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// How many deliveries of a node are remembered: more than a broker leaves unacknowledged.
const RECENT_MAX: usize = 1024;

/// How many topics of a node are remembered. When one more comes the one that was silent for
/// longest is forgotten, and its retained message would count as news once more.
const TOPICS_MAX: usize = 4096;

/// The latest deliveries of each node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Deliveries(BTreeMap<NodeId, Heard>);

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Heard {
    /// Packet id and hash of topic and payload, oldest first.
    recent: VecDeque<(u16, u64)>,
    /// From a topic's hash to its last message.
    last: BTreeMap<u64, Last>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Last {
    payload: u64,
    index: LogIndex,
}

impl Deliveries {
    /// Notes a message that counts.
    pub(crate) fn note(&mut self, index: LogIndex, node: NodeId, message: &Message) {
        let heard = self.0.entry(node).or_default();
        if message.packet_id != 0 {
            if heard.recent.len() >= RECENT_MAX {
                heard.recent.pop_front();
            }
            heard.recent.push_back((message.packet_id, fnv::message(&message.topic, &message.payload)));
        }
        let topic = fnv::fnv1a(message.topic.as_bytes());
        if heard.last.len() >= TOPICS_MAX && !heard.last.contains_key(&topic) {
            let oldest = heard.last.iter().min_by_key(|(_, last)| last.index).map(|(topic, _)| *topic);
            oldest.and_then(|oldest| heard.last.remove(&oldest));
        }
        heard.last.insert(topic, Last { payload: fnv::fnv1a(&message.payload), index });
    }

    /// Whether a node's broker delivered this message under this packet id lately.
    pub(crate) fn contains(&self, node: NodeId, packet_id: u16, topic: &str, payload: &[u8]) -> bool {
        let hash = fnv::message(topic, payload);
        self.0.get(&node).is_some_and(|heard| heard.recent.contains(&(packet_id, hash)))
    }

    /// Whether the last message of a topic had this payload: the last one from `node`, or from any.
    pub(crate) fn is_last(&self, node: Option<NodeId>, topic: &str, payload: &[u8]) -> bool {
        let topic = fnv::fnv1a(topic.as_bytes());
        let of_topic = self.0.iter().filter(|(id, _)| node.is_none_or(|node| node == **id));
        let last = of_topic.filter_map(|(_, heard)| heard.last.get(&topic)).max_by_key(|last| last.index);
        last.is_some_and(|last| last.payload == fnv::fnv1a(payload))
    }

    /// The node from which the last message of a topic came.
    pub(crate) fn last_node(&self, topic: &str) -> Option<NodeId> {
        let topic = fnv::fnv1a(topic.as_bytes());
        let of_topic = self.0.iter().filter_map(|(node, heard)| Some((heard.last.get(&topic)?.index, *node)));
        of_topic.max().map(|(_, node)| node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(deliveries: &mut Deliveries, index: u64, node: u64, packet_id: u16, topic: &str, payload: &str) {
        let message =
            Message { topic: topic.into(), payload: payload.into(), packet_id, ..Message::default() };
        deliveries.note(LogIndex(index), NodeId(node), &message);
    }

    #[test]
    fn a_delivery_is_known_by_node_packet_id_and_content() {
        let mut deliveries = Deliveries::default();
        note(&mut deliveries, 1, 1, 7, "t", "on");
        note(&mut deliveries, 2, 1, 0, "t", "off");
        let check = |node, packet_id, payload: &str, expected| {
            assert_eq!(deliveries.contains(NodeId(node), packet_id, "t", payload.as_bytes()), expected);
        };
        check(1, 7, "on", true);
        check(2, 7, "on", false);
        check(1, 8, "on", false);
        check(1, 7, "off", false);
        check(1, 0, "off", false);
        for n in 0..RECENT_MAX as u64 {
            note(&mut deliveries, n, 1, 9, "u", "x");
        }
        assert!(!deliveries.contains(NodeId(1), 7, "t", b"on"), "the oldest is forgotten");
    }

    #[test]
    fn the_last_message_of_a_topic_is_known_by_node_and_of_all() {
        let mut deliveries = Deliveries::default();
        note(&mut deliveries, 1, 1, 1, "t", "on");
        note(&mut deliveries, 2, 2, 1, "t", "off");
        let check = |node: Option<u64>, payload: &str, expected| {
            assert_eq!(deliveries.is_last(node.map(NodeId), "t", payload.as_bytes()), expected);
        };
        check(Some(1), "on", true);
        check(Some(1), "off", false);
        check(Some(2), "off", true);
        check(None, "off", true);
        check(None, "on", false);
        check(Some(3), "on", false);
        assert_eq!(deliveries.last_node("t"), Some(NodeId(2)));
        assert_eq!(deliveries.last_node("u"), None);
        for n in 0..TOPICS_MAX as u64 {
            note(&mut deliveries, 3 + n, 1, 0, &n.to_string(), "x");
        }
        assert!(!deliveries.is_last(Some(NodeId(1)), "t", b"on"), "the oldest is forgotten");
        assert!(deliveries.is_last(Some(NodeId(1)), "0", b"x"));
    }
}
