//! One redb file behind a guard: opened with a check, counted, and stopped for good by its first
//! failure or panic.

use super::disk::Counted;
use super::error::{Error, Health};
use super::metrics::Counters;
use redb::backends::FileBackend;
use redb::{
    Builder, DatabaseError, Durability, ReadTransaction, ReadableDatabase, StorageBackend, WriteTransaction,
};
use std::fs::{File, OpenOptions};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// Pages that redb keeps in memory. The log is read from its own tail, so this serves writes.
const CACHE_BYTES: usize = 16 << 20;
/// Up to this size a file is checked whole when it is opened; beyond it the check would delay the
/// start, and only the rows' own checksums remain.
const CHECKED_BYTES: u64 = 64 << 20;
/// Below this size a file is never worth compacting.
const COMPACT_FROM_BYTES: u64 = 32 << 20;
/// A file is compacted when it is this many times larger than its content.
const COMPACT_FACTOR: u64 = 4;

/// A redb database that runs nothing after its first failure.
pub(crate) struct Database {
    redb: redb::Database,
    pub(crate) counters: Arc<Counters>,
    pub(crate) health: Health,
}

impl Database {
    /// Opens `folder`/`name`, and creates both if they are missing.
    pub(crate) fn open_file(folder: &Path, name: &str) -> Result<Database, Error> {
        let path = folder.join(name);
        let marker = folder.join(format!("{name}.damaged"));
        if marker.exists() {
            return Err(damaged(&path, "an earlier start found it so"));
        }
        let file = open_durably(folder, &path)
            .map_err(|source| Error::Folder { folder: folder.to_owned(), source })?;
        let backend = FileBackend::new(file).map_err(|error| opening_failed(&path, error))?;
        let opened = Database::open(backend, &path);
        if let Err(Error::Corrupt(_)) = &opened {
            // redb's check falls back to an older commit if it can, and the next start would find
            // nothing wrong with a log that forgot what this node has promised.
            File::create(&marker).map_err(|source| Error::Folder { folder: folder.to_owned(), source })?;
        }
        opened
    }

    /// Opens a database on any backend; `name` stands for it in messages.
    pub(crate) fn open(backend: impl StorageBackend, name: &Path) -> Result<Database, Error> {
        let counters = Arc::new(Counters::default());
        let backend = Counted::new(backend, counters.clone());
        let size = backend.len().map_err(redb::Error::from)?;
        let redb = panicless(|| open_redb(backend, name, size)).map_err(|error| match error {
            // A page full of nonsense makes redb's reader panic.
            Error::Panicked(text) => damaged(name, &text),
            error => error,
        })?;
        Ok(Database { redb, counters, health: Health::new() })
    }

    /// Takes a consistent view of what is committed.
    pub(crate) fn begin_read(&self) -> Result<ReadTransaction, Error> {
        self.guard(|| Ok(self.redb.begin_read()?))
    }

    /// Runs `work` on one transaction and commits it with one fsync.
    pub(crate) fn write<T>(
        &self,
        work: impl FnOnce(&WriteTransaction) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.guard(|| {
            let begun = Instant::now();
            let mut txn = self.redb.begin_write()?;
            txn.set_durability(Durability::Immediate).map_err(redb::Error::from)?;
            let result = work(&txn)?;
            txn.commit()?;
            self.counters.committed(begun.elapsed());
            Ok(result)
        })
    }

    /// Runs `work` unless the database has failed, and remembers a failure of the database itself.
    pub(crate) fn guard<T>(&self, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        self.health.check()?;
        let result = panicless(work);
        if let Err(error @ (Error::Redb(_) | Error::DiskFull | Error::Panicked(_))) = &result {
            self.health.fail(error);
        }
        result
    }
}

fn open_redb(backend: impl StorageBackend, name: &Path, size: u64) -> Result<redb::Database, Error> {
    let mut redb = Builder::new()
        .set_cache_size(CACHE_BYTES)
        .create_with_backend(backend)
        .map_err(|error| opening_failed(name, error))?;
    if size > 0 && size <= CHECKED_BYTES && !redb.check_integrity()? {
        return Err(damaged(name, "its pages do not match their checksums"));
    }
    if size >= COMPACT_FROM_BYTES {
        let txn = redb.begin_write()?;
        let stats = txn.stats()?;
        txn.abort()?;
        if size > COMPACT_FACTOR * (stats.stored_bytes() + stats.metadata_bytes()) {
            redb.compact()?;
        }
    }
    Ok(redb)
}

/// Runs redb's code, which panics on some damaged pages. Whatever it left half-done is never
/// looked at again: the caller stops the database.
fn panicless<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".to_owned());
        Err(Error::Panicked(text))
    })
}

/// Opens the file so that its name survives a power cut as well.
fn open_durably(folder: &Path, path: &PathBuf) -> io::Result<File> {
    std::fs::create_dir_all(folder)?;
    let is_new = !path.exists();
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    if is_new {
        file.sync_all()?;
        File::open(folder)?.sync_all()?;
    }
    Ok(file)
}

fn opening_failed(path: &Path, error: DatabaseError) -> Error {
    match error {
        DatabaseError::DatabaseAlreadyOpen => Error::InUse { path: path.to_owned() },
        error => match Error::from(error) {
            Error::Corrupt(text) => damaged(path, &text),
            error => error,
        },
    }
}

fn damaged(path: &Path, why: &str) -> Error {
    Error::Corrupt(format!("{} is damaged ({why})", path.display()))
}
