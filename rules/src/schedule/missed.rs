//! What becomes of an instant that no node could keep: `on_missed:` of an automation. Pure.

use super::recurrence::{Recurrence, span_text};
use crate::calendar::Calendar;
use crate::reader::Reader;
use gable_devices::yaml::Fields;
use gable_devices::{Millis, Timestamp};

/// How late an instant may be before it counts as missed: longer than any change of leaders.
pub(crate) const GRACE: Millis = Millis::from_secs(60);
/// How far back a missed instant is made up for, where the automation does not say.
const WITHIN: Millis = Millis::from_secs(15 * 60);
/// The longest window taken. It bounds how many seconds of a pattern are gone through.
const WITHIN_MAX: Millis = Millis::from_secs(24 * 3600);
/// The most missed instants that are made up for at once; of more, the last ones.
const RUN_ALL_MAX: usize = 1000;

/// What an automation wants of instants that were missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OnMissed {
    pub(crate) policy: Policy,
    pub(crate) within: Millis,
}

/// Which of them are made up for, of those that lie inside the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    /// The last one.
    RunOnce,
    /// None.
    Skip,
    /// Each, in order.
    RunAll,
}

/// What is to be done at a deadline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The instants that fire now, in order.
    pub(crate) fires: Vec<Timestamp>,
    /// What a person should know, if anything was missed.
    pub(crate) notice: Option<String>,
}

impl Default for OnMissed {
    fn default() -> OnMissed {
        OnMissed { policy: Policy::RunOnce, within: WITHIN }
    }
}

impl OnMissed {
    /// Reads `on_missed` and `on_missed_within` of an automation.
    pub(crate) fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> OnMissed {
        let words = [("run_once", Policy::RunOnce), ("skip", Policy::Skip), ("run_all", Policy::RunAll)];
        let policy = fields.choice("on_missed", &words).unwrap_or(Policy::RunOnce);
        let within = fields.duration("on_missed_within");
        if let Some(node) = fields.get("on_missed_within")
            && within.is_some_and(|within| within > WITHIN_MAX)
        {
            reader.problems.push(node.problem(&fields.path_of("on_missed_within"), "takes 24 hours at most"));
        }
        OnMissed { policy, within: within.unwrap_or(WITHIN) }
    }

    /// Decides about the instants from `deadline` to `now`.
    pub(crate) fn judge(
        self,
        recurrence: &Recurrence,
        calendar: &Calendar,
        deadline: Timestamp,
        now: Timestamp,
    ) -> Verdict {
        if now.since(deadline) <= GRACE {
            // Those between it and now follow, each by its own timer.
            return Verdict { fires: vec![deadline], notice: None };
        }
        let since = |span: Millis| deadline.max(Timestamp(now.0.saturating_sub_unsigned(span.0)));
        let fires: Vec<Timestamp> = match self.policy {
            Policy::RunOnce => recurrence.latest(calendar, since(self.within), now).into_iter().collect(),
            Policy::RunAll => recurrence.all(calendar, since(self.within), now, RUN_ALL_MAX).into(),
            // What is due just now was not missed, whatever was before.
            Policy::Skip => recurrence.latest(calendar, since(GRACE), now).into_iter().collect(),
        };
        let missed = calendar.local(deadline);
        let late = span_text(now.since(deadline));
        let what = match (self.policy, fires.len()) {
            (Policy::Skip, 0) => "skipped, as on_missed says".to_owned(),
            (Policy::Skip, _) => "skipped up to now, as on_missed says".to_owned(),
            (Policy::RunOnce | Policy::RunAll, 0) => {
                format!("skipped, as on_missed_within is {}", span_text(self.within))
            }
            (Policy::RunOnce | Policy::RunAll, 1) => "runs once now".to_owned(),
            (Policy::RunOnce | Policy::RunAll, times) => format!("runs {times} times now"),
        };
        let notice = format!("missed {} {} ({late} ago): {what}", missed.date(), missed.time());
        Verdict { fires, notice: Some(notice) }
    }
}

#[cfg(test)]
mod tests;
