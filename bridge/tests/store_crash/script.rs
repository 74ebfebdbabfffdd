//! A life of a log store, and what it looks like after each step.

use gable::raft::types::{Batch, Entry, LogId, SnapshotMeta, TypeConfig, Vote};
use gable::store::Store;
use gable_devices::Timestamp;
use gable_rules::{Hlc, Input, InputKind, Message, NodeId, Origin};
use openraft::EntryPayload;
use openraft::alias::LeaderIdOf;
use openraft::storage::{IOFlushed, RaftLogReader, RaftLogStorage};
use openraft::type_config::TypeConfigExt;
use openraft::vote::RaftLeaderId;
use std::io;

/// One thing that Raft asks of the store.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Vote(u64),
    /// Term, and how many entries follow the last.
    Append(u64, u64),
    Commit(u64),
    Truncate(u64),
    Snapshot(u64),
    Purge(u64),
}

/// Everything that can be read from a store.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Look {
    pub(crate) vote: Option<Vote>,
    pub(crate) purged: Option<LogId>,
    pub(crate) committed: Option<LogId>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) snapshot: Option<(SnapshotMeta, Vec<u8>)>,
}

/// Terms, conflicts, snapshots and purges, twice over with growing indices, and a large purge.
pub(crate) fn life() -> Vec<Step> {
    use Step::{Append, Commit, Purge, Snapshot, Truncate, Vote};
    let round = |base: u64, term: u64| {
        vec![
            Vote(term),
            Append(term, 3),
            Append(term, 4),
            Commit(base + 5),
            Append(term, 20),
            Vote(term + 1),
            Truncate(base + 10),
            Append(term + 1, 5),
            Commit(base + 12),
            Append(term + 1, 1),
            Snapshot(base + 12),
            Append(term + 1, 14),
            Purge(base + 8),
            Commit(base + 29),
            Append(term + 1, 1),
            Snapshot(base + 29),
            Purge(base + 12),
            Vote(term + 2),
            Truncate(base + 29),
            Append(term + 2, 1),
        ]
    };
    let mut steps = round(0, 1);
    steps.extend(round(30, 4));
    // What is purged stays for some commits.
    steps.extend([Append(6, 60), Commit(120), Snapshot(120), Append(6, 1), Purge(115)]);
    steps.extend((0..17).map(|_| Append(6, 1)));
    steps
}

impl Look {
    /// Returns what the store looks like after `step`.
    pub(crate) fn after(&self, step: &Step) -> Look {
        let mut next = self.clone();
        match step {
            Step::Vote(term) => next.vote = Some(Vote::new(*term, 1)),
            Step::Append(term, count) => {
                let first = self.last().map_or(1, |last| last.index + 1);
                next.entries.extend((first..first + count).map(|index| entry(*term, index)));
            }
            Step::Commit(index) => next.committed = self.id(*index),
            Step::Truncate(index) => next.entries.retain(|entry| entry.log_id.index <= *index),
            Step::Purge(index) => {
                next.purged = self.id(*index);
                next.entries.retain(|entry| entry.log_id.index > *index);
            }
            Step::Snapshot(index) => next.snapshot = Some((self.meta(*index), bytes(*index))),
        }
        next
    }

    fn last(&self) -> Option<LogId> {
        self.entries.last().map(|entry| entry.log_id).or(self.purged)
    }

    fn id(&self, index: u64) -> Option<LogId> {
        let entry = self.entries.iter().find(|entry| entry.log_id.index == index);
        Some(entry.expect("the script names entries that are there").log_id)
    }

    fn meta(&self, index: u64) -> SnapshotMeta {
        SnapshotMeta { last_log_id: self.id(index), ..SnapshotMeta::default() }
    }

    /// Reads everything.
    pub(crate) async fn at(store: &Store) -> io::Result<Look> {
        let mut log = store.log();
        let mut reader = log.get_log_reader().await;
        let state = log.get_log_state().await?;
        let entries = reader.try_get_log_entries(..).await?;
        let look = Look {
            vote: reader.read_vote().await?,
            purged: state.last_purged_log_id,
            committed: log.read_committed().await?,
            entries,
            snapshot: store.load_snapshot()?,
        };
        assert_eq!(state.last_log_id, look.last(), "the last id is not the last entry's");
        Ok(look)
    }
}

/// Does `step` on the store, and tells whether the store said that it is on the disk.
pub(crate) async fn perform(store: &Store, before: &Look, step: &Step) -> io::Result<bool> {
    let mut log = store.log();
    match step {
        Step::Vote(term) => {
            log.save_vote(&Vote::new(*term, 1)).await?;
            return Ok(true);
        }
        Step::Append(..) => {
            let entries = before.after(step).entries.split_off(before.entries.len());
            let (sender, receiver) = TypeConfig::oneshot();
            log.append(entries, IOFlushed::signal(sender)).await?;
            receiver.await.map_err(io::Error::other)??;
            return Ok(true);
        }
        Step::Snapshot(index) => {
            store.save_snapshot(&before.meta(*index), &bytes(*index)).await?;
            return Ok(true);
        }
        Step::Commit(index) => log.save_committed(before.id(*index)).await?,
        Step::Truncate(index) => log.truncate_after(before.id(*index)).await?,
        Step::Purge(index) => log.purge(before.id(*index).expect("it is there")).await?,
    }
    Ok(false)
}

/// Entries differ in size, so that rows share pages, fill pages, and need pages of their own.
fn entry(term: u64, index: u64) -> Entry {
    let len = [10, 300, 2000, 9000][(index % 4) as usize];
    let payload = vec![index as u8; len];
    let batch = Batch::new(vec![message(index, payload)]);
    let leader = LeaderIdOf::<TypeConfig>::new(term, 1).to_committed();
    Entry { log_id: LogId::new(leader, index), payload: EntryPayload::Normal(batch) }
}

/// The snapshot at an index: several chunks, the last one not full.
fn bytes(index: u64) -> Vec<u8> {
    (0..600_000_u64).map(|n| (n / 1000 + index) as u8).collect()
}

/// A message that was heard as the `n`-th.
pub(crate) fn message(n: u64, payload: Vec<u8>) -> Input {
    let message = Message { topic: format!("home/{n}"), payload, ..Message::default() };
    Input {
        at: Timestamp(n as i64 * 1000),
        origin: Origin { node: NodeId(1), boot: 1, sequence: n },
        heard: Hlc { wall: Timestamp(n as i64 * 1000), counter: 0 },
        kind: InputKind::Message(message),
    }
}
