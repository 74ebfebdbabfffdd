//! A bounded cache with a choice of policies and with counters.
//!
//! It changes speed only: whoever uses it must get the same answer with any policy and capacity.
//! It is never part of a snapshot.

use lru::LruCache;
use std::borrow::Borrow;
use std::collections::{BTreeMap, VecDeque};
use std::hash::Hash;
use std::num::NonZeroUsize;
use std::str::FromStr;

/// What a full cache gives up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// The entry that was used least recently.
    #[default]
    Lru,
    /// The entry that has been there longest.
    Fifo,
    /// Nothing is kept at all.
    Off,
}

/// Why a text is not a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a cache policy: expected `lru`, `fifo` or `off`")]
pub struct PolicyError(String);

impl FromStr for Policy {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Policy, PolicyError> {
        match text {
            "lru" => Ok(Policy::Lru),
            "fifo" => Ok(Policy::Fifo),
            "off" => Ok(Policy::Off),
            _ => Err(PolicyError(text.to_owned())),
        }
    }
}

/// How a cache did since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub hits: u64,
    pub misses: u64,
    pub evictions: u64,
    /// How many entries it holds now.
    pub entries: usize,
}

/// A bounded map from `K` to `V` that may forget.
#[derive(Debug)]
pub struct Cache<K: Hash + Eq + Ord, V> {
    store: Store<K, V>,
    hits: u64,
    misses: u64,
    evictions: u64,
}

#[derive(Debug)]
enum Store<K: Hash + Eq + Ord, V> {
    Lru(LruCache<K, V>),
    /// The queue holds each key of the map once, oldest first.
    Fifo {
        map: BTreeMap<K, V>,
        queue: VecDeque<K>,
        capacity: usize,
    },
    Off,
}

impl<K: Hash + Eq + Ord + Clone, V> Cache<K, V> {
    /// An empty cache of at most `capacity` entries; a capacity of 0 turns it off.
    pub fn new(policy: Policy, capacity: usize) -> Cache<K, V> {
        let store = match (policy, NonZeroUsize::new(capacity)) {
            (Policy::Off, _) | (_, None) => Store::Off,
            (Policy::Lru, Some(capacity)) => Store::Lru(LruCache::sparse(capacity)),
            (Policy::Fifo, Some(_)) => Store::Fifo { map: BTreeMap::new(), queue: VecDeque::new(), capacity },
        };
        Cache { store, hits: 0, misses: 0, evictions: 0 }
    }

    /// Returns the entry of `key` and counts a hit or a miss.
    pub fn get<Q>(&mut self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + Ord + ?Sized,
    {
        let found = match &mut self.store {
            Store::Lru(lru) => lru.get(key),
            Store::Fifo { map, .. } => map.get(key),
            Store::Off => None,
        };
        match found {
            Some(_) => self.hits += 1,
            None => self.misses += 1,
        }
        found
    }

    /// Keeps an entry, in place of an older one of the same key.
    pub fn put(&mut self, key: K, value: V) {
        match &mut self.store {
            Store::Lru(lru) => {
                if lru.push(key.clone(), value).is_some_and(|(old, _)| old != key) {
                    self.evictions += 1;
                }
            }
            Store::Fifo { map, queue, capacity } => {
                if map.insert(key.clone(), value).is_some() {
                    return;
                }
                queue.push_back(key);
                if queue.len() > *capacity && queue.pop_front().is_some_and(|old| map.remove(&old).is_some())
                {
                    self.evictions += 1;
                }
            }
            Store::Off => {}
        }
    }

    /// Forgets the entry of `key`, because what it says may have changed.
    pub fn remove<Q>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + Ord + ?Sized,
    {
        match &mut self.store {
            Store::Lru(lru) => {
                lru.pop(key);
            }
            Store::Fifo { map, queue, .. } => {
                if map.remove(key).is_some() {
                    queue.retain(|kept| kept.borrow() != key);
                }
            }
            Store::Off => {}
        }
    }

    /// Forgets all entries; the counters go on.
    pub fn clear(&mut self) {
        match &mut self.store {
            Store::Lru(lru) => lru.clear(),
            Store::Fifo { map, queue, .. } => {
                map.clear();
                queue.clear();
            }
            Store::Off => {}
        }
    }

    /// Returns the counters.
    pub fn counters(&self) -> Counters {
        let entries = match &self.store {
            Store::Lru(lru) => lru.len(),
            Store::Fifo { map, .. } => map.len(),
            Store::Off => 0,
        };
        Counters { hits: self.hits, misses: self.misses, evictions: self.evictions, entries }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays a script of `+key` (put) and `?key` (get) and compares the keys that were found.
    #[track_caller]
    fn check(
        policy: Policy,
        capacity: usize,
        script: &str,
        expected: &str,
        counters: (u64, u64, u64, usize),
    ) {
        let mut cache: Cache<String, ()> = Cache::new(policy, capacity);
        let mut found = String::new();
        for word in script.split_whitespace() {
            match word.split_at(1) {
                ("+", key) => cache.put(key.to_owned(), ()),
                ("-", key) => cache.remove(key),
                (_, key) => found.push_str(if cache.get(key).is_some() { key } else { "." }),
            }
        }
        assert_eq!(found, expected);
        let (hits, misses, evictions, entries) = counters;
        assert_eq!(cache.counters(), Counters { hits, misses, evictions, entries });
    }

    #[test]
    fn lru_gives_up_what_was_used_least_recently() {
        check(Policy::Lru, 2, "+a +b ?a +c ?a ?b ?c", "aa.c", (3, 1, 1, 2));
    }

    #[test]
    fn fifo_gives_up_what_came_first() {
        check(Policy::Fifo, 2, "+a +b ?a +c ?a ?b ?c", "a.bc", (3, 1, 1, 2));
        check(Policy::Fifo, 2, "+a +b +a +c ?a ?b", ".b", (1, 1, 1, 2));
        check(Policy::Fifo, 2, "+a +b -a +c ?b ?c", "bc", (2, 0, 0, 2));
    }

    #[test]
    fn off_keeps_nothing() {
        check(Policy::Off, 10, "+a ?a", ".", (0, 1, 0, 0));
        check(Policy::Lru, 0, "+a ?a", ".", (0, 1, 0, 0));
    }

    #[test]
    fn one_entry_is_enough_and_a_repeat_is_no_eviction() {
        check(Policy::Lru, 1, "+a +a ?a +b ?a ?b", "a.b", (2, 1, 1, 1));
        check(Policy::Fifo, 1, "+a +a ?a +b ?a ?b", "a.b", (2, 1, 1, 1));
    }

    #[test]
    fn policies_have_names() {
        assert_eq!("fifo".parse(), Ok(Policy::Fifo));
        assert_eq!("LRU".parse::<Policy>(), Err(PolicyError("LRU".into())));
    }
}
