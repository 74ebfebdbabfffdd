//! Messages at QoS 1 and 2 on their way to the client: a window of them is in flight, the rest waits.

use super::Parcel;
use gable_devices::QoS;
use std::collections::{BTreeMap, VecDeque};

/// How far the client has come with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Sent(QoS),
    /// It has the message of QoS 2 (PUBREC), and not yet its release.
    Received,
}

/// What a client may say about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Puback,
    Pubrec,
    /// A PUBREC that refuses.
    Refusal,
    Pubcomp,
}

#[derive(Debug)]
pub(super) struct Outflow {
    in_flight_max: usize,
    in_flight: BTreeMap<u16, Stage>,
    waiting: VecDeque<Parcel>,
    last_packet_id: u16,
}

impl Outflow {
    pub(super) fn new(in_flight_max: u16) -> Outflow {
        Outflow {
            in_flight_max: usize::from(in_flight_max.max(1)),
            in_flight: BTreeMap::new(),
            waiting: VecDeque::new(),
            last_packet_id: 0,
        }
    }

    pub(super) fn push(&mut self, parcel: Parcel) {
        self.waiting.push_back(parcel);
    }

    /// Notes a message that the client has received in an earlier connection.
    pub(super) fn resume(&mut self, packet_id: u16) {
        self.in_flight.insert(packet_id, Stage::Received);
    }

    /// Takes the next message that may be sent, with its packet identifier.
    pub(super) fn next(&mut self) -> Option<Parcel> {
        if self.in_flight.len() >= self.in_flight_max {
            return None;
        }
        let mut parcel = self.waiting.pop_front()?;
        let packet_id = parcel.sending.packet_id.unwrap_or_else(|| self.free_packet_id());
        parcel.sending.packet_id = Some(packet_id);
        self.in_flight.insert(packet_id, Stage::Sent(parcel.sending.qos));
        Some(parcel)
    }

    /// The client is done with a message; false if it has none by this identifier.
    pub(super) fn complete(&mut self, packet_id: u16) -> bool {
        self.in_flight.remove(&packet_id).is_some()
    }

    /// The client has received a message of QoS 2.
    pub(super) fn receive(&mut self, packet_id: u16) {
        if let Some(stage) = self.in_flight.get_mut(&packet_id) {
            *stage = Stage::Received;
        }
    }

    /// Whether a step is one that may follow, of the message with this identifier if there is one
    /// (section 4.3).
    pub(super) fn follows(&self, packet_id: u16, step: Step) -> Option<bool> {
        let stage = self.in_flight.get(&packet_id)?;
        Some(match stage {
            Stage::Sent(QoS::ExactlyOnce) => matches!(step, Step::Pubrec | Step::Refusal),
            Stage::Sent(QoS::AtMostOnce | QoS::AtLeastOnce) => step == Step::Puback,
            Stage::Received => matches!(step, Step::Pubrec | Step::Pubcomp),
        })
    }

    pub(super) fn waiting_len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn in_flight_len(&self) -> usize {
        self.in_flight.len()
    }

    /// The window is smaller than there are identifiers, so one is free.
    fn free_packet_id(&mut self) -> u16 {
        loop {
            self.last_packet_id = self.last_packet_id.checked_add(1).unwrap_or(1);
            if !self.in_flight.contains_key(&self.last_packet_id) {
                return self.last_packet_id;
            }
        }
    }
}
