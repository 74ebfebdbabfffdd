//! Which nodes there are, as the log knows them, and who speaks for a topic.

use crate::NodeId;
use crate::fnv;
use gable_devices::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A node as the log knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Whether the leader hears it.
    pub up: bool,
    /// Whether its link to its broker is up.
    pub link: bool,
    /// When it last became ready, or ceased to be.
    pub since: Timestamp,
}

impl Node {
    /// Whether it may own topics.
    pub fn is_ready(&self) -> bool {
        self.up && self.link
    }
}

/// The node that proposes the messages of `topic` when all nodes hear them: rendezvous hashing
/// (Thaler and Ravishankar, 1998), so that a node that leaves moves only its own topics.
pub(crate) fn owner(nodes: &BTreeMap<NodeId, Node>, topic: &str) -> Option<NodeId> {
    let topic_hash = fnv::fnv1a(topic.as_bytes());
    let ready = nodes.iter().filter(|(_, node)| node.is_ready());
    ready.map(|(id, _)| *id).max_by_key(|id| (fnv::spread(topic_hash ^ fnv::spread(id.0)), *id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(nodes: &[u64]) -> BTreeMap<NodeId, Node> {
        nodes.iter().map(|id| (NodeId(*id), Node { up: true, link: true, ..Node::default() })).collect()
    }

    #[test]
    fn topics_are_shared_about_evenly_and_move_only_from_the_node_that_left() {
        let (three, two) = (home(&[1, 2, 3]), home(&[1, 3]));
        let mut counts = BTreeMap::new();
        for n in 0..3000 {
            let topic = format!("zigbee2mqtt/room_{n}");
            let before = owner(&three, &topic).unwrap();
            let after = owner(&two, &topic).unwrap();
            assert!(before == after || before == NodeId(2), "{topic} moved from {before} to {after}");
            *counts.entry(before).or_insert(0) += 1;
        }
        assert!(counts.values().all(|count| (800..1200).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_node_without_link_or_unheard_owns_nothing() {
        let mut nodes = home(&[1, 2]);
        nodes.insert(NodeId(1), Node { up: true, ..Node::default() });
        assert_eq!(owner(&nodes, "t"), Some(NodeId(2)));
        nodes.insert(NodeId(2), Node { link: true, ..Node::default() });
        assert_eq!(owner(&nodes, "t"), None);
    }

    #[test]
    fn ownership_is_part_of_the_format() {
        // Nodes of different builds must agree, so these answers may never change.
        let nodes = home(&[1, 2, 3]);
        let owners: Vec<u64> = ["a", "b", "zigbee2mqtt/hall", "tele/plug/STATE"]
            .iter()
            .map(|topic| owner(&nodes, topic).unwrap().0)
            .collect();
        assert_eq!(owners, [1, 2, 1, 2]);
    }
}
