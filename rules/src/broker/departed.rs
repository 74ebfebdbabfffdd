//! Clients that are gone and left nothing behind, for as long as an older CONNECT of theirs may come.

use crate::NodeId;
use gable_devices::{Millis, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// How many clients are remembered. With more the first that went is forgotten.
const COUNT_MAX: usize = 10_000;

/// When the last CONNECT of a client came to its node, and to which.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LastConnect {
    pub(super) heard: Timestamp,
    pub(super) node: NodeId,
}

impl LastConnect {
    /// Whether a CONNECT that came to `node` then was overtaken by this one. One node tells in which
    /// order its clients came.
    pub(super) fn has_overtaken(self, heard: Timestamp, node: NodeId) -> bool {
        self.node != node && heard < self.heard
    }
}

/// Clients that are gone.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Departed {
    /// When each went, too.
    clients: BTreeMap<String, (Timestamp, LastConnect)>,
    /// In the order in which they went. One that came back may still be in here.
    order: VecDeque<(Timestamp, String)>,
}

impl Departed {
    pub(super) fn get(&self, client_id: &str) -> Option<LastConnect> {
        self.clients.get(client_id).map(|(_, last)| *last)
    }

    pub(super) fn insert(&mut self, client_id: &str, last: LastConnect, now: Timestamp) {
        if self.order.len() >= COUNT_MAX {
            self.forget_first();
        }
        self.clients.insert(client_id.to_owned(), (now, last));
        self.order.push_back((now, client_id.to_owned()));
    }

    /// Forgets who went longer ago than `patience`.
    pub(super) fn forget_old(&mut self, now: Timestamp, patience: Millis) {
        while self.order.front().is_some_and(|(gone, _)| now.since(*gone) > patience) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        let Some((gone, client_id)) = self.order.pop_front() else { return };
        if self.clients.get(&client_id).is_some_and(|(last_gone, _)| *last_gone == gone) {
            self.clients.remove(&client_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Millis = Millis(1_000);

    fn at(heard: i64) -> LastConnect {
        LastConnect { heard: Timestamp(heard), node: NodeId(1) }
    }

    #[test]
    fn a_client_is_remembered_for_as_long_as_its_last_departure_is_recent() {
        let mut departed = Departed::default();
        departed.insert("a", at(1), Timestamp(10));
        departed.insert("b", at(2), Timestamp(500));
        departed.insert("a", at(3), Timestamp(900));
        departed.forget_old(Timestamp(1_600), PATIENCE);
        assert_eq!((departed.get("a"), departed.get("b")), (Some(at(3)), None));
        departed.forget_old(Timestamp(1_901), PATIENCE);
        assert_eq!((departed.get("a"), departed.order.len()), (None, 0));
    }

    #[test]
    fn there_is_an_end_to_what_is_remembered() {
        let mut departed = Departed::default();
        for n in 0..=COUNT_MAX {
            departed.insert(&format!("client {n}"), at(1), Timestamp(10));
        }
        assert_eq!((departed.clients.len(), departed.get("client 0")), (COUNT_MAX, None));
    }
}
