//! Replication: openraft, its transport, and the handle through which the rest meets the log.

pub mod types;
