//! The filters that someone needs, and the fewest that serve them all; kept up to date filter by
//! filter, since a home may have thousands and gain one at a time.

use super::{Index, covers};
use std::collections::{BTreeMap, BTreeSet};

/// Topic filters, each with how often it is needed.
#[derive(Clone, Debug, Default)]
pub struct FilterSet {
    counts: BTreeMap<String, u32>,
    /// Those with wildcards, which are few.
    wild: BTreeSet<String>,
    wild_index: Index<()>,
    minimal: BTreeSet<String>,
    changes: u64,
}

impl FilterSet {
    /// Adds a filter, or one more need for it.
    pub fn add(&mut self, filter: &str) {
        if let Some(count) = self.counts.get_mut(filter) {
            *count = count.saturating_add(1);
            return;
        }
        self.counts.insert(filter.to_owned(), 1);
        if !is_wild(filter) {
            if self.wild_index.matches(filter).is_empty() {
                self.keep(filter);
            }
            return;
        }
        let is_covered = self.wild.iter().any(|wide| covers(wide, filter));
        self.wild.insert(filter.to_owned());
        self.wild_index.insert(filter, ());
        if !is_covered {
            self.minimal.retain(|narrow| !covers(filter, narrow));
            self.keep(filter);
        }
    }

    /// Takes one need for a filter away.
    pub fn remove(&mut self, filter: &str) {
        let Some(count) = self.counts.get_mut(filter) else { return };
        *count -= 1;
        if *count > 0 {
            return;
        }
        self.counts.remove(filter);
        if self.wild.remove(filter) {
            self.wild_index.remove(filter, ());
        }
        if !self.minimal.remove(filter) {
            return;
        }
        self.changes += 1;
        if is_wild(filter) {
            // What it stood for has to stand for itself, unless another one covers it.
            let freed: Vec<String> =
                self.counts.keys().filter(|narrow| covers(filter, narrow)).cloned().collect();
            for narrow in freed {
                let is_covered = self.wild.iter().any(|wide| *wide != narrow && covers(wide, &narrow));
                if !is_covered {
                    self.keep(&narrow);
                }
            }
        }
    }

    /// The fewest filters that serve them all: none covers another, so that no broker has a reason to
    /// send a message twice.
    pub fn minimal(&self) -> &BTreeSet<String> {
        &self.minimal
    }

    /// Grows whenever [`FilterSet::minimal`] changes.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Makes [`FilterSet::changes`] count on from a set that this one replaces.
    pub fn outdate(&mut self, before: &FilterSet) {
        self.changes += before.changes + 1;
    }

    fn keep(&mut self, filter: &str) {
        self.minimal.insert(filter.to_owned());
        self.changes += 1;
    }
}

fn is_wild(filter: &str) -> bool {
    filter.contains(['+', '#'])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds (`+`) and removes (`-`) filters, and compares what is left, also with a set that was made
    /// of them at once.
    #[track_caller]
    fn check(steps: &[&str], expected: &[&str]) {
        let mut filters = FilterSet::default();
        let mut needed: Vec<&str> = Vec::new();
        for step in steps {
            let (sign, filter) = step.split_at(1);
            if sign == "+" {
                filters.add(filter);
                needed.push(filter);
            } else {
                filters.remove(filter);
                needed.iter().position(|it| *it == filter).map(|place| needed.remove(place));
            }
        }
        assert_eq!(filters.minimal().iter().map(String::as_str).collect::<Vec<_>>(), expected);
        let mut at_once = FilterSet::default();
        needed.iter().rev().for_each(|filter| at_once.add(filter));
        assert_eq!(at_once.minimal(), filters.minimal());
    }

    #[test]
    fn what_another_covers_is_left_out() {
        check(
            &["+a/b", "+a/+", "+a/+/c", "+a/x/c", "+d", "+$SYS/x", "++/+/c"],
            &["$SYS/x", "+/+/c", "a/+", "d"],
        );
        check(&["+a/b", "+a/#", "+a/+"], &["a/#"]);
        check(&["+a/+", "+a/#", "-a/#"], &["a/+"]);
    }

    #[test]
    fn what_was_covered_comes_back() {
        check(&["+a/b", "+a/c", "+a/+", "-a/+"], &["a/b", "a/c"]);
        check(&["+a/b", "+a/+", "+a/#", "-a/+", "-a/#"], &["a/b"]);
        check(&["+a/b", "+a/b", "-a/b"], &["a/b"]);
        check(&["+a/b", "+a/b", "-a/b", "-a/b"], &[]);
        check(&["+a/b", "+a/+", "-a/b", "-a/+"], &[]);
        check(&["-x", "+x", "-y"], &["x"]);
        check(&["+a/+", "+a/+", "-a/+", "+a/b"], &["a/+"]);
    }

    #[test]
    fn a_change_that_changes_nothing_is_not_counted() {
        let mut filters = FilterSet::default();
        filters.add("a/#");
        let changes = filters.changes();
        for filter in ["a/b", "a/#"] {
            filters.add(filter);
        }
        filters.remove("a/b");
        filters.remove("a/#");
        assert_eq!(filters.changes(), changes);
        filters.remove("a/#");
        assert!(filters.changes() > changes);
    }
}
