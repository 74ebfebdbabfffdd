//! Tells the log that a timer's deadline has passed.
//!
//! Only the leader does. It sleeps until the next deadline in log time and looks again whenever an
//! entry was applied; the rows are the truth, so a new leader begins where the last one ended.

use crate::raft::Replica;
use futures_util::stream::{FuturesUnordered, StreamExt};
use gable_devices::Timestamp;
use gable_rules::{InputKind, TimerId};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::sleep;

/// The most timers that are told at a time; the others wait for these.
const AT_ONCE_MAX: usize = 1_000;

/// Proposes due timers until the replica stops.
pub(crate) async fn run(replica: Replica) {
    let mut leading = replica.leading();
    let mut applied = replica.applied();
    let mut told = BTreeSet::new();
    let mut answers = FuturesUnordered::new();
    while leading.wait_for(|leading| *leading).await.is_ok() {
        applied.mark_unchanged();
        for timer_id in due(&replica, replica.home_time(), &told) {
            told.insert(timer_id);
            let replica = replica.clone();
            answers.push(async move { (timer_id, replica.propose(InputKind::TimerDue(timer_id)).await) });
        }
        let next = replica.read(|state| state.next_deadline());
        let pause = next.map(|(deadline, timer_id)| match told.contains(&timer_id) {
            // Its answer wakes this task.
            true => Duration::MAX,
            false => Duration::from_millis(deadline.since(replica.home_time()).0.max(1)),
        });
        tokio::select! {
            biased;
            Some((timer_id, answer)) = answers.next(), if !answers.is_empty() => {
                told.remove(&timer_id);
                if answer.is_err() {
                    return;
                }
            }
            changed = applied.changed() => if changed.is_err() { return },
            changed = leading.changed() => if changed.is_err() { return },
            () = sleep(pause.unwrap_or(Duration::MAX)), if pause.is_some() => {}
        }
    }
}

/// Returns the timers that are due at `now` and not told yet.
fn due(replica: &Replica, now: Timestamp, told: &BTreeSet<TimerId>) -> Vec<TimerId> {
    let room = AT_ONCE_MAX.saturating_sub(told.len());
    replica.read(|state| {
        if state.next_deadline().is_none_or(|(deadline, _)| deadline > now) {
            return Vec::new();
        }
        let due =
            state.timers().filter(|(timer_id, timer)| timer.deadline <= now && !told.contains(timer_id));
        due.map(|(timer_id, _)| timer_id).take(room).collect()
    })
}
