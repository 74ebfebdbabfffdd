//! `trigger: node`: fires when a node of this home comes, goes, or begins to lead.
//!
//! Gable's own: Home Assistant has no nodes.

use super::Trigger;
use crate::NodeId;
use gable_devices::Data;
use gable_devices::yaml::Fields;

/// What has to happen to which node.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NodeTrigger {
    event: NodeEvent,
    /// None means any.
    node: Option<NodeId>,
}

/// What may happen to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeEvent {
    /// It came up, or is heard again.
    Joined,
    /// The leader misses it.
    Left,
    /// It began to lead in place of another one.
    Leader,
}

const EVENTS: [(&str, NodeEvent); 3] =
    [("joined", NodeEvent::Joined), ("left", NodeEvent::Left), ("leader", NodeEvent::Leader)];

impl NodeTrigger {
    pub(super) fn read(fields: &mut Fields<'_>) -> Option<NodeTrigger> {
        fields.require("event");
        let event = fields.choice("event", &EVENTS);
        let node = fields.integer("node");
        if node.is_some_and(|node| node < 1) {
            fields.fail("`node` is the number of a node, from 1");
        }
        let node = node.and_then(|node| u64::try_from(node).ok()).map(NodeId);
        Some(NodeTrigger { event: event?, node })
    }

    pub(crate) fn fires(&self, node: NodeId, event: NodeEvent) -> bool {
        self.event == event && self.node.is_none_or(|wanted| wanted == node)
    }

    /// The `trigger` variable of the run to come.
    pub(crate) fn variable(&self, trigger: &Trigger, node: NodeId) -> Data {
        let (number, word) = (i64::try_from(node.0).unwrap_or(i64::MAX), self.event.word());
        let own = [("platform", "node".into()), ("event", word.into()), ("node", Data::Int(number))];
        let verb = if self.event == NodeEvent::Leader { "leads" } else { word };
        trigger.variable(format!("node {node} {verb}"), own)
    }
}

impl NodeEvent {
    pub(crate) fn word(self) -> &'static str {
        EVENTS.iter().find(|(_, event)| *event == self).map_or("", |(word, _)| word)
    }
}
