//! How far sequences have come (`trigger: sequence`): attempts as rows, so that they survive.
//!
//! What happens moves the attempt forward that has come furthest of those that wait for it, and that
//! one only; if it moves none and is a first step, it begins an attempt. No two attempts of one
//! trigger wait for the same step, so there are never more than steps: of two the one that began later
//! goes on, which has more time left. Only where an absence is waited for the earlier one goes on, so
//! that nobody puts off its end by beginning anew. What is no step that anybody waits for is ignored.
//!
//! Steps of automations and triggers that are `ordered:` follow each other by their stamps. Two that
//! different nodes heard closer together than `clock_error` are concurrent: whether they count as
//! being in order is up to `concurrent:`.

use crate::TimerId;
use crate::listener::Listener;
use crate::order::{Heard, Relation};
use crate::react::Candidate;
use crate::timer::Purpose;
use crate::trigger::sequence::{SequenceTrigger, Step};
use crate::work::Work;
use gable_devices::{Data, Millis, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How far the attempts of one trigger have come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// In the order in which they began.
    attempts: Vec<Attempt>,
    /// What each step's trigger brought last while nobody waited for it: the step before may be
    /// concurrent with it, or late.
    unused: BTreeMap<u32, Seen>,
    /// What moved an attempt last.
    used: Option<Heard>,
}

/// One attempt, which has passed at least one step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Attempt {
    /// The step that it waits for.
    next: u32,
    seen: Vec<Seen>,
    within: Option<TimerId>,
    /// When its last step has to have happened.
    until: Option<Timestamp>,
    /// While it waits for an absence to last.
    absence: Option<TimerId>,
}

/// A step that was passed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Seen {
    variable: Data,
    at: Timestamp,
    /// None where any stamp may follow: the order is that of the log.
    heard: Option<Heard>,
}

/// A sequence and where it belongs.
struct Whole<'s> {
    candidate: Candidate<'s>,
    kind: &'s SequenceTrigger,
}

impl Whole<'_> {
    /// Whether `later` counts as following `earlier`.
    fn follows(&self, later: &Seen, earlier: Option<&Seen>) -> bool {
        let stamps = earlier.and_then(|earlier| earlier.heard).zip(later.heard);
        match stamps.map(|(earlier, later)| later.relation_to(&earlier, self.kind.clock_error)) {
            None | Some(Relation::After) => true,
            Some(Relation::Concurrent) => self.kind.takes_concurrent,
            Some(Relation::Before) => false,
        }
    }
}

impl<'s> Work<'s> {
    /// The trigger of a step came.
    pub(crate) fn on_step(&mut self, step: &Candidate<'s>, place: u32, variable: Data) {
        let sequence = step.listener.of_sequence();
        let Some(whole) = self.whole(&sequence) else { return };
        let is_ordered = step.window().is_some();
        let heard = self.look.heard;
        let at = if is_ordered { heard.at.wall } else { self.rows.now };
        let seen = Seen { variable, at, heard: is_ordered.then_some(heard) };
        if whole.kind.step(place).is_some_and(|step| step.absent_for.is_some()) {
            return self.break_absence(&whole, place, &seen);
        }
        let progress = self.rows.sequences.entry(sequence).or_default();
        if progress.used == Some(heard) {
            return;
        }
        let waiting = progress
            .attempts
            .iter()
            .position(|attempt| attempt.next == place && whole.follows(&seen, attempt.seen.last()));
        if let Some(waiting) = waiting {
            progress.used = Some(heard);
            let attempt = progress.attempts.remove(waiting);
            self.pass(&whole, attempt, seen);
        } else if place == 0 {
            progress.used = Some(heard);
            self.begin_attempt(&whole, seen);
        } else if is_ordered {
            progress.unused.insert(place, seen);
        }
    }

    fn begin_attempt(&mut self, whole: &Whole<'s>, seen: Seen) {
        let within = whole.kind.within.as_ref().map(|span| span.render(&self.base_context(&whole.candidate)));
        let within = match within.transpose() {
            Ok(within) => within,
            Err(error) => {
                let text = format!("the `within` of its sequence is wrong: {error}");
                return self.notice(whole.candidate.automation.id.as_str(), text);
            }
        };
        let until = within.map(|span| seen.at.after(span));
        let within = within.map(|span| self.set_sequence_timer(whole, span));
        self.pass(whole, Attempt { next: 0, seen: Vec::new(), within, until, absence: None }, seen);
    }

    /// An attempt passes a step, and those behind it that came already.
    fn pass(&mut self, whole: &Whole<'s>, mut attempt: Attempt, seen: Seen) {
        let mut next = Some(seen);
        while let Some(seen) = next.take() {
            attempt.seen.push(seen);
            attempt.next = attempt.next.saturating_add(1);
            let progress = self.rows.sequences.entry(whole.candidate.listener.clone()).or_default();
            let last = attempt.seen.last();
            if let Some(unused) = progress.unused.remove(&attempt.next)
                && last.is_some_and(|last| last.heard.is_some())
                && whole.follows(&unused, last)
                && attempt.until.is_none_or(|until| unused.at <= until)
            {
                next = Some(unused);
            }
        }
        match whole.kind.step(attempt.next) {
            None => self.complete(whole, attempt),
            Some(step) => self.keep_waiting(whole, step, attempt),
        }
    }

    /// An attempt waits for its next step, unless another one does that goes on in its place.
    fn keep_waiting(&mut self, whole: &Whole<'s>, step: &Step, mut attempt: Attempt) {
        let listener = &whole.candidate.listener;
        let progress = self.rows.sequences.entry(listener.clone()).or_default();
        let other = progress.attempts.iter().position(|other| other.next == attempt.next);
        if let Some(other) = other {
            if step.absent_for.is_some() {
                return self.give_up_attempt(&attempt);
            }
            let other = progress.attempts.remove(other);
            self.give_up_attempt(&other);
        }
        if let Some(span) = &step.absent_for {
            let span = span.render(&self.base_context(&whole.candidate));
            match span {
                Ok(span) => attempt.absence = Some(self.set_sequence_timer(whole, span)),
                Err(error) => {
                    let text = format!("the `for` of a step is wrong: {error}");
                    self.notice(whole.candidate.automation.id.as_str(), text);
                    return self.give_up_attempt(&attempt);
                }
            }
        }
        self.rows.sequences.entry(listener.clone()).or_default().attempts.push(attempt);
    }

    fn complete(&mut self, whole: &Whole<'s>, attempt: Attempt) {
        self.give_up_attempt(&attempt);
        let with_time = |seen: Seen| match seen.variable {
            Data::Map(mut map) => {
                map.insert("at".to_owned(), Data::Time(seen.at));
                Data::Map(map)
            }
            other => other,
        };
        let steps = attempt.seen.into_iter().map(with_time).collect();
        let variable = whole.kind.variable(whole.candidate.trigger, steps);
        self.fire(&whole.candidate, variable);
    }

    /// What must not come has come: whoever waited for its absence gives up.
    fn break_absence(&mut self, whole: &Whole<'s>, place: u32, seen: &Seen) {
        let Some(progress) = self.rows.sequences.get_mut(&whole.candidate.listener) else { return };
        let is_broken = |attempt: &Attempt| {
            // Where concurrent steps count as in order, this one counts as before the absence began.
            let last = attempt.seen.last().and_then(|last| last.heard);
            let relation = last.zip(seen.heard);
            let relation = relation.map(|(last, seen)| seen.relation_to(&last, whole.kind.clock_error));
            attempt.next == place
                && match relation {
                    None | Some(Relation::After) => true,
                    Some(Relation::Concurrent) => !whole.kind.takes_concurrent,
                    Some(Relation::Before) => false,
                }
        };
        if let Some(broken) = progress.attempts.iter().position(is_broken) {
            let attempt = progress.attempts.remove(broken);
            self.give_up_attempt(&attempt);
        }
    }

    /// The time of an attempt is over, or an absence has lasted.
    pub(crate) fn on_sequence_timer(&mut self, sequence: &Listener, timer_id: TimerId) {
        let Some(whole) = self.whole(sequence) else { return };
        let Some(progress) = self.rows.sequences.get_mut(sequence) else { return };
        let is_meant =
            |attempt: &Attempt| attempt.within == Some(timer_id) || attempt.absence == Some(timer_id);
        let Some(place) = progress.attempts.iter().position(is_meant) else { return };
        let mut attempt = progress.attempts.remove(place);
        if attempt.within == Some(timer_id) {
            return self.give_up_attempt(&attempt);
        }
        attempt.absence = None;
        let Some(step) = whole.kind.step(attempt.next) else { return };
        let span = step.absent_for.as_ref().map(|span| span.render(&self.base_context(&whole.candidate)));
        let span = span.and_then(Result::ok).unwrap_or_default();
        let seen = Seen { variable: step.absence(span), at: self.rows.now, heard: None };
        self.pass(&whole, attempt, seen);
    }

    fn set_sequence_timer(&mut self, whole: &Whole<'s>, span: Millis) -> TimerId {
        let deadline = self.now().after(span);
        self.set_timer(deadline, Purpose::Sequence(whole.candidate.listener.clone()))
    }

    fn give_up_attempt(&mut self, attempt: &Attempt) {
        for timer_id in [attempt.within, attempt.absence].into_iter().flatten() {
            self.cancel_timer(timer_id);
        }
    }

    /// Lets the steps of a sequence listen, or forget everything.
    pub(crate) fn detach_sequence(&mut self, listener: &Listener, kind: &SequenceTrigger) {
        for step in &kind.steps {
            self.detach(&Listener::of_step(listener, step.trigger.place), &step.trigger);
        }
        for attempt in self.rows.sequences.remove(listener).unwrap_or_default().attempts {
            self.give_up_attempt(&attempt);
        }
    }

    fn whole(&self, sequence: &Listener) -> Option<Whole<'s>> {
        let candidate = self.candidate(sequence)?;
        Some(Whole { kind: candidate.trigger.sequence()?, candidate })
    }
}
