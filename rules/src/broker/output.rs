//! What the holder of a connection has to do after an input: answer, deliver, close.
//!
//! Outputs are taken at once by the node that applied the input, in the order in which they came.
//! They are no part of the state: a node that holds none of the connections they concern drops them.

use crate::broker::{ConnectionId, Publication};
use gable_devices::{QoS, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// An input of a connection was applied. Each gets one answer, in their order.
    Answer(ConnectionId, Answer),
    /// A message goes to who is subscribed.
    Deliver(Arc<Delivery>),
    /// The connection counts no more.
    Close(ConnectionId, CloseReason),
}

/// What became of an input of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Connected {
        session_present: bool,
        /// As granted, in seconds.
        session_expiry_interval: u32,
        /// Whether the session is kept in the log; the holder keeps it otherwise.
        is_kept: bool,
        /// What the session holds for its client, oldest first.
        waiting: Vec<Sending>,
    },
    /// There are as many clients as there may be.
    ConnectRefused,
    Published(Published),
    /// Whether the packet identifier was known.
    Released {
        is_known: bool,
    },
    /// For each filter whether it was taken, and with which retained messages.
    Subscribed {
        granted: Vec<bool>,
        retained: Vec<Sending>,
    },
    /// For each filter whether there was such a subscription.
    Unsubscribed {
        existed: Vec<bool>,
    },
    /// The messages of QoS 2 that the log knows now to be received: they may be released.
    Acknowledged {
        received: Vec<u16>,
    },
    /// The connection was gone when the input came.
    Gone,
}

/// What became of a published message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    Taken,
    /// It was taken, and nobody gets it. Only the holder of a connection can know.
    Unheard,
    /// It was delivered, and could not be retained: there is no room.
    NotRetained,
    /// A repetition of what was taken before.
    Again,
    /// No valid topic.
    Invalid,
}

/// Why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The client has a newer one.
    TakenOver,
    /// Its node counted as dead for too long.
    NodeLost,
    /// Its user is gone or has another password.
    Expelled,
}

/// A message on its way to its subscribers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub publication: Arc<Publication>,
    /// The client that published it, if one did.
    pub publisher: Option<String>,
    pub at: Timestamp,
    /// What kept sessions queue of it, by client. At QoS 0 nothing is queued.
    pub queued: BTreeMap<String, Sending>,
    /// The members of shared subscriptions it was given to, and whose sessions queue nothing.
    pub shared: Vec<(String, Sending)>,
}

/// A message for one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sending {
    pub publication: Arc<Publication>,
    /// When it was published.
    pub at: Timestamp,
    pub qos: QoS,
    pub retain: bool,
    /// Whether the client may have got it before.
    pub dup: bool,
    /// In sessions that are kept, at QoS 1 and 2.
    pub packet_id: Option<u16>,
    pub subscription_identifiers: Vec<u32>,
    /// The client has received it, and waits for its release (PUBREL).
    pub is_received: bool,
}
