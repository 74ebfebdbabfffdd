//! Packets as the server sees them: one set of types for all levels.
//!
//! What an older level lacks has the value that means the same at level 5, so that a session need
//! not ask which level its client speaks.

use super::ReasonCode;
use gable_devices::QoS;
use gable_rules::broker::Publication;
use std::fmt;
use std::num::{NonZeroU16, NonZeroU32};

/// The protocol version of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    V31,
    V311,
    V5,
}

/// A packet from a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    Connect(Box<Connect>),
    Publish(Box<Publish>),
    Puback(Ack),
    Pubrec(Ack),
    Pubrel(Ack),
    Pubcomp(Ack),
    Subscribe(Subscribe),
    Unsubscribe(Unsubscribe),
    Pingreq,
    Disconnect(Disconnect),
    Auth(Auth),
}

/// A packet for a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing<'a> {
    Connack(Box<Connack>),
    Publish(Delivery<'a>),
    Puback(Ack),
    Pubrec(Ack),
    Pubrel(Ack),
    Pubcomp(Ack),
    Suback(Suback),
    Unsuback(Suback),
    Pingresp,
    Disconnect(Disconnect),
}

/// The first packet of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    pub level: Level,
    /// Empty if the server shall assign one.
    pub client_id: String,
    /// "Clean session" at level 3.1.1.
    pub clean_start: bool,
    /// In seconds; 0 stands for ever.
    pub keep_alive: u16,
    pub will: Option<Will>,
    pub username: Option<String>,
    pub password: Option<Secret>,
    /// How many seconds the session outlives the connection; `u32::MAX` stands for ever, as a session
    /// of an older level does unless it is clean.
    pub session_expiry_interval: u32,
    /// How many publishes at QoS 1 and 2 the client takes before it acknowledged one.
    pub receive_maximum: NonZeroU16,
    /// How large a packet the client takes.
    pub maximum_packet_size: Option<NonZeroU32>,
    /// The highest topic alias that the client takes.
    pub topic_alias_maximum: u16,
    pub request_response_information: bool,
    /// Whether reason strings and user properties may be sent in every packet [MQTT-3.1.2-29].
    pub request_problem_information: bool,
    pub user_properties: Vec<(String, String)>,
    pub authentication: Option<Authentication>,
}

/// What is published for a client that goes without a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will {
    pub publication: Publication,
    /// In seconds.
    pub delay_interval: u32,
}

/// Extended authentication (section 4.12).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authentication {
    pub method: String,
    pub data: Option<Secret>,
}

/// Bytes that no log shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// A message from a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// Its topic is empty if only `topic_alias` names it.
    pub publication: Publication,
    pub dup: bool,
    /// There is one at QoS 1 and 2.
    pub packet_id: Option<NonZeroU16>,
    pub topic_alias: Option<NonZeroU16>,
}

/// A message for a client. The publication is only lent, so that one in memory serves all receivers;
/// its `qos`, `retain` and message expiry interval are not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery<'a> {
    pub publication: &'a Publication,
    pub qos: QoS,
    pub retain: bool,
    pub dup: bool,
    /// There is one at QoS 1 and 2.
    pub packet_id: Option<NonZeroU16>,
    /// What is left of the publication's [MQTT-3.3.2-6].
    pub message_expiry_interval: Option<u32>,
    pub topic_alias: Option<NonZeroU16>,
    /// Whether the client knows the alias already; then the topic is left out.
    pub is_alias_known: bool,
    /// Those of the subscriptions that this answers.
    pub subscription_identifiers: &'a [u32],
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    pub packet_id: NonZeroU16,
    pub reason: ReasonCode,
    pub detail: Detail,
}

impl Ack {
    /// An acknowledgement without a detail.
    pub fn new(packet_id: NonZeroU16, reason: ReasonCode) -> Ack {
        Ack { packet_id, reason, detail: Detail::default() }
    }
}

/// What an answer may add for people. It is left out where it does not fit the client's maximum packet
/// size, and for clients that do not want it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    pub reason_string: Option<String>,
    pub user_properties: Vec<(String, String)>,
}

impl Detail {
    /// A reason string alone.
    pub fn text(text: impl Into<String>) -> Detail {
        Detail { reason_string: Some(text.into()), user_properties: Vec::new() }
    }
}

/// What a client wants to get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    pub packet_id: NonZeroU16,
    /// At least one; not sorted, and the same may stand there again.
    pub filters: Vec<(String, SubscribeOptions)>,
    pub subscription_identifier: Option<NonZeroU32>,
}

/// How a client wants to get what matches a filter (section 3.8.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// The highest.
    pub qos: QoS,
    /// Whether the client's own messages are kept from it.
    pub no_local: bool,
    pub retain_as_published: bool,
    pub retain_handling: RetainHandling,
}

/// When retained messages are sent for a subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RetainHandling {
    #[default]
    AtSubscribe,
    AtNewSubscribe,
    Never,
}

/// What a client does not want to get any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsubscribe {
    pub packet_id: NonZeroU16,
    /// At least one.
    pub filters: Vec<String>,
}

/// DISCONNECT, in either direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disconnect {
    pub reason: ReasonCode,
    /// Only a client sends it.
    pub session_expiry_interval: Option<u32>,
    /// Only a server sends it.
    pub server_reference: Option<String>,
    pub detail: Detail,
}

impl Disconnect {
    /// A DISCONNECT that says only why.
    pub fn new(reason: ReasonCode, detail: Detail) -> Disconnect {
        Disconnect { reason, session_expiry_interval: None, server_reference: None, detail }
    }
}

/// A step of extended authentication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    pub reason: ReasonCode,
    pub authentication: Option<Authentication>,
}

/// The answer to CONNECT. At older levels only the reason and `session_present` are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connack {
    pub session_present: bool,
    pub reason: ReasonCode,
    /// Where it differs from what the client asked for [MQTT-3.2.2-7].
    pub session_expiry_interval: Option<u32>,
    /// Where it is not 65,535.
    pub receive_maximum: Option<NonZeroU16>,
    pub maximum_packet_size: Option<NonZeroU32>,
    pub assigned_client_identifier: Option<String>,
    /// The highest alias that the server takes.
    pub topic_alias_maximum: u16,
    /// In seconds, where it is not the client's [MQTT-3.2.2-21].
    pub server_keep_alive: Option<u16>,
    pub response_information: Option<String>,
    pub server_reference: Option<String>,
    pub detail: Detail,
}

impl Connack {
    /// A CONNACK that grants nothing beyond the defaults.
    pub fn new(reason: ReasonCode) -> Connack {
        Connack {
            session_present: false,
            reason,
            session_expiry_interval: None,
            receive_maximum: None,
            maximum_packet_size: None,
            assigned_client_identifier: None,
            topic_alias_maximum: 0,
            server_keep_alive: None,
            response_information: None,
            server_reference: None,
            detail: Detail::default(),
        }
    }
}

/// SUBACK or UNSUBACK: a reason for each filter, in their order [MQTT-3.8.4-6].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suback {
    pub packet_id: NonZeroU16,
    pub reasons: Vec<ReasonCode>,
    pub detail: Detail,
}
