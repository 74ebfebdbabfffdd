//! What runs did, and why automations did not run, for people who ask afterwards.
//!
//! Traces are rows like any other, so that each node answers alike, also after a restart. What they
//! keep is bounded in each direction; the oldest goes first.

mod asked;
mod brief;
mod json;
mod notes;
mod rows;
mod tell;

use crate::{CommandId, Ended, LogIndex, RunId};
use gable_devices::{Data, EntityId, Timestamp};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::VecDeque;

pub(crate) use asked::Recorder;
pub use asked::{Answer, Asked, Saw};
pub(crate) use brief::brief;
pub(crate) use notes::{Draft, Notes, call_did, payload_text};
pub(crate) use rows::Traces;

/// How many runs of an automation are kept where `trace: {stored_traces: N}` does not say otherwise
/// (Home Assistant's number).
pub(crate) const STORED: u32 = 5;
/// The largest `stored_traces` taken.
pub(crate) const STORED_MAX: u32 = 100;
/// How many runs are kept in the whole home.
pub(crate) const TRACES_MAX: usize = 2_000;
/// How much memory they may take, roughly.
pub(crate) const TRACE_BYTES_MAX: usize = 4 << 20;
/// How many of a run's first steps are kept, and how many of its last ones.
pub(crate) const STEPS_KEPT: usize = 50;
/// How many commands one step keeps.
const COMMANDS_MAX: usize = 50;

/// What one run did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    pub run_id: RunId,
    pub automation: String,
    /// What fired, in words.
    pub trigger: String,
    /// The `trigger` variable, shortened.
    pub variable: Data,
    /// The entry that fired it.
    pub cause: LogIndex,
    pub started_at: Timestamp,
    /// The run that called it.
    pub parent: Option<RunId>,
    pub conditions: Vec<Asked>,
    first: Vec<TracedStep>,
    last: VecDeque<TracedStep>,
    /// How many steps between those are not kept.
    pub dropped: u32,
    /// When and how it ended.
    pub ended: Option<(Timestamp, Ended)>,
    weight: usize,
}

/// One action that a run has done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TracedStep {
    /// Where it stands: `actions[0].choose[1].sequence[0]`.
    pub path: String,
    /// `delay`, `choose`, ...
    pub kind: Cow<'static, str>,
    pub at: Timestamp,
    pub index: LogIndex,
    pub did: Did,
    /// The conditions that it asked.
    pub asked: Vec<Asked>,
    pub commands: Vec<TracedCommand>,
    /// What people were told meanwhile.
    pub notes: Vec<String>,
    /// Why it was not done.
    pub error: Option<String>,
    /// The run itself, or the branch of a `parallel:` in it.
    by: RunId,
}

/// What an action did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Did {
    /// What its kind says, and no more.
    Done,
    /// Nothing: `enabled: false`.
    Disabled,
    Publish {
        topic: String,
        payload: String,
    },
    Call {
        service: String,
        entity_ids: Vec<EntityId>,
    },
    Event {
        event_type: String,
    },
    /// It waited until a deadline, if it had one.
    Wait {
        until: Option<Timestamp>,
        /// When that ended, and whether by what it waited for.
        ended: Option<(Timestamp, bool)>,
    },
    /// It went into one of its branches: `then`, `choose[1].sequence`.
    Branch(String),
    /// It ended the sequence around: a condition was not fulfilled.
    Blocked,
    /// It ended the run.
    Ended(Ended),
    /// Something else, in words.
    Other(String),
}

/// A command that an action led to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TracedCommand {
    pub command_id: CommandId,
    pub entity_id: Option<EntityId>,
    pub topic: String,
    pub payload: String,
    /// When and how it was settled.
    pub settled: Option<(Timestamp, Settled)>,
}

/// How a command was settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Settled {
    Confirmed,
    Expired,
    Superseded(CommandId),
}

/// The last time that an automation's trigger fired and no run began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Miss {
    pub at: Timestamp,
    pub index: LogIndex,
    /// What fired, in words.
    pub trigger: String,
    /// Why no run began.
    pub reason: String,
    pub conditions: Vec<Asked>,
}

/// What changed an entity last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub at: Timestamp,
    pub index: LogIndex,
    pub by: Changer,
    /// The command that this change shows to be obeyed, or that the home takes for obeyed.
    pub command_id: Option<CommandId>,
    /// The run that gave the command.
    pub run_id: Option<RunId>,
}

/// Who changed an entity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Changer {
    /// The home itself: `off_delay`, `expire_after`, the files, what a command makes likely.
    #[default]
    Home,
    /// A message of this topic.
    Message(String),
}

impl Trace {
    /// Returns the steps that are kept; [`Trace::dropped`] of them are missing after the first
    /// number.
    pub fn steps(&self) -> (usize, impl Iterator<Item = &TracedStep>) {
        (self.first.len(), self.first.iter().chain(&self.last))
    }

    fn add(&mut self, step: TracedStep) {
        self.weight += step.weight();
        if self.first.len() < STEPS_KEPT {
            self.first.push(step);
            return;
        }
        self.last.push_back(step);
        if self.last.len() > STEPS_KEPT
            && let Some(gone) = self.last.pop_front()
        {
            self.weight = self.weight.saturating_sub(gone.weight());
            self.dropped = self.dropped.saturating_add(1);
        }
    }

    fn steps_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut TracedStep> {
        self.first.iter_mut().chain(&mut self.last)
    }
}

impl TracedStep {
    /// About how many bytes it takes.
    fn weight(&self) -> usize {
        let did = match &self.did {
            Did::Publish { topic, payload } => topic.len() + payload.len(),
            Did::Call { service, entity_ids } => service.len() + 32 * entity_ids.len(),
            Did::Event { event_type: text } | Did::Branch(text) | Did::Other(text) => text.len(),
            Did::Done | Did::Disabled | Did::Wait { .. } | Did::Blocked | Did::Ended(_) => 0,
        };
        let commands = self.commands.iter().map(|command| 96 + command.topic.len() + command.payload.len());
        let notes = self.notes.iter().map(String::len).sum::<usize>();
        128 + self.path.len() + did + weight_of(&self.asked) + commands.sum::<usize>() + notes
    }
}

/// About how many bytes conditions take.
fn weight_of(asked: &[Asked]) -> usize {
    let saw = |saw: &Saw| 48 + saw.of.len() + saw.found.len() + saw.wanted.len();
    asked.iter().map(|asked| 64 + asked.path.len() + asked.saw.iter().map(saw).sum::<usize>()).sum()
}
