//! All I/O of Gable: replication, storage, MQTT, HTTP and the command line around the pure core.

pub mod calendar;
pub mod cli;
pub mod clock;
pub mod http;
pub mod mqtt;
pub mod node;
pub mod raft;
pub mod simulate;
pub mod telemetry;
#[cfg(feature = "simulation")]
pub mod simulation;
pub mod store;
mod timers;
