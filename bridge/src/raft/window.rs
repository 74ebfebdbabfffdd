//! This node's inputs between proposal and local apply, and who waits for them.
//!
//! The state machine settles them while it applies: the shortest way from commit to the caller.

use super::types::{Batch, Outcome};
use gable_rules::{LogIndex, NodeId};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, oneshot};

/// An input that is in the log and applied on this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The entry that holds it. Where this node took over a snapshot that includes the input, the
    /// snapshot's last entry.
    pub index: LogIndex,
    pub outcome: Settled,
}

/// What became of a proposed input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    Applied,
    /// It was applied before, or another node had proposed the same message.
    Duplicate,
    /// The state refused it for good; the text says why.
    Refused(String),
}

/// The inputs of one boot that are numbered and not settled.
#[derive(Debug)]
pub(super) struct Window {
    node: NodeId,
    boot: AtomicU64,
    open: Mutex<Open>,
    changed: Notify,
}

#[derive(Debug)]
struct Open {
    /// The number of the first waiter; all lower ones are settled.
    base: u64,
    waiters: VecDeque<oneshot::Sender<Committed>>,
    /// An input came before its predecessors.
    gap: bool,
    stopped: bool,
}

impl Window {
    pub(super) fn new(node: NodeId, boot: u64) -> Window {
        let open = Open { base: 1, waiters: VecDeque::new(), gap: false, stopped: false };
        Window { node, boot: AtomicU64::new(boot), open: Mutex::new(open), changed: Notify::new() }
    }

    pub(super) fn node(&self) -> NodeId {
        self.node
    }

    pub(super) fn boot(&self) -> u64 {
        self.boot.load(Ordering::Acquire)
    }

    /// Sets the boot under which inputs are numbered, before the first of them is.
    pub(super) fn set_boot(&self, boot: u64) {
        self.boot.store(boot, Ordering::Release);
    }

    /// Adds the waiters for the next numbers.
    pub(super) fn add(&self, waiters: impl IntoIterator<Item = oneshot::Sender<Committed>>) {
        let mut open = self.lock();
        if !open.stopped {
            open.waiters.extend(waiters);
        }
    }

    /// Settles what an applied entry holds of this node's inputs.
    pub(super) fn settle(&self, index: LogIndex, batch: &Batch, outcomes: &[Outcome]) {
        let boot = self.boot();
        let ours = |input: &gable_rules::Input| input.origin.node == self.node && input.origin.boot == boot;
        if !batch.inputs().iter().any(ours) {
            return;
        }
        let mut open = self.lock();
        for (input, outcome) in batch.inputs().iter().zip(outcomes) {
            if !ours(input) {
                continue;
            }
            let outcome = match outcome {
                Outcome::Applied => Settled::Applied,
                Outcome::Duplicate => Settled::Duplicate,
                Outcome::Refused(text) => Settled::Refused(text.clone()),
                Outcome::Gap { .. } => {
                    open.gap = true;
                    continue;
                }
            };
            open.settle_through(input.origin.sequence, index, &outcome);
        }
        drop(open);
        self.changed.notify_one();
    }

    /// Settles what a snapshot includes: all of `boot` up to `sequence`.
    pub(super) fn settle_by_snapshot(&self, index: LogIndex, boot: u64, sequence: u64) {
        if boot == self.boot() {
            self.lock().settle_through(sequence, index, &Settled::Duplicate);
            self.changed.notify_one();
        }
    }

    /// Waits for something to have changed since the last call.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Returns the lowest number that is not settled, and whether there was a gap since the last
    /// call.
    pub(super) fn progress(&self) -> (u64, bool) {
        let mut open = self.lock();
        (open.base, std::mem::take(&mut open.gap))
    }

    /// Lets go of all waiters: they learn that the replica has stopped.
    pub(super) fn stop(&self) {
        let mut open = self.lock();
        open.stopped = true;
        open.waiters.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn settle_through(&mut self, sequence: u64, index: LogIndex, outcome: &Settled) {
        while self.base <= sequence {
            let Some(waiter) = self.waiters.pop_front() else {
                return;
            };
            self.base += 1;
            let _ = waiter.send(Committed { index, outcome: outcome.clone() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gable_rules::{Hlc, Input, InputKind, Origin};

    const NODE: NodeId = NodeId(1);
    const BOOT: u64 = 7;

    /// Lets three callers wait, settles `outcomes` of (sequence, outcome) in one entry, and tells
    /// what each caller heard and where the window stands.
    #[track_caller]
    fn check(boot: u64, outcomes: &[(u64, Outcome)], expected: &str) {
        let window = Window::new(NODE, BOOT);
        let (senders, mut receivers): (Vec<_>, Vec<_>) = (0..3).map(|_| oneshot::channel()).unzip();
        window.add(senders);
        let inputs = outcomes.iter().map(|(sequence, _)| Input {
            at: Default::default(),
            origin: Origin { node: NODE, boot, sequence: *sequence },
            heard: Hlc::default(),
            kind: InputKind::Link { up: true },
        });
        let batch = Batch::new(inputs.collect());
        let outcomes: Vec<_> = outcomes.iter().map(|(_, outcome)| outcome.clone()).collect();
        window.settle(LogIndex(9), &batch, &outcomes);
        let heard = receivers.iter_mut().map(|receiver| match receiver.try_recv() {
            Ok(committed) => format!("{:?}", committed.outcome),
            Err(_) => "-".to_owned(),
        });
        let heard = heard.collect::<Vec<_>>().join(" ");
        assert_eq!(format!("{heard} {:?}", window.progress()), expected);
    }

    #[test]
    fn applied_inputs_settle_in_order() {
        let refused = Outcome::Refused("no".to_owned());
        check(BOOT, &[(1, Outcome::Applied), (2, refused)], r#"Applied Refused("no") - (3, false)"#);
    }

    #[test]
    fn a_repeated_input_settles_nothing_twice() {
        check(BOOT, &[(1, Outcome::Applied), (1, Outcome::Duplicate)], "Applied - - (2, false)");
    }

    #[test]
    fn a_gap_is_told_and_settles_nothing() {
        check(BOOT, &[(2, Outcome::Gap { expected: 1 })], "- - - (1, true)");
    }

    #[test]
    fn inputs_of_an_earlier_boot_are_nobodys() {
        check(BOOT - 1, &[(1, Outcome::Applied)], "- - - (1, false)");
    }
}
