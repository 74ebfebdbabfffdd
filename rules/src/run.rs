//! Half-run automations as data: what a snapshot holds and another node goes on with.

mod cursor;
mod engine;
mod family;
mod passes;
mod rows;
mod waits;

use crate::action::ActionKind;
use crate::automation::Automation;
use crate::trigger::Trigger;
use crate::{Ended, LogIndex, RunId, TimerId};
use gable_devices::{Data, Template, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub use cursor::Cursor;
pub(crate) use cursor::{Pass, Spot};
pub(crate) use rows::Runs;

/// How many actions one run may do.
pub const ACTIONS_PER_RUN_MAX: u32 = 10_000;

/// How many runs may stand still at once in the whole home, branches included. Where one more would
/// start it is skipped, and says so.
pub const RUNS_MAX: usize = 10_000;

/// One run of an automation or a script.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub run_id: RunId,
    /// The automation's id; `script.` and its name for a script.
    pub automation: String,
    /// What fired, in words.
    pub trigger: String,
    /// The entry that fired it.
    pub cause: LogIndex,
    pub started_at: Timestamp,
    pub wait: Wait,
    /// Where it stands: the path to its next action.
    pub cursor: Cursor,
    /// The run that goes on when this one has ended: it called this script, or this is a branch of
    /// its `parallel:`.
    pub parent: Option<RunId>,
    pub(crate) is_branch: bool,
    pub(crate) variables: BTreeMap<String, Data>,
    /// How many actions it has done.
    pub(crate) steps: u32,
    /// How the first of its branches ended that did not just finish.
    pub(crate) verdict: Option<Ended>,
    /// Whether what failed, in it or in that branch, may be passed over (`continue_on_error`).
    pub(crate) may_pass: bool,
    /// Whether a `stop:` of its own ended it: however it said so, that is no failure for whoever
    /// called it.
    pub(crate) has_stopped: bool,
    /// What `stop:` gave back.
    pub(crate) response: Data,
    /// The variable that takes what the script gives back that this run has called.
    pub(crate) answer_to: Option<String>,
}

/// What a run that stands still waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wait {
    /// Its turn, behind an earlier run (mode `queued`).
    Turn,
    /// A delay.
    Timer(TimerId),
    /// A `wait_template:` to become true, with its timeout.
    Template(Option<TimerId>),
    /// One of the triggers of a `wait_for_trigger:`, with its timeout.
    Trigger(Option<TimerId>),
    /// The branches of a `parallel:`, or a script that it called.
    Children,
    /// Nothing: it is about to go on. No run stands so between two inputs.
    Ready,
}

impl Wait {
    /// The deadline at which it ends by itself.
    pub(crate) fn timer(self) -> Option<TimerId> {
        match self {
            Wait::Timer(timer_id) => Some(timer_id),
            Wait::Template(timer_id) | Wait::Trigger(timer_id) => timer_id,
            Wait::Turn | Wait::Children | Wait::Ready => None,
        }
    }
}

impl Run {
    /// The triggers that it waits for.
    pub(crate) fn awaited_triggers<'a>(&self, automation: &'a Automation) -> Option<&'a Vec<Trigger>> {
        match (self.wait, self.awaited(automation)?) {
            (Wait::Trigger(_), ActionKind::WaitForTrigger(wait)) => Some(&wait.triggers),
            _ => None,
        }
    }

    /// The template that it waits for.
    pub(crate) fn awaited_template<'a>(&self, automation: &'a Automation) -> Option<&'a Template> {
        match (self.wait, self.awaited(automation)?) {
            (Wait::Template(_), ActionKind::WaitTemplate(wait)) => Some(&wait.template),
            _ => None,
        }
    }

    /// The action that it stands at.
    fn awaited<'a>(&self, automation: &'a Automation) -> Option<&'a ActionKind> {
        self.cursor.action(&automation.actions).map(|action| &action.kind)
    }
}
