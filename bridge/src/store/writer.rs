//! The one writer of the log's database: takes what waits, commits it with one fsync, and only
//! then tells who waits.
//!
//! [`Writer::commit`] is a plain function. In a node one thread calls it in a loop; in the
//! simulation whoever has something to write calls it himself.

use super::database::Database;
use super::metrics::Counters;
use super::queue::{Drained, Queue};
use super::tables::{
    self, EDGE, LOG, META, META_BOOT, META_PURGED, META_SEAT, META_SNAPSHOT, META_VOTE, SNAPSHOT,
};
use super::tail::Tail;
use super::{Error, snapshot};
use crate::raft::types::{LogId, TypeConfig, Vote};
use openraft::storage::IOFlushed;
use redb::{ReadableTable, Table, WriteTransaction};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// Requests and bytes that one commit takes at most, so that a vote never waits for megabytes.
const COMMIT_ITEMS_MAX: usize = 4096;
const COMMIT_BYTES_MAX: usize = 4 << 20;
/// How long a purge or the committed id may wait for a commit to ride along with.
const IDLE: Duration = Duration::from_secs(1);
/// How many commits go by between two that remove purged entries, how many of them one removes, and of
/// how many bytes, besides twice what was appended since. To remove a large log at once takes tens
/// of milliseconds; to remove a little with each commit costs a third of the throughput.
const SWEEP_EVERY: u32 = 16;
const SWEEP_ITEMS: usize = 512;
const SWEEP_BYTES: usize = 1 << 20;

/// What writer and readers have in common.
pub(crate) struct Shared {
    pub(crate) database: Database,
    tail: Mutex<Tail>,
}

impl Shared {
    pub(crate) fn new(database: Database, tail: Tail) -> Shared {
        Shared { database, tail: Mutex::new(tail) }
    }

    pub(crate) fn tail(&self) -> MutexGuard<'_, Tail> {
        // The tail's methods do not panic half-way, so a poisoned one is as good as any.
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One change of the database.
pub(crate) enum Change {
    /// Sealed rows with their indices; `stamp` is the tail's.
    Append {
        rows: Vec<(u64, Vec<u8>)>,
        stamp: u64,
    },
    Vote(Vote),
    /// The node may vote, and this start counts as number `boot`.
    Seat {
        boot: u64,
    },
    Committed(LogId),
    Truncate {
        after: Option<LogId>,
    },
    Purge {
        upto: LogId,
    },
    SnapshotChunks {
        snapshot: u64,
        first: u32,
        chunks: Vec<Vec<u8>>,
    },
    SnapshotCurrent(Box<snapshot::Record>),
}

/// Who learns that a change is on the disk.
pub(crate) enum Waiter {
    Nobody,
    Raft(IOFlushed<TypeConfig>),
    Caller(oneshot::Sender<Result<(), Error>>),
}

/// A change and who waits for it.
pub(crate) struct Request {
    pub(crate) change: Change,
    pub(crate) waiter: Waiter,
}

impl Request {
    /// Tells whether the change must reach the disk now. The others lose nothing by waiting: what
    /// they say can be found out again, and they keep their place in the order.
    pub(crate) fn is_urgent(&self) -> bool {
        match self.change {
            Change::Append { .. }
            | Change::Vote(_)
            | Change::Seat { .. }
            | Change::SnapshotChunks { .. }
            | Change::SnapshotCurrent(_) => true,
            Change::Committed(_) | Change::Truncate { .. } | Change::Purge { .. } => false,
        }
    }

    /// The index before which all entries are purged by it.
    fn purged_end(&self) -> Option<u64> {
        match self.change {
            Change::Purge { upto } => Some(upto.index + 1),
            _ => None,
        }
    }

    /// Returns about how many bytes the request keeps in memory.
    pub(crate) fn weight(&self) -> usize {
        match &self.change {
            Change::Append { rows, .. } => rows.iter().map(|(_, row)| row.len() + 32).sum(),
            Change::SnapshotChunks { chunks, .. } => chunks.iter().map(Vec::len).sum(),
            _ => 64,
        }
    }

    /// Replaces `newest` by `next` if both only say what is committed.
    pub(crate) fn merge(newest: &mut Request, next: Request) -> Option<Request> {
        match (&mut newest.change, &next.change) {
            (Change::Committed(committed), Change::Committed(later)) => {
                *committed = *later;
                None
            }
            _ => Some(next),
        }
    }
}

/// Commits requests in their order.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    /// Not urgent, in their order. Bounded by what Raft does between two appends: the committed ids
    /// fold into one, a truncation is followed by an append, a purge comes with a snapshot.
    waiting: Vec<Request>,
    /// Entries before this index are purged, and some may still be in the database.
    unswept: Option<u64>,
    since_sweep: SinceSweep,
}

/// What was written since purged entries were there to remove, or some were removed.
#[derive(Default)]
struct SinceSweep {
    commits: u32,
    items: usize,
    bytes: usize,
}

impl Writer {
    /// The writer of a log of which parts may be purged and not swept yet.
    pub(crate) fn new(shared: Arc<Shared>) -> Writer {
        let unswept = shared.tail().purged().map(|purged| purged.index + 1);
        Writer { shared, waiting: Vec::new(), unswept, since_sweep: SinceSweep::default() }
    }

    /// Writes `requests` and all that waited before them, if one of them is urgent.
    pub(crate) fn commit(&mut self, requests: Vec<Request>) {
        let urgent = requests.iter().any(Request::is_urgent);
        for request in requests {
            let rest = match self.waiting.last_mut() {
                Some(newest) => Request::merge(newest, request),
                None => Some(request),
            };
            self.waiting.extend(rest);
        }
        if urgent {
            self.write(self.since_sweep.commits + 1 >= SWEEP_EVERY);
        }
    }

    /// Writes everything that waits, and sweeps.
    pub(crate) fn flush(&mut self) {
        self.write(true);
    }

    fn write(&mut self, sweeps: bool) {
        let requests = std::mem::take(&mut self.waiting);
        self.unswept = requests.iter().filter_map(Request::purged_end).max().max(self.unswept);
        if self.unswept.is_some() {
            self.since_sweep.add(&requests);
        }
        let end = self.unswept.filter(|_| sweeps);
        if requests.is_empty() && end.is_none() {
            return;
        }
        let database = &self.shared.database;
        let result = database.write(|txn| {
            write(txn, &requests)?;
            end.map_or(Ok(true), |end| sweep(txn, end, &self.since_sweep))
        });
        let result = result.map(|is_swept| {
            if end.is_some() {
                self.since_sweep = SinceSweep::default();
                self.unswept = end.filter(|_| !is_swept);
            }
        });
        match &result {
            Ok(()) => count(&database.counters, &requests),
            // A row that can not be written at all is a failure of the log as well: the entries
            // after it must not be reported either.
            Err(error) => database.health.fail(error),
        }
        let stamp = requests.iter().rev().find_map(|request| match request.change {
            Change::Append { stamp, .. } => Some(stamp),
            _ => None,
        });
        if let (Ok(()), Some(stamp)) = (&result, stamp) {
            self.shared.tail().flushed(stamp);
        }
        for request in requests {
            tell(request.waiter, &result);
        }
    }
}

/// Serves `queue` until it is closed.
pub(crate) fn run(mut writer: Writer, queue: &Queue<Request>) {
    loop {
        match queue.drain(COMMIT_ITEMS_MAX, COMMIT_BYTES_MAX, IDLE) {
            Drained::Items(requests) => writer.commit(requests),
            Drained::Idle(requests) => {
                writer.commit(requests);
                writer.flush();
            }
            Drained::Closed(requests) => {
                writer.commit(requests);
                writer.flush();
                return;
            }
        }
    }
}

fn tell(waiter: Waiter, result: &Result<(), Error>) {
    let copy = || match result {
        Ok(()) => Ok(()),
        Err(error) => Err(Error::Stopped(error.in_full().into())),
    };
    match waiter {
        Waiter::Nobody => {}
        Waiter::Raft(flushed) => flushed.io_completed(copy().map_err(Into::into)),
        // A caller that went away needs no answer.
        Waiter::Caller(sender) => drop(sender.send(copy())),
    }
}

fn write(txn: &WriteTransaction, requests: &[Request]) -> Result<(), Error> {
    let mut log = txn.open_table(LOG)?;
    for request in requests {
        match &request.change {
            Change::Append { rows, .. } => {
                for (index, row) in rows {
                    log.insert(index, row.as_slice())?;
                }
            }
            Change::Vote(vote) => write_meta(txn, META_VOTE, vote)?,
            Change::Seat { boot } => {
                write_meta(txn, META_BOOT, boot)?;
                write_meta(txn, META_SEAT, &())?;
            }
            Change::Committed(committed) => {
                let row = tables::encode("the committed log id", &EDGE.to_be_bytes(), committed)?;
                log.insert(EDGE, row.as_slice())?;
            }
            Change::Truncate { after } => remove(&mut log, after.map_or(0, |after| after.index + 1), EDGE)?,
            // The entries leave with a sweep.
            Change::Purge { upto } => write_meta(txn, META_PURGED, upto)?,
            Change::SnapshotChunks { snapshot, first, chunks } => {
                let mut table = txn.open_table(SNAPSHOT)?;
                for (number, chunk) in (*first..).zip(chunks) {
                    table.insert((*snapshot, number), chunk.as_slice())?;
                }
            }
            Change::SnapshotCurrent(record) => {
                write_meta(txn, META_SNAPSHOT, record.as_ref())?;
                snapshot::remove_others(txn, record.snapshot)?;
            }
        }
    }
    Ok(())
}

/// Removes some of the entries before `end`, more than were appended. Returns whether none is left.
fn sweep(txn: &WriteTransaction, end: u64, since: &SinceSweep) -> Result<bool, Error> {
    let mut log = txn.open_table(LOG)?;
    let mut items = SWEEP_ITEMS + 2 * since.items;
    let mut bytes = SWEEP_BYTES + 2 * since.bytes;
    let mut left = None;
    for row in log.range(..end)? {
        let (index, row) = row?;
        if items == 0 || bytes == 0 {
            left = Some(index.value());
            break;
        }
        items -= 1;
        bytes = bytes.saturating_sub(row.value().len());
    }
    remove(&mut log, 0, left.unwrap_or(end))?;
    Ok(left.is_none())
}

impl SinceSweep {
    fn add(&mut self, requests: &[Request]) {
        let (items, bytes) = appended(requests);
        self.commits += 1;
        self.items += items;
        self.bytes += bytes;
    }
}

/// Removes the entries from `start` up to, not with, `end`.
fn remove(log: &mut Table<'_, u64, &'static [u8]>, start: u64, end: u64) -> Result<(), Error> {
    if log.range(start..end)?.next().is_some() {
        log.retain_in(start..end, |_, _| false)?;
    }
    Ok(())
}

pub(crate) fn write_meta<T: serde::Serialize>(
    txn: &WriteTransaction,
    name: &'static str,
    value: &T,
) -> Result<(), Error> {
    let row = tables::encode(name, name.as_bytes(), value)?;
    txn.open_table(META)?.insert(name, row.as_slice())?;
    Ok(())
}

fn count(counters: &Counters, requests: &[Request]) {
    let (rows, bytes) = appended(requests);
    Counters::add(&counters.rows_appended, rows as u64);
    Counters::add(&counters.bytes_appended, bytes as u64);
}

/// How many entries the requests append, and their bytes.
fn appended(requests: &[Request]) -> (usize, usize) {
    let appends = requests.iter().filter_map(|request| match &request.change {
        Change::Append { rows, .. } => Some(rows),
        _ => None,
    });
    appends.flatten().fold((0, 0), |(rows, bytes), (_, row)| (rows + 1, bytes + row.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::lossy::Lossy;
    use futures_util::FutureExt;
    use openraft::vote::RaftLeaderId;
    use redb::ReadableTableMetadata;
    use std::path::Path;

    fn shared() -> Arc<Shared> {
        let database = Database::open(Lossy::new(), Path::new("test")).unwrap();
        Arc::new(Shared::new(database, Tail::new(0, None)))
    }

    fn vote(term: u64) -> (Request, oneshot::Receiver<Result<(), Error>>) {
        let (sender, receiver) = oneshot::channel();
        (Request { change: Change::Vote(Vote::new(term, 1)), waiter: Waiter::Caller(sender) }, receiver)
    }

    #[test]
    fn all_that_waits_shares_one_fsync() {
        let shared = shared();
        let queue = Queue::new(1 << 20);
        let mut answers = Vec::new();
        for term in 1..=100 {
            let (request, answer) = vote(term);
            queue.push(request, 64, true).now_or_never().expect("there is room");
            answers.push(answer);
        }
        queue.close();
        let before = shared.database.counters.read().fsyncs;
        run(Writer::new(shared.clone()), &queue);
        assert_eq!(shared.database.counters.read().fsyncs - before, 1);
        for mut answer in answers {
            answer.try_recv().expect("it was answered").expect("it is on the disk");
        }
    }

    #[test]
    fn what_can_wait_costs_no_fsync() {
        let shared = shared();
        let mut writer = Writer::new(shared.clone());
        let before = shared.database.counters.read().fsyncs;
        writer.commit(vec![Request { change: Change::Truncate { after: None }, waiter: Waiter::Nobody }]);
        assert_eq!(shared.database.counters.read().fsyncs, before);
        writer.flush();
        assert_eq!(shared.database.counters.read().fsyncs, before + 1);
    }

    fn purge(upto: u64) -> Request {
        type Leader = openraft::alias::LeaderIdOf<TypeConfig>;
        let upto = LogId::new(Leader::new(1, 1).to_committed(), upto);
        Request { change: Change::Purge { upto }, waiter: Waiter::Nobody }
    }

    fn append(index: u64, bytes: usize) -> Request {
        let rows = vec![(index, vec![b'x'; bytes])];
        Request { change: Change::Append { rows, stamp: index }, waiter: Waiter::Nobody }
    }

    fn entries(shared: &Shared) -> u64 {
        shared.database.begin_read().unwrap().open_table(LOG).unwrap().len().unwrap()
    }

    /// Purges entries of so many bytes each, and expects so many left after each commit that sweeps.
    fn check_sweeps(bytes: usize, purged: u64, expected: &[u64]) {
        let shared = shared();
        let mut writer = Writer::new(shared.clone());
        writer.commit((0..purged).map(|index| append(index, bytes)).collect());
        writer.flush();
        writer.commit(vec![purge(purged - 1)]);
        let mut index = purged;
        let mut left = purged;
        for expected in expected {
            for _ in 1..SWEEP_EVERY {
                writer.commit(vec![append(index, 1)]);
                index += 1;
                assert_eq!(entries(&shared), left + (index - purged), "{bytes} bytes each, entry {index}");
            }
            writer.commit(vec![append(index, 1)]);
            (index, left) = (index + 1, *expected);
            assert_eq!(entries(&shared), left + (index - purged), "{bytes} bytes each, entry {index}");
        }
        // And nothing is written any more when all are gone.
        let before = shared.database.counters.read().fsyncs;
        writer.flush();
        assert_eq!(shared.database.counters.read().fsyncs, before);
    }

    #[test]
    fn purged_entries_leave_a_few_at_a_time() {
        check_sweeps(10, 500, &[0]);
        check_sweeps(10, 1_200, &[656, 112, 0]);
        check_sweeps(400 << 10, 8, &[5, 2, 0]);
    }

    #[test]
    fn with_nothing_else_to_write_the_rest_leaves_too() {
        let shared = shared();
        let mut writer = Writer::new(shared.clone());
        writer.commit((0..1_200).map(|index| append(index, 10)).collect());
        writer.flush();
        writer.commit(vec![purge(1_199)]);
        for left in [688, 176, 0, 0] {
            writer.flush();
            assert_eq!(entries(&shared), left);
        }
    }

    #[test]
    fn a_panic_inside_stops_the_store_for_good() {
        let shared = shared();
        let result: Result<(), Error> = shared.database.write(|_| panic!("planted"));
        assert!(matches!(result, Err(Error::Panicked(text)) if text == "planted"));
        let (request, mut answer) = vote(1);
        Writer::new(shared.clone()).commit(vec![request]);
        let error = answer.try_recv().expect("it was answered").unwrap_err();
        assert!(error.to_string().contains("the database panicked: planted"), "{error}");
    }
}
