//! Triggers that fire at instants: which timer each has, and what happens when it is due.
//!
//! Each instant-giving part of a trigger (`at:` may list several) has one timer row at most, with
//! an absolute deadline, so that it survives whatever nodes do. Rows are fitted to the home when
//! files, calendar or an entity change, and after each firing. A row whose deadline has passed is
//! left alone by that: the leader is about to report it.

pub(crate) mod missed;
pub(crate) mod recurrence;

use crate::listener::{Listener, Owner};
use crate::timer::{Purpose, Slot};
use crate::trigger::{Timed, Trigger};
use crate::work::Work;
use gable_devices::{Data, Timestamp};
use recurrence::{Recurrence, Weekdays};
use serde::{Deserialize, Serialize};

/// One instant-giving part of one trigger.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ScheduleKey {
    pub listener: Listener,
    /// The part's place in its trigger, from 0.
    pub part: u32,
}

impl Work<'_> {
    /// Fits the timers of all triggers to calendar and entities.
    pub(crate) fn schedule_all(&mut self) {
        for candidate in self.candidates(self.home.routes.timed(), &self.listening.timed()) {
            self.schedule(&candidate.listener, candidate.trigger);
        }
    }

    /// Fits the timers of one trigger.
    pub(crate) fn schedule(&mut self, listener: &Listener, trigger: &Trigger) {
        for part in 0..parts(trigger) {
            let key = ScheduleKey { listener: listener.clone(), part };
            let slot = Slot::Schedule(key.clone());
            let now = self.now();
            let next = self.recurrence(trigger, part).and_then(|recurrence| self.next_of(&recurrence, now));
            let former = self.rows.timers.in_slot(&slot).map(|(_, timer)| timer.deadline);
            match next {
                _ if former.is_some_and(|deadline| deadline <= now) => {}
                _ if former == next => {}
                Some(deadline) => {
                    self.set_timer(deadline, Purpose::Schedule(key));
                }
                None => self.cancel_slot(&slot),
            }
        }
    }

    /// Gives up the timers of one trigger.
    pub(crate) fn unschedule(&mut self, listener: &Listener, trigger: &Trigger) {
        for part in 0..parts(trigger) {
            self.cancel_slot(&Slot::Schedule(ScheduleKey { listener: listener.clone(), part }));
        }
    }

    /// A trigger's instant has come, or passed while no node could say so.
    pub(crate) fn on_scheduled(&mut self, key: ScheduleKey, deadline: Timestamp) {
        let Some(candidate) = self.candidate(&key.listener) else { return };
        if let Owner::Run(_) = key.listener.owner {
            // A run that waits goes on as soon as it can.
            if let Some(variable) = self.moment_variable(candidate.trigger, key.part, deadline) {
                self.fire(&candidate, variable);
            }
            return;
        }
        // An entity that says no time any more gave up its timer, unless that was due already.
        let once = Recurrence::Once { at: deadline, days: Weekdays::ALL };
        let recurrence = self.recurrence(candidate.trigger, key.part).unwrap_or(once);
        let (now, on_missed) = (self.now(), candidate.automation.on_missed);
        let verdict = on_missed.judge(&recurrence, self.rows.calendar(), deadline, now);
        let done = if verdict.notice.is_some() { now } else { deadline };
        if let Some(next) = self.next_of(&recurrence, done) {
            self.set_timer(next, Purpose::Schedule(key.clone()));
        }
        if let Some(text) = verdict.notice {
            self.notice(candidate.automation.id.as_str(), text);
        }
        for at in verdict.fires {
            if let Some(variable) = self.moment_variable(candidate.trigger, key.part, at) {
                self.fire(&candidate, variable);
            }
        }
    }

    fn next_of(&self, recurrence: &Recurrence, after: Timestamp) -> Option<Timestamp> {
        recurrence.next_after(self.rows.calendar(), after)
    }

    fn recurrence(&self, trigger: &Trigger, part: u32) -> Option<Recurrence> {
        match trigger.timed()? {
            Timed::Time(kind) => kind.recurrence(part, self.rows),
            Timed::Pattern(kind) => Some(Recurrence::Pattern(kind.pattern)),
            Timed::Sun(kind) => Some(kind.recurrence()),
        }
    }

    /// The `trigger` variable of a run that one of its instants starts.
    fn moment_variable(&self, trigger: &Trigger, part: u32, at: Timestamp) -> Option<Data> {
        let calendar = self.rows.calendar();
        Some(match trigger.timed()? {
            Timed::Time(kind) => kind.variable(trigger, part, at, calendar),
            Timed::Pattern(kind) => kind.variable(trigger, at, calendar),
            Timed::Sun(kind) => kind.variable(trigger),
        })
    }
}

/// How many instant-giving parts a trigger has.
fn parts(trigger: &Trigger) -> u32 {
    match trigger.timed() {
        None => 0,
        Some(Timed::Time(kind)) => kind.parts(),
        Some(Timed::Pattern(_) | Timed::Sun(_)) => 1,
    }
}
