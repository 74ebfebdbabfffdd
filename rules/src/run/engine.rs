//! What makes runs move: they start, do their actions until they wait or end, and go on.
//!
//! Runs that may move stand in a line, and one moves at a time, so that no run begins inside
//! another's action and the native stack stays flat however scripts call each other.

use super::{ACTIONS_PER_RUN_MAX, Cursor, RUNS_MAX, Run, Spot, Wait};
use crate::action::{Action, ActionKind, Failure, Step};
use crate::automation::{Automation, Mode};
use crate::service::{Aside, Caller};
use crate::timer::Purpose;
use crate::trace::{Did, call_did, payload_text};
use crate::work::Work;
use crate::{Effect, Ended, RunId};
use gable_devices::{Context, Data};

/// What an action leads to, decided before anything changes.
enum Deed {
    Step(Step),
    Publish(gable_devices::Publish),
    Request(crate::action::call::Request),
    Event(crate::event::Event),
}

impl<'s> Work<'s> {
    /// Starts a run, or does not, as the automation's mode says. Returns the run.
    pub(crate) fn start(
        &mut self,
        automation: &Automation,
        context: Context,
        parent: Option<RunId>,
    ) -> Option<RunId> {
        let running = self.rows.runs.of(&automation.id).count();
        let skipped = match automation.mode {
            Mode::Single if running > 0 => Some("it is still running (mode: single)".to_owned()),
            Mode::Queued | Mode::Parallel if running >= automation.max => {
                Some(format!("it has {running} runs already (max: {})", automation.max))
            }
            Mode::Single | Mode::Restart | Mode::Queued | Mode::Parallel => {
                (self.rows.runs.len() >= RUNS_MAX).then(|| format!("the home has {RUNS_MAX} runs already"))
            }
        };
        if let Some(reason) = skipped {
            self.miss(automation, context.variables().get("trigger"), &reason, Vec::new());
            if !automation.is_quiet {
                self.effect(Effect::RunSkipped { automation: automation.id.clone(), reason });
            }
            return None;
        }
        if automation.mode == Mode::Restart {
            self.end_all(&automation.id, &Ended::Replaced);
        }
        self.note_triggered(automation);
        self.announce_start(automation, &context);
        let mut run = self.new_run(automation, context, parent);
        let run_id = run.run_id;
        self.trace_run(automation, &run);
        if automation.mode == Mode::Queued && running > 0 {
            let (automation, trigger) = (run.automation.clone(), run.trigger.clone());
            run.wait = Wait::Turn;
            self.rows.runs.insert(run);
            self.effect(Effect::RunQueued { run_id, automation, trigger });
        } else {
            self.begin(run);
            self.tell_of_script(&automation.id, (0, self.rows.runs.count_of(&automation.id)));
        }
        Some(run_id)
    }

    fn new_run(&mut self, automation: &Automation, context: Context, parent: Option<RunId>) -> Run {
        let variables = context.into_variables();
        let description = variables.get("trigger").and_then(|trigger| trigger.get("description"));
        let trigger = match (description.and_then(Data::as_text), parent) {
            (_, Some(parent)) if automation.is_script => {
                let caller = self.rows.runs.get(parent).map(|run| run.automation.as_str());
                format!("called by {}", caller.unwrap_or_default())
            }
            (description, _) => description.unwrap_or_default().to_owned(),
        };
        Run {
            run_id: RunId(self.rows.mint()),
            automation: automation.id.clone(),
            trigger,
            cause: self.rows.index,
            started_at: self.rows.now,
            wait: Wait::Ready,
            cursor: Cursor::default(),
            parent,
            is_branch: false,
            variables,
            steps: 0,
            verdict: None,
            may_pass: false,
            has_stopped: false,
            response: Data::Null,
            answer_to: None,
        }
    }

    fn begin(&mut self, mut run: Run) {
        self.effect(Effect::RunStarted {
            run_id: run.run_id,
            automation: run.automation.clone(),
            trigger: run.trigger.clone(),
        });
        run.wait = Wait::Ready;
        self.ready.push_back(run.run_id);
        self.rows.runs.insert(run);
    }

    /// What a run waited for has come.
    pub(crate) fn resume(&mut self, run_id: RunId) {
        self.trace_wait(run_id);
        if let Some(run) = self.rows.runs.get_mut(run_id) {
            run.wait = Wait::Ready;
            self.ready.push_back(run_id);
        }
    }

    /// Lets all runs move that may.
    pub(crate) fn run_ready(&mut self) {
        while let Some(run_id) = self.ready.pop_front() {
            // One that is in line may have been ended by the one before it.
            let Some(mut run) = self.rows.runs.lift(run_id) else { continue };
            let home = self.home;
            let how = match home.automation(&run.automation) {
                Some(automation) => self.do_actions(automation, &mut run),
                None => Some(Ended::Replaced),
            };
            match how {
                None => {
                    self.rows.runs.insert(run);
                    if let Some(aside) = self.aside.take() {
                        self.serve_aside(aside, run_id);
                    }
                }
                Some(how) => {
                    self.rows.runs.forget(&run);
                    self.drop_children(run_id);
                    self.ended(run, how);
                }
            }
        }
    }

    /// A run is over: tells whoever waited for it.
    fn ended(&mut self, run: Run, how: Ended) {
        if run.is_branch {
            return self.on_child_ended(&run, how);
        }
        self.effect(ended(&run, how.clone()));
        self.begin_next(&run.automation);
        self.tell_of_script(&run.automation, (1, self.rows.runs.count_of(&run.automation)));
        self.on_child_ended(&run, how);
    }

    /// The oldest run that waits for its turn gets it (mode `queued`).
    pub(super) fn begin_next(&mut self, automation: &str) {
        let is_waiting = |run: &&Run| run.wait == Wait::Turn;
        let next = self.rows.runs.of(automation).find(is_waiting).map(|run| run.run_id);
        if let Some(next) = next.and_then(|run_id| self.rows.runs.remove(run_id)) {
            self.begin(next);
        }
    }

    /// Ends all runs of an automation, wherever they stand.
    pub(crate) fn end_all(&mut self, automation: &str, how: &Ended) {
        let run_ids: Vec<RunId> = self.rows.runs.of(automation).map(|run| run.run_id).collect();
        for run_id in run_ids {
            self.end(run_id, how);
        }
    }

    /// Ends a run from outside, with all that it waits for.
    pub(crate) fn end(&mut self, run_id: RunId, how: &Ended) {
        self.stop_waiting(run_id);
        let Some(run) = self.rows.runs.remove(run_id) else { return };
        self.drop_children(run_id);
        if !run.is_branch {
            self.effect(ended(&run, how.clone()));
            self.tell_of_script(&run.automation, (1, self.rows.runs.count_of(&run.automation)));
        }
        self.on_child_ended(&run, how.clone());
    }

    /// Does actions until the run ends (how), or waits (none).
    fn do_actions(&mut self, automation: &'s Automation, run: &mut Run) -> Option<Ended> {
        self.act_for(run);
        // What it waited for may have decided already.
        if let Some(how) = run.verdict.take() {
            return Some(how);
        }
        // The variables hold whole states: they are lent to the actions, not copied.
        let mut context = Context::from(std::mem::take(&mut run.variables));
        let how = loop {
            match self.do_next(&mut context, automation, run) {
                Ok(Some(Step::Next)) => run.cursor.advance(),
                Ok(Some(Step::Enter(branch))) => run.cursor.enter(branch, None),
                Ok(Some(Step::Stay)) => {}
                Ok(Some(Step::Leave)) if run.cursor.is_at_floor() => {
                    // It ends one branch of a `parallel:`, or the whole run.
                    break Some(if run.is_branch { Ended::Finished } else { Ended::Stopped });
                }
                Ok(Some(Step::Leave)) => run.cursor.skip_to_end(),
                Ok(Some(Step::End(how))) => {
                    (run.has_stopped, run.may_pass) = (true, false);
                    break Some(how);
                }
                Ok(Some(Step::Wait(wait))) => {
                    run.wait = wait;
                    break None;
                }
                Ok(None) => break Some(Ended::Finished),
                Err(text) => break Some(Ended::Failed(crate::text::shorten(text))),
            }
        };
        run.variables = context.into_variables();
        how
    }

    /// Does one action; none at the end of all.
    fn do_next(
        &mut self,
        context: &mut Context,
        automation: &'s Automation,
        run: &mut Run,
    ) -> Result<Option<Step>, String> {
        let action = match run.cursor.settle(&automation.actions) {
            Spot::End => return Ok(None),
            Spot::Action(action) => action,
            Spot::EndOfPass(repeat) => {
                self.count_action(automation, run)?;
                let draft = self.begin_step(automation, run, true);
                context.set_world(Some(self.world()));
                self.next_pass(context, repeat, run);
                context.set_world(None);
                self.end_pass(draft, run, repeat);
                return Ok(Some(Step::Stay));
            }
        };
        self.count_action(automation, run)?;
        let draft = self.begin_step(automation, run, false);
        if !action.is_enabled {
            self.end_step(draft, run, action, Did::Disabled, None);
            return Ok(Some(Step::Next));
        }
        context.set_world(Some(self.world()));
        let decided = self.decide(action, run, context);
        // Whoever keeps a view of the home makes the next change copy it.
        context.set_world(None);
        let did = match (&draft, &decided) {
            (Some(_), Ok(deed)) => self.did(action, deed),
            (None, _) | (_, Err(_)) => Did::Done,
        };
        let done = decided.and_then(|deed| self.perform(deed, run.run_id));
        match &mut self.aside {
            // Its step is noted when its call is served.
            Some(aside) => (aside.draft, aside.did) = (draft, did),
            None => self.end_step(draft, run, action, did, done.as_ref().err()),
        }
        match done {
            Ok(step) => Ok(Some(step)),
            Err(failure) if failure.may_pass && action.continue_on_error => {
                self.notice(automation.id.as_str(), failure.text);
                Ok(Some(Step::Next))
            }
            Err(failure) => {
                run.may_pass = failure.may_pass;
                Err(failure.text)
            }
        }
    }

    /// What a deed is, for the trace.
    fn did(&self, action: &Action, deed: &Deed) -> Did {
        match deed {
            Deed::Step(step) => self.step_did(action, step),
            Deed::Publish(publish) => {
                Did::Publish { topic: publish.topic.clone(), payload: payload_text(&publish.payload) }
            }
            Deed::Request(request) => call_did(&request.called, &request.chosen.entity_ids),
            Deed::Event(event) => Did::Event { event_type: event.event_type.clone() },
        }
    }

    /// Uses up one of the actions that the run and the input may do.
    fn count_action(&mut self, automation: &Automation, run: &mut Run) -> Result<(), String> {
        let over = match self.take_action() {
            Err(text) => Some(format!("{text}; its run ends here")),
            Ok(()) => {
                run.steps = run.steps.saturating_add(1);
                (run.steps > ACTIONS_PER_RUN_MAX)
                    .then(|| format!("the run did more than {ACTIONS_PER_RUN_MAX} actions"))
            }
        };
        over.map_or(Ok(()), |text| {
            self.notice(automation.id.as_str(), text.as_str());
            Err(text)
        })
    }

    fn perform(&mut self, deed: Deed, run_id: RunId) -> Result<Step, Failure> {
        match deed {
            Deed::Step(step) => return Ok(step),
            Deed::Publish(publish) => {
                self.announce_publish(&publish);
                self.queue_publish(publish, Some(run_id));
            }
            Deed::Request(request) if request.moves_runs() => {
                self.announce_call(&request);
                self.aside = Some(Aside::new(request));
                return Ok(Step::Wait(Wait::Ready));
            }
            Deed::Request(request) => {
                self.announce_call(&request);
                self.serve(&request, Caller { run_id })?;
            }
            Deed::Event(event) => self.happen(crate::work::Happening::Event(event)),
        }
        Ok(Step::Next)
    }

    fn decide(&mut self, action: &'s Action, run: &mut Run, context: &mut Context) -> Result<Deed, Failure> {
        Ok(Deed::Step(match &action.kind {
            ActionKind::Publish(publish) => return publish.render(context).map(Deed::Publish),
            ActionKind::Call(call) => {
                return call.render(context).map(Deed::Request);
            }
            ActionKind::Event(event) => return event.render(context).map(Deed::Event),
            ActionKind::Delay(delay) => match delay.render(context).map_err(Failure::mistake)? {
                span if span.0 == 0 => Step::Next,
                span => {
                    run.cursor.advance();
                    let deadline = self.now().after(span);
                    Step::Wait(Wait::Timer(self.set_timer(deadline, Purpose::RunDelay(run.run_id))))
                }
            },
            ActionKind::Condition(condition) => match self.scene(context).ask_alone(condition) {
                Ok(true) => Step::Next,
                Ok(false) | Err(_) => Step::Leave,
            },
            ActionKind::Choose(choose) => choose.perform(&self.scene(context)),
            ActionKind::If(action) => action.perform(&self.scene(context)),
            ActionKind::Sequence(_) => Step::Enter(0),
            ActionKind::Stop(stop) => stop.perform(context, &mut run.response)?,
            ActionKind::Variables(variables) => variables.add_to(context).map(|()| Step::Next)?,
            ActionKind::Repeat(repeat) => self.first_pass(context, repeat, run)?,
            ActionKind::Parallel(branches) => self.branch_off(branches, run, context)?,
            ActionKind::WaitTemplate(wait) => self.wait_for_template(wait, run, context)?,
            ActionKind::WaitForTrigger(wait) => self.wait_for_trigger(wait, run, context)?,
        }))
    }
}

pub(super) fn ended(run: &Run, ended: Ended) -> Effect {
    Effect::RunEnded { run_id: run.run_id, automation: run.automation.clone(), ended }
}
