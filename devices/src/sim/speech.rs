//! What a device is about to say, in the order of time.

use super::NEVER;
use crate::{Publish, Timestamp};
use std::collections::BTreeMap;

/// Most messages that wait to be said. A device that is commanded faster than it answers forgets
/// its oldest answers, as the small ones do; the newest state is what counts.
const WAITING_MAX: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Speech {
    waiting: BTreeMap<(Timestamp, u64), Publish>,
    said: u64,
}

impl Speech {
    pub(super) fn say(&mut self, at: Timestamp, publish: Publish) {
        if self.waiting.len() >= WAITING_MAX {
            self.waiting.pop_first();
        }
        self.said += 1;
        self.waiting.insert((at, self.said), publish);
    }

    /// When there is something to say next.
    pub(super) fn next(&self) -> Timestamp {
        self.waiting.first_key_value().map_or(NEVER, |((at, _), _)| *at)
    }

    /// Takes what is to be said up to `now`.
    pub(super) fn due(&mut self, now: Timestamp) -> Vec<Publish> {
        let later = self.waiting.split_off(&(now, u64::MAX));
        std::mem::replace(&mut self.waiting, later).into_values().collect()
    }
}
