//! What MQTT clients did and saw.

use super::Ticket;
use gable_rules::NodeId;
use std::fmt;

/// What an MQTT client did or saw in one of its connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// A node let it in.
    Connected { node: NodeId, session_present: bool, is_kept: bool },
    /// A subscription was acknowledged.
    Subscribed { filter: String },
    /// It sent a PUBLISH.
    Offered { ticket: Ticket, packet_id: Option<u16>, qos: u8, dup: bool },
    /// It was told that a message of its own is taken: PUBACK or PUBREC.
    Acknowledged { ticket: Ticket },
    /// A message came.
    Received(Reception),
    /// The connection is gone.
    Ended(Ending),
}

/// A message that came to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reception {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) dup: bool,
    /// At QoS 2: whether the client had no message by its packet identifier.
    pub(crate) is_new: bool,
}

/// How a client's connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// By a DISCONNECT that discards the will.
    Left,
    /// The client broke it off.
    Broken,
    /// The client fell silent and let the connection be.
    Silent,
    /// The node ended it, or was not heard any more.
    Lost,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Seen::Connected { node, session_present, .. } => {
                let session = if *session_present { ", its session is there" } else { "" };
                write!(f, "is connected to node {node}{session}")
            }
            Seen::Subscribed { filter } => write!(f, "is subscribed to {filter}"),
            Seen::Offered { ticket, qos, dup, .. } => {
                write!(f, "publishes {ticket} at QoS {qos}{}", if *dup { " again" } else { "" })
            }
            Seen::Acknowledged { ticket } => write!(f, "has the acknowledgement of {ticket}"),
            Seen::Received(reception) => reception.fmt(f),
            Seen::Ended(ending) => write!(f, "has no connection any more: {ending:?}"),
        }
    }
}

impl fmt::Display for Reception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reception { topic, payload, qos, retain, dup, is_new } = self;
        let flags = [(*retain, " retained"), (*dup, " DUP"), (!*is_new, " (known)")];
        let flags: String = flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag).collect();
        write!(f, "gets {topic} {} at QoS {qos}{flags}", String::from_utf8_lossy(payload))
    }
}
