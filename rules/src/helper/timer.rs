//! `timer:`: a promised moment that people can start, hold and call off.
//!
//! What a timer is in the middle of stands in its attributes (`duration`, `remaining`, `finishes_at`),
//! the deadline itself is a row among all deadlines. It ends once, at its very millisecond: Home
//! Assistant cuts the end to whole seconds.

use super::{Helper, HelperKind};
use crate::action::Failure;
use crate::event::Event;
use crate::timer::{Purpose, Slot};
use crate::work::{Happening, Work};
use gable_devices::yaml::Fields;
use gable_devices::{Data, EntityId, Millis, Timestamp, Value, duration};
use std::collections::BTreeMap;

const IDLE: &str = "idle";
const ACTIVE: &str = "active";
const PAUSED: &str = "paused";

const DURATION: &str = "duration";
const REMAINING: &str = "remaining";
const FINISHES_AT: &str = "finishes_at";

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TimerHelper {
    /// How long it runs where a start does not say.
    duration: Millis,
}

impl TimerHelper {
    pub(super) fn read(fields: &mut Fields<'_>) -> TimerHelper {
        // A timer is always kept, so the other choice of `restore` has no meaning here.
        fields.accept(&["restore"]);
        TimerHelper { duration: fields.duration(DURATION).unwrap_or_default() }
    }

    pub(super) fn first(&self) -> Value {
        self.idle()
    }

    /// A running timer goes on as it was started.
    pub(super) fn fit(&self, current: &Value) -> Value {
        if current.state == IDLE { self.idle() } else { current.clone() }
    }

    fn idle(&self) -> Value {
        Value { state: IDLE.to_owned(), attributes: BTreeMap::from([span(DURATION, self.duration)]) }
    }
}

impl Work<'_> {
    /// Calls a service on a timer.
    pub(crate) fn serve_timer(
        &mut self,
        helper: &Helper,
        timer: &TimerHelper,
        (service, data): (&str, &BTreeMap<String, Data>),
        current: &Value,
    ) -> Result<(), Failure> {
        let id = &helper.entity_id;
        match service {
            "start" => {
                let asked = data.get(DURATION).filter(|data| **data != Data::Null);
                let asked = asked.map(duration::from_data).transpose().map_err(Failure::mistake)?;
                self.start_timer(helper, timer, current, asked.filter(|span| span.0 > 0));
            }
            "pause" => {
                let Some(deadline) = self.timer_deadline(id) else { return Ok(()) };
                self.cancel_slot(&Slot::Helper(id.clone()));
                let running = read_span(current, DURATION).unwrap_or(timer.duration);
                let attributes =
                    BTreeMap::from([span(DURATION, running), span(REMAINING, deadline.since(self.now()))]);
                self.assign(id, helper.dress(Value { state: PAUSED.to_owned(), attributes }));
                self.timer_event("timer.paused", id, None);
            }
            "cancel" if current.state == IDLE => {}
            "cancel" => {
                self.cancel_slot(&Slot::Helper(id.clone()));
                self.assign(id, helper.dress(timer.idle()));
                self.timer_event("timer.cancelled", id, None);
            }
            "finish" => {
                let Some(deadline) = self.timer_deadline(id) else { return Ok(()) };
                self.cancel_slot(&Slot::Helper(id.clone()));
                self.finish_timer(helper, timer, deadline);
            }
            "change" => self.change_timer(helper, timer, data, current)?,
            _ => return Err(Failure::mistake(format!("a timer has no service `{service}`"))),
        }
        Ok(())
    }

    fn start_timer(&mut self, helper: &Helper, timer: &TimerHelper, current: &Value, asked: Option<Millis>) {
        let event = if current.state == IDLE { "timer.started" } else { "timer.restarted" };
        let running = asked.or_else(|| read_span(current, DURATION)).unwrap_or(timer.duration);
        // One that was held goes on with what was left, unless it is told otherwise.
        let remaining = asked.or_else(|| read_span(current, REMAINING)).unwrap_or(running);
        self.run_timer(helper, running, remaining, self.now().after(remaining));
        self.timer_event(event, &helper.entity_id, None);
    }

    fn change_timer(
        &mut self,
        helper: &Helper,
        timer: &TimerHelper,
        data: &BTreeMap<String, Data>,
        current: &Value,
    ) -> Result<(), Failure> {
        let id = &helper.entity_id;
        let Some(deadline) = self.timer_deadline(id) else {
            return Err(Failure::refusal("it is not running: only a running timer can be changed"));
        };
        let running = read_span(current, DURATION).unwrap_or(timer.duration);
        let by = read_change(data.get(DURATION))?;
        let left = i64::try_from(deadline.since(self.now()).0).unwrap_or(i64::MAX).saturating_add(by);
        let Some(left) = u64::try_from(left).ok().map(Millis).filter(|left| *left <= running) else {
            return Err(Failure::refusal("it can not be changed to end before now or after its duration"));
        };
        self.run_timer(helper, running, left, self.now().after(left));
        self.timer_event("timer.changed", id, None);
        Ok(())
    }

    fn run_timer(&mut self, helper: &Helper, running: Millis, remaining: Millis, deadline: Timestamp) {
        let id = &helper.entity_id;
        self.set_timer(deadline, Purpose::Helper(id.clone()));
        let finishes_at = Data::Text(crate::text::plain_text(&Data::Time(deadline)));
        let attributes = BTreeMap::from([
            span(DURATION, running),
            span(REMAINING, remaining),
            (FINISHES_AT.to_owned(), finishes_at),
        ]);
        self.assign(id, helper.dress(Value { state: ACTIVE.to_owned(), attributes }));
    }

    /// A timer's deadline has passed.
    pub(crate) fn on_timer_helper(&mut self, entity_id: &EntityId, deadline: Timestamp) {
        let home = self.home;
        let Some(helper) = home.helper(entity_id) else { return };
        if let HelperKind::Timer(timer) = &helper.kind {
            self.finish_timer(helper, timer, deadline);
        }
    }

    fn finish_timer(&mut self, helper: &Helper, timer: &TimerHelper, deadline: Timestamp) {
        self.assign(&helper.entity_id, helper.dress(timer.idle()));
        self.timer_event("timer.finished", &helper.entity_id, Some(deadline));
    }

    fn timer_deadline(&self, entity_id: &EntityId) -> Option<Timestamp> {
        self.rows.timers.in_slot(&Slot::Helper(entity_id.clone())).map(|(_, timer)| timer.deadline)
    }

    fn timer_event(&mut self, event_type: &str, entity_id: &EntityId, finished_at: Option<Timestamp>) {
        let mut data = BTreeMap::from([("entity_id".to_owned(), Data::Text(entity_id.to_string()))]);
        let finished_at = finished_at.map(|at| Data::Text(crate::text::plain_text(&Data::Time(at))));
        data.extend(finished_at.map(|at| ("finished_at".to_owned(), at)));
        self.happen(Happening::Event(Event { event_type: event_type.to_owned(), data }));
    }
}

fn span(name: &str, span: Millis) -> (String, Data) {
    (name.to_owned(), Data::Text(clock_text(span)))
}

/// A span as Home Assistant's timers show it: hours without days, and here what is less than a
/// second, too.
fn clock_text(span: Millis) -> String {
    let (seconds, millis) = (span.0 / 1000, span.0 % 1000);
    let mut text = format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if millis > 0 {
        text += &format!(".{millis:03}");
    }
    text
}

fn read_span(value: &Value, name: &str) -> Option<Millis> {
    duration::from_text(value.attributes.get(name)?.as_text()?).ok()
}

/// By how much a timer is to be moved, in milliseconds; it may be less than nothing.
fn read_change(data: Option<&Data>) -> Result<i64, Failure> {
    let text = match data {
        None | Some(Data::Null) => return Err(Failure::mistake("`duration` is missing")),
        Some(Data::Int(seconds)) => return Ok(seconds.saturating_mul(1000)),
        Some(Data::Float(seconds)) => return Ok((seconds * 1000.0) as i64),
        Some(Data::Text(text)) => text.trim(),
        Some(other) => {
            let span = duration::from_data(other).map_err(Failure::mistake)?;
            return Ok(i64::try_from(span.0).unwrap_or(i64::MAX));
        }
    };
    let (sign, rest) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let span = duration::from_text(rest).map_err(Failure::mistake)?;
    Ok(i64::try_from(span.0).unwrap_or(i64::MAX).saturating_mul(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_shown_without_days_and_read_back() {
        let check = |millis, expected: &str| {
            assert_eq!(clock_text(Millis(millis)), expected);
            assert_eq!(duration::from_text(expected), Ok(Millis(millis)));
        };
        check(0, "0:00:00");
        check(2_000, "0:00:02");
        check(1_250, "0:00:01.250");
        check(100_000_000, "27:46:40");
    }
}
