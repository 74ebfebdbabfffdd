//! What was taken from each node, so that every input counts once and in its node's order.

use crate::{NodeId, Origin, Refusal};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The last input that was taken from each node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Seen {
    last: BTreeMap<NodeId, Last>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Last {
    boot: u64,
    sequence: u64,
}

/// What taking an input showed about its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Next,
    /// The node is new, or started again since its last input.
    FirstOfBoot,
}

impl Seen {
    /// Returns the last input that was taken from `node`.
    pub(crate) fn last(&self, node: NodeId) -> Option<Origin> {
        self.last.get(&node).map(|last| Origin { node, boot: last.boot, sequence: last.sequence })
    }

    /// Takes the input numbered `origin`, if it is the next of its node.
    ///
    /// Inputs of a boot that ended are duplicates, whatever their number: the node itself has
    /// given them up when it started anew.
    pub(crate) fn take(&mut self, origin: Origin) -> Result<Taken, Refusal> {
        let last = self.last.get(&origin.node).copied().unwrap_or_default();
        if origin.boot < last.boot {
            return Err(Refusal::Duplicate(origin));
        }
        let is_known = self.last.contains_key(&origin.node) && origin.boot == last.boot;
        let expected = if is_known { last.sequence.saturating_add(1) } else { 1 };
        if origin.sequence < expected {
            return Err(Refusal::Duplicate(origin));
        }
        if origin.sequence > expected {
            return Err(Refusal::Gap { origin, expected });
        }
        self.last.insert(origin.node, Last { boot: origin.boot, sequence: origin.sequence });
        Ok(if is_known { Taken::Next } else { Taken::FirstOfBoot })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Offers `(node, boot, sequence)` in turn and compares the answers.
    #[track_caller]
    fn check(script: &[(u64, u64, u64, &str)]) {
        let mut seen = Seen::default();
        for &(node, boot, sequence, expected) in script {
            let origin = Origin { node: NodeId(node), boot, sequence };
            let answer = match seen.take(origin) {
                Ok(Taken::Next) => "next".to_owned(),
                Ok(Taken::FirstOfBoot) => "first".to_owned(),
                Err(Refusal::Duplicate(_)) => "duplicate".to_owned(),
                Err(Refusal::Gap { expected, .. }) => format!("gap {expected}"),
                Err(other) => format!("{other:?}"),
            };
            assert_eq!(answer, expected, "{origin:?}");
        }
    }

    #[test]
    fn each_number_counts_once_and_in_order() {
        check(&[
            (1, 7, 1, "first"),
            (1, 7, 2, "next"),
            (1, 7, 2, "duplicate"),
            (1, 7, 4, "gap 3"),
            (1, 7, 3, "next"),
            (1, 7, 4, "next"),
            (2, 1, 2, "gap 1"),
            (2, 1, 0, "duplicate"),
            (2, 1, 1, "first"),
        ]);
    }

    #[test]
    fn a_new_boot_starts_at_one_and_ends_the_old_one() {
        check(&[
            (1, 0, 1, "first"),
            (1, 0, 2, "next"),
            (1, 3, 2, "gap 1"),
            (1, 0, 3, "next"),
            (1, 3, 1, "first"),
            (1, 0, 4, "duplicate"),
            (1, 3, 1, "duplicate"),
            (1, 3, 2, "next"),
        ]);
    }

    #[test]
    fn the_last_number_does_not_overflow() {
        let mut seen = Seen::default();
        seen.last.insert(NodeId(1), Last { boot: 1, sequence: u64::MAX });
        let origin = Origin { node: NodeId(1), boot: 1, sequence: u64::MAX };
        assert_eq!(seen.take(origin), Ok(Taken::Next));
    }
}
