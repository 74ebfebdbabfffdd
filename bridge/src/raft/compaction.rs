//! Decides when a snapshot replaces the log behind it.
//!
//! openraft could do it by itself; it does not here, because its purge must never come near the
//! entries that are being applied (openraft issue 2116).

use super::core::Core;
use super::settings::Compaction;
use super::state_machine::Growth;
use gable_rules::LogIndex;
use std::sync::Arc;
use tokio::time::{Instant, sleep_until};

/// Takes snapshots until the replica stops.
pub(super) async fn run(core: Core, settings: Compaction, growth: Arc<Growth>) {
    let mut applied = core.home.applied();
    let snapshot = core.store.snapshot_meta().await.and_then(|meta| meta.last_log_id);
    let index = LogIndex(snapshot.map_or(0, |log_id| log_id.index()));
    let mut base = Base { index, bytes: growth.bytes(), first_entry_at: None };
    loop {
        let deadline = base.first_entry_at.map(|at| at + settings.age);
        let due = tokio::select! {
            biased;
            changed = applied.changed() => match changed {
                Ok(()) => {
                    let index = *applied.borrow_and_update();
                    base.is_due(index, growth.bytes(), &settings)
                }
                Err(_) => return,
            },
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => true,
        };
        if due {
            if core.raft.trigger().snapshot().await.is_err() {
                return;
            }
            base = Base { index: core.home.applied_index(), bytes: growth.bytes(), first_entry_at: None };
        }
    }
}

/// Where the last snapshot stands.
struct Base {
    index: LogIndex,
    bytes: u64,
    /// When the first entry behind the snapshot was seen.
    first_entry_at: Option<Instant>,
}

impl Base {
    fn is_due(&mut self, applied: LogIndex, bytes: u64, settings: &Compaction) -> bool {
        let entries = applied.0.saturating_sub(self.index.0);
        if entries > 0 && self.first_entry_at.is_none() {
            self.first_entry_at = Some(Instant::now());
        }
        entries >= settings.entries || bytes.saturating_sub(self.bytes) >= settings.bytes
    }
}
