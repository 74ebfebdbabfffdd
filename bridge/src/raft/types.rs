//! What openraft is told about Gable: entries, responses, peers, runtime.
//!
//! The log's application data is a [`Batch`] of inputs, because one Raft entry, one disk commit and
//! one round to the peers can serve many inputs that arrive together.

use gable_rules::Input;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// The asynchronous runtime below openraft.
#[cfg(not(feature = "simulation"))]
pub type Runtime = openraft::impls::TokioRuntime;
/// The asynchronous runtime below openraft, with every random number drawn from one seed.
#[cfg(feature = "simulation")]
pub type Runtime = openraft_rt::deterministic_rng::DeterministicRng<openraft::impls::TokioRuntime>;

openraft::declare_raft_types!(
    /// Gable's choice of types.
    ///
    /// The leader id is the standard one: at most one leader per term. openraft's default allows
    /// several, which makes split votes rarer, but then a term no longer fences a deposed leader.
    pub TypeConfig:
        D = Batch,
        R = Outcomes,
        NodeId = u64,
        Node = Peer,
        LeaderId = openraft::impls::leader_id_std::LeaderId<u64, u64>,
        AsyncRuntime = Runtime,
);

/// One entry of the log.
pub type Entry = openraft::alias::EntryOf<TypeConfig>;
/// Term and index of an entry.
pub type LogId = openraft::alias::LogIdOf<TypeConfig>;
/// Whom a node follows, or whom it granted its vote.
pub type Vote = openraft::alias::VoteOf<TypeConfig>;
/// Up to where a snapshot reaches, and who the members were.
pub type SnapshotMeta = openraft::alias::SnapshotMetaOf<TypeConfig>;

/// The inputs that one log entry carries, in the order in which they are applied.
///
/// Cheap to clone: the log's reader, the peers' streams and the state machine share one copy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Batch(Arc<[Input]>);

impl Batch {
    /// Puts `inputs` into one entry.
    pub fn new(inputs: Vec<Input>) -> Batch {
        Batch(inputs.into())
    }

    /// Returns the inputs in their order.
    pub fn inputs(&self) -> &[Input] {
        &self.0
    }
}

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} inputs", self.0.len())
    }
}

/// What became of each input of a [`Batch`], in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Outcomes(pub Vec<Outcome>);

/// What became of one input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    Applied,
    /// It was applied before; its proposer may take it as applied.
    Duplicate,
    /// An earlier input of the same origin is missing; `expected` is its sequence.
    Gap {
        expected: u64,
    },
    /// It was refused for good; the text says why.
    Refused(String),
}

/// Where a member of the cluster is reached by the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// `host:port` of its peer listener.
    pub address: String,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}
