//! A session that outlives its connections: its subscriptions, and what waits for its client.

use crate::broker::{Ack, Publication, SubscribeOptions};
use crate::{Id, fnv};
use gable_devices::QoS;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How many of the messages that a client published at QoS 1 are remembered: as many as a node takes
/// from it before it acknowledges one. Of an older one a repetition would count.
const PUBLISHED_MAX: usize = 256;

/// A session that is kept (MQTT 5, section 4.1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// For how many seconds it is kept after its connection's end.
    pub(crate) expiry_interval: u32,
    pub(crate) subscriptions: BTreeMap<String, SubscribeOptions>,
    /// What its client has not acknowledged, oldest first.
    queue: BTreeMap<u64, Queued>,
    /// Where the message of a packet identifier stands in the queue.
    by_packet_id: BTreeMap<u16, u64>,
    next_place: u64,
    last_packet_id: u16,
    /// The messages of QoS 2 that the client published and has not released.
    received: BTreeSet<u16>,
    /// The messages of QoS 1 that the client published last, oldest first: packet identifiers, and
    /// hashes of topic and payload.
    published: VecDeque<(u16, u64)>,
    /// How many messages gave way since the client was last here.
    pub(crate) dropped: u64,
}

/// A message in a session's queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Queued {
    pub(crate) message: Id,
    pub(crate) packet_id: u16,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) subscription_identifiers: Vec<u32>,
    /// The client has received it (PUBREC), and waits for its release.
    pub(crate) is_received: bool,
    /// A connection was there to send it.
    pub(crate) is_offered: bool,
}

/// What a message is to a session that queues it.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) message: Id,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) subscription_identifiers: Vec<u32>,
    pub(crate) is_offered: bool,
}

impl Session {
    /// Returns the topic filters it is subscribed to.
    pub fn subscriptions(&self) -> impl Iterator<Item = (&str, &SubscribeOptions)> {
        self.subscriptions.iter().map(|(filter, options)| (filter.as_str(), options))
    }

    /// For how many seconds it is kept after its connection's end.
    pub fn expiry_interval(&self) -> u32 {
        self.expiry_interval
    }

    /// How many topic filters it is subscribed to.
    pub fn subscriptions_len(&self) -> usize {
        self.subscriptions.len()
    }

    /// How many messages its client has not acknowledged.
    pub fn queue_len(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn queue(&self) -> impl Iterator<Item = &Queued> {
        self.queue.values()
    }

    /// Adds a message at the end. None if every packet identifier is in use.
    pub(crate) fn enqueue(&mut self, draft: Draft) -> Option<&Queued> {
        let packet_id = self.free_packet_id()?;
        let place = self.next_place;
        self.next_place += 1;
        self.last_packet_id = packet_id;
        self.by_packet_id.insert(packet_id, place);
        let Draft { message, qos, retain, subscription_identifiers, is_offered } = draft;
        let queued = Queued {
            message,
            packet_id,
            qos,
            retain,
            subscription_identifiers,
            is_received: false,
            is_offered,
        };
        Some(self.queue.entry(place).or_insert(queued))
    }

    /// The next packet identifier that no message has [MQTT-2.2.1-3]. Those in use are few and stand
    /// together, but for some that were never acknowledged.
    fn free_packet_id(&self) -> Option<u16> {
        let after = (self.last_packet_id..u16::MAX).map(|id| id + 1);
        let mut candidates = after.chain(1..=self.last_packet_id);
        candidates.find(|id| !self.by_packet_id.contains_key(id))
    }

    /// Takes the oldest message that no connection was there to send.
    pub(crate) fn give_way(&mut self) -> Option<Queued> {
        let (&place, _) = self.queue.iter().find(|(_, queued)| !queued.is_offered)?;
        let queued = self.queue.remove(&place)?;
        self.by_packet_id.remove(&queued.packet_id);
        self.dropped = self.dropped.saturating_add(1);
        Some(queued)
    }

    /// Follows an acknowledgement; returns the message if the client is done with it.
    pub(crate) fn acknowledge(&mut self, packet_id: u16, ack: Ack) -> Option<Queued> {
        let place = *self.by_packet_id.get(&packet_id)?;
        match ack {
            Ack::Complete => {
                self.by_packet_id.remove(&packet_id);
                self.queue.remove(&place)
            }
            Ack::Received => {
                self.queue.get_mut(&place)?.is_received = true;
                None
            }
        }
    }

    /// Takes what waits of a message that is of no more use, unless its client has received it.
    pub(crate) fn forget(&mut self, message: Id) -> Vec<Queued> {
        let places = self.queue.iter().filter(|(_, queued)| queued.message == message && !queued.is_received);
        let places: Vec<u64> = places.map(|(place, _)| *place).collect();
        let taken: Vec<Queued> = places.iter().filter_map(|place| self.queue.remove(place)).collect();
        taken.iter().for_each(|queued| {
            self.by_packet_id.remove(&queued.packet_id);
        });
        taken
    }

    /// Notes that a connection has all that waits.
    pub(crate) fn offer_all(&mut self) {
        self.queue.values_mut().for_each(|queued| queued.is_offered = true);
        self.dropped = 0;
    }

    /// Notes a message of QoS 2 that the client published; false if it was noted before.
    pub(crate) fn receive(&mut self, packet_id: u16) -> bool {
        self.received.insert(packet_id)
    }

    /// Notes a message of QoS 1 that the client published; false if it was noted before, and may be
    /// the same. Its acknowledgement got lost then: only after that may the identifier be used anew.
    pub(crate) fn note_published(&mut self, packet_id: u16, dup: bool, publication: &Publication) -> bool {
        let hash = fnv::message(&publication.topic, &publication.payload);
        if dup && self.published.contains(&(packet_id, hash)) {
            return false;
        }
        self.published.retain(|(id, _)| *id != packet_id);
        if self.published.len() >= PUBLISHED_MAX {
            self.published.pop_front();
        }
        self.published.push_back((packet_id, hash));
        true
    }

    /// The client releases a message of QoS 2; false if there is none.
    pub(crate) fn release(&mut self, packet_id: u16) -> bool {
        self.received.remove(&packet_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> Draft {
        Draft {
            message: Id::default(),
            qos: QoS::AtLeastOnce,
            retain: false,
            subscription_identifiers: Vec::new(),
            is_offered: false,
        }
    }

    fn enqueue(session: &mut Session) -> u16 {
        session.enqueue(draft()).unwrap().packet_id
    }

    #[test]
    fn packet_identifiers_go_round_and_skip_what_is_in_use() {
        let mut session = Session::default();
        assert_eq!((enqueue(&mut session), enqueue(&mut session)), (1, 2));
        assert!(session.acknowledge(2, Ack::Complete).is_some());
        for _ in 3..=u16::MAX {
            let packet_id = enqueue(&mut session);
            session.acknowledge(packet_id, Ack::Complete);
        }
        assert_eq!(enqueue(&mut session), 2, "1 was never acknowledged, and 0 is none");
    }

    #[test]
    fn with_every_packet_identifier_in_use_nothing_is_queued() {
        let mut session = Session::default();
        for _ in 0..u16::MAX {
            enqueue(&mut session);
        }
        assert!(session.enqueue(draft()).is_none());
    }

    #[test]
    fn a_message_of_qos_2_stays_until_it_is_complete() {
        let mut session = Session::default();
        let packet_id = enqueue(&mut session);
        assert!(session.acknowledge(packet_id, Ack::Received).is_none());
        assert!(session.queue().all(|queued| queued.is_received));
        assert!(session.forget(Id::default()).is_empty(), "the client has it, expired or not");
        assert!(session.acknowledge(packet_id, Ack::Complete).is_some());
        assert!(session.acknowledge(packet_id, Ack::Complete).is_none());
    }

    #[test]
    fn what_was_offered_does_not_give_way() {
        let mut session = Session::default();
        enqueue(&mut session);
        session.offer_all();
        enqueue(&mut session);
        assert_eq!(session.give_way().map(|queued| queued.packet_id), Some(2));
        assert_eq!(session.give_way(), None);
        assert_eq!((session.queue_len(), session.dropped), (1, 1));
    }
}
