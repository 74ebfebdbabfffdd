//! When the home as a whole starts: when no node lives that saw it before.
//!
//! A node's life is one boot. Those that are known to have lived while the home was up are
//! witnesses. A node that starts anew is a newcomer until a witness speaks after it, for then both
//! have lived at once. When the last witness has started anew itself, or is missed, nobody was up
//! for a while: the home starts, and the newcomers are its first witnesses.

use crate::NodeId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The lives of nodes, as far as the log tells. There is one at most for each node of the log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Lives {
    witnesses: BTreeMap<NodeId, u64>,
    newcomers: BTreeMap<NodeId, u64>,
    /// The home has started, and no files were in force that could say what follows.
    pub(crate) is_untold: bool,
}

impl Lives {
    /// A node speaks in one of its lives. Returns whether the home starts.
    pub(crate) fn speak(&mut self, node: NodeId, boot: u64) -> bool {
        if self.witnesses.get(&node) == Some(&boot) {
            self.witnesses.append(&mut self.newcomers);
            return false;
        }
        self.witnesses.remove(&node);
        self.newcomers.insert(node, boot);
        self.begin_anew()
    }

    /// The leader misses a node. Returns whether the home starts.
    pub(crate) fn miss(&mut self, node: NodeId) -> bool {
        self.witnesses.remove(&node);
        self.newcomers.remove(&node);
        self.begin_anew()
    }

    fn begin_anew(&mut self) -> bool {
        let begins = self.witnesses.is_empty() && !self.newcomers.is_empty();
        if begins {
            self.witnesses = std::mem::take(&mut self.newcomers);
        }
        begins
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays `node:boot` (speaks) and `-node` (is missed) and returns after which the home starts.
    #[track_caller]
    fn check(script: &str, expected: &str) {
        let mut lives = Lives::default();
        let starts = script.split(' ').filter(|word| match word.split_once(':') {
            Some((node, boot)) => lives.speak(NodeId(node.parse().unwrap()), boot.parse().unwrap()),
            None => lives.miss(NodeId(word[1..].parse().unwrap())),
        });
        assert_eq!(starts.collect::<Vec<_>>().join(" "), expected, "{script}");
    }

    #[test]
    fn a_home_starts_when_nobody_lives_that_saw_it_before() {
        check("1:1", "1:1");
        check("1:1 1:1 1:2", "1:1 1:2");
        check("1:1 2:1 1:1 3:1 1:1", "1:1");
        // All nodes start anew.
        check("1:1 2:1 1:1 1:2 2:2 1:2 2:2", "1:1 2:2");
        // The third does not come back.
        check("1:1 2:1 3:1 1:1 1:2 2:2 -3", "1:1 -3");
    }

    #[test]
    fn nodes_that_start_anew_one_by_one_do_not_start_the_home() {
        check("1:1 2:1 3:1 1:1 -3 3:2 1:1 -2 2:2 1:1 -1 1:2 2:2 3:2", "1:1");
        // A node that was only missed for a while.
        check("1:1 2:1 1:1 -2 2:1 1:1 1:2 2:1", "1:1");
    }
}
