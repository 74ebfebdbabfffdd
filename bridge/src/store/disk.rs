//! The file below a database: counts what is asked of it, and measures how long an fsync takes.

use super::Error;
use super::metrics::{Counters, percentile};
use redb::{BackendError, StorageBackend};
use std::fs::OpenOptions;
use std::io::{self, Seek, SeekFrom, Write};
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// fsyncs that a measurement takes. Enough for the slow ones to show, and on an SD card of 20 ms
/// still below a second.
const PROBES: usize = 32;

/// Measures the 99th percentile of fdatasync in `folder` by writing pages to a scratch file.
///
/// Election timeouts have to stay well above it: a node that waits for its disk must not look dead.
pub fn measure_fsync_p99(folder: &Path) -> Result<Duration, Error> {
    let path = folder.join("fsync.probe");
    let failed = |source| Error::Folder { folder: folder.to_owned(), source };
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&path).map_err(failed)?;
    let mut probe = || -> io::Result<Duration> {
        file.seek(SeekFrom::Start(0))?;
        let begun = Instant::now();
        file.write_all(&[0x5a; 4096])?;
        file.sync_data()?;
        Ok(begun.elapsed())
    };
    let took: io::Result<Vec<Duration>> = (0..PROBES).map(|_| probe()).collect();
    std::fs::remove_file(&path).map_err(failed)?;
    let mut took = took.map_err(failed)?;
    took.sort_unstable();
    Ok(percentile(&took, 99))
}

/// A backend that counts and otherwise passes everything on.
#[derive(Debug)]
pub(crate) struct Counted<B> {
    inner: B,
    counters: Arc<Counters>,
}

impl<B: StorageBackend> Counted<B> {
    pub(crate) fn new(inner: B, counters: Arc<Counters>) -> Counted<B> {
        if let Ok(len) = inner.len() {
            counters.file_bytes.store(len, Ordering::Relaxed);
        }
        Counted { inner, counters }
    }
}

impl<B: StorageBackend> StorageBackend for Counted<B> {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)?;
        self.counters.file_bytes.store(len, Ordering::Relaxed);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Counters::add(&self.counters.fsyncs, 1);
        self.inner.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        Counters::add(&self.counters.bytes_written, data.len() as u64);
        self.inner.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.query_lock_range(start, end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measuring_leaves_no_file_behind() {
        let folder = tempfile::tempdir().unwrap();
        assert!(measure_fsync_p99(folder.path()).unwrap() > Duration::ZERO);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn measuring_in_a_missing_folder_names_it() {
        let error = measure_fsync_p99(Path::new("/nowhere/at/all")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
    }
}
