//! Replication: openraft, its transport, and the handle through which the rest meets the log.
//!
//! [`Replica`] is the one thing others use. Below it, `proposer` brings inputs to the leader,
//! openraft orders and commits them over `network` and `server`, and `state_machine` applies them
//! to the home. openraft's own types stay in here and in `store`.

mod bootstrap;
mod compaction;
mod config;
mod core;
mod frame;
mod handshake;
mod home;
mod link;
mod liveness;
mod network;
mod offload;
mod peers;
mod proposer;
mod refill;
mod relay;
mod replica;
mod rpc;
mod server;
mod settings;
mod snapshot_transfer;
mod state_machine;
mod status;
mod task;
pub mod types;
mod vigil;
mod window;

pub use self::core::ReadError;
pub use home::{Applied, Audience};
pub use proposer::{INPUT_BYTES_MAX, ProposeError};
pub use relay::Relayed;
pub use replica::{Error, Replica};
pub use settings::{
    Batching, ClusterKey, Compaction, KEY_LENGTH_MIN, ReplicaSettings, RuleCache, SettingsError, Timing,
};
pub use status::{Leadership, PeerStatus, Role, Status};
pub(crate) use task::spawn;
pub use window::{Committed, Settled};
