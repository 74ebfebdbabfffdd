//! What waits to be written, and the commit that writes it.

use super::row::{Position, Row};
use super::{Options, page};
use crate::store::Error;
use crate::store::Identity;
use crate::store::database::Database;
use crate::store::metrics::Counters;
use crate::store::tables;
use gable_devices::Timestamp;
use redb::{ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::watch;

/// Position -> message, and position -> any other row. Two tables, so that a page of messages reads
/// messages only.
pub(super) const MESSAGES: Definition = TableDefinition::new("messages");
pub(super) const OTHERS: Definition = TableDefinition::new("others");
/// Name -> `progress` or `identity`.
const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
const META_PROGRESS: &str = "progress";
const META_IDENTITY: &str = "identity";

type Key = (u64, u32);
type Definition = TableDefinition<'static, Key, &'static [u8]>;
type Rows<'txn> = Table<'txn, Key, &'static [u8]>;

/// From this many rows on a commit does not wait for more.
const ROWS_PER_COMMIT: usize = 1000;
/// Without a thread a commit comes with every so many rows, so that a simulated crash meets some
/// that wait.
const ROWS_PER_INLINE_COMMIT: usize = 32;
/// Rows and bytes that may wait. When there are more, applying waits for the history's disk.
const PENDING_ROWS_MAX: usize = 50_000;
const PENDING_BYTES_MAX: usize = 16 << 20;
/// Entries that one commit removes at most beyond those it adds, so that a shortened retention
/// does not stop the writer for minutes.
const REMOVALS_PER_COMMIT: usize = 2000;

/// How far the history has come; committed together with the rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// All entries up to here are on the disk, apart from `gaps`.
    pub(super) last: u64,
    /// What is older was removed.
    pub(super) kept_from: u64,
    /// Ranges of log indices, both ends included, that this node took over in a snapshot.
    pub(super) gaps: Vec<(u64, u64)>,
    /// Of all rows.
    bytes: u64,
    newest: Timestamp,
}

/// Rows of one log entry.
pub(super) struct Recorded {
    log_index: u64,
    pub(super) rows: Vec<Arc<Row>>,
}

/// What waits to be written.
#[derive(Default)]
pub(super) struct Pending {
    pub(super) entries: VecDeque<Arc<Recorded>>,
    /// The last entry that was taken in, written or not.
    pub(super) recorded: u64,
    rows: usize,
    bytes: usize,
    since: Option<Instant>,
    hurry: bool,
    closed: bool,
}

impl Pending {
    pub(super) fn has_room(&self) -> bool {
        self.rows < PENDING_ROWS_MAX && self.bytes < PENDING_BYTES_MAX
    }
}

/// What writer and readers have in common.
pub(super) struct Shared {
    pub(super) database: Database,
    pub(super) options: Options,
    pending: Mutex<Pending>,
    wake: Condvar,
    /// The last entry on the disk.
    pub(super) persisted: watch::Sender<u64>,
    /// A copy of the progress's, for those who ask often.
    pub(super) kept_from: AtomicU64,
    /// Held while a commit reads and writes the progress: one commit at a time.
    committing: Mutex<()>,
}

impl Shared {
    pub(super) fn recover(database: Database, folder: &Path, options: Options) -> Result<Shared, Error> {
        let progress = database.write(|txn| {
            txn.open_table(MESSAGES)?;
            txn.open_table(OTHERS)?;
            check_identity(txn, folder, &options.identity)?;
            let progress = read_progress(&txn.open_table(META)?)?;
            write_progress(txn, &progress)?;
            Ok(progress)
        })?;
        let pending = Pending { recorded: progress.last, ..Pending::default() };
        Ok(Shared {
            database,
            options,
            pending: Mutex::new(pending),
            wake: Condvar::new(),
            persisted: watch::Sender::new(progress.last),
            kept_from: AtomicU64::new(progress.kept_from),
            committing: Mutex::new(()),
        })
    }

    pub(super) fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in the rows of an entry unless it is here already; tells whether it is time to commit
    /// without waiting for more.
    pub(super) fn push(&self, log_index: u64, rows: Vec<Arc<Row>>) -> bool {
        let mut pending = self.pending();
        if log_index <= pending.recorded {
            return false;
        }
        pending.recorded = log_index;
        let was_empty = pending.rows == 0;
        pending.rows += rows.len();
        pending.bytes += rows.iter().map(|row| page::weight(row)).sum::<usize>();
        pending.entries.push_back(Arc::new(Recorded { log_index, rows }));
        if was_empty && pending.rows > 0 {
            pending.since = Some(Instant::now());
            self.wake.notify_one();
        } else if pending.rows >= ROWS_PER_COMMIT {
            self.wake.notify_one();
        }
        pending.rows >= ROWS_PER_INLINE_COMMIT
    }

    /// Lets the thread commit at once.
    pub(super) fn hurry(&self) {
        self.pending().hurry = true;
        self.wake.notify_one();
    }

    /// Lets the thread commit what waits, and end.
    pub(super) fn close(&self) {
        self.pending().closed = true;
        self.wake.notify_one();
    }

    /// Commits what comes, until the history is closed or fails.
    pub(super) fn run(&self) {
        while self.wait_for_work() {
            if self.commit_some().is_err() {
                break;
            }
        }
    }

    /// Returns false when the history is closed and nothing waits.
    fn wait_for_work(&self) -> bool {
        let mut pending = self.pending();
        loop {
            if pending.closed || pending.hurry {
                let has_work = !pending.entries.is_empty();
                if has_work || pending.closed {
                    return has_work;
                }
                pending.hurry = false;
            }
            if pending.rows >= ROWS_PER_COMMIT {
                return true;
            }
            let waited = pending.since.map(|since| since.elapsed());
            pending = match waited {
                Some(waited) if waited >= self.options.linger => return true,
                Some(waited) => {
                    let rest = self.options.linger - waited;
                    self.wake.wait_timeout(pending, rest).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.wake.wait(pending).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Commits everything that waits.
    pub(super) fn commit_all(&self) -> Result<(), Error> {
        while !self.pending().entries.is_empty() {
            self.commit_some()?;
        }
        Ok(())
    }

    /// Commits whole entries, about [`ROWS_PER_COMMIT`] rows of them.
    fn commit_some(&self) -> Result<(), Error> {
        let _committing = self.committing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rows = 0;
        let batch: Vec<Arc<Recorded>> = self
            .pending()
            .entries
            .iter()
            .take_while(|entry| {
                let fits = rows < ROWS_PER_COMMIT;
                rows += entry.rows.len();
                fits
            })
            .cloned()
            .collect();
        let result = self.database.write(|txn| self.write(txn, &batch));
        if let Err(error) = &result {
            self.database.health.fail(error);
        }
        self.forget(&batch);
        // After a failure whoever waits has to look again as well, and finds it.
        let last = result.as_ref().ok().map(|progress| progress.last);
        self.persisted.send_modify(|persisted| *persisted = last.unwrap_or(*persisted));
        self.learn(&result?);
        Ok(())
    }

    fn learn(&self, progress: &Progress) {
        self.kept_from.store(progress.kept_from, Ordering::Release);
    }

    /// Takes what was written out of memory.
    fn forget(&self, batch: &[Arc<Recorded>]) {
        let mut pending = self.pending();
        for entry in batch {
            pending.entries.pop_front();
            pending.rows -= entry.rows.len();
            pending.bytes -= entry.rows.iter().map(|row| page::weight(row)).sum::<usize>();
        }
        pending.since = (pending.rows > 0).then(Instant::now);
        pending.hurry &= !pending.entries.is_empty();
    }

    fn write(&self, txn: &WriteTransaction, batch: &[Arc<Recorded>]) -> Result<Progress, Error> {
        let mut progress = read_progress(&txn.open_table(META)?)?;
        let rows = batch.iter().flat_map(|entry| entry.rows.iter().map(Arc::as_ref));
        self.insert(txn, &mut progress, rows)?;
        progress.last = batch.last().map_or(progress.last, |entry| entry.log_index.max(progress.last));
        self.remove_old(txn, &mut progress, REMOVALS_PER_COMMIT + batch.len())?;
        write_progress(txn, &progress)?;
        Ok(progress)
    }

    fn insert<'a>(
        &self,
        txn: &WriteTransaction,
        progress: &mut Progress,
        rows: impl Iterator<Item = &'a Row>,
    ) -> Result<(), Error> {
        let (mut messages, mut others) = (txn.open_table(MESSAGES)?, txn.open_table(OTHERS)?);
        for row in rows {
            let bytes = row.encode()?;
            let table = if row.is_message() { &mut messages } else { &mut others };
            let replaced = table.insert(row.position.key(), bytes.as_slice())?.map(|old| old.value().len());
            progress.bytes += bytes.len() as u64;
            progress.bytes -= replaced.unwrap_or(0) as u64;
            progress.newest = progress.newest.max(row.at);
            Counters::add(&self.database.counters.rows_appended, 1);
            Counters::add(&self.database.counters.bytes_appended, bytes.len() as u64);
        }
        Ok(())
    }

    /// Removes whole entries from the oldest on, while there is too much or they are too old.
    fn remove_old(&self, txn: &WriteTransaction, progress: &mut Progress, most: usize) -> Result<(), Error> {
        let (mut messages, mut others) = (txn.open_table(MESSAGES)?, txn.open_table(OTHERS)?);
        for _ in 0..most {
            let oldest =
                [first(&messages)?, first(&others)?].into_iter().flatten().min_by_key(|(key, _)| *key);
            let Some((key, at)) = oldest else { break };
            let too_old = progress.newest.since(at) > self.options.keep_for;
            let too_much = progress.bytes > self.options.keep_bytes;
            if key.0 >= progress.last || !(too_old || too_much) {
                break;
            }
            for table in [&mut messages, &mut others] {
                progress.bytes = progress.bytes.saturating_sub(remove_entry(table, key.0)?);
            }
            progress.kept_from = key.0 + 1;
        }
        progress.gaps.retain(|(_, end)| *end >= progress.kept_from);
        Ok(())
    }

    /// Lets the history go on after `log_index`, with a gap before it.
    pub(super) fn skip_to(&self, log_index: u64) -> Result<(), Error> {
        let _committing = self.committing.lock().unwrap_or_else(PoisonError::into_inner);
        self.database.write(|txn| {
            let mut progress = read_progress(&txn.open_table(META)?)?;
            if progress.last < log_index {
                progress.gaps.push((progress.last + 1, log_index));
                progress.last = log_index;
            }
            write_progress(txn, &progress)
        })?;
        let mut pending = self.pending();
        pending.recorded = pending.recorded.max(log_index);
        self.persisted.send_replace(pending.recorded);
        Ok(())
    }

    /// Writes rows into the lowest gap, and closes the gap up to and with `through`.
    pub(super) fn fill(&self, rows: &[Row], through: u64) -> Result<(), Error> {
        let _committing = self.committing.lock().unwrap_or_else(PoisonError::into_inner);
        let progress = self.database.write(|txn| {
            let mut progress = read_progress(&txn.open_table(META)?)?;
            let Some(gap) = progress.gaps.first_mut() else { return Ok(progress) };
            let (start, end) = (gap.0, gap.1.min(through));
            gap.0 = end + 1;
            progress.gaps.retain(|(start, end)| start <= end);
            let wanted = rows.iter().filter(|row| (start..=end).contains(&row.position.log_index));
            self.insert(txn, &mut progress, wanted)?;
            self.remove_old(txn, &mut progress, REMOVALS_PER_COMMIT + rows.len())?;
            write_progress(txn, &progress)?;
            Ok(progress)
        })?;
        self.learn(&progress);
        Ok(())
    }

    pub(super) fn progress(&self) -> Result<Progress, Error> {
        let txn = self.database.begin_read()?;
        self.database.guard(|| read_progress_in(&txn))
    }
}

/// Returns the key of the oldest row and its time.
fn first(table: &Rows<'_>) -> Result<Option<(Key, Timestamp)>, Error> {
    let Some((key, row)) = table.first()? else { return Ok(None) };
    let key = key.value();
    // A row that does not decode any more is as good as old: it must not keep the others.
    let at = Row::decode(Position::from_key(key), row.value()).map_or(Timestamp::default(), |row| row.at);
    Ok(Some((key, at)))
}

/// Removes the rows of one entry, and returns how many bytes they had.
fn remove_entry(table: &mut Rows<'_>, log_index: u64) -> Result<u64, Error> {
    let mut bytes = 0;
    table.retain_in((log_index, 0)..=(log_index, u32::MAX), |_, row| {
        bytes += row.len() as u64;
        false
    })?;
    Ok(bytes)
}

pub(super) fn read_progress_in(txn: &ReadTransaction) -> Result<Progress, Error> {
    read_progress(&txn.open_table(META)?)
}

fn read_progress(meta: &impl ReadableTable<&'static str, &'static [u8]>) -> Result<Progress, Error> {
    let what = || "the history's row `progress`".to_owned();
    match meta.get(META_PROGRESS)? {
        Some(row) => tables::decode(what, META_PROGRESS.as_bytes(), row.value()),
        None => Ok(Progress::default()),
    }
}

fn write_progress(txn: &WriteTransaction, progress: &Progress) -> Result<(), Error> {
    let row = tables::encode(META_PROGRESS, META_PROGRESS.as_bytes(), progress)?;
    txn.open_table(META)?.insert(META_PROGRESS, row.as_slice())?;
    Ok(())
}

fn check_identity(txn: &WriteTransaction, folder: &Path, identity: &Identity) -> Result<(), Error> {
    let mut meta = txn.open_table(META)?;
    let found: Option<Identity> = match meta.get(META_IDENTITY)? {
        Some(row) => {
            let what = || "the history's row `identity`".to_owned();
            Some(tables::decode(what, META_IDENTITY.as_bytes(), row.value())?)
        }
        None => None,
    };
    match found {
        Some(found) if found == *identity => Ok(()),
        Some(found) => Err(Error::OtherOwner {
            folder: folder.display().to_string(),
            found: Box::new(found),
            expected: Box::new(identity.clone()),
        }),
        None => {
            let row = tables::encode(META_IDENTITY, META_IDENTITY.as_bytes(), identity)?;
            meta.insert(META_IDENTITY, row.as_slice())?;
            Ok(())
        }
    }
}
