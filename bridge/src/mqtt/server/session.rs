//! A client's connection as a state machine: packets and answers in, packets and wishes out.
//!
//! It does no I/O and reads no clock. What the log has to know is a [`Todo`]; what it has decided
//! comes in as an [`Event`]. A session that is kept lives in the log, and this only follows it; a
//! clean one lives here as long as its connection.
//!
//! A client is answered in the order in which it spoke: acknowledgements wait for the log, and what
//! needs no log waits behind them.

mod aliases;
mod outflow;
mod pipeline;
#[cfg(test)]
mod tests;

use super::wire::{
    self, Connect, Disconnect, Level, Packet, ReasonCode, Refusal, Suback, Subscribe, Unsubscribe,
};
use aliases::{AliasesIn, AliasesOut};
use gable_devices::QoS;
use gable_rules::broker::{
    Ack, Answer, ClientAction, CloseReason, Publication, Published, RetainHandling, Sending,
    SubscribeOptions, split_shared,
};
use outflow::{Outflow, Step};
use pipeline::{Pipeline, Subscribing, Waiting};
use std::collections::{BTreeSet, VecDeque};
use std::num::NonZeroU16;

pub use aliases::Alias;

/// What the node does for a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Todo {
    /// The log has to know. Each is answered, in their order.
    Propose(ClientAction),
    /// The node notes these subscriptions of a clean session, and answers with
    /// [`Answer::Subscribed`].
    Subscribe(Vec<(String, SubscribeOptions)>),
    /// The node hands a message on that goes by no log. Nothing answers.
    Relay(Publication, Class),
    /// The node forgets these, and answers with [`Answer::Unsubscribed`].
    Unsubscribe(Vec<String>),
}

/// What a session hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Answer(Answer),
    /// A message for the client.
    Send(Sending),
    /// The connection counts no more.
    Close(CloseReason),
    /// The client reads too slowly, and messages that it must not miss are too many.
    Overrun,
    /// This node has missed messages.
    Missed,
}

/// A packet for the client, or a message that is made into one when it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    Reply(Reply),
    Send(Parcel),
}

/// A message for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel {
    pub sending: Sending,
    /// How many bytes it adds to the backlog of the client; 0 for what was there when it came.
    pub weight: usize,
}

/// A packet without a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Puback(wire::Ack),
    Pubrec(wire::Ack),
    Pubrel(wire::Ack),
    Pubcomp(wire::Ack),
    Suback(Suback),
    Unsuback(Suback),
    Pingresp,
}

/// How a client ends its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Farewell {
    pub sends_will: bool,
    pub session_expiry_interval: Option<u32>,
}

/// Why a session ends that its client did not end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum End {
    #[error("{0}")]
    Refused(Refusal),
    #[error("the client has said goodbye")]
    Left(Farewell),
    #[error("the client has a newer connection")]
    TakenOver,
    #[error("this node counted as dead for too long")]
    NodeLost,
    #[error("the client's user is gone or has another password")]
    Expelled,
    #[error("the client reads too slowly")]
    Overrun,
    #[error("this node was behind and has missed messages")]
    Missed,
}

/// What a client may do. Topics and filters are valid.
pub trait Rights {
    /// Whether it may publish to a topic.
    fn may_publish(&self, topic: &str) -> bool;
    /// Whether it may subscribe with a filter, as it is written after `$share/GROUP/`.
    fn may_subscribe(&self, filter: &str) -> bool;
    /// Which way a topic's messages go.
    fn class(&self, topic: &str) -> Class;
}

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// By the log.
    Durable,
    /// To all nodes, without the log.
    Relay,
    /// To the clients of its node.
    Local,
}

/// How much a session takes.
#[derive(Clone, Copy, Debug)]
pub struct Quotas {
    /// Messages at QoS 1 and 2 that the client may send before one is acknowledged (level 5).
    pub receive_maximum: u16,
    /// Messages at QoS 1 and 2 that are sent before one is acknowledged; the client may want less.
    pub in_flight_max: u16,
    /// Topic aliases in either direction.
    pub topic_aliases_max: u16,
    /// Subscriptions of a clean session.
    pub subscriptions_max: u32,
}

/// A connection's session.
#[derive(Debug)]
pub struct Session {
    level: Level,
    is_kept: bool,
    /// As the client asked for.
    session_expiry_interval: u32,
    receive_maximum: u16,
    pipeline: Pipeline,
    outflow: Outflow,
    /// What is to be sent, in this order. Bounded by what may be in flight, in the pipeline, and
    /// retained; messages at QoS 0 are bounded where they come from.
    ready: VecDeque<Item>,
    /// Messages of QoS 2 of a clean session that the client has not released.
    received: BTreeSet<NonZeroU16>,
    /// Messages at QoS 1 and 2 that the client sent and that are not settled.
    unsettled: BTreeSet<NonZeroU16>,
    aliases_in: AliasesIn,
    aliases_out: AliasesOut,
    /// Acknowledgements that the log does not know yet.
    acks: Vec<(u16, Ack)>,
}

impl Session {
    /// The session of a client whose CONNECT was taken; `waiting` is what a kept session holds.
    pub fn new(connect: &Connect, is_kept: bool, waiting: Vec<Sending>, quotas: &Quotas) -> Session {
        let in_flight_max = quotas.in_flight_max.min(connect.receive_maximum.get());
        let aliases_out = connect.topic_alias_maximum.min(quotas.topic_aliases_max);
        let mut session = Session {
            level: connect.level,
            is_kept,
            session_expiry_interval: connect.session_expiry_interval,
            receive_maximum: quotas.receive_maximum,
            pipeline: Pipeline::default(),
            outflow: Outflow::new(in_flight_max),
            ready: VecDeque::new(),
            received: BTreeSet::new(),
            unsettled: BTreeSet::new(),
            aliases_in: AliasesIn::new(quotas.topic_aliases_max),
            aliases_out: AliasesOut::new(aliases_out),
            acks: Vec::new(),
        };
        waiting.into_iter().for_each(|sending| session.send(Parcel { sending, weight: 0 }));
        session
    }

    /// The client's protocol level.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Takes a packet. An error ends the connection.
    pub fn receive(&mut self, packet: Packet, rights: &dyn Rights) -> Result<Vec<Todo>, End> {
        let mut todos = Vec::new();
        match packet {
            Packet::Connect(_) => return Err(refused(ReasonCode::PROTOCOL_ERROR, "a second CONNECT")),
            Packet::Auth(_) => {
                return Err(refused(ReasonCode::PROTOCOL_ERROR, "AUTH without an authentication method"));
            }
            Packet::Publish(publish) => self.on_publish(*publish, rights, &mut todos)?,
            Packet::Puback(ack) => self.on_acknowledged(ack.packet_id, Step::Puback)?,
            Packet::Pubrec(ack) if ack.reason.is_failure() => {
                self.on_acknowledged(ack.packet_id, Step::Refusal)?;
            }
            Packet::Pubrec(ack) => self.on_pubrec(ack.packet_id)?,
            Packet::Pubrel(ack) => self.on_pubrel(ack.packet_id, &mut todos),
            Packet::Pubcomp(ack) => self.on_acknowledged(ack.packet_id, Step::Pubcomp)?,
            Packet::Subscribe(subscribe) => self.on_subscribe(subscribe, rights, &mut todos),
            Packet::Unsubscribe(unsubscribe) => self.on_unsubscribe(unsubscribe, &mut todos),
            Packet::Pingreq => self.pipeline.push(Waiting::Reply(Reply::Pingresp)),
            Packet::Disconnect(disconnect) => return Err(self.on_disconnect(&disconnect)),
        }
        self.advance(&mut todos);
        Ok(todos)
    }

    /// Takes what the log or the node says. An error ends the connection.
    pub fn hear(&mut self, event: Event) -> Result<Vec<Todo>, End> {
        let mut todos = Vec::new();
        match event {
            Event::Send(sending) => {
                let weight = sending.publication.bytes();
                self.send(Parcel { sending, weight });
            }
            Event::Close(CloseReason::TakenOver) => return Err(End::TakenOver),
            Event::Close(CloseReason::NodeLost) => return Err(End::NodeLost),
            Event::Close(CloseReason::Expelled) => return Err(End::Expelled),
            Event::Overrun => return Err(End::Overrun),
            Event::Missed => return Err(End::Missed),
            Event::Answer(Answer::Acknowledged { received }) => {
                for packet_id in received.into_iter().filter_map(NonZeroU16::new) {
                    self.reply(Reply::Pubrel(wire::Ack::new(packet_id, ReasonCode::SUCCESS)));
                }
            }
            Event::Answer(Answer::Gone) => return Err(End::TakenOver),
            Event::Answer(answer) => self.pipeline.answer(answer),
        }
        self.advance(&mut todos);
        Ok(todos)
    }

    /// The next packet for the client.
    pub fn next_item(&mut self) -> Option<Item> {
        self.ready.pop_front()
    }

    /// How many packets wait to be sent.
    pub fn ready_len(&self) -> usize {
        self.ready.len()
    }

    /// How many messages the client has to acknowledge, and how many wait until it has.
    pub fn outflow(&self) -> (usize, usize) {
        (self.outflow.in_flight_len(), self.outflow.waiting_len())
    }

    /// How many of the client's packets have no answer yet.
    pub fn open(&self) -> usize {
        self.pipeline.len()
    }

    /// Takes the acknowledgements that the log does not know yet.
    pub fn take_acks(&mut self) -> Vec<(u16, Ack)> {
        std::mem::take(&mut self.acks)
    }

    /// How many acknowledgements the log does not know yet, and whether one is waited for.
    pub fn acks(&self) -> (usize, bool) {
        (self.acks.len(), self.acks.iter().any(|(_, ack)| *ack == Ack::Received))
    }

    /// The alias under which a topic is sent, and whether the client knows it.
    pub fn alias(&mut self, topic: &str) -> Option<Alias> {
        self.aliases_out.of(topic)
    }

    /// A message was not sent: it is too large for the client, or of no more use.
    pub fn skip(&mut self, sending: &Sending, alias: Option<Alias>) {
        if alias.is_some_and(|alias| !alias.is_known) {
            self.aliases_out.forget(&sending.publication.topic);
        }
        if let Some(packet_id) = sending.packet_id.and_then(NonZeroU16::new) {
            self.complete(packet_id);
        }
    }

    fn on_publish(
        &mut self,
        publish: wire::Publish,
        rights: &dyn Rights,
        todos: &mut Vec<Todo>,
    ) -> Result<(), End> {
        let wire::Publish { mut publication, packet_id, topic_alias, dup } = publish;
        self.aliases_in.resolve(&mut publication.topic, topic_alias)?;
        let qos = publication.qos;
        if let Some(packet_id) = packet_id {
            self.unsettled.insert(packet_id);
            // [MQTT-3.3.4-9] Older levels have no such limit; there the pipeline's length is one.
            if self.level == Level::V5 && self.unsettled.len() > usize::from(self.receive_maximum) {
                return Err(refused(ReasonCode::RECEIVE_MAXIMUM_EXCEEDED, "more messages than were granted"));
            }
        }
        let is_again = !self.is_kept
            && qos == QoS::ExactlyOnce
            && packet_id.is_some_and(|packet_id| !self.received.insert(packet_id));
        if is_again {
            // What its first copy came to is not known before it is settled.
            let outcome = Published::Again;
            self.pipeline.push(Waiting::Published { packet_id, qos, outcome });
        } else if !rights.may_publish(&publication.topic) {
            self.pipeline.push(Waiting::Denied { packet_id, qos });
        } else if let class @ (Class::Relay | Class::Local) = class_of(&publication, rights) {
            if qos == QoS::ExactlyOnce
                && self.is_kept
                && packet_id.is_some_and(|id| !self.received.insert(id))
            {
                let outcome = Published::Again;
                self.pipeline.push(Waiting::Published { packet_id, qos, outcome });
                return Ok(());
            }
            todos.push(Todo::Relay(publication, class));
            self.pipeline.push(Waiting::Published { packet_id, qos, outcome: Published::Taken });
        } else {
            let kept_id = packet_id.filter(|_| self.is_kept).map(NonZeroU16::get);
            todos.push(Todo::Propose(ClientAction::Publish { publication, packet_id: kept_id, dup }));
            self.pipeline.push(Waiting::Publish { packet_id, qos });
        }
        Ok(())
    }

    fn on_pubrel(&mut self, packet_id: NonZeroU16, todos: &mut Vec<Todo>) {
        if self.is_kept {
            todos.push(Todo::Propose(ClientAction::Release { packet_id: packet_id.get() }));
            self.pipeline.push(Waiting::Release { packet_id });
        } else {
            self.pipeline.push(Waiting::ReleaseHere { packet_id });
        }
    }

    /// A client is done with a message, or refuses it. That no message has this identifier is ordinary
    /// after a node's death.
    fn on_acknowledged(&mut self, packet_id: NonZeroU16, step: Step) -> Result<(), End> {
        match self.outflow.follows(packet_id.get(), step) {
            Some(true) => self.complete(packet_id),
            Some(false) => return Err(refused(ReasonCode::PROTOCOL_ERROR, WRONG_ACK)),
            None => {}
        }
        Ok(())
    }

    fn complete(&mut self, packet_id: NonZeroU16) {
        if self.outflow.complete(packet_id.get()) && self.is_kept {
            self.acks.push((packet_id.get(), Ack::Complete));
        }
        self.send_waiting();
    }

    fn on_pubrec(&mut self, packet_id: NonZeroU16) -> Result<(), End> {
        match self.outflow.follows(packet_id.get(), Step::Pubrec) {
            Some(false) => return Err(refused(ReasonCode::PROTOCOL_ERROR, WRONG_ACK)),
            Some(true) => {
                self.outflow.receive(packet_id.get());
                if self.is_kept {
                    // Only when the log knows: another node must not send the message again.
                    self.acks.push((packet_id.get(), Ack::Received));
                    return Ok(());
                }
            }
            None => {}
        }
        self.reply(Reply::Pubrel(wire::Ack::new(packet_id, ReasonCode::SUCCESS)));
        Ok(())
    }

    fn on_subscribe(&mut self, subscribe: Subscribe, rights: &dyn Rights, todos: &mut Vec<Todo>) {
        let Subscribe { packet_id, filters, subscription_identifier } = subscribe;
        let identifier = subscription_identifier.map(Into::into);
        let filters = filters.into_iter().map(|(filter, options)| (filter, to_options(options, identifier)));
        let mut subscribing = Subscribing::new(packet_id);
        let mut logged = Vec::new();
        for (filter, options) in filters {
            let shared = split_shared(&filter);
            if !rights.may_subscribe(shared.map_or(filter.as_str(), |(_, filter)| filter)) {
                subscribing.deny();
            } else if self.is_kept || shared.is_some() {
                subscribing.log(options.qos);
                logged.push((filter, options));
            } else {
                subscribing.keep_here(filter, options);
            }
        }
        if !logged.is_empty() {
            todos.push(Todo::Propose(ClientAction::Subscribe { subscriptions: logged }));
        }
        self.pipeline.push(Waiting::Subscribe(subscribing));
    }

    fn on_unsubscribe(&mut self, unsubscribe: Unsubscribe, todos: &mut Vec<Todo>) {
        let Unsubscribe { packet_id, filters } = unsubscribe;
        let mut subscribing = Subscribing::new(packet_id);
        let mut logged = Vec::new();
        for filter in filters {
            if self.is_kept || split_shared(&filter).is_some() {
                subscribing.log(QoS::AtMostOnce);
                logged.push(filter);
            } else {
                subscribing.keep_here(filter, SubscribeOptions::default());
            }
        }
        if !logged.is_empty() {
            todos.push(Todo::Propose(ClientAction::Unsubscribe { filters: logged }));
        }
        self.pipeline.push(Waiting::Unsubscribe(subscribing));
    }

    fn on_disconnect(&self, disconnect: &Disconnect) -> End {
        let session_expiry_interval = disconnect.session_expiry_interval;
        // [MQTT-3.1.2-23] What was to end with the connection can not be prolonged.
        if self.session_expiry_interval == 0 && session_expiry_interval.is_some_and(|seconds| seconds > 0) {
            return refused(ReasonCode::PROTOCOL_ERROR, "a session of no duration can not be prolonged");
        }
        // [MQTT-3.14.4-3] Any reason but 0x00 keeps the will.
        let sends_will = disconnect.reason != ReasonCode::NORMAL_DISCONNECTION;
        End::Left(Farewell { sends_will, session_expiry_interval })
    }

    /// Answers what can be answered, in its order.
    fn advance(&mut self, todos: &mut Vec<Todo>) {
        while let Some(waiting) = self.pipeline.next_settled(todos) {
            match waiting {
                Waiting::Published { packet_id, qos, outcome } => {
                    self.settle_publish(packet_id, qos, outcome)
                }
                Waiting::Denied { packet_id, qos } => self.deny_publish(packet_id, qos),
                Waiting::Released { packet_id } => self.settle_release(packet_id),
                Waiting::ReleaseHere { packet_id } => {
                    self.received.remove(&packet_id);
                    self.settle_release(packet_id);
                }
                Waiting::Subscribe(done) => {
                    let (suback, retained) = done.finish(false);
                    self.reply(Reply::Suback(suback));
                    for sending in retained {
                        self.send(Parcel { sending, weight: 0 });
                    }
                }
                Waiting::Unsubscribe(done) => self.reply(Reply::Unsuback(done.finish(true).0)),
                Waiting::Reply(reply) => self.reply(reply),
                // These are not settled.
                Waiting::Publish { .. } | Waiting::Release { .. } => {}
            }
        }
    }

    fn settle_publish(&mut self, packet_id: Option<NonZeroU16>, qos: QoS, outcome: Published) {
        let reason = match outcome {
            Published::Taken | Published::Again => ReasonCode::SUCCESS,
            // A PUBREC may say so as well, but Mosquitto's never does: clients are not used to it.
            Published::Unheard if qos == QoS::ExactlyOnce => ReasonCode::SUCCESS,
            Published::Unheard => ReasonCode::NO_MATCHING_SUBSCRIBERS,
            Published::NotRetained => ReasonCode::QUOTA_EXCEEDED,
            Published::Invalid => ReasonCode::TOPIC_NAME_INVALID,
        };
        self.acknowledge(packet_id, qos, reason);
    }

    /// A level without reason codes has only the choice to end the connection or to say nothing: then
    /// the message counts as taken [MQTT-3.3.5-2 of 3.1.1].
    fn deny_publish(&mut self, packet_id: Option<NonZeroU16>, qos: QoS) {
        self.acknowledge(packet_id, qos, ReasonCode::NOT_AUTHORIZED);
    }

    fn acknowledge(&mut self, packet_id: Option<NonZeroU16>, qos: QoS, reason: ReasonCode) {
        let Some(packet_id) = packet_id else { return };
        let ack = wire::Ack::new(packet_id, reason);
        let is_refused = reason.is_failure() && self.level == Level::V5;
        if qos == QoS::ExactlyOnce {
            if is_refused {
                self.received.remove(&packet_id);
                self.unsettled.remove(&packet_id);
            }
            self.reply(Reply::Pubrec(ack));
        } else {
            self.unsettled.remove(&packet_id);
            self.reply(Reply::Puback(ack));
        }
    }

    /// Also of a message that is not known: it was released before.
    fn settle_release(&mut self, packet_id: NonZeroU16) {
        self.received.remove(&packet_id);
        self.unsettled.remove(&packet_id);
        self.reply(Reply::Pubcomp(wire::Ack::new(packet_id, ReasonCode::SUCCESS)));
    }

    fn send(&mut self, parcel: Parcel) {
        if parcel.sending.qos == QoS::AtMostOnce {
            self.ready.push_back(Item::Send(parcel));
        } else if parcel.sending.is_received {
            let Some(packet_id) = parcel.sending.packet_id.and_then(NonZeroU16::new) else { return };
            self.outflow.resume(packet_id.get());
            self.reply(Reply::Pubrel(wire::Ack::new(packet_id, ReasonCode::SUCCESS)));
        } else {
            self.outflow.push(parcel);
            self.send_waiting();
        }
    }

    fn send_waiting(&mut self) {
        while let Some(parcel) = self.outflow.next() {
            self.ready.push_back(Item::Send(parcel));
        }
    }

    fn reply(&mut self, reply: Reply) {
        self.ready.push_back(Item::Reply(reply));
    }
}

/// What is retained is in the log whatever its topic.
fn class_of(publication: &Publication, rights: &dyn Rights) -> Class {
    if publication.retain { Class::Durable } else { rights.class(&publication.topic) }
}

const WRONG_ACK: &str = "an acknowledgement that does not follow from the message's QoS";

fn refused(reason: ReasonCode, text: &'static str) -> End {
    End::Refused(Refusal::new(reason, text))
}

fn to_options(options: wire::SubscribeOptions, subscription_identifier: Option<u32>) -> SubscribeOptions {
    SubscribeOptions {
        qos: options.qos,
        no_local: options.no_local,
        retain_as_published: options.retain_as_published,
        retain_handling: match options.retain_handling {
            wire::RetainHandling::AtSubscribe => RetainHandling::Send,
            wire::RetainHandling::AtNewSubscribe => RetainHandling::SendIfNew,
            wire::RetainHandling::Never => RetainHandling::DoNotSend,
        },
        subscription_identifier,
    }
}
