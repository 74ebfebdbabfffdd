//! Waiting for conditions.

use std::time::{Duration, Instant};

/// Asks `condition` until it gives a value; fails with what it said last when the deadline passes.
#[track_caller]
pub fn until<T>(what: &str, deadline: Duration, mut condition: impl FnMut() -> Result<T, String>) -> T {
    let started = Instant::now();
    loop {
        match condition() {
            Ok(value) => return value,
            Err(why) => {
                assert!(started.elapsed() < deadline, "waited {deadline:?} for {what}: {why}");
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

/// Asks until the claim is true.
#[track_caller]
pub fn until_true(what: &str, deadline: Duration, mut claim: impl FnMut() -> bool) {
    until(what, deadline, || claim().then_some(()).ok_or_else(|| "not yet".to_owned()));
}
