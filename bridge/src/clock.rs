//! What time it is: the node's wall clock, its hybrid logical clock, and the home's log time.
//!
//! The only place below `bridge` that asks the operating system for the time. Log time is what
//! the leader stamps into entries. It advances with the monotonic clock from what the log or the
//! leader's last message said, and drifts towards the node's own wall clock by at most 500 ppm,
//! so a leader with a wrong clock neither fires timers early nor freezes them. Only when a whole
//! cluster starts anew does a wall clock set it: then nobody else remembers.

use gable_devices::Timestamp;
use gable_rules::Hlc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How far log time may drift towards the wall clock: 500 microseconds a second.
const SLEW_PPM: i64 = 500;

/// A node's clocks. Clones share them.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    started: Instant,
    clocks: Mutex<Clocks>,
}

#[derive(Debug)]
struct Clocks {
    hlc: Hlc,
    log: LogTime,
    /// What a simulation adds to the wall clock.
    skew_ms: i64,
}

/// Log time as one node computes it. Pure: it is told the monotonic and the wall clock's time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct LogTime {
    /// In microseconds, as of `as_of`; the part of a microsecond that the drift would round away
    /// waits in `rest`.
    micros: i64,
    rest: i64,
    as_of: Duration,
    /// Whether a leader, perhaps this node, has told the time since this node started.
    live: bool,
}

impl Clock {
    /// Starts the clocks of a node.
    pub fn new() -> Clock {
        let clocks = Clocks { hlc: Hlc::default(), log: LogTime::default(), skew_ms: 0 };
        Clock(Arc::new(Shared { started: Instant::now(), clocks: Mutex::new(clocks) }))
    }

    /// Returns the node's wall clock.
    pub fn wall(&self) -> Timestamp {
        let skew_ms = self.lock().skew_ms;
        skewed_wall(skew_ms)
    }

    /// Returns the home's time now, as far as this node can tell.
    pub fn log_time(&self) -> Timestamp {
        let monotonic = self.monotonic();
        let mut clocks = self.lock();
        let wall = skewed_wall(clocks.skew_ms);
        clocks.log.advance(monotonic, wall);
        clocks.log.now()
    }

    /// Returns a new hybrid stamp, later than every one given or met before.
    pub fn stamp(&self) -> Hlc {
        let mut clocks = self.lock();
        let wall = skewed_wall(clocks.skew_ms);
        clocks.hlc = next_hlc(clocks.hlc, wall);
        clocks.hlc
    }

    /// Returns the latest hybrid stamp given or met.
    pub fn hlc(&self) -> Hlc {
        self.lock().hlc
    }

    /// Takes note of a stamp from elsewhere: later stamps of this node will exceed it.
    pub fn meet(&self, hlc: Hlc) {
        let mut clocks = self.lock();
        clocks.hlc = clocks.hlc.max(hlc);
    }

    /// Takes note of the latest stamp in the applied log: log time is never before it.
    pub fn applied(&self, at: Timestamp) {
        let monotonic = self.monotonic();
        let mut clocks = self.lock();
        let wall = skewed_wall(clocks.skew_ms);
        clocks.log.advance(monotonic, wall);
        clocks.log.raise(at);
    }

    /// Takes over the log time that the leader's message told when it arrived.
    pub fn follow(&self, log_time: Timestamp, received: Instant) {
        let monotonic = self.monotonic();
        let since = i64::try_from(received.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.lock().log.follow(Timestamp(log_time.0.saturating_add(since)), monotonic);
    }

    /// Begins to tell the time to others. A node that has heard nobody tell it since it started
    /// takes its wall clock, unless the log is ahead of that.
    pub fn lead(&self) {
        let monotonic = self.monotonic();
        let mut clocks = self.lock();
        let wall = skewed_wall(clocks.skew_ms);
        clocks.log.advance(monotonic, wall);
        clocks.log.lead(wall);
    }

    /// Sets by how much this node's wall clock is wrong, for simulations and tests.
    pub fn set_skew_ms(&self, skew_ms: i64) {
        self.lock().skew_ms = skew_ms;
    }

    fn monotonic(&self) -> Duration {
        self.0.started.elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, Clocks> {
        self.0.clocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Clock {
    fn default() -> Clock {
        Clock::new()
    }
}

impl LogTime {
    fn advance(&mut self, monotonic: Duration, wall: Timestamp) {
        let elapsed = i64::try_from(monotonic.saturating_sub(self.as_of).as_micros()).unwrap_or(i64::MAX / 2);
        self.as_of = self.as_of.max(monotonic);
        self.micros = self.micros.saturating_add(elapsed);
        if !self.live {
            return;
        }
        let budget = self.rest.saturating_add(elapsed.saturating_mul(SLEW_PPM));
        let allowed = budget / 1_000_000;
        self.rest = budget % 1_000_000;
        let offset = wall.0.saturating_mul(1000).saturating_sub(self.micros);
        // A wall clock is read in milliseconds, so an offset below one says nothing.
        if offset.abs() >= 1000 {
            self.micros += offset.clamp(-allowed, allowed);
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.micros / 1000)
    }

    fn raise(&mut self, at: Timestamp) {
        self.micros = self.micros.max(at.0.saturating_mul(1000));
    }

    fn follow(&mut self, log_time: Timestamp, monotonic: Duration) {
        *self = LogTime { micros: log_time.0.saturating_mul(1000), rest: 0, as_of: monotonic, live: true };
    }

    fn lead(&mut self, wall: Timestamp) {
        if !self.live {
            self.raise(wall);
            self.live = true;
        }
    }
}

/// The stamp that follows `last` on a node whose wall clock shows `wall`.
fn next_hlc(last: Hlc, wall: Timestamp) -> Hlc {
    if wall > last.wall {
        return Hlc { wall, counter: 0 };
    }
    match last.counter.checked_add(1) {
        Some(counter) => Hlc { wall: last.wall, counter },
        None => Hlc { wall: Timestamp(last.wall.0 + 1), counter: 0 },
    }
}

fn skewed_wall(skew_ms: i64) -> Timestamp {
    Timestamp(wall_ms().saturating_add(skew_ms))
}

#[cfg(not(feature = "simulation"))]
fn wall_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A simulation begins at the same instant every time: 2027-01-15T08:00:00Z.
#[cfg(feature = "simulation")]
fn wall_ms() -> i64 {
    const EPOCH_MS: i64 = 1_800_000_000_000;
    let elapsed = turmoil::sim_elapsed().unwrap_or_default();
    EPOCH_MS + i64::try_from(elapsed.as_millis()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;
    const TODAY_MS: i64 = 1_800_000_000_000;

    /// Lets a node whose wall clock is `skew_ms` off follow a leader at `TODAY_MS`, then lead for
    /// ten minutes, asked once a second, and returns by how much its log time went wrong.
    fn drift_of(skew_ms: i64) -> i64 {
        let wall = |elapsed: Duration| Timestamp(TODAY_MS + elapsed.as_millis() as i64 + skew_ms);
        let mut log = LogTime::default();
        log.follow(Timestamp(TODAY_MS), Duration::ZERO);
        log.lead(wall(Duration::ZERO));
        for second in 1..=600 {
            let elapsed = Duration::from_secs(second);
            log.advance(elapsed, wall(elapsed));
        }
        log.now().0 - (TODAY_MS + 600_000)
    }

    #[track_caller]
    fn check(skew_ms: i64, expected_ms: i64) {
        assert_eq!(drift_of(skew_ms), expected_ms);
    }

    #[test]
    fn a_wrong_wall_clock_bends_log_time_by_no_more_than_500_ppm() {
        check(HOUR_MS, 300);
        check(-HOUR_MS, -300);
        // Below a millisecond the wall clock says nothing.
        check(100, 99);
        check(0, 0);
    }

    #[test]
    fn after_a_full_restart_the_wall_clock_counts_unless_the_log_is_ahead() {
        let restarted = |last_stamp: i64, wall: i64| {
            let mut log = LogTime::default();
            log.raise(Timestamp(last_stamp));
            log.lead(Timestamp(wall));
            log.now().0
        };
        assert_eq!(restarted(TODAY_MS, TODAY_MS + HOUR_MS), TODAY_MS + HOUR_MS);
        assert_eq!(restarted(TODAY_MS, TODAY_MS - HOUR_MS), TODAY_MS);
    }

    #[test]
    fn a_second_term_does_not_jump_to_the_wall_clock() {
        let mut log = LogTime::default();
        log.lead(Timestamp(TODAY_MS));
        log.lead(Timestamp(TODAY_MS + HOUR_MS));
        assert_eq!(log.now().0, TODAY_MS);
    }

    #[test]
    fn a_late_stamp_does_not_set_log_time_back() {
        let mut log = LogTime::default();
        log.follow(Timestamp(TODAY_MS), Duration::ZERO);
        log.raise(Timestamp(TODAY_MS - 500));
        assert_eq!(log.now().0, TODAY_MS);
    }

    #[test]
    fn hybrid_stamps_grow_when_the_wall_clock_does_not() {
        let mut last = Hlc::default();
        for wall in [5, 5, 3, 9, 8] {
            let next = next_hlc(last, Timestamp(wall));
            assert!(next > last, "{next:?} does not follow {last:?}");
            last = next;
        }
        assert_eq!(last, Hlc { wall: Timestamp(9), counter: 1 });
    }
}
