//! Each timer that is not cancelled fires, once, and never before its deadline.

use crate::trace::Trace;
use gable_devices::Timestamp;
use gable_rules::{Effect, TimerId};
use std::collections::BTreeMap;
use std::time::Duration;

/// How late the last timers may be: they have no time left to fire in.
const GRACE_MS: i64 = 1000;
/// What the rounding of two clocks to milliseconds can make.
const ROUNDING_MS: i64 = 2;

/// What became of a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Set,
    Fired,
    Cancelled,
}

/// Checks every timer of the log.
pub(crate) fn check(trace: &Trace) -> Result<(), String> {
    let mut timers: BTreeMap<TimerId, (Timestamp, Fate)> = BTreeMap::new();
    let mut last = Timestamp::default();
    for (at, input, effect) in trace.effects() {
        last = last.max(input.at);
        match effect {
            Effect::TimerSet { timer_id, deadline, .. }
                if timers.insert(*timer_id, (*deadline, Fate::Set)).is_some() =>
            {
                return Err(format!("timer {timer_id} is set twice"));
            }
            Effect::TimerFired { timer_id, deadline } => {
                settle(&mut timers, *timer_id, Fate::Fired)?;
                if last < *deadline {
                    let early = deadline.0 - last.0;
                    return Err(format!("timer {timer_id} fired {early} ms early in the log's time"));
                }
                not_early(trace, at, *timer_id, *deadline)?;
            }
            Effect::TimerCancelled { timer_id } => settle(&mut timers, *timer_id, Fate::Cancelled)?,
            _ => {}
        }
    }
    let lost =
        timers.iter().find(|(_, (deadline, fate))| *fate == Fate::Set && deadline.0 < last.0 - GRACE_MS);
    match lost {
        None => Ok(()),
        Some((timer_id, (deadline, _))) => {
            Err(format!("timer {timer_id} is lost: its deadline passed {} ms ago", last.0 - deadline.0))
        }
    }
}

fn settle(
    timers: &mut BTreeMap<TimerId, (Timestamp, Fate)>,
    timer_id: TimerId,
    fate: Fate,
) -> Result<(), String> {
    match timers.get_mut(&timer_id) {
        Some((_, old @ Fate::Set)) => {
            *old = fate;
            Ok(())
        }
        Some((_, old)) => Err(format!("timer {timer_id} is {fate:?} after it was {old:?}")),
        None => Err(format!("timer {timer_id} is {fate:?} without having been set")),
    }
}

/// While all wall clocks are right, log time is never ahead of them.
fn not_early(trace: &Trace, at: Duration, timer_id: TimerId, deadline: Timestamp) -> Result<(), String> {
    let now = trace.epoch.0 + at.as_millis() as i64;
    let early = deadline.0 - now;
    if trace.skewed || early <= ROUNDING_MS {
        return Ok(());
    }
    Err(format!("timer {timer_id} fired {early} ms early by a right clock, at {:.3} s", at.as_secs_f64()))
}
