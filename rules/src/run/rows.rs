//! The runs that stand still, and which belongs to whom.

use super::Run;
use crate::RunId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The rows, and the indexes that follow from them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Runs {
    rows: BTreeMap<RunId, Run>,
    /// Without the branches of `parallel:`, which count as part of the run they belong to.
    by_automation: Arc<BTreeMap<String, BTreeSet<RunId>>>,
    by_parent: BTreeMap<RunId, BTreeSet<RunId>>,
}

impl Runs {
    pub(crate) fn insert(&mut self, run: Run) {
        let counts = self.by_automation.get(&run.automation).is_some_and(|ids| ids.contains(&run.run_id));
        if !run.is_branch && !counts {
            Arc::make_mut(&mut self.by_automation)
                .entry(run.automation.clone())
                .or_default()
                .insert(run.run_id);
        }
        if let Some(parent) = run.parent {
            self.by_parent.entry(parent).or_default().insert(run.run_id);
        }
        self.rows.insert(run.run_id, run);
    }

    pub(crate) fn remove(&mut self, run_id: RunId) -> Option<Run> {
        let run = self.lift(run_id)?;
        self.forget(&run);
        Some(run)
    }

    /// Takes a run out to let it move. It counts among those of its automation until it is put back
    /// or forgotten, so that its own templates see it.
    pub(crate) fn lift(&mut self, run_id: RunId) -> Option<Run> {
        let run = self.rows.remove(&run_id)?;
        if let Some(parent) = run.parent {
            drop_from(&mut self.by_parent, &parent, run_id);
        }
        Some(run)
    }

    /// A run that was taken out is over.
    pub(crate) fn forget(&mut self, run: &Run) {
        if !run.is_branch {
            drop_from(Arc::make_mut(&mut self.by_automation), &run.automation, run.run_id);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Run> {
        self.rows.values()
    }

    pub(crate) fn get(&self, run_id: RunId) -> Option<&Run> {
        self.rows.get(&run_id)
    }

    pub(crate) fn get_mut(&mut self, run_id: RunId) -> Option<&mut Run> {
        self.rows.get_mut(&run_id)
    }

    /// The runs of one automation, oldest first.
    pub(crate) fn of(&self, automation: &str) -> impl Iterator<Item = &Run> {
        self.by_automation.get(automation).into_iter().flatten().filter_map(|run_id| self.rows.get(run_id))
    }

    /// How many runs an automation has.
    pub(crate) fn count_of(&self, automation: &str) -> usize {
        self.by_automation.get(automation).map_or(0, BTreeSet::len)
    }

    /// The runs of each automation that has one.
    pub(crate) fn counts(&self) -> Arc<BTreeMap<String, BTreeSet<RunId>>> {
        Arc::clone(&self.by_automation)
    }

    /// The branches and scripts that a run waits for, oldest first.
    pub(crate) fn children(&self, run_id: RunId) -> Vec<RunId> {
        self.by_parent.get(&run_id).into_iter().flatten().copied().collect()
    }
}

fn drop_from<K: Ord + Clone>(map: &mut BTreeMap<K, BTreeSet<RunId>>, key: &K, run_id: RunId) {
    if let Some(ids) = map.get_mut(key) {
        ids.remove(&run_id);
        if ids.is_empty() {
            map.remove(key);
        }
    }
}

impl Serialize for Runs {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.rows.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Runs {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Runs, D::Error> {
        let mut runs = Runs::default();
        for run in BTreeMap::<RunId, Run>::deserialize(deserializer)?.into_values() {
            runs.insert(run);
        }
        Ok(runs)
    }
}
