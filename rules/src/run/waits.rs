//! Runs that wait for the home: `wait_template:` and `wait_for_trigger:`, and how such waits end.

use super::{Run, Wait};
use crate::action::wait::{WaitForTrigger, WaitTemplate};
use crate::action::{ActionKind, Failure, Step};
use crate::listener::Listener;
use crate::timer::Purpose;
use crate::watch::Watcher;
use crate::work::Work;
use crate::{Ended, RunId, TimerId};
use gable_devices::{Context, Data, Millis};
use std::collections::BTreeMap;

/// The variable that tells a run how its last wait ended.
const VARIABLE: &str = "wait";

impl<'s> Work<'s> {
    pub(super) fn wait_for_template(
        &mut self,
        wait: &WaitTemplate,
        run: &Run,
        context: &mut Context,
    ) -> Result<Step, Failure> {
        let timeout = wait.timeout.render(context)?;
        let (text, reads) = wait.template.render_tracked(context);
        let holds = crate::condition::template::is_true(&text.map_err(Failure::mistake)?);
        if holds || timeout == Some(Millis(0)) {
            context.set(VARIABLE, outcome(timeout, holds, None));
            return Ok(wait.timeout.step(holds));
        }
        self.watch(Watcher::Wait(run.run_id), reads, false);
        Ok(Step::Wait(Wait::Template(self.set_timeout(run.run_id, timeout))))
    }

    pub(super) fn wait_for_trigger(
        &mut self,
        wait: &'s WaitForTrigger,
        run: &Run,
        context: &mut Context,
    ) -> Result<Step, Failure> {
        let timeout = wait.timeout.render(context)?;
        if timeout == Some(Millis(0)) {
            context.set(VARIABLE, outcome(timeout, false, Some(Data::Null)));
            return Ok(wait.timeout.step(false));
        }
        let mut listens = false;
        for trigger in wait.triggers.iter().filter(|trigger| trigger.is_enabled) {
            match trigger.rendered_topics(context.variables()) {
                Ok(_) => {
                    self.attach(&Listener::of_run(run.run_id, trigger.place), trigger, context);
                    listens = true;
                }
                Err(why) => {
                    self.notice(run.automation.as_str(), format!("it can not wait for a trigger: {why}"))
                }
            }
        }
        if !listens {
            // Nothing could ever come.
            context.set(VARIABLE, outcome(timeout, false, Some(Data::Null)));
            return Ok(Step::Next);
        }
        Ok(Step::Wait(Wait::Trigger(self.set_timeout(run.run_id, timeout))))
    }

    fn set_timeout(&mut self, run_id: RunId, timeout: Option<Millis>) -> Option<TimerId> {
        let deadline = self.now().after(timeout?);
        Some(self.set_timer(deadline, Purpose::WaitTimeout(run_id)))
    }

    /// What a run waited for has come: a trigger with its variable, or its template.
    pub(crate) fn wait_is_over(&mut self, run_id: RunId, trigger: Option<Data>) {
        let Some(run) = self.rows.runs.get(run_id) else { return };
        let deadline = run.wait.timer().and_then(|timer_id| self.rows.timers.get(timer_id));
        let remaining = deadline.map(|timer| timer.deadline.since(self.rows.now));
        self.stop_waiting(run_id);
        self.go_on_after_wait(run_id, outcome(remaining, true, trigger), true);
    }

    /// The timeout of a wait has passed.
    pub(crate) fn on_wait_timeout(&mut self, run_id: RunId) {
        let Some(run) = self.rows.runs.get(run_id) else { return };
        let trigger = match run.wait {
            Wait::Template(_) => None,
            Wait::Trigger(_) => Some(Data::Null),
            Wait::Turn | Wait::Timer(_) | Wait::Children | Wait::Ready => return,
        };
        self.stop_waiting(run_id);
        self.go_on_after_wait(run_id, outcome(Some(Millis(0)), false, trigger), false);
    }

    fn go_on_after_wait(&mut self, run_id: RunId, variable: Data, has_come: bool) {
        let home = self.home;
        let Some(run) = self.rows.runs.get_mut(run_id) else { return };
        run.variables.insert(VARIABLE.to_owned(), variable);
        let automation = home.automation(&run.automation);
        let action = automation.and_then(|automation| run.cursor.action(&automation.actions));
        let step = match action.map(|action| &action.kind) {
            Some(ActionKind::WaitTemplate(wait)) => wait.timeout.step(has_come),
            Some(ActionKind::WaitForTrigger(wait)) => wait.timeout.step(has_come),
            _ => Step::Next,
        };
        match step {
            Step::End(how) => self.give_up(run_id, how),
            _ => {
                run.cursor.advance();
                self.resume(run_id);
            }
        }
    }

    /// A run ends where it waits; whoever waits for it hears how.
    fn give_up(&mut self, run_id: RunId, how: Ended) {
        let Some(run) = self.rows.runs.get_mut(run_id) else { return };
        run.verdict = Some(how);
        self.resume(run_id);
    }

    /// Gives up all that could wake a run.
    pub(super) fn stop_waiting(&mut self, run_id: RunId) {
        let home = self.home;
        let Some(run) = self.rows.runs.get(run_id) else { return };
        let wait = run.wait;
        if matches!(wait, Wait::Trigger(_))
            && let Some(automation) = home.automation(&run.automation)
            && let Some(action) = run.cursor.action(&automation.actions)
            && let ActionKind::WaitForTrigger(action) = &action.kind
        {
            for trigger in &action.triggers {
                self.detach(&Listener::of_run(run_id, trigger.place), trigger);
            }
        }
        if matches!(wait, Wait::Template(_)) {
            self.rows.watches.remove(&Watcher::Wait(run_id));
        }
        if let Some(timer_id) = wait.timer() {
            self.cancel_timer(timer_id);
        }
    }
}

/// The `wait` variable: what is left of the timeout in seconds, whether it was needed, and the
/// variable of the trigger that came.
fn outcome(remaining: Option<Millis>, has_come: bool, trigger: Option<Data>) -> Data {
    let seconds = |span: Millis| Data::Float(span.0 as f64 / 1000.0);
    let mut map = BTreeMap::from([
        ("remaining".to_owned(), remaining.map_or(Data::Null, seconds)),
        ("completed".to_owned(), Data::Bool(has_come)),
    ]);
    map.extend(trigger.map(|trigger| ("trigger".to_owned(), trigger)));
    Data::Map(map)
}
