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
use std::path::Path;
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
        if !path.exists() {
            create_file(folder, &path, name)?;
        }
        let file = OpenOptions::new().read(true).write(true).open(&path);
        let file = file.map_err(|source| Error::Folder { folder: folder.to_owned(), source })?;
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

/// Makes an empty database that appears under its name when it is complete: a file that a power
/// cut left half-made could not be told from a damaged one.
fn create_file(folder: &Path, path: &Path, name: &str) -> Result<(), Error> {
    let failed = |source| Error::Folder { folder: folder.to_owned(), source };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let draft = folder.join(format!("{name}.new"));
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(true).open(&draft).map_err(failed)?;
    let copy = file.try_clone().map_err(failed)?;
    drop(Builder::new().create_file(copy).map_err(|error| opening_failed(&draft, error))?);
    file.sync_all().map_err(failed)?;
    std::fs::rename(&draft, path).map_err(failed)?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

fn opening_failed(path: &Path, error: DatabaseError) -> Error {
    let path = path.to_owned();
    match redb::Error::from(error) {
        redb::Error::DatabaseAlreadyOpen => Error::InUse { path },
        redb::Error::Corrupted(text) => damaged(&path, &text),
        // redb says so of a file without its mark at the beginning.
        redb::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
            damaged(&path, &error.to_string())
        }
        error => Error::Open { path, source: Box::new(error) },
    }
}

fn damaged(path: &Path, why: &str) -> Error {
    Error::Corrupt(format!("{} is damaged ({why})", path.display()))
}
