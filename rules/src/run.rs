//! Half-run automations as data: what a snapshot holds and another node goes on with.

use crate::action::{Action, ActionKind, Failure, Sequence, Step};
use crate::automation::{Automation, Mode};
use crate::timer::Purpose;
use crate::work::Work;
use crate::{Effect, Ended, LogIndex, RunId, TimerId};
use gable_devices::{Context, Data, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How many actions one run may do.
pub const ACTIONS_PER_RUN_MAX: u32 = 10_000;

/// How many runs may stand still at once in the whole home. Where one more would start it is
/// skipped, and says so.
pub const RUNS_MAX: usize = 10_000;

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
    /// The places of the actions around, outermost first, each with the branch that leads inwards.
    pub(crate) outer: Vec<(u32, u32)>,
    /// The place in the innermost sequence.
    pub(crate) place: u32,
}

impl Cursor {
    /// Moves on past the ends of sequences and returns the action to be done; none at the end of all.
    fn settle<'h>(&mut self, actions: &'h Sequence) -> Option<&'h Action> {
        loop {
            // A path that leads nowhere can not come from these actions; it counts as their end.
            let sequence = self.outer.iter().try_fold(actions, |sequence, (place, branch)| {
                sequence.0.get(usize::try_from(*place).ok()?)?.branch(*branch)
            })?;
            if let Some(action) = sequence.0.get(usize::try_from(self.place).ok()?) {
                return Some(action);
            }
            self.leave()?;
        }
    }

    fn advance(&mut self) {
        self.place = self.place.saturating_add(1);
    }

    fn enter(&mut self, branch: u32) {
        self.outer.push((self.place, branch));
        self.place = 0;
    }

    /// Goes on behind the action around; none if there is none.
    fn leave(&mut self) -> Option<()> {
        let (place, _) = self.outer.pop()?;
        self.place = place.saturating_add(1);
        Some(())
    }
}

/// The runs that stand still, and which automation has which.
#[derive(Clone, Debug, Default)]
pub(crate) struct Runs {
    rows: BTreeMap<RunId, Run>,
    by_automation: BTreeMap<String, BTreeSet<RunId>>,
}

impl Runs {
    fn insert(&mut self, run: Run) {
        self.by_automation.entry(run.automation.clone()).or_default().insert(run.run_id);
        self.rows.insert(run.run_id, run);
    }

    pub(crate) fn remove(&mut self, run_id: RunId) -> Option<Run> {
        let run = self.rows.remove(&run_id)?;
        if let Some(ids) = self.by_automation.get_mut(&run.automation) {
            ids.remove(&run_id);
            if ids.is_empty() {
                self.by_automation.remove(&run.automation);
            }
        }
        Some(run)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Run> {
        self.rows.values()
    }

    pub(crate) fn get(&self, run_id: RunId) -> Option<&Run> {
        self.rows.get(&run_id)
    }

    /// The runs of one automation, oldest first.
    fn of(&self, automation: &str) -> impl Iterator<Item = &Run> {
        self.by_automation.get(automation).into_iter().flatten().filter_map(|run_id| self.rows.get(run_id))
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

impl Work<'_> {
    /// Starts a run, or does not, as the automation's mode says.
    pub(crate) fn start(&mut self, automation: &Automation, context: Context) {
        let running = self.rows.runs.of(&automation.id).count();
        let skipped = match automation.mode {
            Mode::Single if running > 0 => Some("it is still running (mode: single)".to_owned()),
            Mode::Queued | Mode::Parallel if running >= automation.max => {
                Some(format!("it has {running} runs already (max: {})", automation.max))
            }
            Mode::Single | Mode::Restart | Mode::Queued | Mode::Parallel => (self.rows.runs.rows.len()
                >= RUNS_MAX)
                .then(|| format!("the home has {RUNS_MAX} runs already")),
        };
        if let Some(reason) = skipped {
            if !automation.is_quiet {
                self.effect(Effect::RunSkipped { automation: automation.id.clone(), reason });
            }
            return;
        }
        if automation.mode == Mode::Restart {
            self.end_all(&automation.id, &Ended::Replaced);
        }
        let run = self.new_run(automation, context);
        if automation.mode == Mode::Queued && running > 0 {
            let (run_id, trigger) = (run.run_id, run.trigger.clone());
            self.rows.runs.insert(run);
            self.effect(Effect::RunQueued { run_id, automation: automation.id.clone(), trigger });
        } else {
            self.begin(automation, run);
        }
    }

    /// A run's delay has passed.
    pub(crate) fn resume(&mut self, run_id: RunId) {
        let Some(run) = self.rows.runs.remove(run_id) else { return };
        match self.home.automation(&run.automation) {
            Some(automation) => self.go_on(automation, run),
            None => self.effect(ended(&run, Ended::Replaced)),
        }
    }

    /// Ends all runs of an automation, wherever they stand.
    pub(crate) fn end_all(&mut self, automation: &str, how: &Ended) {
        let run_ids: Vec<RunId> = self.rows.runs.of(automation).map(|run| run.run_id).collect();
        for run_id in run_ids {
            let Some(run) = self.rows.runs.remove(run_id) else { continue };
            if let Wait::Timer(timer_id) = run.wait {
                self.cancel_timer(timer_id);
            }
            self.effect(ended(&run, how.clone()));
        }
    }

    fn new_run(&mut self, automation: &Automation, context: Context) -> Run {
        let variables = context.into_variables();
        let description = variables.get("trigger").and_then(|trigger| trigger.get("description"));
        let trigger = description.and_then(Data::as_text).unwrap_or_default().to_owned();
        Run {
            run_id: RunId(self.rows.mint()),
            automation: automation.id.clone(),
            trigger,
            cause: self.rows.index,
            started_at: self.rows.now,
            wait: Wait::Turn,
            cursor: Cursor::default(),
            variables,
            steps: 0,
        }
    }

    fn begin(&mut self, automation: &Automation, run: Run) {
        self.effect(Effect::RunStarted {
            run_id: run.run_id,
            automation: run.automation.clone(),
            trigger: run.trigger.clone(),
        });
        self.go_on(automation, run);
    }

    /// Lets a run do its actions until it waits or ends, and then those that waited for their turn.
    fn go_on(&mut self, automation: &Automation, run: Run) {
        let mut next = Some(run);
        while let Some(mut run) = next.take() {
            let Some(how) = self.do_actions(automation, &mut run) else {
                self.rows.runs.insert(run);
                return;
            };
            self.effect(ended(&run, how));
            let is_waiting = |run: &&Run| run.wait == Wait::Turn;
            let waiting = self.rows.runs.of(&automation.id).find(is_waiting).map(|run| run.run_id);
            next = waiting.and_then(|run_id| self.rows.runs.remove(run_id));
            if let Some(run) = &next {
                self.effect(Effect::RunStarted {
                    run_id: run.run_id,
                    automation: run.automation.clone(),
                    trigger: run.trigger.clone(),
                });
            }
        }
    }

    /// Does actions until the run ends (how), or waits (none).
    fn do_actions(&mut self, automation: &Automation, run: &mut Run) -> Option<Ended> {
        // The variables hold whole states: they are lent to the actions, not copied.
        let context = Context::from(std::mem::take(&mut run.variables));
        let how = self.do_actions_with(&context, automation, run);
        run.variables = context.into_variables();
        how
    }

    fn do_actions_with(
        &mut self,
        context: &Context,
        automation: &Automation,
        run: &mut Run,
    ) -> Option<Ended> {
        loop {
            let Some(action) = run.cursor.settle(&automation.actions) else { return Some(Ended::Finished) };
            if let Err(text) = self.take_action() {
                self.notice(automation.id.as_str(), format!("{text}; its run ends here"));
                return Some(Ended::Failed(text));
            }
            run.steps = run.steps.saturating_add(1);
            if run.steps > ACTIONS_PER_RUN_MAX {
                let text = format!("the run did more than {ACTIONS_PER_RUN_MAX} actions");
                self.notice(automation.id.as_str(), text.as_str());
                return Some(Ended::Failed(text));
            }
            let step =
                if action.is_enabled { self.do_action(action, run.run_id, context) } else { Ok(Step::Next) };
            match step {
                Ok(Step::Next) => run.cursor.advance(),
                Ok(Step::Enter(branch)) => run.cursor.enter(branch),
                Ok(Step::Wait(span)) => {
                    run.cursor.advance();
                    let deadline = self.now().after(span);
                    run.wait = Wait::Timer(self.set_timer(deadline, Purpose::RunDelay(run.run_id)));
                    return None;
                }
                Ok(Step::Leave) => {
                    if run.cursor.leave().is_none() {
                        return Some(Ended::Stopped);
                    }
                }
                Ok(Step::End(how)) => return Some(how),
                Err(failure) if failure.may_pass && action.continue_on_error => {
                    self.notice(automation.id.as_str(), failure.text);
                    run.cursor.advance();
                }
                Err(failure) => return Some(Ended::Failed(crate::text::shorten(failure.text))),
            }
        }
    }

    fn do_action(&mut self, action: &Action, run_id: RunId, context: &Context) -> Result<Step, Failure> {
        match &action.kind {
            ActionKind::Publish(publish) => {
                let publish = publish.render(context)?;
                self.queue_publish(publish, Some(run_id));
                Ok(Step::Next)
            }
            ActionKind::Call(call) => {
                let order = call.render(context, self.declared)?;
                self.give_order(order, run_id)?;
                Ok(Step::Next)
            }
            ActionKind::Delay(delay) => delay.perform(context),
            ActionKind::Condition(condition) => match condition.holds(&self.scene(context)) {
                Ok(true) => Ok(Step::Next),
                Ok(false) | Err(_) => Ok(Step::Leave),
            },
            ActionKind::Choose(choose) => Ok(choose.perform(&self.scene(context))),
            ActionKind::If(action) => Ok(action.perform(&self.scene(context))),
            ActionKind::Sequence(_) => Ok(Step::Enter(0)),
            ActionKind::Stop(stop) => stop.perform(context),
        }
    }
}

fn ended(run: &Run, ended: Ended) -> Effect {
    Effect::RunEnded { run_id: run.run_id, automation: run.automation.clone(), ended }
}
