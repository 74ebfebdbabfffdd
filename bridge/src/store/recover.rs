//! What an opened store starts from: whose it is, which boot this is, and a log without a hole.

use super::database::Database;
use super::snapshot::{self, Current};
use super::tables::{
    self, EDGE, LOG, META, META_BOOT, META_IDENTITY, META_PURGED, META_SEAT, META_VOTE, SNAPSHOT,
};
use super::tail::Tail;
use super::writer::write_meta;
use super::{Error, Identity, Options, log};
use crate::raft::types::LogId;
use redb::{ReadTransaction, ReadableTable, WriteTransaction};
use serde::de::DeserializeOwned;
use std::path::Path;

/// What [`recover`] found.
pub(crate) struct Recovered {
    pub(crate) boot: u64,
    /// Whether the node may vote: see `Store::take_seat`.
    pub(crate) seat: bool,
    pub(crate) tail: Tail,
    pub(crate) snapshot: Current,
}

/// Counts the boot, then reads and checks the whole log.
pub(crate) fn recover(database: &Database, folder: &Path, options: &Options) -> Result<Recovered, Error> {
    let boot = database.write(|txn| begin_boot(txn, folder, &options.identity))?;
    let txn = database.begin_read()?;
    database.guard(|| {
        let record = snapshot::read_record(&txn)?;
        let tail = read_log(&txn, options.tail_bytes)?;
        let covered = record.as_ref().and_then(|record| record.meta.last_log_id);
        if tail.purged() > covered {
            return Err(Error::Corrupt(format!(
                "the log is purged up to {:?}, and its snapshot ends at {covered:?}",
                tail.purged()
            )));
        }
        if tail.committed > tail.last().max(covered) {
            return Err(Error::Corrupt(format!(
                "{:?} is committed, and the log ends at {:?}",
                tail.committed,
                tail.last()
            )));
        }
        let next = record.as_ref().map_or(0, |record| record.snapshot) + 1;
        let seat = read_meta::<()>(&txn.open_table(META)?, META_SEAT)?.is_some();
        Ok(Recovered { boot, seat, tail, snapshot: Current { record, next } })
    })
}

/// Checks whose folder this is, and writes the number of this boot.
fn begin_boot(txn: &WriteTransaction, folder: &Path, identity: &Identity) -> Result<u64, Error> {
    let (found, boot): (Option<Identity>, Option<u64>) = {
        let meta = txn.open_table(META)?;
        (read_meta(&meta, META_IDENTITY)?, read_meta(&meta, META_BOOT)?)
    };
    let is_new = txn.open_table(LOG)?.first()?.is_none();
    match found {
        Some(found) if found != *identity => {
            return Err(Error::OtherOwner {
                folder: folder.display().to_string(),
                found: Box::new(found),
                expected: Box::new(identity.clone()),
            });
        }
        None if !is_new => return Err(Error::Corrupt("the log does not say whose it is".to_owned())),
        Some(_) => {}
        None => write_meta(txn, META_IDENTITY, identity)?,
    }
    let boot = boot.unwrap_or(0) + 1;
    write_meta(txn, META_BOOT, &boot)?;
    // Pieces of a snapshot that was cut off would stay for ever.
    let record = {
        let meta = txn.open_table(META)?;
        read_meta::<snapshot::Record>(&meta, tables::META_SNAPSHOT)?
    };
    txn.open_table(SNAPSHOT)?;
    snapshot::remove_others(txn, record.map_or(0, |record| record.snapshot))?;
    Ok(boot)
}

fn read_log(txn: &ReadTransaction, tail_bytes: usize) -> Result<Tail, Error> {
    let meta = txn.open_table(META)?;
    let purged: Option<LogId> = read_meta(&meta, META_PURGED)?;
    let mut tail = Tail::new(tail_bytes, purged);
    tail.vote = read_meta(&meta, META_VOTE)?;
    // What is purged may not have been swept yet.
    let first = purged.map_or(0, |purged| purged.index + 1);
    for row in txn.open_table(LOG)?.range(first..)? {
        let (key, row) = row?;
        let index = key.value();
        if index == EDGE {
            let what = || "the committed log id".to_owned();
            let committed: LogId = tables::decode(what, &EDGE.to_be_bytes(), row.value())?;
            tail.committed = Some(committed);
            continue;
        }
        let entry = log::decode(index, row.value())?;
        let hole = |error: Error| Error::Corrupt(format!("log entry {index}: {error}"));
        let stamp = tail.append([(entry, row.value().len())]).map_err(hole)?;
        tail.flushed(stamp);
    }
    Ok(tail)
}

fn read_meta<T: DeserializeOwned>(
    meta: &impl ReadableTable<&'static str, &'static [u8]>,
    name: &'static str,
) -> Result<Option<T>, Error> {
    let row = meta.get(name)?;
    row.map(|row| tables::decode(|| format!("the row `{name}`"), name.as_bytes(), row.value())).transpose()
}
