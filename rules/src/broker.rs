//! The MQTT broker as rows: what clients were promised and any node can keep.

mod publication;

pub use publication::{Publication, PublishProperties};
