//! Promised commands and publishes, from the decision until the device has shown that it obeyed.
//!
//! A row carries all that is needed to send it, so that a node which takes over needs nothing but
//! the rows. Sending one twice is harmless; [`OutboxRow::repeatable`] says where it is not.

use crate::{CommandId, RunId, TimerId};
use gable_devices::{Data, EntityId, Millis, Publish, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How long a command may wait for its confirmation before it is given up.
pub const COMMAND_DEADLINE: Millis = Millis::from_secs(30);

/// How many rows may wait at once. When one more comes the oldest is given up with a notice: a
/// broker that was away for long should not be told what the home wanted an hour ago.
pub const OUTBOX_MAX: usize = 4096;

/// One promised command or publish.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutboxRow {
    pub command_id: CommandId,
    /// None for a plain publish.
    pub entity_id: Option<EntityId>,
    /// Which side of the entity it changes; a newer command for the same side supersedes it.
    pub property: String,
    pub publish: Publish,
    pub status: Status,
    pub queued_at: Timestamp,
    pub deadline: Timestamp,
    /// Whether sending it a second time changes nothing.
    pub repeatable: bool,
    /// The run that decided it.
    pub run_id: Option<RunId>,
    /// What the entity reports once it has obeyed; none where the broker's word has to do.
    pub(crate) expect: Option<Expect>,
    pub(crate) expiry: TimerId,
}

/// How far a row has come. Rows that are done are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// To be sent.
    Pending,
    /// A broker has it; the entity has not confirmed yet.
    Sent,
}

/// What an entity reports once it has obeyed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Expect {
    pub(crate) state: Option<String>,
    pub(crate) attributes: BTreeMap<String, Data>,
}
