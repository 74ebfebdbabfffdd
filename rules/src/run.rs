//! Half-run automations as data: what a snapshot holds and another node goes on with.

use crate::{LogIndex, RunId, TimerId};
use gable_devices::{Data, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One run of an automation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub run_id: RunId,
    pub automation: String,
    /// What fired, in words.
    pub trigger: String,
    /// The entry that fired it.
    pub cause: LogIndex,
    pub started_at: Timestamp,
    pub wait: Wait,
    /// Where it stands: the path to its next action.
    pub cursor: Cursor,
    pub(crate) variables: BTreeMap<String, Data>,
    /// How many actions it has done.
    pub(crate) steps: u32,
}

/// What a run that stands still waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wait {
    /// Its turn, behind an earlier run (mode `queued`).
    Turn,
    /// A delay.
    Timer(TimerId),
}

/// The path to an action: a place in the automation's actions, then, for each action around it,
/// the branch taken and the place in that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The places in the sequences around, outermost first, each with the branch that leads inwards.
    pub(crate) outer: Vec<(u32, u32)>,
    /// The place in the innermost sequence.
    pub(crate) place: u32,
}
