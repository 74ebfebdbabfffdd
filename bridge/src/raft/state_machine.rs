//! openraft's view of the home: apply, snapshot, install.
//!
//! The state lives in memory. A restart loads the snapshot and applies the log behind it again,
//! so nothing here waits for a disk except a snapshot.

use super::home::Home;
use super::offload::blocking;
use super::snapshot_transfer::SnapshotBytes;
use super::types::{Batch, LogId, Outcomes, SnapshotMeta, TypeConfig};
use crate::store::Store;
use crate::store::history::History;
use futures_util::{Stream, TryStreamExt};
use gable_rules::{LogIndex, State};
use openraft::alias::{SnapshotOf, StoredMembershipOf};
use openraft::entry::RaftEntry;
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tracing::info;

type Membership = StoredMembershipOf<TypeConfig>;
type Snapshot = SnapshotOf<TypeConfig, SnapshotBytes>;

/// Applies the committed log to the home.
pub(super) struct StateMachine {
    home: Arc<Home>,
    store: Store,
    history: History,
    last_applied: Option<LogId>,
    membership: Membership,
    grown: Arc<Growth>,
}

/// How much was applied since the replica started; what decides when to take a snapshot.
#[derive(Debug, Default)]
pub(super) struct Growth {
    bytes: AtomicU64,
}

impl Growth {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn add(&self, batch: &Batch) {
        let bytes = batch.inputs().iter().map(|input| super::proposer::bytes_of(&input.kind) as u64).sum();
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl StateMachine {
    pub(super) fn new(home: Arc<Home>, store: Store, history: History, grown: Arc<Growth>) -> StateMachine {
        StateMachine { home, store, history, last_applied: None, membership: Membership::default(), grown }
    }

    async fn apply_one(&mut self, (entry, responder): EntryResponder<TypeConfig>) -> Result<(), io::Error> {
        let log_id = entry.log_id();
        let index = LogIndex(log_id.index());
        let outcomes = match entry.payload {
            EntryPayload::Normal(batch) => self.apply_batch(index, batch).await?,
            EntryPayload::Membership(membership) => {
                self.membership = Membership::new(Some(log_id), membership);
                self.home.announce_index(index);
                Outcomes::default()
            }
            EntryPayload::Blank => {
                self.home.announce_index(index);
                Outcomes::default()
            }
        };
        self.last_applied = Some(log_id);
        if let Some(responder) = responder {
            responder.send(outcomes);
        }
        Ok(())
    }

    async fn apply_batch(&mut self, index: LogIndex, batch: Batch) -> Result<Outcomes, io::Error> {
        self.grown.add(&batch);
        // A panic here returns on every node and at every start. It must end this node rather than
        // leave one that answers and no longer applies.
        let (applied, outcomes) =
            catch_unwind(AssertUnwindSafe(|| self.home.apply(index, batch))).map_err(|panic| {
                io::Error::other(format!("applying entry {index} panicked: {}", text_of(&*panic)))
            })?;
        self.history.record(index, applied.batch().inputs(), applied.effects()).await?;
        self.home.announce(applied, &outcomes);
        Ok(Outcomes(outcomes))
    }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = SnapshotBytes;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, Membership), io::Error> {
        Ok((self.last_applied, self.membership.clone()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> Result<(), io::Error>
    where
        Strm: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + OptionalSend,
    {
        while let Some(entry) = entries.try_next().await? {
            self.apply_one(entry).await?;
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        let state = self.home.read(State::clone);
        let meta = SnapshotMeta { last_log_id: self.last_applied, last_membership: self.membership.clone() };
        Builder { state: Some(state), meta, store: self.store.clone(), history: self.history.clone() }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, bytes: SnapshotBytes) -> Result<(), io::Error> {
        let state = {
            let bytes = bytes.clone();
            let restore = move || catch_unwind(AssertUnwindSafe(|| State::restore(&bytes)));
            blocking(restore).await?
        };
        let state = state
            .map_err(|panic| {
                io::Error::other(format!("restoring a snapshot panicked: {}", text_of(&*panic)))
            })?
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        self.store.save_snapshot(meta, &bytes).await?;
        let index = LogIndex(meta.last_log_id.map_or(0, |log_id| log_id.index()));
        self.last_applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        self.history.restored(index).await?;
        self.home.install(index, state);
        info!(log_index = %index, bytes = bytes.len(), "took over a snapshot");
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, io::Error> {
        let store = self.store.clone();
        let loaded = blocking(move || store.load_snapshot()).await??;
        Ok(loaded.map(|(meta, bytes)| Snapshot { meta, snapshot: Arc::new(bytes) }))
    }
}

/// Turns a copy of the state into a snapshot, beside the log that moves on.
pub(super) struct Builder {
    /// Taken by the first build.
    state: Option<State>,
    meta: SnapshotMeta,
    store: Store,
    history: History,
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    type SnapshotData = SnapshotBytes;

    async fn build_snapshot(&mut self) -> Result<Snapshot, io::Error> {
        let state = self.state.take().ok_or_else(|| io::Error::other("a snapshot is built only once"))?;
        let index = self.meta.last_log_id.map_or(0, |log_id| log_id.index());
        // The log before the snapshot may be purged, and history could not be rebuilt from it.
        self.history.flush_through(LogIndex(index)).await?;
        let bytes = Arc::new(blocking(move || state.snapshot()).await?);
        self.store.save_snapshot(&self.meta, &bytes).await?;
        info!(log_index = index, bytes = bytes.len(), "saved a snapshot");
        Ok(Snapshot { meta: self.meta.clone(), snapshot: bytes })
    }
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
