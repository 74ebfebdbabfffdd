//! Reading the history in pages, oldest first.

use super::History;
use super::row::{Kind, Position, Row};
use super::writer::{MESSAGES, OTHERS, read_progress_in};
use crate::store::Error;
use redb::{ReadTransaction, TableDefinition};
use std::iter::Peekable;
use std::sync::Arc;

/// Which rows a page holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Filter {
    Messages,
    Everything,
}

/// Some consecutive rows of the history.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    pub rows: Vec<Arc<Row>>,
    /// Where the next page begins: the last row's position, or what was asked for if there is none.
    pub next: Position,
    /// Rows follow that this node has yet to fetch from a peer. It shows none of them before, so
    /// that what it shows is always the beginning of what every node shows.
    pub stops_at_gap: bool,
}

impl History {
    /// Returns the oldest `limit` rows after `after`, those that still wait for the disk included.
    pub fn page(&self, after: Position, limit: usize, filter: Filter) -> Result<Page, Error> {
        let shared = self.shared();
        shared.database.health.check()?;
        let (txn, waiting) = {
            let pending = shared.pending();
            // Taken under the lock, so that no row is neither here nor there.
            let txn = shared.database.begin_read()?;
            let waiting: Vec<Arc<Row>> = pending
                .entries
                .iter()
                .flat_map(|entry| &entry.rows)
                .filter(|row| row.position > after && (filter == Filter::Everything || row.is_message()))
                .take(limit)
                .cloned()
                .collect();
            (txn, waiting)
        };
        shared.database.guard(|| {
            let progress = read_progress_in(&txn)?;
            let gap = progress.gaps.iter().find(|(_, end)| *end > after.log_index);
            let end = gap.map_or(u64::MAX, |(start, _)| *start);
            let mut rows = read(&txn, after, end, limit, filter)?;
            if gap.is_none() {
                // A commit may have come between: what it wrote is in both.
                let rest = limit - rows.len();
                let fresh = waiting.into_iter().filter(|row| row.position.log_index > progress.last);
                rows.extend(fresh.take(rest));
            }
            let next = rows.last().map_or(after, |row| row.position);
            let stops_at_gap = gap.is_some() && rows.len() < limit;
            Ok(Page { rows, next, stops_at_gap })
        })
    }
}

/// Reads rows after `after` and before log entry `end` from the database.
pub(super) fn read(
    txn: &ReadTransaction,
    after: Position,
    end: u64,
    limit: usize,
    filter: Filter,
) -> Result<Vec<Arc<Row>>, Error> {
    let mut messages = rows(txn, MESSAGES, after, end)?.peekable();
    if filter == Filter::Messages {
        return messages.take(limit).collect();
    }
    let mut others = rows(txn, OTHERS, after, end)?.peekable();
    std::iter::from_fn(|| next_of(&mut messages, &mut others)).take(limit).collect()
}

/// Returns the earlier of the two next rows; a bad row comes first, so that nobody reads past it.
fn next_of(
    left: &mut Peekable<impl Iterator<Item = Result<Arc<Row>, Error>>>,
    right: &mut Peekable<impl Iterator<Item = Result<Arc<Row>, Error>>>,
) -> Option<Result<Arc<Row>, Error>> {
    let take_left = match (left.peek(), right.peek()) {
        (None, _) => false,
        (_, None) | (Some(Err(_)), _) => true,
        (_, Some(Err(_))) => false,
        (Some(Ok(left)), Some(Ok(right))) => left.position < right.position,
    };
    if take_left { left.next() } else { right.next() }
}

fn rows(
    txn: &ReadTransaction,
    table: TableDefinition<(u64, u32), &'static [u8]>,
    after: Position,
    end: u64,
) -> Result<impl Iterator<Item = Result<Arc<Row>, Error>>, Error> {
    use std::ops::Bound::{Excluded, Included};
    // Nothing lies before the start, not even a row that would be the very first.
    let start = if after == Position::START { Included(after.key()) } else { Excluded(after.key()) };
    // An empty range whose ends are the wrong way round is an error to redb.
    let end = Excluded((end, 0).max(after.key().saturating_next()));
    let range = txn.open_table(table)?.range((start, end))?;
    Ok(range.map(|row| {
        let (key, row) = row?;
        Ok(Arc::new(Row::decode(Position::from_key(key.value()), row.value())?))
    }))
}

/// Returns about how many bytes a row takes in memory.
pub(super) fn weight(row: &Row) -> usize {
    let content = match &row.kind {
        Kind::Message(message) => message.topic.len() + message.payload.len(),
        Kind::Effect(_) | Kind::Input(_) => 64,
    };
    content + size_of::<Row>()
}

trait SaturatingNext {
    fn saturating_next(self) -> Self;
}

impl SaturatingNext for (u64, u32) {
    fn saturating_next(self) -> (u64, u32) {
        if self.1 == u32::MAX { (self.0.saturating_add(1), 0) } else { (self.0, self.1 + 1) }
    }
}
