//! Handing a piece of the history to a node that was restored from a snapshot.

use super::History;
use super::page::{Filter, read, weight};
use super::row::{Position, Row};
use super::writer::read_progress_in;
use crate::store::Error;
use gable_rules::LogIndex;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Rows read at once while a chunk is put together.
const STEP: usize = 500;

/// Whole log entries' rows, as one node hands them to another.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Chunk {
    pub rows: Vec<Row>,
    /// The rows are all there are from what was asked for up to here; less than what was asked for
    /// if this node has nothing to give.
    pub through: LogIndex,
    /// The giver removed what is older.
    pub kept_from: LogIndex,
    /// The giver lacks what was asked for as well, up to here. When every member of the cluster
    /// says so, nobody has it any more.
    pub lacks_until: Option<LogIndex>,
}

impl History {
    /// Returns the ranges of log indices, both ends included, whose rows this node never saw,
    /// lowest first.
    pub fn gaps(&self) -> Result<Vec<(LogIndex, LogIndex)>, Error> {
        let gaps = self.shared().progress()?.gaps;
        Ok(gaps.into_iter().map(|(start, end)| (LogIndex(start), LogIndex(end))).collect())
    }

    /// Returns the rows of the entries from `from` to `until`, both included: whole entries, and no
    /// more of them once they have `bytes_max`. Only what is on the disk is given.
    pub fn rows_between(&self, from: LogIndex, until: LogIndex, bytes_max: usize) -> Result<Chunk, Error> {
        let shared = self.shared();
        shared.database.health.check()?;
        let txn = shared.database.begin_read()?;
        shared.database.guard(|| {
            let progress = read_progress_in(&txn)?;
            let gap = progress.gaps.iter().find(|(_, end)| *end >= from.0);
            let held = gap.map_or(progress.last, |(start, _)| start - 1);
            let last = until.0.min(held);
            let kept_from = LogIndex(progress.kept_from);
            let lacks_until = gap.filter(|(start, _)| *start <= from.0).map(|(_, end)| LogIndex(*end));
            if last < from.0 {
                return Ok(Chunk { rows: Vec::new(), through: LogIndex(last), kept_from, lacks_until });
            }
            let (mut rows, mut bytes): (Vec<Row>, usize) = (Vec::new(), 0);
            let mut after = Position::before(from.0);
            loop {
                let step = read(&txn, after, last + 1, STEP, Filter::Everything)?;
                let Some(newest) = step.last() else { break };
                after = newest.position;
                for row in step {
                    let is_new_entry =
                        rows.last().is_none_or(|last| last.position.log_index != row.position.log_index);
                    if is_new_entry && bytes >= bytes_max && !rows.is_empty() {
                        return Ok(Chunk {
                            through: LogIndex(row.position.log_index - 1),
                            rows,
                            kept_from,
                            lacks_until,
                        });
                    }
                    bytes += weight(&row);
                    rows.push(Arc::unwrap_or_clone(row));
                }
            }
            Ok(Chunk { rows, through: LogIndex(last), kept_from, lacks_until })
        })
    }

    /// Fills the lowest gap with what a peer gave for its beginning. When it returns, the rows are
    /// on the disk. A gap that no peer can fill is closed by a chunk without rows.
    pub fn ingest(&self, chunk: &Chunk) -> Result<(), Error> {
        self.shared().fill(&chunk.rows, chunk.through.0)
    }
}
