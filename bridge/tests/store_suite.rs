//! openraft's own suite for log stores, over the real store.

#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]

use futures_util::{Stream, StreamExt};
use gable::raft::types::{LogId, Outcomes, SnapshotMeta, TypeConfig};
use gable::store::lossy::Lossy;
use gable::store::{Identity, LogStore, Mode, Options, Store};
use gable_rules::NodeId;
use openraft::alias::{SnapshotOf, StoredMembershipOf};
use openraft::entry::RaftEntry;
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::{OptionalSend, RaftTypeConfig, StorageError};
use std::io;
use tempfile::TempDir;

/// Knows what was applied last, and nothing else.
#[derive(Clone)]
struct Machine {
    store: Store,
    applied: Option<LogId>,
    membership: StoredMembershipOf<TypeConfig>,
}

impl RaftSnapshotBuilder<TypeConfig> for Machine {
    type SnapshotData = Vec<u8>;

    async fn build_snapshot(&mut self) -> Result<SnapshotOf<TypeConfig, Vec<u8>>, io::Error> {
        let meta = SnapshotMeta { last_log_id: self.applied, last_membership: self.membership.clone() };
        let snapshot = vec![7; 700_000];
        self.store.save_snapshot(&meta, &snapshot).await?;
        Ok(SnapshotOf::<TypeConfig, Vec<u8>> { meta, snapshot })
    }
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotData = Vec<u8>;
    type SnapshotBuilder = Machine;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembershipOf<TypeConfig>), io::Error> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + OptionalSend,
    {
        while let Some(entry) = entries.next().await {
            let (entry, responder) = entry?;
            self.applied = Some(entry.log_id);
            if let Some(membership) = entry.get_membership() {
                self.membership = StoredMembershipOf::<TypeConfig>::new(Some(entry.log_id), membership);
            }
            if let Some(responder) = responder {
                responder.send(Outcomes::default());
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Machine {
        self.clone()
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: Vec<u8>) -> Result<(), io::Error> {
        self.store.save_snapshot(meta, &snapshot).await?;
        self.applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<SnapshotOf<TypeConfig, Vec<u8>>>, io::Error> {
        let loaded = self.store.load_snapshot()?;
        Ok(loaded.map(|(meta, snapshot)| SnapshotOf::<TypeConfig, Vec<u8>> { meta, snapshot }))
    }
}

fn options(mode: Mode) -> Options {
    let identity = Identity { cluster: "suite".to_owned(), node: NodeId(1) };
    Options { mode, ..Options::new(identity) }
}

fn assemble(store: Store) -> (LogStore, Machine) {
    let membership = StoredMembershipOf::<TypeConfig>::default();
    (store.log(), Machine { store, applied: None, membership })
}

struct OnDisk;

impl StoreBuilder<TypeConfig, LogStore, Machine, TempDir> for OnDisk {
    async fn build(&self) -> Result<(TempDir, LogStore, Machine), StorageError<TypeConfig>> {
        let folder = tempfile::tempdir().unwrap();
        let (log, machine) = assemble(Store::open(folder.path(), options(Mode::Thread)).unwrap());
        Ok((folder, log, machine))
    }
}

struct InMemory;

impl StoreBuilder<TypeConfig, LogStore, Machine> for InMemory {
    async fn build(&self) -> Result<((), LogStore, Machine), StorageError<TypeConfig>> {
        // No entry stays in memory once it is on the disk, so that every read goes there.
        let options = Options { tail_bytes: 0, ..options(Mode::Inline) };
        let (log, machine) = assemble(Store::open_backend(Lossy::new(), options).unwrap());
        Ok(((), log, machine))
    }
}

#[test]
fn the_suite_passes_on_disk_with_a_writer_thread() {
    run(Suite::test_all(OnDisk));
}

#[test]
fn the_suite_passes_in_memory_with_an_inline_writer() {
    run(Suite::test_all(InMemory));
}

fn run(suite: impl Future<Output = Result<(), StorageError<TypeConfig>>>) {
    type Runtime = <TypeConfig as RaftTypeConfig>::AsyncRuntime;
    <Runtime as openraft::AsyncRuntime>::run(suite).unwrap();
}
