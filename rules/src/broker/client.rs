//! What a node tells the log of the clients that are connected to it.

use crate::NodeId;
use crate::broker::Publication;
use gable_devices::{QoS, Timestamp};
use serde::{Deserialize, Serialize};

/// The session expiry interval that means never (MQTT 5, section 3.1.2.11.2).
pub const NEVER: u32 = u32::MAX;

/// One network connection of a client: the node that holds it, in which of its boots, and the
/// how many-th it is there. A late word of a connection that is gone is known by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ConnectionId {
    pub node: NodeId,
    pub boot: u64,
    pub number: u64,
}

/// Something that a client did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientInput {
    pub client_id: String,
    /// [`ConnectionId::number`] at the input's origin.
    pub connection: u64,
    pub action: ClientAction,
}

impl ClientInput {
    /// About how many bytes it takes up in the log.
    pub fn bytes(&self) -> usize {
        let list =
            |texts: &mut dyn Iterator<Item = &String>| texts.map(|text| text.len() + 16).sum::<usize>();
        self.client_id.len()
            + match &self.action {
                ClientAction::Connect(connect) => {
                    let will = connect.will.as_ref().map_or(0, |will| will.publication.bytes());
                    will + connect.username.as_ref().map_or(0, String::len)
                }
                ClientAction::Publish { publication, .. } => publication.bytes(),
                ClientAction::Subscribe { subscriptions } => {
                    list(&mut subscriptions.iter().map(|(filter, _)| filter))
                }
                ClientAction::Unsubscribe { filters } => list(&mut filters.iter()),
                ClientAction::Acknowledge { acks } => acks.len() * 4,
                ClientAction::Release { .. } | ClientAction::Disconnect { .. } => 0,
            }
    }
}

/// What a client did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClientAction {
    Connect(Connect),
    Publish {
        publication: Publication,
        /// Under which packet identifier, at QoS 1 and 2 and in a session that is kept: a repetition
        /// must not count, on whichever node it arrives.
        packet_id: Option<u16>,
        /// Whether the client may have sent it before (DUP).
        dup: bool,
    },
    /// The client releases a message of QoS 2 that it published (PUBREL).
    Release {
        packet_id: u16,
    },
    Subscribe {
        subscriptions: Vec<(String, SubscribeOptions)>,
    },
    Unsubscribe {
        filters: Vec<String>,
    },
    /// The client acknowledged what it was sent.
    Acknowledge {
        acks: Vec<(u16, Ack)>,
    },
    Disconnect {
        /// Whether the connection ended otherwise than by a DISCONNECT that discards the will.
        sends_will: bool,
        /// A new session expiry interval, in seconds.
        session_expiry_interval: Option<u32>,
    },
}

/// A client asks for a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connect {
    pub clean_start: bool,
    /// In seconds; 0 ends the session with the connection.
    pub session_expiry_interval: u32,
    pub will: Option<Will>,
    /// Who it proved to be, if it did.
    pub username: Option<String>,
    /// MQTT's protocol version: 3, 4 or 5.
    pub protocol_version: u8,
    /// What log time was at the node when the client came. One that came to another node before the
    /// client's last is not taken, nor one that is older than [`super::BrokerLimits::patience`]: log time
    /// passes alike on all nodes, whatever their clocks show.
    pub heard: Timestamp,
}

/// What is published if a client leaves without a word.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Will {
    pub publication: Publication,
    /// In seconds.
    pub delay_interval: u32,
}

/// What a client wants of the messages that match one of its filters (MQTT 5, section 3.8.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscribeOptions {
    pub qos: QoS,
    pub no_local: bool,
    pub retain_as_published: bool,
    pub retain_handling: RetainHandling,
    pub subscription_identifier: Option<u32>,
}

/// When a subscription is answered with retained messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RetainHandling {
    #[default]
    Send,
    SendIfNew,
    DoNotSend,
}

/// How far a client has come with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ack {
    /// It has the message: PUBACK or PUBCOMP, or a PUBREC that refuses.
    Complete,
    /// PUBREC: it has a message of QoS 2, which has to be released.
    Received,
}

/// Splits the topic filter of a shared subscription, `$share/GROUP/FILTER`, in group and filter
/// (MQTT 5, section 4.8.2).
pub fn split_shared(filter: &str) -> Option<(&str, &str)> {
    filter.strip_prefix("$share/")?.split_once('/')
}
