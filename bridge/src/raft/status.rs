//! What a replica tells about itself.

use super::settings::Timing;
use gable_rules::{LogIndex, NodeId};
use serde::Serialize;
use std::time::Duration;
use tokio::time::Instant;

/// A replica's view of itself and, on the leader, of its peers.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    pub node: NodeId,
    /// Counts the starts of this node.
    pub boot: u64,
    pub role: Role,
    pub term: u64,
    /// Whom this node follows; itself on the leader; none during an election.
    pub leader: Option<NodeId>,
    pub last_log_index: LogIndex,
    pub committed_index: LogIndex,
    pub applied_index: LogIndex,
    pub snapshot_index: LogIndex,
    /// The hash of the state at `hash_index`: equal on every node at an equal index.
    pub state_hash: u64,
    pub hash_index: LogIndex,
    pub peers: Vec<PeerStatus>,
    /// Whether every committed entry is in this node's history, or some are still fetched.
    pub history_complete: bool,
    /// The slow commits of this node's disk, as measured so far.
    #[serde(serialize_with = "as_milliseconds")]
    pub fsync_p99: Duration,
    #[serde(skip)]
    pub timing: Timing,
}

/// A member of the cluster as seen from one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PeerStatus {
    pub node: NodeId,
    pub address: String,
    /// Whether the replicated state counts the node as up.
    pub up: bool,
    /// The last entry that the peer is known to hold; known on the leader only.
    pub matched: Option<LogIndex>,
    /// How many entries the peer lacks; known on the leader only.
    pub lag: Option<u64>,
}

/// What a node can say of its leadership at one moment.
///
/// Until the longest election timeout has passed since `proved`, no majority votes for another
/// leader, unless this one hands leadership over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// The latest term that this node knows.
    pub term: u64,
    /// When what a majority has answered was sent by this node, as the leader of that term. None if
    /// it does not lead or no majority has answered yet.
    pub proved: Option<Instant>,
}

/// A replica's part in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Leader,
    Follower,
    Candidate,
    Learner,
}

fn as_milliseconds<S: serde::Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(span.as_secs_f64() * 1000.0)
}
