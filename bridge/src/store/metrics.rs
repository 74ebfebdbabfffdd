//! What a database costs: fsyncs, bytes, and how long commits take.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Latencies kept for the percentiles.
const SAMPLES: usize = 1024;

/// Counters of one database, shared by its disk and its writer.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) fsyncs: AtomicU64,
    pub(crate) bytes_written: AtomicU64,
    pub(crate) file_bytes: AtomicU64,
    pub(crate) commits: AtomicU64,
    pub(crate) bytes_appended: AtomicU64,
    pub(crate) rows_appended: AtomicU64,
    latencies: Mutex<VecDeque<Duration>>,
}

/// The counters of one database at one moment. All of them start at zero when it is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    pub fsyncs: u64,
    pub commits: u64,
    /// Rows (log entries, history rows) and their bytes, as handed to the database.
    pub rows_appended: u64,
    pub bytes_appended: u64,
    /// Bytes that the database wrote to its file for them.
    pub bytes_written: u64,
    pub file_bytes: u64,
    /// Of the last 1,024 commits.
    pub commit_p50: Duration,
    pub commit_p99: Duration,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn committed(&self, took: Duration) {
        Counters::add(&self.commits, 1);
        let mut latencies = self.latencies.lock().unwrap_or_else(PoisonError::into_inner);
        if latencies.len() == SAMPLES {
            latencies.pop_front();
        }
        latencies.push_back(took);
    }

    pub(crate) fn read(&self) -> Metrics {
        let mut latencies: Vec<Duration> =
            self.latencies.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
        latencies.sort_unstable();
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Metrics {
            fsyncs: get(&self.fsyncs),
            commits: get(&self.commits),
            rows_appended: get(&self.rows_appended),
            bytes_appended: get(&self.bytes_appended),
            bytes_written: get(&self.bytes_written),
            file_bytes: get(&self.file_bytes),
            commit_p50: percentile(&latencies, 50),
            commit_p99: percentile(&latencies, 99),
        }
    }
}

/// Returns the value that `percent` of the `sorted` values do not exceed; zero if there are none.
pub(crate) fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(values: impl IntoIterator<Item = u64>, percent: usize, expected: u64) {
        let sorted: Vec<Duration> = values.into_iter().map(Duration::from_millis).collect();
        assert_eq!(percentile(&sorted, percent), Duration::from_millis(expected));
    }

    #[test]
    fn percentiles_by_nearest_rank() {
        check([], 99, 0);
        check([7], 50, 7);
        check(1..=100, 50, 50);
        check(1..=100, 99, 99);
        check(1..=32, 99, 32);
    }
}
