//! What this node subscribes at its broker, and whether the broker has granted it.

use super::filters;
use std::collections::{BTreeSet, VecDeque};

/// How many filters one SUBSCRIBE carries: small enough for any broker's packet limit.
const FILTERS_PER_PACKET: usize = 32;

/// The filters that the home needs, and the subscriptions that serve them.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    wanted: BTreeSet<String>,
    made: BTreeSet<String>,
    /// What was asked for and not answered, one packet each, in order.
    asked: VecDeque<Vec<String>>,
}

/// What has to be sent so that the broker knows the new subscriptions.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// One SUBSCRIBE each. They go first: hearing a message twice is better than missing it.
    pub(super) subscribe: Vec<Vec<String>>,
    pub(super) unsubscribe: Vec<String>,
}

impl Subscriptions {
    /// Replaces what is wanted, and returns what changes at the broker.
    pub(super) fn want(&mut self, wanted: BTreeSet<String>) -> Change {
        let made = filters::disjoint(wanted.iter().map(String::as_str));
        let added = made.difference(&self.made).cloned().collect();
        let change = Change {
            subscribe: self.ask(added),
            unsubscribe: self.made.difference(&made).cloned().collect(),
        };
        (self.wanted, self.made) = (wanted, made);
        change
    }

    /// Returns all subscriptions, for a new connection.
    pub(super) fn connected(&mut self) -> Vec<Vec<String>> {
        self.asked.clear();
        self.ask(self.made.iter().cloned().collect())
    }

    /// Takes the broker's answer to the oldest open SUBSCRIBE, and returns the filters it refused.
    pub(super) fn answered(&mut self, granted: impl IntoIterator<Item = bool>) -> Vec<String> {
        let filters = self.asked.pop_front().unwrap_or_default();
        filters.into_iter().zip(granted).filter(|(_, granted)| !granted).map(|(filter, _)| filter).collect()
    }

    /// Whether the broker has answered everything that was asked.
    pub(super) fn is_settled(&self) -> bool {
        self.asked.is_empty()
    }

    /// Whether the home needs messages of this topic.
    pub(super) fn is_wanted(&self, topic: &str) -> bool {
        // A filter without wildcards, which is what most homes have, is found at once.
        self.wanted.contains(topic) || self.wanted.iter().any(|filter| filters::matches(filter, topic))
    }

    fn ask(&mut self, filters: Vec<String>) -> Vec<Vec<String>> {
        let packets: Vec<Vec<String>> = filters.chunks(FILTERS_PER_PACKET).map(<[String]>::to_vec).collect();
        self.asked.extend(packets.iter().cloned());
        packets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(filters: &[&str]) -> BTreeSet<String> {
        filters.iter().map(|filter| filter.to_string()).collect()
    }

    #[track_caller]
    fn check(change: Change, subscribe: &[&str], unsubscribe: &[&str]) {
        assert_eq!(
            (change.subscribe.concat(), change.unsubscribe),
            (set(subscribe).into_iter().collect(), set(unsubscribe).into_iter().collect())
        );
    }

    #[test]
    fn only_the_difference_is_sent() {
        let mut subscriptions = Subscriptions::default();
        check(subscriptions.want(set(&["a", "b/+"])), &["a", "b/+"], &[]);
        check(subscriptions.want(set(&["a", "b/+"])), &[], &[]);
        check(subscriptions.want(set(&["a", "b/c"])), &["b/c"], &["b/+"]);
        check(subscriptions.want(set(&["a", "b/c", "b/#"])), &["b/#"], &["b/c"]);
        assert!(subscriptions.is_wanted("b/x") && !subscriptions.is_wanted("c"));
        check(subscriptions.want(set(&[])), &[], &["a", "b/#"]);
    }

    #[test]
    fn what_a_wider_filter_hears_beyond_the_wanted_ones_is_not_wanted() {
        let mut subscriptions = Subscriptions::default();
        check(subscriptions.want(set(&["a/+/c", "a/b/#"])), &["a/+/#"], &[]);
        assert!(subscriptions.is_wanted("a/b/x") && !subscriptions.is_wanted("a/x/x"));
    }

    #[test]
    fn answers_belong_to_their_questions() {
        let mut subscriptions = Subscriptions::default();
        let many: BTreeSet<String> = (0..40).map(|n| format!("t/{n:02}")).collect();
        assert_eq!(subscriptions.want(many).subscribe.len(), 2);
        assert_eq!(subscriptions.answered(vec![true; 32]), Vec::<String>::new());
        assert!(!subscriptions.is_settled());
        assert_eq!(subscriptions.connected().len(), 2, "a new connection asks anew");
        let one_refused = (0..32).map(|n| n != 3);
        assert_eq!(subscriptions.answered(one_refused), ["t/03"]);
        assert_eq!(subscriptions.answered(vec![true; 8]), Vec::<String>::new());
        assert!(subscriptions.is_settled());
    }
}
