//! What nodes ask each other, and what they answer.
//!
//! The variants' order is the wire format: new ones are added at the end.

use super::relay::Relayed;
use super::types::{Batch, SnapshotMeta, TypeConfig, Vote};
use crate::store::history::Chunk;
use gable_devices::Timestamp;
use gable_rules::{Hlc, Input, LogIndex, NodeId};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, TransferLeaderRequest, TransferLeaderResponse, VoteRequest,
    VoteResponse,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a connection is for. Traffic that must not wait for other traffic has its own connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Purpose {
    /// Log entries.
    Append,
    /// Votes, pre-votes, leadership transfer, questions at start-up.
    Control,
    Heartbeat,
    /// Inputs and read requests on their way to the leader.
    Forward,
    /// History rows for a node that lacks them.
    History,
    /// One snapshot, then the end.
    Snapshot,
    /// Messages that go by no log.
    Relay,
}

/// A request, with the number under which it is answered.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Numbered<T> {
    pub(super) number: u64,
    pub(super) content: T,
}

/// What one node asks of another.
///
/// `I` holds inputs: shared ones ([`Batch`]) where a request is sent, owned ones, which the leader
/// stamps, where it arrives. Both look alike on the wire.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request<I = Batch> {
    Append {
        clocks: Clocks,
        append: AppendEntriesRequest<TypeConfig>,
    },
    Vote(VoteRequest<TypeConfig>),
    PreVote(VoteRequest<TypeConfig>),
    TransferLeader(TransferLeaderRequest<TypeConfig>),
    /// Whether the node belongs to a cluster already, and whom it follows.
    Introduce,
    Propose {
        hlc: Hlc,
        inputs: I,
    },
    ReadIndex,
    /// History rows of the entries from `from` to `until`, both included.
    History {
        from: LogIndex,
        until: LogIndex,
    },
    Relay(Arc<Relayed>),
}

/// A request as it arrives.
pub(super) type Arrived = Request<Vec<Input>>;

/// The answer to a [`Request`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Response {
    Append(AppendEntriesResponse<TypeConfig>),
    Vote(VoteResponse<TypeConfig>),
    TransferLeader(TransferLeaderResponse<TypeConfig>),
    Introduced(Introduction),
    /// The inputs are committed and were applied on the leader.
    Proposed,
    ReadIndex(LogIndex),
    /// Whoever was asked does not lead; perhaps it knows who does.
    NotLeader(Option<NodeId>),
    History(Chunk),
    /// The node could not do it; the text says why.
    Failed(String),
    Relayed,
}

/// The leader's clocks as they stood when it sent an append or a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Clocks {
    pub(super) log_time: Timestamp,
    pub(super) hlc: Hlc,
}

/// What a node says about itself to one that starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Introduction {
    /// Whether it has been a member of a cluster, running or not.
    pub(super) initialized: bool,
    pub(super) leader: Option<NodeId>,
    /// The end of its log. The entry at 0 founds the cluster, and is the same on every node.
    pub(super) last_log_index: u64,
}

/// The head of a snapshot transfer.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SnapshotHead {
    pub(super) vote: Vote,
    pub(super) meta: SnapshotMeta,
    pub(super) length: u64,
}

/// A piece of a snapshot.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SnapshotChunk<B> {
    pub(super) offset: u64,
    pub(super) bytes: B,
}

/// The end of a snapshot transfer.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SnapshotEnd {
    pub(super) sha256: [u8; 32],
}
