//! How long the machine let nobody run, which no broker can help.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const STEP: Duration = Duration::from_millis(1);

/// A thread that only sleeps, and notes when it overslept. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Pauses {
    longest_us: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
}

impl Pauses {
    pub(super) fn watch() -> Pauses {
        let pauses = Pauses { longest_us: Arc::default(), is_over: Arc::default() };
        let (longest_us, is_over) = (pauses.longest_us.clone(), pauses.is_over.clone());
        thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                let begun = Instant::now();
                thread::sleep(STEP);
                let overslept = begun.elapsed().saturating_sub(STEP);
                longest_us
                    .fetch_max(u64::try_from(overslept.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
            }
        });
        pauses
    }

    /// The longest pause since this was asked last, in milliseconds.
    pub(super) fn longest_ms(&self) -> f64 {
        self.longest_us.swap(0, Ordering::Relaxed) as f64 / 1000.0
    }
}

impl Drop for Pauses {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}
