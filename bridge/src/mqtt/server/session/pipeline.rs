//! What the client asked for and has no answer yet, in the order in which it asked.

use super::{Reply, Todo};
use crate::mqtt::server::wire::{Detail, ReasonCode, Suback};
use gable_devices::QoS;
use gable_rules::broker::{Answer, Published, Sending, SubscribeOptions};
use std::collections::VecDeque;
use std::num::NonZeroU16;

/// Something that the client waits for.
#[derive(Debug)]
pub(super) enum Waiting {
    /// The log decides.
    Publish {
        packet_id: Option<NonZeroU16>,
        qos: QoS,
    },
    Published {
        packet_id: Option<NonZeroU16>,
        qos: QoS,
        outcome: Published,
    },
    /// The client has no right to publish there.
    Denied {
        packet_id: Option<NonZeroU16>,
        qos: QoS,
    },
    /// The log decides.
    Release {
        packet_id: NonZeroU16,
    },
    Released {
        packet_id: NonZeroU16,
    },
    /// The release of a message that only this connection knows.
    ReleaseHere {
        packet_id: NonZeroU16,
    },
    Subscribe(Subscribing),
    Unsubscribe(Subscribing),
    Reply(Reply),
}

/// Its length is bounded by who reads the client's packets: with many here it reads no more.
#[derive(Debug, Default)]
pub(super) struct Pipeline {
    queue: VecDeque<Waiting>,
}

/// The filters of a SUBSCRIBE or UNSUBSCRIBE. Some are for the log and some for this node; the latter
/// are asked about when everything before is settled.
#[derive(Debug)]
pub(super) struct Subscribing {
    packet_id: NonZeroU16,
    slots: Vec<Slot>,
    logged: Outcomes,
    here: Outcomes,
    /// What is to be asked here.
    filters: Vec<(String, SubscribeOptions)>,
    retained: Vec<Sending>,
}

#[derive(Clone, Copy, Debug)]
enum Slot {
    Denied,
    Logged(QoS),
    Here(QoS),
}

/// Whether each filter was taken, or was there.
#[derive(Debug)]
enum Outcomes {
    /// There are none to ask about.
    None,
    Unasked,
    Asked,
    Known(Vec<bool>),
}

impl Outcomes {
    fn are_settled(&self) -> bool {
        matches!(self, Outcomes::None | Outcomes::Known(_))
    }
}

impl Subscribing {
    pub(super) fn new(packet_id: NonZeroU16) -> Subscribing {
        Subscribing {
            packet_id,
            slots: Vec::new(),
            logged: Outcomes::None,
            here: Outcomes::None,
            filters: Vec::new(),
            retained: Vec::new(),
        }
    }

    pub(super) fn deny(&mut self) {
        self.slots.push(Slot::Denied);
    }

    /// A filter that the log is asked about.
    pub(super) fn log(&mut self, qos: QoS) {
        self.slots.push(Slot::Logged(qos));
        self.logged = Outcomes::Asked;
    }

    /// A filter that this node is asked about.
    pub(super) fn keep_here(&mut self, filter: String, options: SubscribeOptions) {
        self.slots.push(Slot::Here(options.qos));
        self.here = Outcomes::Unasked;
        self.filters.push((filter, options));
    }

    fn answer(&mut self, outcomes: Vec<bool>, retained: Vec<Sending>) {
        self.retained.extend(retained);
        match self.logged {
            Outcomes::Asked => self.logged = Outcomes::Known(outcomes),
            Outcomes::None | Outcomes::Unasked | Outcomes::Known(_) => self.here = Outcomes::Known(outcomes),
        }
    }

    /// The answer, and the retained messages that follow it.
    pub(super) fn finish(self, is_unsubscribe: bool) -> (Suback, Vec<Sending>) {
        let list = |outcomes| match outcomes {
            Outcomes::Known(list) => list.into_iter(),
            Outcomes::None | Outcomes::Unasked | Outcomes::Asked => Vec::new().into_iter(),
        };
        let (mut logged, mut here) = (list(self.logged), list(self.here));
        let reason = |slot| match slot {
            Slot::Denied => ReasonCode::NOT_AUTHORIZED,
            Slot::Logged(qos) => reason(logged.next(), qos, is_unsubscribe),
            Slot::Here(qos) => reason(here.next(), qos, is_unsubscribe),
        };
        let reasons = self.slots.into_iter().map(reason).collect();
        (Suback { packet_id: self.packet_id, reasons, detail: Detail::default() }, self.retained)
    }
}

fn reason(outcome: Option<bool>, qos: QoS, is_unsubscribe: bool) -> ReasonCode {
    match (outcome.unwrap_or_default(), is_unsubscribe, qos) {
        (true, true, _) => ReasonCode::SUCCESS,
        (false, true, _) => ReasonCode::NO_SUBSCRIPTION_EXISTED,
        (true, false, QoS::AtMostOnce) => ReasonCode::GRANTED_QOS_0,
        (true, false, QoS::AtLeastOnce) => ReasonCode::GRANTED_QOS_1,
        (true, false, QoS::ExactlyOnce) => ReasonCode::GRANTED_QOS_2,
        (false, false, _) => ReasonCode::QUOTA_EXCEEDED,
    }
}

impl Waiting {
    /// Whether the log or the node was asked and has not answered.
    fn awaits_answer(&self) -> bool {
        match self {
            Waiting::Publish { .. } | Waiting::Release { .. } => true,
            Waiting::Subscribe(it) | Waiting::Unsubscribe(it) => {
                matches!(it.logged, Outcomes::Asked) || matches!(it.here, Outcomes::Asked)
            }
            Waiting::Published { .. }
            | Waiting::Denied { .. }
            | Waiting::Released { .. }
            | Waiting::ReleaseHere { .. }
            | Waiting::Reply(_) => false,
        }
    }
}

impl Pipeline {
    pub(super) fn push(&mut self, waiting: Waiting) {
        self.queue.push_back(waiting);
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Takes an answer for the first that waits for one. What does not fit is no answer of its.
    pub(super) fn answer(&mut self, answer: Answer) {
        let Some(waiting) = self.queue.iter_mut().find(|waiting| waiting.awaits_answer()) else { return };
        match (waiting, answer) {
            (it @ Waiting::Publish { .. }, Answer::Published(outcome)) => {
                if let Waiting::Publish { packet_id, qos } = *it {
                    *it = Waiting::Published { packet_id, qos, outcome };
                }
            }
            (it @ Waiting::Release { .. }, Answer::Released { .. }) => {
                if let Waiting::Release { packet_id } = *it {
                    *it = Waiting::Released { packet_id };
                }
            }
            (Waiting::Subscribe(it), Answer::Subscribed { granted, retained }) => {
                it.answer(granted, retained)
            }
            (Waiting::Unsubscribe(it), Answer::Unsubscribed { existed }) => it.answer(existed, Vec::new()),
            _ => {}
        }
    }

    /// Takes the first if it is settled. If it has yet to ask this node, it does.
    pub(super) fn next_settled(&mut self, todos: &mut Vec<Todo>) -> Option<Waiting> {
        let first = self.queue.front_mut()?;
        match first {
            Waiting::Subscribe(it) if it.logged.are_settled() && !it.here.are_settled() => {
                if matches!(it.here, Outcomes::Unasked) {
                    it.here = Outcomes::Asked;
                    todos.push(Todo::Subscribe(std::mem::take(&mut it.filters)));
                }
                None
            }
            Waiting::Unsubscribe(it) if it.logged.are_settled() && !it.here.are_settled() => {
                if matches!(it.here, Outcomes::Unasked) {
                    it.here = Outcomes::Asked;
                    let filters = std::mem::take(&mut it.filters).into_iter().map(|(filter, _)| filter);
                    todos.push(Todo::Unsubscribe(filters.collect()));
                }
                None
            }
            waiting if waiting.awaits_answer() => None,
            _ => self.queue.pop_front(),
        }
    }
}
