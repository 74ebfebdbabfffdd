//! A home in simulated time: messages in, commands out. What falls due in between is reported in
//! the order of the deadlines, as a leader would, and brokers take every command over at once.

mod compare;

use crate::{Effect, Input, InputKind, LogIndex, NodeId, Origin, RunId, State};
use gable_devices::{EntityId, Publish, Timestamp};
use std::collections::BTreeMap;

pub use compare::{Difference, compare};

/// How many inputs may follow from one message before the rest is given up: a home that keeps
/// setting timers for the same instant must not keep its player busy for ever.
const INPUTS_PER_STEP_MAX: u32 = 1_000_000;

/// A home that is played.
#[derive(Clone, Debug, Default)]
pub struct Replay {
    state: State,
    index: u64,
    now: Timestamp,
    commands: Vec<Command>,
    /// The automations of the runs so far.
    runs: BTreeMap<RunId, String>,
}

/// A command or message that the home sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    pub at: Timestamp,
    pub entity_id: Option<EntityId>,
    pub publish: Publish,
    pub automation: Option<String>,
}

impl Replay {
    /// A home before its first entry, at a time.
    pub fn new(now: Timestamp) -> Replay {
        Replay { now, ..Replay::default() }
    }

    /// The home as it is by now.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What the home has sent so far, oldest first.
    pub fn commands(&self) -> &[Command] {
        &self.commands
    }

    /// Lets time pass; what falls due before `at` is done. What happens at `at` itself comes before
    /// what falls due then.
    pub fn advance_to(&mut self, at: Timestamp) {
        for _ in 0..INPUTS_PER_STEP_MAX {
            let next = self.state.next_deadline().filter(|(deadline, _)| *deadline < at);
            let Some((deadline, timer_id)) = next else { break };
            self.now = self.now.max(deadline);
            self.apply(InputKind::TimerDue(timer_id));
        }
        self.now = self.now.max(at);
    }

    /// Puts an input into the log, now.
    pub fn apply(&mut self, kind: InputKind) {
        self.index += 1;
        let origin = Origin { node: NodeId(1), boot: 1, sequence: self.index };
        let input = Input { at: self.now, origin, heard: Default::default(), kind };
        let effects = self.state.apply(LogIndex(self.index), &input);
        let mut sent = Vec::new();
        for effect in effects {
            match effect {
                Effect::RunStarted { run_id, automation, .. } => {
                    self.runs.insert(run_id, automation);
                }
                Effect::RunEnded { run_id, .. } => {
                    // Its last commands stand before its end.
                    self.runs.remove(&run_id);
                }
                Effect::CommandQueued { command_id, entity_id, publish, run_id } => {
                    let automation = run_id.and_then(|run_id| self.runs.get(&run_id)).cloned();
                    self.commands.push(Command { at: self.now, entity_id, publish, automation });
                    sent.push(command_id);
                }
                _ => {}
            }
        }
        for command_id in sent {
            // One may be superseded by a later one of the same entry.
            if self.state.command(command_id).is_some() {
                self.apply(InputKind::CommandSent(command_id));
            }
        }
    }
}
