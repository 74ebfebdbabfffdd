//! All I/O of Gable: replication, storage, MQTT, HTTP and the command line around the pure core.

pub mod calendar;
pub mod cli;
pub mod clock;
pub mod raft;
pub mod telemetry;
pub mod store;
mod timers;
