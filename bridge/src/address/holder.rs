//! Who may hold an address, and what to do about it now: a state machine that reads no clock and
//! does no I/O.
//!
//! An address is held on a lease. The lease is what a majority has granted: as long as it runs, they
//! vote for nobody else. It ends before they may, so that the address is gone here before another
//! node can take it. Nothing of an earlier term renews it.

use crate::raft::Leadership;
use std::time::Duration;
use tokio::time::Instant;

/// How often a held address is set up again; each time the kernel is told a new end for it.
pub(super) const RENEWAL: Duration = Duration::from_millis(500);
/// How long after a refusal the next attempt is made.
const RETRY: Duration = Duration::from_secs(1);
/// The same for a removal: an address that stays is worse than one that is missing.
const RETRY_REMOVAL: Duration = Duration::from_millis(100);

/// When an address is announced after it was taken. Early ones correct what the neighbours
/// remember, later ones a neighbour that asked while a dead node's kernel still answered.
const ANNOUNCEMENTS: [Duration; 9] = [
    Duration::ZERO,
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(3),
    Duration::from_secs(4),
    Duration::from_secs(5),
    Duration::from_secs(8),
];
/// And from then on, for those who have slept meanwhile.
const ANNOUNCEMENT_INTERVAL: Duration = Duration::from_secs(60);

/// Something to do about the address. What sets it up or tells of it must not happen after `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Take { term: u64, until: Instant },
    Renew { until: Instant },
    Announce { until: Instant },
    Remove,
}

/// What became of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    Refused,
    /// The lease ended before it could be carried out.
    TooLate,
}

/// What this node does with one address.
#[derive(Debug)]
pub(super) struct Holder {
    /// How long a proof of leadership counts.
    lease: Duration,
    /// The latest term that was seen: leadership of an earlier one is over.
    fence: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    /// It is not set up here; after a refusal it is not tried again before `retry`.
    Free { retry: Option<Instant> },
    /// It is set up here.
    Held { term: u64, taken: Instant, renew: Instant, announce: Instant, announced: usize },
    /// It is set up here and must not be; the removal has failed.
    Stuck { retry: Instant },
}

impl Holder {
    pub(super) fn new(lease: Duration) -> Holder {
        Holder { lease, fence: 0, state: State::Free { retry: None } }
    }

    /// Whether the address is set up here, rightly or not.
    pub(super) fn holds(&self) -> bool {
        !matches!(self.state, State::Free { .. })
    }

    /// Returns until when the leadership that is seen allows to hold an address.
    pub(super) fn lease(&mut self, now: Instant, seen: Leadership) -> Option<Instant> {
        self.fence = self.fence.max(seen.term);
        let until = seen.proved.filter(|_| seen.term == self.fence)? + self.lease;
        (now < until).then_some(until)
    }

    /// Says what to do now, if anything. [`Holder::done`] has to follow before the next question.
    pub(super) fn decide(&mut self, now: Instant, seen: Leadership) -> Option<Order> {
        let lease = self.lease(now, seen);
        match (&self.state, lease) {
            (State::Free { .. }, None) => None,
            (State::Free { retry }, Some(until)) => {
                retry.is_none_or(|retry| retry <= now).then_some(Order::Take { term: seen.term, until })
            }
            (State::Held { .. }, None) => Some(Order::Remove),
            // Between the two terms another node may have held and announced it.
            (State::Held { term, .. }, Some(until)) if *term != seen.term => {
                Some(Order::Take { term: seen.term, until })
            }
            (State::Held { renew, announce, .. }, Some(until)) => {
                if *announce <= now {
                    Some(Order::Announce { until })
                } else {
                    (*renew <= now).then_some(Order::Renew { until })
                }
            }
            (State::Stuck { .. }, Some(until)) => Some(Order::Take { term: seen.term, until }),
            (State::Stuck { retry }, None) => (*retry <= now).then_some(Order::Remove),
        }
    }

    /// Notes what became of an order.
    pub(super) fn done(&mut self, now: Instant, order: Order, outcome: Outcome) {
        match (order, &mut self.state) {
            (Order::Take { term, .. }, state) => {
                *state = match outcome {
                    Outcome::Done => {
                        State::Held { term, taken: now, renew: now + RENEWAL, announce: now, announced: 0 }
                    }
                    // What was there before comes to its end by itself: nobody renews it.
                    Outcome::Refused => State::Free { retry: Some(now + RETRY) },
                    Outcome::TooLate => State::Free { retry: None },
                }
            }
            (Order::Renew { .. }, State::Held { renew, .. }) => *renew = now + RENEWAL,
            (Order::Announce { .. }, State::Held { taken, announce, announced, .. }) => {
                *announced += 1;
                *announce = match ANNOUNCEMENTS.get(*announced) {
                    Some(after) => *taken + *after,
                    None => now + ANNOUNCEMENT_INTERVAL,
                };
            }
            (Order::Remove, state) => {
                *state = match outcome {
                    Outcome::Done => State::Free { retry: None },
                    Outcome::Refused | Outcome::TooLate => State::Stuck { retry: now + RETRY_REMOVAL },
                }
            }
            (Order::Renew { .. } | Order::Announce { .. }, State::Free { .. } | State::Stuck { .. }) => {}
        }
    }

    /// Returns when there is something to do again, if nothing changes before.
    pub(super) fn wake(&self) -> Option<Instant> {
        match &self.state {
            State::Free { retry } => *retry,
            State::Held { renew, announce, .. } => Some(*renew.min(announce)),
            State::Stuck { retry } => Some(*retry),
        }
    }
}

#[cfg(test)]
mod tests;
