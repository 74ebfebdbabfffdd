//! openraft's view of the log: [`RaftLogStorage`] and [`RaftLogReader`] over tail, queue and database.

use super::tables::{self, LOG};
use super::tail::Plan;
use super::writer::{Change, Request, Shared, Waiter};
use super::{Error, Store};
use crate::raft::types::{Entry, LogId, TypeConfig, Vote};
use openraft::OptionalSend;
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use redb::ReadTransaction;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, Range, RangeBounds};
use std::sync::Arc;
use tokio::sync::oneshot;

/// Bytes of entries that one message to a peer carries at most, unless one entry is larger.
const READ_BYTES_MAX: usize = 1 << 20;

/// The log for openraft. Clones are the same log.
#[derive(Clone)]
pub struct LogStore {
    store: Store,
}

/// Reads the log for the streams to the peers and for the state machine.
#[derive(Clone)]
pub struct LogReader {
    shared: Arc<Shared>,
}

impl LogStore {
    pub(crate) fn new(store: Store) -> LogStore {
        LogStore { store }
    }

    fn shared(&self) -> &Arc<Shared> {
        self.store.shared()
    }

    /// Tells how far the log on the disk reaches: in a simulation who submits a change writes it too.
    #[cfg(feature = "simulation")]
    fn tell_persisted(&self, last: Option<u64>) {
        if let Some(last) = last.filter(|_| self.shared().database.health.check().is_ok()) {
            let last = gable_rules::LogIndex(last);
            crate::simulation::tell(self.store.identity().node, || crate::simulation::Sight::Persisted {
                last,
            });
        }
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = LogReader;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, io::Error> {
        self.shared().database.health.check()?;
        let tail = self.shared().tail();
        Ok(LogState { last_purged_log_id: tail.purged(), last_log_id: tail.last() })
    }

    async fn get_log_reader(&mut self) -> LogReader {
        LogReader { shared: self.shared().clone() }
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        self.shared().database.health.check()?;
        let (sender, receiver) = oneshot::channel();
        self.store.submit(Request { change: Change::Vote(*vote), waiter: Waiter::Caller(sender) }).await;
        receiver.await.unwrap_or_else(|_| Err(Error::Stopped("its writer has ended".into())))?;
        self.shared().tail().vote = Some(*vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        self.shared().database.health.check()?;
        let Some(committed) = committed else { return Ok(()) };
        self.shared().tail().committed = Some(committed);
        self.store.submit_later(Request { change: Change::Committed(committed), waiter: Waiter::Nobody });
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        self.shared().database.health.check()?;
        Ok(self.shared().tail().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        self.shared().database.health.check()?;
        let mut rows = Vec::new();
        let mut held = Vec::new();
        for entry in entries {
            let row = encode(&entry)?;
            held.push((entry, row.len()));
            rows.push((held[held.len() - 1].0.log_id.index, row));
        }
        let stamp = self.shared().tail().append(held)?;
        #[cfg(feature = "simulation")]
        let last = rows.last().map(|(index, _)| *index);
        self.store
            .submit(Request { change: Change::Append { rows, stamp }, waiter: Waiter::Raft(callback) })
            .await;
        #[cfg(feature = "simulation")]
        self.tell_persisted(last);
        Ok(())
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> Result<(), io::Error> {
        self.shared().database.health.check()?;
        self.shared().tail().truncate(last_log_id);
        self.store
            .submit(Request { change: Change::Truncate { after: last_log_id }, waiter: Waiter::Nobody })
            .await;
        #[cfg(feature = "simulation")]
        self.tell_persisted(last_log_id.map(|log_id| log_id.index));
        Ok(())
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), io::Error> {
        self.shared().database.health.check()?;
        self.shared().tail().purge(log_id);
        self.store.submit(Request { change: Change::Purge { upto: log_id }, waiter: Waiter::Nobody }).await;
        Ok(())
    }
}

impl RaftLogReader<TypeConfig> for LogReader {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> Result<Vec<Entry>, io::Error>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        Ok(self.read(to_range(&range), usize::MAX)?)
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        self.shared.database.health.check()?;
        Ok(self.shared.tail().vote)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, io::Error> {
        Ok(self.read(start..end, READ_BYTES_MAX)?)
    }
}

impl LogReader {
    /// Returns the log's entries in `range`, without a hole, and at least one if there is one.
    fn read(&self, range: Range<u64>, bytes_max: usize) -> Result<Vec<Entry>, Error> {
        let database = &self.shared.database;
        database.health.check()?;
        let (Plan { cold, hot }, txn) = {
            let tail = self.shared.tail();
            let plan = tail.plan(range, bytes_max);
            // The view of the database is taken under the tail's lock, so that no commit can move
            // an entry out of what this read covers.
            let txn = if plan.cold.is_empty() { None } else { Some(database.begin_read()?) };
            (plan, txn)
        };
        let Some(txn) = txn else {
            return Ok(hot.into_iter().map(|(entry, _)| entry).collect());
        };
        let result = database.guard(|| read_cold(&txn, cold.clone(), bytes_max));
        let (mut entries, mut bytes) = stop_if_corrupt(&self.shared, result)?;
        if entries.len() as u64 == cold.end - cold.start {
            for (entry, size) in hot {
                bytes = bytes.saturating_add(size);
                if bytes > bytes_max {
                    break;
                }
                entries.push(entry);
            }
        }
        Ok(entries)
    }
}

/// Passes `result` on. A row that is not what was written stops the store: the node must neither
/// vote nor lead with a log that it can not trust.
pub(crate) fn stop_if_corrupt<T>(shared: &Shared, result: Result<T, Error>) -> Result<T, Error> {
    if let Err(error @ (Error::Corrupt(_) | Error::Version { .. })) = &result {
        shared.database.health.fail(error);
    }
    result
}

/// Serialises and seals an entry.
pub(crate) fn encode(entry: &Entry) -> Result<Vec<u8>, Error> {
    tables::encode("a log entry", &entry.log_id.index.to_be_bytes(), entry)
}

/// Unseals an entry's row.
pub(crate) fn decode(index: u64, row: &[u8]) -> Result<Entry, Error> {
    let what = || format!("log entry {index}");
    let entry: Entry = tables::decode(what, &index.to_be_bytes(), row)?;
    if entry.log_id.index != index {
        return Err(Error::Corrupt(format!("{}: it says that it is {}", what(), entry.log_id)));
    }
    Ok(entry)
}

fn read_cold(
    txn: &ReadTransaction,
    range: Range<u64>,
    bytes_max: usize,
) -> Result<(Vec<Entry>, usize), Error> {
    let table = txn.open_table(LOG)?;
    let (mut entries, mut bytes) = (Vec::new(), 0_usize);
    let mut rows = table.range(range.clone())?;
    for expected in range {
        let missing = || Error::Corrupt(format!("log entry {expected}: it is missing"));
        let (key, row) = rows.next().ok_or_else(missing)??;
        if key.value() != expected {
            return Err(missing());
        }
        bytes = bytes.saturating_add(row.value().len());
        if bytes > bytes_max && !entries.is_empty() {
            break;
        }
        entries.push(decode(expected, row.value())?);
    }
    Ok((entries, bytes))
}

fn to_range(range: &impl RangeBounds<u64>) -> Range<u64> {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(start) => start.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(end) => end.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    start..end
}
