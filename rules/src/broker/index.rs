//! From a topic to the subscriptions that match it.

use gable_devices::topic::Index;
use std::collections::BTreeMap;

/// Subscriptions by topic filter; each is named by its holder and its filter.
#[derive(Clone, Debug, Default)]
pub struct SubscriptionIndex<K> {
    index: Index<u32>,
    numbers: BTreeMap<(K, String), u32>,
    subscriptions: BTreeMap<u32, (K, String)>,
    next: u32,
}

impl<K: Clone + Ord> SubscriptionIndex<K> {
    /// Adds a subscription; one that is there stays.
    pub fn insert(&mut self, holder: K, filter: &str) {
        let key = (holder, filter.to_owned());
        if self.numbers.contains_key(&key) {
            return;
        }
        while self.subscriptions.contains_key(&self.next) {
            self.next = self.next.wrapping_add(1);
        }
        self.index.insert(filter, self.next);
        self.subscriptions.insert(self.next, key.clone());
        self.numbers.insert(key, self.next);
        self.next = self.next.wrapping_add(1);
    }

    /// Takes a subscription away.
    pub fn remove(&mut self, holder: K, filter: &str) {
        let key = (holder, filter.to_owned());
        if let Some(number) = self.numbers.remove(&key) {
            self.subscriptions.remove(&number);
            self.index.remove(filter, number);
        }
    }

    /// Returns the filters that match a topic, by their holders.
    pub fn matches(&self, topic: &str) -> BTreeMap<&K, Vec<&str>> {
        let mut found: BTreeMap<&K, Vec<&str>> = BTreeMap::new();
        for number in self.index.matches(topic) {
            if let Some((holder, filter)) = self.subscriptions.get(&number) {
                found.entry(holder).or_default().push(filter);
            }
        }
        // Numbers depend on history, which a snapshot does not tell.
        found.values_mut().for_each(|filters| filters.sort_unstable());
        found
    }
}
