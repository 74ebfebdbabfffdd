//! The messages that wait in sessions: each is kept once, however many wait for it.

use crate::Id;
use crate::broker::Publication;
use crate::broker::retained::expires_at;
use gable_devices::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A message that is kept for sessions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) publication: Arc<Publication>,
    pub(crate) at: Timestamp,
    /// In how many queues it stands.
    uses: u32,
}

/// The messages by the ids under which queues know them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Messages {
    by_id: BTreeMap<Id, Kept>,
    bytes: u64,
}

impl Kept {
    pub(crate) fn expires_at(&self) -> Option<Timestamp> {
        expires_at(&self.publication, self.at)
    }
}

impl Messages {
    pub(crate) fn get(&self, id: Id) -> Option<&Kept> {
        self.by_id.get(&id)
    }

    /// Notes that one more queue holds a message.
    pub(crate) fn hold(&mut self, id: Id, publication: &Arc<Publication>, at: Timestamp) {
        let bytes = &mut self.bytes;
        let kept = self.by_id.entry(id).or_insert_with(|| {
            *bytes += publication.bytes() as u64;
            Kept { publication: publication.clone(), at, uses: 0 }
        });
        kept.uses += 1;
    }

    /// Notes that a queue holds a message no more.
    pub(crate) fn release(&mut self, id: Id) {
        let Some(kept) = self.by_id.get_mut(&id) else { return };
        kept.uses = kept.uses.saturating_sub(1);
        if kept.uses == 0 {
            self.bytes = self.bytes.saturating_sub(kept.publication.bytes() as u64);
            self.by_id.remove(&id);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// In how many queues each stands; its bytes have to add up.
    #[cfg(test)]
    pub(super) fn uses(&self) -> BTreeMap<Id, u32> {
        let bytes = self.by_id.values().map(|kept| kept.publication.bytes() as u64).sum::<u64>();
        assert_eq!(bytes, self.bytes);
        self.by_id.iter().map(|(id, kept)| (*id, kept.uses)).collect()
    }

    /// The ids of those that are of no more use, and when the next one will be.
    pub(crate) fn expired(&self, now: Timestamp) -> (Vec<Id>, Option<Timestamp>) {
        let is_over = |kept: &Kept| kept.expires_at().is_some_and(|at| at <= now);
        let over = self.by_id.iter().filter(|(_, kept)| is_over(kept)).map(|(id, _)| *id).collect();
        let ahead = self.by_id.values().filter(|kept| !is_over(kept));
        (over, ahead.filter_map(Kept::expires_at).min())
    }
}
