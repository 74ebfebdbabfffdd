//! What happened at the listeners, in figures and, now and then, in the log.

use serde::Serialize;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::Instant;

/// The same thing is told again after so long, with how often it happened meanwhile.
const REPEAT_INTERVAL: Duration = Duration::from_secs(10);

/// Counts of one node since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Connections that are open now.
    pub open: usize,
    /// Connections that came in.
    pub accepted: u64,
    /// Connections closed at once because this node has too many.
    pub refused_total: u64,
    /// Connections closed at once because their address has too many.
    pub refused_address: u64,
    /// Connections that gave their place away before their client was known.
    pub displaced: u64,
    /// Connections whose TLS or WebSocket handshake failed or took too long.
    pub handshakes_failed: u64,
    /// Times that the system had no connection to give, for want of file handles mostly.
    pub accepts_failed: u64,
    /// Connections whose task panicked: each one is a fault of this program.
    pub panicked: u64,
}

/// A count, and when it was last told.
#[derive(Debug, Default)]
pub(super) struct Count {
    times: AtomicU64,
    told: Mutex<Option<(Instant, u64)>>,
}

impl Count {
    pub(super) fn times(&self) -> u64 {
        self.times.load(Relaxed)
    }

    /// Counts one. Returns how many came since it was last told, if it is time to tell.
    pub(super) fn add(&self) -> Option<u64> {
        self.add_at(Instant::now())
    }

    fn add_at(&self, now: Instant) -> Option<u64> {
        let times = self.times.fetch_add(1, Relaxed) + 1;
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match *told {
            Some((at, _)) if now < at + REPEAT_INTERVAL => return None,
            Some((_, before)) => before,
            None => 0,
        };
        *told = Some((now, times));
        // Others may count between the two steps above.
        Some(times.saturating_sub(before))
    }
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) accepted: Count,
    pub(super) refused_total: Count,
    pub(super) refused_address: Count,
    pub(super) displaced: Count,
    pub(super) handshakes_failed: Count,
    pub(super) accepts_failed: Count,
    pub(super) panicked: Count,
}

impl Counters {
    pub(super) fn status(&self, open: usize) -> Status {
        Status {
            open,
            accepted: self.accepted.times(),
            refused_total: self.refused_total.times(),
            refused_address: self.refused_address.times(),
            displaced: self.displaced.times(),
            handshakes_failed: self.handshakes_failed.times(),
            accepts_failed: self.accepts_failed.times(),
            panicked: self.panicked.times(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_thing_is_told_now_and_then() {
        let (count, now) = (Count::default(), Instant::now());
        assert_eq!((count.add_at(now), count.add_at(now), count.add_at(now)), (Some(1), None, None));
        let later = now + REPEAT_INTERVAL;
        assert_eq!((count.add_at(later), count.add_at(later)), (Some(3), None));
        assert_eq!(count.times(), 5);
    }
}
