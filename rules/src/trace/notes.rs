//! What one input notes for traces on its way: what is asked, queued and said while an action is done.

use super::asked::Recorder;
use super::{
    Asked, COMMANDS_MAX, Change, Changer, Did, Miss, Settled, Trace, TracedCommand, TracedStep, brief,
};
use crate::action::{Action, Failure, Step};
use crate::automation::Automation;
use crate::run::{Run, Wait};
use crate::text::shorten;
use crate::work::Work;
use crate::{CommandId, Effect, RunId, TimerId};
use gable_devices::{Data, EntityId, Publish, Timestamp};
use std::cell::RefCell;

/// How many texts one step keeps.
const TEXTS_MAX: usize = 5;
/// How many entities of a call.
const ENTITIES_MAX: usize = 20;

/// What is noted while one input is worked off.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) record: RefCell<Recorder>,
    /// Whether what is asked now is kept.
    pub(crate) is_recording: bool,
    commands: Vec<TracedCommand>,
    texts: Vec<String>,
    /// The run in whose name actions are done now: the one that moves, or the one that it is a
    /// branch of.
    pub(crate) run_id: Option<RunId>,
    /// The automation of that run.
    pub(crate) automation: Option<String>,
    /// The message that is being looked at.
    pub(crate) topic: Option<String>,
}

/// A step whose action is about to be done.
pub(crate) struct Draft {
    run_id: RunId,
    path: String,
}

impl<'s> Work<'s> {
    /// Keeps what conditions see from here on, if anybody wants to know it.
    pub(crate) fn record(&mut self, is_recording: bool) {
        self.notes.is_recording = is_recording;
        if is_recording {
            self.notes.record.get_mut().clear();
            self.notes.commands.clear();
            self.notes.texts.clear();
        }
    }

    /// What conditions have seen since [`Work::record`].
    pub(crate) fn recorded(&mut self) -> Vec<Asked> {
        let was_recording = std::mem::take(&mut self.notes.is_recording);
        if was_recording { self.notes.record.get_mut().take() } else { Vec::new() }
    }

    /// Begins the trace of a run.
    pub(crate) fn trace_run(&mut self, automation: &Automation, run: &Run) {
        if automation.stored_traces == 0 {
            return;
        }
        let variable = run.variables.get("trigger").map(brief).unwrap_or_default();
        let trace = Trace {
            run_id: run.run_id,
            automation: run.automation.clone(),
            trigger: shorten(run.trigger.clone()),
            // A shortened variable has a bounded size.
            weight: 2048,
            variable,
            cause: run.cause,
            started_at: run.started_at,
            parent: run.parent,
            conditions: Vec::new(),
            first: Vec::new(),
            last: Default::default(),
            dropped: 0,
            ended: None,
        };
        self.rows.traces.insert(trace, automation.stored_traces);
    }

    /// A trigger has fired and no run begins.
    pub(crate) fn miss(
        &mut self,
        automation: &Automation,
        trigger: Option<&Data>,
        reason: &str,
        conditions: Vec<Asked>,
    ) {
        let description = trigger.and_then(|trigger| trigger.get("description")).and_then(Data::as_text);
        let miss = Miss {
            at: self.rows.now,
            index: self.rows.index,
            trigger: shorten(description.unwrap_or_default().to_owned()),
            reason: shorten(reason.to_owned()),
            conditions,
        };
        self.rows.traces.set_miss(&automation.id, miss);
    }

    /// A run begins to move: what is done from here on is done in its name.
    pub(crate) fn act_for(&mut self, run: &Run) {
        let mut run_id = run.run_id;
        let mut parent = run.parent.filter(|_| run.is_branch);
        while let Some(around) = parent {
            run_id = around;
            let run = self.rows.runs.get(around);
            parent = run.and_then(|run| run.parent.filter(|_| run.is_branch));
        }
        self.notes.run_id = Some(run_id);
        self.notes.automation = Some(run.automation.clone());
    }

    /// Begins to note an action, if its run is traced.
    pub(crate) fn begin_step(&mut self, automation: &Automation, run: &Run, is_end: bool) -> Option<Draft> {
        let run_id = self.notes.run_id.filter(|run_id| self.rows.traces.keeps(*run_id));
        self.record(run_id.is_some());
        let path = |_| run.cursor.path(&automation.actions, is_end);
        run_id.map(|run_id| Draft { run_id, path: path(run_id) })
    }

    /// What a step does, in short.
    pub(crate) fn step_did(&self, action: &Action, step: &Step) -> Did {
        match step {
            Step::Next | Step::Stay => Did::Done,
            Step::Enter(branch) => Did::Branch(action.branch_key(*branch)),
            Step::Leave => Did::Blocked,
            Step::End(how) => Did::Ended(how.clone()),
            Step::Wait(wait) => Did::Wait { until: self.deadline_of(wait.timer()), ended: None },
        }
    }

    fn deadline_of(&self, timer_id: Option<TimerId>) -> Option<Timestamp> {
        timer_id.and_then(|timer_id| self.rows.timers.get(timer_id)).map(|timer| timer.deadline)
    }

    /// Keeps an action that was done, or not.
    pub(crate) fn end_step(
        &mut self,
        draft: Option<Draft>,
        run: &Run,
        action: &Action,
        did: Did,
        failure: Option<&Failure>,
    ) {
        let asked = self.recorded();
        let Some(draft) = draft else { return };
        let step = TracedStep {
            path: draft.path,
            kind: action.kind.word().into(),
            at: self.rows.now,
            index: self.rows.index,
            did,
            asked,
            commands: std::mem::take(&mut self.notes.commands),
            notes: std::mem::take(&mut self.notes.texts),
            error: failure.map(|failure| shorten(failure.text.clone())),
            by: run.run_id,
        };
        self.rows.traces.add_step(draft.run_id, step);
    }

    /// Keeps what a loop asked between two passes.
    pub(crate) fn end_pass(&mut self, draft: Option<Draft>, run: &Run, action: &Action) {
        if self.notes.record.get_mut().is_empty() {
            self.notes.is_recording = false;
        } else {
            self.end_step(draft, run, action, Did::Done, None);
        }
    }

    /// What a run waited for is over.
    pub(crate) fn trace_wait(&mut self, run_id: RunId) {
        let Some(run) = self.rows.runs.get(run_id) else { return };
        let has_come = match run.wait {
            Wait::Turn | Wait::Ready => return,
            Wait::Timer(_) | Wait::Children => true,
            Wait::Template(_) | Wait::Trigger(_) => {
                let wait = run.variables.get("wait").and_then(|wait| wait.get("completed"));
                wait == Some(&Data::Bool(true))
            }
        };
        let mut root = run;
        while root.is_branch
            && let Some(around) = root.parent.and_then(|parent| self.rows.runs.get(parent))
        {
            root = around;
        }
        let (root, now) = (root.run_id, self.rows.now);
        self.rows.traces.end_wait(root, run_id, now, has_come);
    }

    /// Keeps what an effect says about runs and their commands.
    pub(crate) fn trace_effect(&mut self, effect: &Effect) {
        match effect {
            Effect::RunEnded { run_id, ended, .. } => self.rows.traces.end(*run_id, self.rows.now, ended),
            Effect::CommandQueued { command_id, entity_id, publish, .. } if self.notes.is_recording => {
                self.note_command(*command_id, entity_id.as_ref(), publish);
            }
            Effect::Notice { subject, text }
                if self.notes.is_recording && self.notes.texts.len() < TEXTS_MAX =>
            {
                self.notes.texts.push(format!("{subject}: {text}"));
            }
            _ => {}
        }
    }

    fn note_command(&mut self, command_id: CommandId, entity_id: Option<&EntityId>, publish: &Publish) {
        if self.notes.commands.len() < COMMANDS_MAX {
            self.notes.commands.push(TracedCommand {
                command_id,
                entity_id: entity_id.cloned(),
                topic: shorten(publish.topic.clone()),
                payload: payload_text(&publish.payload),
                settled: None,
            });
        }
    }

    /// A command of a run is settled.
    pub(crate) fn trace_command(&mut self, run_id: Option<RunId>, command_id: CommandId, how: Settled) {
        if let Some(run_id) = run_id {
            self.rows.traces.settle(run_id, command_id, self.rows.now, how);
        }
    }

    /// What changes an entity now.
    pub(crate) fn change_now(&self) -> Change {
        let by = self.notes.topic.clone().map_or(Changer::Home, Changer::Message);
        Change { at: self.rows.now, index: self.rows.index, by, command_id: None, run_id: None }
    }
}

/// A payload as people read it, cut where it is long.
pub(crate) fn payload_text(payload: &[u8]) -> String {
    const BYTES_MAX: usize = 400;
    let start = payload.get(..BYTES_MAX).unwrap_or(payload);
    let mut text = String::from_utf8_lossy(start).into_owned();
    if payload.len() > BYTES_MAX {
        text.push('…');
    }
    text
}

/// The call of a service, as far as it is kept.
pub(crate) fn call_did(service: &str, entity_ids: &[EntityId]) -> Did {
    Did::Call {
        service: service.to_owned(),
        entity_ids: entity_ids.iter().take(ENTITIES_MAX).cloned().collect(),
    }
}
