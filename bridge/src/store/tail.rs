//! What the log's readers see: its bounds, and its newest entries in memory.
//!
//! An entry is here from the moment `append` takes it, long before it is on the disk, and stays at
//! least until it is. So a reader never misses an entry that waits in the writer's queue, and the
//! database is asked only for entries that it has.

use super::Error;
use crate::raft::types::{Entry, LogId, Vote};
use std::collections::VecDeque;
use std::ops::Range;

/// The in-memory side of the log.
pub(crate) struct Tail {
    pub(crate) vote: Option<Vote>,
    pub(crate) committed: Option<LogId>,
    purged: Option<LogId>,
    /// First index and last id of what the log contains; none if it contains nothing.
    bounds: Option<(u64, LogId)>,
    /// The newest entries without a hole; the last of them is the log's last.
    entries: VecDeque<Held>,
    bytes: usize,
    bytes_max: usize,
    /// Appends so far.
    stamp: u64,
    /// Appends that are on the disk.
    flushed: u64,
}

struct Held {
    entry: Entry,
    bytes: usize,
    stamp: u64,
}

/// What a read has to fetch where.
pub(crate) struct Plan {
    /// To be read from the database.
    pub(crate) cold: Range<u64>,
    /// From memory, with their sizes; they follow `cold` without a hole.
    pub(crate) hot: Vec<(Entry, usize)>,
}

impl Tail {
    pub(crate) fn new(bytes_max: usize, purged: Option<LogId>) -> Tail {
        Tail {
            vote: None,
            committed: None,
            purged,
            bounds: None,
            entries: VecDeque::new(),
            bytes: 0,
            bytes_max,
            stamp: 0,
            flushed: 0,
        }
    }

    pub(crate) fn purged(&self) -> Option<LogId> {
        self.purged
    }

    /// Returns the last entry's id, or where the log was purged to if it has none.
    pub(crate) fn last(&self) -> Option<LogId> {
        self.bounds.map(|(_, last)| last).or(self.purged)
    }

    /// Takes in entries with their sizes on the disk and returns the stamp under which the writer
    /// reports them. A hole is refused: Raft looks at the last id only and would trust it.
    pub(crate) fn append(&mut self, entries: impl IntoIterator<Item = (Entry, usize)>) -> Result<u64, Error> {
        self.stamp += 1;
        for (entry, bytes) in entries {
            let log_id = entry.log_id;
            let next = self.last().map(|last| last.index + 1);
            if next.is_some_and(|next| next != log_id.index) {
                return Err(Error::Misused(format!("entry {log_id} does not follow {:?}", self.last())));
            }
            let first = self.bounds.map_or(log_id.index, |(first, _)| first);
            self.bounds = Some((first, log_id));
            self.bytes += bytes;
            self.entries.push_back(Held { entry, bytes, stamp: self.stamp });
        }
        Ok(self.stamp)
    }

    /// Learns that all appends up to `stamp` are on the disk.
    pub(crate) fn flushed(&mut self, stamp: u64) {
        self.flushed = self.flushed.max(stamp);
        self.evict();
    }

    /// Forgets all entries after `after`.
    pub(crate) fn truncate(&mut self, after: Option<LogId>) {
        let keep = |index: u64| after.is_some_and(|after| index <= after.index);
        while self.entries.back().is_some_and(|held| !keep(held.entry.log_id.index)) {
            self.bytes -= self.entries.pop_back().map_or(0, |held| held.bytes);
        }
        self.bounds = match (self.bounds, after) {
            (Some((first, last)), Some(after)) if after.index >= first => {
                Some((first, if after.index < last.index { after } else { last }))
            }
            _ => None,
        };
    }

    /// Forgets all entries up to and with `upto`.
    pub(crate) fn purge(&mut self, upto: LogId) {
        if self.purged.is_none_or(|purged| purged.index < upto.index) {
            self.purged = Some(upto);
        }
        while self.entries.front().is_some_and(|held| held.entry.log_id.index <= upto.index) {
            self.bytes -= self.entries.pop_front().map_or(0, |held| held.bytes);
        }
        self.bounds = self
            .bounds
            .filter(|(_, last)| last.index > upto.index)
            .map(|(first, last)| (first.max(upto.index + 1), last));
    }

    /// Splits a read of `range` into what memory holds, up to `bytes_max`, and what it does not.
    pub(crate) fn plan(&self, range: Range<u64>, bytes_max: usize) -> Plan {
        let Some((first, last)) = self.bounds else {
            return Plan { cold: 0..0, hot: Vec::new() };
        };
        let (start, end) = (range.start.max(first), range.end.min(last.index.saturating_add(1)));
        if start >= end {
            return Plan { cold: 0..0, hot: Vec::new() };
        }
        let in_memory = self.entries.front().map_or(last.index + 1, |held| held.entry.log_id.index);
        let hot_start = start.max(in_memory).min(end);
        let mut bytes = 0;
        let skip = usize::try_from(hot_start.saturating_sub(in_memory)).unwrap_or(usize::MAX);
        let take = usize::try_from(end - hot_start).unwrap_or(usize::MAX);
        let hot = self
            .entries
            .iter()
            .skip(skip)
            .take(take)
            .take_while(|held| {
                let fits = bytes == 0 || bytes + held.bytes <= bytes_max;
                bytes += held.bytes;
                fits
            })
            .map(|held| (held.entry.clone(), held.bytes))
            .collect();
        Plan { cold: start..hot_start, hot }
    }

    /// Drops the oldest entries while there are too many bytes, but none that is not on the disk.
    fn evict(&mut self) {
        while self.bytes > self.bytes_max
            && self.entries.front().is_some_and(|held| held.stamp <= self.flushed)
        {
            self.bytes -= self.entries.pop_front().map_or(0, |held| held.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use openraft::EntryPayload;
    use openraft::vote::RaftLeaderId;

    fn log_id(index: u64) -> LogId {
        type Leader = openraft::alias::LeaderIdOf<crate::raft::types::TypeConfig>;
        LogId::new(Leader::new(1, 1).to_committed(), index)
    }

    fn entry(index: u64) -> (Entry, usize) {
        (Entry { log_id: log_id(index), payload: EntryPayload::Blank }, 10)
    }

    /// Runs `script` (one `a`ppend, `t`runcate, `p`urge, `f`lush with its index a word) on a tail of
    /// 30 bytes with entries of 10, and compares what a read of everything would fetch.
    #[track_caller]
    fn check(script: &str, expected: &str) {
        let mut tail = Tail::new(30, None);
        for word in script.split_whitespace() {
            let (verb, index) = word.split_at(1);
            let index: u64 = index.parse().unwrap();
            match verb {
                "a" => drop(tail.append([entry(index)]).unwrap()),
                "t" => tail.truncate(Some(log_id(index))),
                "p" => tail.purge(log_id(index)),
                "f" => tail.flushed(index),
                _ => panic!("unknown verb {verb}"),
            }
        }
        let plan = tail.plan(0..u64::MAX, usize::MAX);
        let hot: Vec<u64> = plan.hot.iter().map(|(entry, _)| entry.log_id.index).collect();
        assert_eq!(format!("{:?} {hot:?}", plan.cold), expected, "{script}");
    }

    #[test]
    fn entries_stay_in_memory_until_they_are_on_the_disk() {
        check("a1 a2 a3 a4 a5", "1..1 [1, 2, 3, 4, 5]");
        check("a1 a2 a3 a4 a5 f2", "1..3 [3, 4, 5]");
        check("a1 a2 a3 a4 a5 f5", "1..3 [3, 4, 5]");
    }

    #[test]
    fn a_truncated_entry_is_gone_even_while_the_disk_still_has_it() {
        check("a1 a2 a3 f3 t1", "1..1 [1]");
        check("a1 a2 a3 a4 a5 f5 t1", "1..2 []");
        check("a1 a2 a3 a4 a5 f5 t1 a2", "1..2 [2]");
    }

    #[test]
    fn a_purge_moves_the_start() {
        check("a1 a2 a3 p2", "3..3 [3]");
        check("a1 a2 a3 p9", "0..0 []");
        check("a1 a2 a3 p9 a10", "10..10 [10]");
    }

    #[test]
    fn a_hole_is_refused() {
        let mut tail = Tail::new(30, None);
        tail.append([entry(1)]).unwrap();
        assert!(matches!(tail.append([entry(3)]), Err(Error::Misused(_))));
    }

    #[test]
    fn a_capped_read_returns_at_least_one() {
        let mut tail = Tail::new(30, None);
        tail.append([entry(1), entry(2), entry(3)]).unwrap();
        assert_eq!(tail.plan(1..4, 1).hot.len(), 1);
        assert_eq!(tail.plan(1..4, 20).hot.len(), 2);
    }
}
