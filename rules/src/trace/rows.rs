//! The traces that are kept, the oldest of which go.

use super::{Asked, Did, Miss, Settled, TRACE_BYTES_MAX, TRACES_MAX, Trace, TracedStep, weight_of};
use crate::{CommandId, Ended, RunId};
use gable_devices::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The rows, and the indexes that follow from them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traces {
    rows: BTreeMap<RunId, Trace>,
    /// One for each automation that has one.
    misses: BTreeMap<String, Miss>,
    by_automation: BTreeMap<String, BTreeSet<RunId>>,
    weight: usize,
}

impl Traces {
    pub(crate) fn get(&self, run_id: RunId) -> Option<&Trace> {
        self.rows.get(&run_id)
    }

    pub(crate) fn keeps(&self, run_id: RunId) -> bool {
        self.rows.contains_key(&run_id)
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Trace> {
        self.rows.values()
    }

    /// The runs of one automation, oldest first.
    pub(crate) fn of(&self, automation: &str) -> impl DoubleEndedIterator<Item = &Trace> {
        let run_ids = self.by_automation.get(automation).into_iter().flatten();
        run_ids.filter_map(|run_id| self.rows.get(run_id))
    }

    pub(crate) fn miss(&self, automation: &str) -> Option<&Miss> {
        self.misses.get(automation)
    }

    pub(crate) fn set_miss(&mut self, automation: &str, miss: Miss) {
        match self.misses.get_mut(automation) {
            Some(known) => *known = miss,
            None => {
                self.misses.insert(automation.to_owned(), miss);
            }
        }
    }

    /// Adds what was asked before no run began.
    pub(crate) fn set_miss_conditions(&mut self, automation: &str, conditions: Vec<Asked>) {
        if let Some(miss) = self.misses.get_mut(automation) {
            miss.conditions = conditions;
        }
    }

    /// Forgets the misses of automations that are gone, so that there are never more than
    /// automations.
    pub(crate) fn retain_misses(&mut self, stays: impl Fn(&str) -> bool) {
        self.misses.retain(|automation, _| stays(automation));
    }

    /// Adds a run's trace. Of its automation `stored` are kept: the oldest that has ended goes, and
    /// if none has the oldest.
    pub(crate) fn insert(&mut self, trace: Trace, stored: u32) {
        let automation = trace.automation.clone();
        self.place(trace);
        while self.of(&automation).count() > usize::try_from(stored).unwrap_or(usize::MAX) {
            let ended = self.of(&automation).find(|trace| trace.ended.is_some());
            let Some(run_id) = ended.or(self.of(&automation).next()).map(|trace| trace.run_id) else {
                break;
            };
            self.remove(run_id);
        }
        self.shrink();
    }

    /// Notes the conditions that stood before a run.
    pub(crate) fn set_conditions(&mut self, run_id: RunId, conditions: Vec<Asked>) {
        if let Some(trace) = self.rows.get_mut(&run_id) {
            let weight = weight_of(&conditions);
            trace.conditions = conditions;
            trace.weight += weight;
            self.weight += weight;
        }
    }

    /// Adds a step to a run's trace.
    pub(crate) fn add_step(&mut self, run_id: RunId, step: TracedStep) {
        let Some(trace) = self.rows.get_mut(&run_id) else { return };
        let before = trace.weight;
        trace.add(step);
        self.weight = (self.weight + trace.weight).saturating_sub(before);
        self.shrink();
    }

    /// What a run, or a branch of it, waited for has come, or its time is over.
    pub(crate) fn end_wait(&mut self, run_id: RunId, by: RunId, at: Timestamp, has_come: bool) {
        let Some(trace) = self.rows.get_mut(&run_id) else { return };
        if let Some(step) = trace.steps_mut().rev().find(|step| step.by == by)
            && let Did::Wait { ended: ended @ None, .. } = &mut step.did
        {
            *ended = Some((at, has_come));
        }
    }

    /// A command is settled that a run gave.
    pub(crate) fn settle(&mut self, run_id: RunId, command_id: CommandId, at: Timestamp, how: Settled) {
        let Some(trace) = self.rows.get_mut(&run_id) else { return };
        let mut commands = trace.steps_mut().rev().flat_map(|step| &mut step.commands);
        if let Some(command) = commands.find(|command| command.command_id == command_id) {
            command.settled = Some((at, how));
        }
    }

    /// A run has ended.
    pub(crate) fn end(&mut self, run_id: RunId, at: Timestamp, how: &Ended) {
        if let Some(trace) = self.rows.get_mut(&run_id) {
            trace.ended = Some((at, how.clone()));
        }
    }

    fn place(&mut self, trace: Trace) {
        self.by_automation.entry(trace.automation.clone()).or_default().insert(trace.run_id);
        self.weight += trace.weight;
        self.rows.insert(trace.run_id, trace);
    }

    fn remove(&mut self, run_id: RunId) {
        let Some(trace) = self.rows.remove(&run_id) else { return };
        self.weight = self.weight.saturating_sub(trace.weight);
        if let Some(run_ids) = self.by_automation.get_mut(&trace.automation) {
            run_ids.remove(&run_id);
            if run_ids.is_empty() {
                self.by_automation.remove(&trace.automation);
            }
        }
    }

    /// Keeps to the home's bounds.
    fn shrink(&mut self) {
        while (self.rows.len() > TRACES_MAX || self.weight > TRACE_BYTES_MAX)
            && let Some(oldest) = self.rows.keys().next().copied()
        {
            self.remove(oldest);
        }
    }
}

impl Serialize for Traces {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.rows, &self.misses).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Traces {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Traces, D::Error> {
        type Form = (BTreeMap<RunId, Trace>, BTreeMap<String, Miss>);
        let (rows, misses) = Form::deserialize(deserializer)?;
        let mut traces = Traces { misses, ..Traces::default() };
        rows.into_values().for_each(|trace| traces.place(trace));
        Ok(traces)
    }
}
