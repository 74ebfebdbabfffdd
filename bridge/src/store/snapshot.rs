//! Snapshots in the log's database: pieces with checksums, and one row that makes them the current
//! one all at once.

use super::tables::{self, META, META_SNAPSHOT, SNAPSHOT};
use super::writer::{Change, Request, Waiter};
use super::{Error, Store};
use crate::raft::types::SnapshotMeta;
use redb::{ReadTransaction, ReadableTable, WriteTransaction};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;

/// Bytes of one piece.
const CHUNK: usize = 256 << 10;
/// Pieces that one commit takes. A snapshot is written in several commits, so that votes and
/// entries get in between; until the last one it is not the current one.
const CHUNKS_PER_COMMIT: usize = 2;

/// The row that makes a snapshot the current one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) snapshot: u64,
    pub(crate) meta: SnapshotMeta,
    chunks: u32,
    bytes: u64,
    sha256: [u8; 32],
}

/// Which snapshot is the current one, and which number the next one gets.
#[derive(Default)]
pub(crate) struct Current {
    pub(crate) record: Option<Record>,
    pub(crate) next: u64,
}

impl Store {
    /// Makes `bytes` the current snapshot. When it returns, the snapshot survives a crash and the
    /// earlier one is gone.
    ///
    /// A snapshot older than the current one is dropped: one that was being built while a newer one
    /// arrived from the leader must not come after it. So is the current one itself, which openraft
    /// installs again at each start.
    pub async fn save_snapshot(&self, meta: &SnapshotMeta, bytes: &[u8]) -> Result<(), Error> {
        let mut current = self.snapshot().lock().await;
        let sha256: [u8; 32] = Sha256::digest(bytes).into();
        let is_past = |record: &Record| {
            record.meta.last_log_id > meta.last_log_id || (record.meta == *meta && record.sha256 == sha256)
        };
        if current.record.as_ref().is_some_and(is_past) {
            return Ok(());
        }
        let snapshot = current.next;
        current.next += 1;
        let mut first = 0_u32;
        for part in bytes.chunks(CHUNK * CHUNKS_PER_COMMIT) {
            let chunks: Vec<Vec<u8>> = (first..)
                .zip(part.chunks(CHUNK))
                .map(|(number, chunk)| tables::seal(&key(snapshot, number), chunk))
                .collect();
            let count = chunks.len() as u32;
            self.write(Change::SnapshotChunks { snapshot, first, chunks }).await?;
            first += count;
        }
        let record =
            Record { snapshot, meta: meta.clone(), chunks: first, bytes: bytes.len() as u64, sha256 };
        self.write(Change::SnapshotCurrent(Box::new(record.clone()))).await?;
        current.record = Some(record);
        Ok(())
    }

    /// Returns the current snapshot, every piece and the whole of it checked.
    pub fn load_snapshot(&self) -> Result<Option<(SnapshotMeta, Vec<u8>)>, Error> {
        let shared = self.shared();
        let result = shared.database.guard(|| {
            let txn = shared.database.begin_read()?;
            let Some(record) = read_record(&txn)? else { return Ok(None) };
            let bytes = read_bytes(&txn, &record)?;
            Ok(Some((record.meta, bytes)))
        });
        self.stop_if_corrupt(result)
    }

    /// Returns the current snapshot's description without reading it.
    pub async fn snapshot_meta(&self) -> Option<SnapshotMeta> {
        self.snapshot().lock().await.record.as_ref().map(|record| record.meta.clone())
    }

    async fn write(&self, change: Change) -> Result<(), Error> {
        self.shared().database.health.check()?;
        let (sender, receiver) = oneshot::channel();
        self.submit(Request { change, waiter: Waiter::Caller(sender) }).await;
        receiver.await.unwrap_or_else(|_| Err(Error::Stopped("its writer has ended".into())))
    }
}

/// Returns the row of the current snapshot.
pub(crate) fn read_record(txn: &ReadTransaction) -> Result<Option<Record>, Error> {
    let meta = txn.open_table(META)?;
    let row = meta.get(META_SNAPSHOT)?;
    row.map(|row| tables::decode(what, META_SNAPSHOT.as_bytes(), row.value())).transpose()
}

/// Removes the pieces of every other snapshot: the earlier one's, or of one that was cut off.
pub(crate) fn remove_others(txn: &WriteTransaction, snapshot: u64) -> Result<(), Error> {
    let mut table = txn.open_table(SNAPSHOT)?;
    let any_other = table.iter()?.any(|row| row.map_or(true, |(key, _)| key.value().0 != snapshot));
    if any_other {
        table.retain(|key, _| key.0 == snapshot)?;
    }
    Ok(())
}

fn read_bytes(txn: &ReadTransaction, record: &Record) -> Result<Vec<u8>, Error> {
    let table = txn.open_table(SNAPSHOT)?;
    let mut bytes = Vec::new();
    for number in 0..record.chunks {
        let name = || format!("chunk {number} of the snapshot");
        let row = table
            .get((record.snapshot, number))?
            .ok_or_else(|| Error::Corrupt(format!("{}: it is missing", name())))?;
        bytes.extend_from_slice(tables::unseal(name, &key(record.snapshot, number), row.value())?);
    }
    let sha256: [u8; 32] = Sha256::digest(&bytes).into();
    if bytes.len() as u64 != record.bytes || sha256 != record.sha256 {
        return Err(Error::Corrupt(format!("{}: its digest does not match", what())));
    }
    Ok(bytes)
}

fn key(snapshot: u64, chunk: u32) -> [u8; 12] {
    let mut key = [0; 12];
    key[..8].copy_from_slice(&snapshot.to_be_bytes());
    key[8..].copy_from_slice(&chunk.to_be_bytes());
    key
}

fn what() -> String {
    "the snapshot".to_owned()
}
