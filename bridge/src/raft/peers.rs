//! The other members as this node reaches them: one link for each peer and purpose.

use super::handshake::Identity;
use super::link::{CallError, Link, Target};
use super::rpc::{Introduction, Purpose, Request, Response};
use super::settings::{ReplicaSettings, Timing};
use crate::clock::Clock;
use gable_rules::NodeId;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// All links of a node, in the order of the peers' ids.
#[derive(Debug)]
pub(super) struct Peers {
    pub(super) identity: Arc<Identity>,
    pub(super) clock: Clock,
    patience: Patience,
    links: BTreeMap<NodeId, Links>,
    addresses: BTreeMap<NodeId, String>,
}

/// How long to wait for peers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) connect: Duration,
    pub(super) stall: Duration,
}

#[derive(Debug)]
struct Links {
    append: Link,
    control: Link,
    heartbeat: Link,
    forward: Link,
    history: Link,
    relay: Link,
}

impl Patience {
    /// A connection is given up no sooner than an election, or a slow disk would break it.
    pub(super) fn of(timing: &Timing) -> Patience {
        Patience {
            connect: timing.election_max.max(Duration::from_millis(300)),
            stall: (timing.election_max * 3).max(Duration::from_millis(900)),
        }
    }
}

impl Peers {
    pub(super) fn new(settings: &ReplicaSettings, timing: &Timing, clock: Clock) -> Peers {
        let identity = Arc::new(Identity {
            node: settings.node,
            cluster: settings.cluster.clone(),
            key: settings.key.clone(),
        });
        let patience = Patience::of(timing);
        let others = settings.peers.iter().filter(|(node, _)| **node != settings.node);
        let links =
            others.map(|(node, address)| (*node, Links::new(&identity, *node, address, patience))).collect();
        Peers { identity, clock, patience, links, addresses: settings.peers.clone() }
    }

    pub(super) fn knows(&self, node: NodeId) -> bool {
        self.addresses.contains_key(&node)
    }

    /// Returns all members and where they are dialled, this node included.
    pub(super) fn addresses(&self) -> impl Iterator<Item = (NodeId, &str)> {
        self.addresses.iter().map(|(node, address)| (*node, address.as_str()))
    }

    /// Returns the other members' ids.
    pub(super) fn others(&self) -> impl Iterator<Item = NodeId> {
        self.links.keys().copied()
    }

    pub(super) fn link(&self, node: NodeId, purpose: Purpose) -> Option<Link> {
        let links = self.links.get(&node)?;
        let link = match purpose {
            Purpose::Append => &links.append,
            Purpose::Control => &links.control,
            Purpose::Heartbeat => &links.heartbeat,
            Purpose::Forward => &links.forward,
            Purpose::History => &links.history,
            Purpose::Relay => &links.relay,
            // Each snapshot has its own connection.
            Purpose::Snapshot => return None,
        };
        Some(link.clone())
    }

    /// Returns how to reach a node for one snapshot.
    pub(super) fn snapshot_target(&self, node: NodeId) -> Option<Target> {
        let address = self.addresses.get(&node)?.clone();
        let Patience { connect, stall } = self.patience;
        Some(Target { node, address, purpose: Purpose::Snapshot, connect_limit: connect, stall_limit: stall })
    }

    /// Asks a peer whether it belongs to a cluster already.
    pub(super) async fn introduce(&self, node: NodeId) -> Result<Introduction, CallError> {
        let unknown = || CallError::Unsendable(format!("node {node} is not among the peers"));
        let link = self.link(node, Purpose::Control).ok_or_else(unknown)?;
        match link.call(Request::Introduce, self.patience.stall).await? {
            Response::Introduced(introduction) => Ok(introduction),
            other => Err(CallError::Unsendable(format!("node {node} answered out of place: {other:?}"))),
        }
    }

    pub(super) fn patience(&self) -> Patience {
        self.patience
    }
}

impl Links {
    fn new(identity: &Arc<Identity>, node: NodeId, address: &str, patience: Patience) -> Links {
        let link = |purpose| {
            let target = Target {
                node,
                address: address.to_owned(),
                purpose,
                connect_limit: patience.connect,
                stall_limit: patience.stall,
            };
            Link::start(identity.clone(), target)
        };
        Links {
            append: link(Purpose::Append),
            control: link(Purpose::Control),
            heartbeat: link(Purpose::Heartbeat),
            forward: link(Purpose::Forward),
            history: link(Purpose::History),
            relay: link(Purpose::Relay),
        }
    }
}
