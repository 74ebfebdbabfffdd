//! All I/O of Gable: replication, storage, MQTT, HTTP and the command line around the pure core.

mod address;
mod almanac;
pub mod calendar;
pub mod cli;
pub mod clock;
mod errands;
mod home_files;
pub mod http;
pub mod mqtt;
pub mod node;
pub mod raft;
pub mod simulate;
#[cfg(feature = "simulation")]
pub mod simulation;
mod socket;
pub mod store;
pub mod telemetry;
mod timers;
