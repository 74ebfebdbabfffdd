//! The read cache in front of history pages and state queries.
//!
//! It changes speed only. A page is kept when it is full, for then its rows are the same for ever,
//! until they are removed for their age; a query's answer is kept for the log index at which it was
//! given.

use super::Error;
use super::history::{Filter, History, Page, Position};
use gable_rules::{Cache, Counters, LogIndex, Policy};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

type PageKey = (Position, usize, Filter);
type AnswerKey = (String, LogIndex);

/// Keeps what was read lately. Pages and answers each have the whole capacity.
pub struct ReadCache {
    history: History,
    pages: Mutex<Cache<PageKey, Arc<Page>>>,
    answers: Mutex<Cache<AnswerKey, Arc<[u8]>>>,
}

impl ReadCache {
    /// A cache of at most `capacity` pages of `history` and as many answers.
    pub fn new(history: History, policy: Policy, capacity: usize) -> ReadCache {
        ReadCache {
            history,
            pages: Mutex::new(Cache::new(policy, capacity)),
            answers: Mutex::new(Cache::new(policy, capacity)),
        }
    }

    /// Returns what [`History::page`] returns.
    pub fn page(&self, after: Position, limit: usize, filter: Filter) -> Result<Arc<Page>, Error> {
        let key = (after, limit, filter);
        let kept = lock(&self.pages).get(&key).cloned();
        let kept_from = self.history.kept_from();
        if let Some(page) = kept.filter(|page| is_kept(page, kept_from)) {
            return Ok(page);
        }
        let page = Arc::new(self.history.page(after, limit, filter)?);
        if page.rows.len() == limit {
            lock(&self.pages).put(key, page.clone());
        }
        Ok(page)
    }

    /// Returns the answer to `query` at log index `applied`, made by `make` unless it is known.
    pub fn answer(&self, query: &str, applied: LogIndex, make: impl FnOnce() -> Vec<u8>) -> Arc<[u8]> {
        let key = (query.to_owned(), applied);
        if let Some(answer) = lock(&self.answers).get(&key).cloned() {
            return answer;
        }
        let answer: Arc<[u8]> = make().into();
        lock(&self.answers).put(key, answer.clone());
        answer
    }

    /// Returns how the pages and the answers did.
    pub fn counters(&self) -> (Counters, Counters) {
        (lock(&self.pages).counters(), lock(&self.answers).counters())
    }
}

fn is_kept(page: &Page, kept_from: LogIndex) -> bool {
    page.rows.first().is_some_and(|row| row.position.log_index >= kept_from.0)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The cache holds copies: whatever a panic left there is at worst missing.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
