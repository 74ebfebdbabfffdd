//! Runs that wait for other runs: the branches of `parallel:`, and scripts that were called.

use super::{RUNS_MAX, Run, Wait};
use crate::action::{Failure, Sequence, Step};
use crate::script::SCRIPT_PREFIX;
use crate::work::Work;
use crate::{Ended, RunId};
use gable_devices::{Context, Data};
use std::collections::BTreeMap;

impl Work<'_> {
    /// Lets each branch of a `parallel:` begin as a run of its own, with its own copy of the
    /// variables, as Home Assistant does.
    pub(super) fn branch_off(
        &mut self,
        branches: &[Sequence],
        run: &Run,
        context: &Context,
    ) -> Result<Step, Failure> {
        // The run itself is no row while it moves.
        if self.rows.runs.len() + branches.len() >= RUNS_MAX {
            return Err(Failure::mistake(format!("the home has {RUNS_MAX} runs already")));
        }
        for branch in (0..).take(branches.len()) {
            let branch = Run {
                run_id: RunId(self.rows.mint()),
                cursor: run.cursor.branch_off(branch),
                wait: Wait::Ready,
                parent: Some(run.run_id),
                is_branch: true,
                variables: context.variables().clone(),
                verdict: None,
                may_pass: false,
                has_stopped: false,
                ..run.clone()
            };
            self.ready.push_back(branch.run_id);
            self.rows.runs.insert(branch);
        }
        Ok(if branches.is_empty() { Step::Next } else { Step::Wait(Wait::Children) })
    }

    /// A run has ended for which another one waits, if one does.
    pub(super) fn on_child_ended(&mut self, child: &Run, how: Ended) {
        let Some(parent) = child.parent.and_then(|parent| self.rows.runs.get_mut(parent)) else { return };
        if parent.wait != Wait::Children {
            return;
        }
        // A branch that `stop:` ends, or that fails, ends the whole; a script only if it fails, and its
        // own `stop:` is no failure even where it says `error: true`.
        let counts = match &how {
            Ended::Finished | Ended::Replaced => false,
            Ended::Stopped => child.is_branch,
            // What an automation does wrong that was triggered by hand is its own affair.
            Ended::Failed(_) => {
                child.is_branch || (child.automation.starts_with(SCRIPT_PREFIX) && !child.has_stopped)
            }
        };
        if counts && parent.verdict.is_none() {
            parent.verdict = Some(how);
            parent.may_pass = child.may_pass;
            parent.has_stopped = child.has_stopped;
        }
        if !child.is_branch
            && let Some(name) = parent.answer_to.take()
        {
            let nothing = || Data::Map(BTreeMap::new());
            let answer = if child.response == Data::Null { nothing() } else { child.response.clone() };
            parent.variables.insert(name, answer);
        }
        let parent = parent.run_id;
        if self.rows.runs.children(parent).is_empty() {
            self.go_on_after_children(parent);
        }
    }

    /// All that a run waited for has ended; what failed there fails here, unless it may pass.
    fn go_on_after_children(&mut self, run_id: RunId) {
        let home = self.home;
        let Some(run) = self.rows.runs.get_mut(run_id) else { return };
        let automation = home.automation(&run.automation);
        let action = automation.and_then(|automation| run.cursor.action(&automation.actions));
        let may_pass = run.may_pass && action.is_some_and(|action| action.continue_on_error);
        run.cursor.advance();
        if may_pass
            && let Some(Ended::Failed(text)) = run.verdict.take_if(|how| matches!(how, Ended::Failed(_)))
        {
            let automation = run.automation.clone();
            self.notice(automation, text);
        }
        self.resume(run_id);
    }

    /// Ends what a run waits for.
    pub(super) fn drop_children(&mut self, run_id: RunId) {
        for child in self.rows.runs.children(run_id) {
            self.stop_waiting(child);
            if let Some(child) = self.rows.runs.remove(child) {
                self.drop_children(child.run_id);
                if !child.is_branch {
                    self.effect(super::engine::ended(&child, Ended::Replaced));
                    self.begin_next(&child.automation);
                    self.tell_of_script(&child.automation, (1, self.rows.runs.count_of(&child.automation)));
                }
            }
        }
    }
}
