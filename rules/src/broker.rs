//! The MQTT broker as rows: what clients were promised, kept so that any node can keep the promise.
//!
//! Retained messages, the sessions of clients that asked for one that lasts, who is connected where
//! and with which will: all follow from the log. A node that holds a connection proposes what its
//! client does as [`ClientInput`], and does what the [`Output`]s say. What only lives as long as a
//! connection, such as the subscriptions of a clean session, is not here: its node has it.
//!
//! The terms are MQTT's; sections without a document are those of MQTT 5.

mod access;
mod client;
mod connect;
mod departed;
mod index;
mod limits;
mod messages;
mod output;
mod publication;
mod publish;
mod retained;
mod session;
mod shared;
mod subscribe;
#[cfg(test)]
mod tests;

pub use access::{
    ADMIN, ANONYMOUS, Access, AccessChange, DEVICE, Decision, Grant, READER, Right, RightError, RightSet,
    User, Who,
};
pub use client::{
    Ack, ClientAction, ClientInput, Connect, ConnectionId, NEVER, RetainHandling, SubscribeOptions, Will,
    split_shared,
};
pub use index::SubscriptionIndex;
pub use limits::BrokerLimits;
pub use output::{Answer, CloseReason, Delivery, Output, Published, Sending};
pub use publication::{Publication, PublishProperties};
pub use retained::Retained;
pub use session::Session;

use crate::work::Work;
use crate::{Effect, Input, Message, NodeId, Refusal};
use departed::{Departed, LastConnect};
use gable_devices::Timestamp;
use messages::Messages;
use retained::RetainedMessages;
use serde::{Deserialize, Serialize};
use session::Queued;
use shared::{Groups, Reach};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How many messages one input may lead to, its own included: automations that publish what others
/// listen to go on without end. What is beyond is delivered, and the home does not hear it.
const HEARD_PER_INPUT_MAX: usize = 1_000;

/// The broker's rows, and what is derived from them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Broker {
    /// The nodes that serve clients. While there are any, what the home publishes goes by here.
    servers: BTreeSet<NodeId>,
    pub(crate) limits: BrokerLimits,
    retained: RetainedMessages,
    clients: BTreeMap<String, Client>,
    departed: Departed,
    messages: Messages,
    groups: Groups,
    access: Access,
    /// The subscriptions of kept sessions.
    #[serde(skip)]
    index: SubscriptionIndex<String>,
    #[serde(skip)]
    outputs: Vec<Output>,
    /// What the home has to hear yet, and through which node it came. Empty between inputs.
    #[serde(skip)]
    unheard: VecDeque<(NodeId, Message)>,
    #[serde(skip)]
    heard: usize,
}

/// A client that is connected, has a session, or a will that waits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    pub(crate) connection: Option<Connection>,
    pub(crate) session: Option<Session>,
    /// Who the client last proved to be, if it did.
    pub(crate) username: Option<String>,
    /// The will of a connection that is gone, until its delay is over.
    pub(crate) delayed_will: Option<Publication>,
    /// The last CONNECT that was taken.
    pub(crate) last: LastConnect,
}

/// A connection that a node holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    pub id: ConnectionId,
    pub since: Timestamp,
    pub username: Option<String>,
    /// MQTT's protocol version: 3, 4 or 5.
    pub protocol_version: u8,
    pub(crate) will: Option<Will>,
}

impl Client {
    /// Returns the connection that counts.
    pub fn connection(&self) -> Option<&Connection> {
        self.connection.as_ref()
    }

    /// Returns who the client last proved to be, if it did.
    pub fn username(&self) -> Option<&str> {
        self.username.as_deref()
    }

    /// Returns the session, if it outlives the connection.
    pub fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }
}

impl Broker {
    /// Whether nodes serve clients.
    pub fn is_serving(&self) -> bool {
        !self.servers.is_empty()
    }

    /// Whether a node serves clients.
    pub fn is_server(&self, node: NodeId) -> bool {
        self.servers.contains(&node)
    }

    /// Returns who may do what.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Whether a client may do something with a topic, as the log knows the client.
    pub(crate) fn allows(&self, client_id: &str, right: Right, topic: &str) -> bool {
        let username = self.clients.get(client_id).and_then(|client| client.username.as_deref());
        self.access.allows(Who { username, client_id }, right, topic)
    }

    /// Whether one node serves all clients.
    pub fn is_alone(&self) -> bool {
        self.servers.len() == 1
    }

    /// Returns how much is kept at most.
    pub fn limits(&self) -> &BrokerLimits {
        &self.limits
    }

    /// Returns the clients in the order of their ids.
    pub fn clients(&self) -> impl Iterator<Item = (&str, &Client)> {
        self.clients.iter().map(|(client_id, client)| (client_id.as_str(), client))
    }

    /// Returns a client.
    pub fn client(&self, client_id: &str) -> Option<&Client> {
        self.clients.get(client_id)
    }

    /// Returns the retained messages whose topics match a filter, in the order of their topics.
    pub fn retained<'a>(&'a self, filter: &'a str, now: Timestamp) -> impl Iterator<Item = &'a Retained> {
        self.retained.matching(filter, now)
    }

    /// How many messages are retained, and their bytes.
    pub fn retained_size(&self) -> (usize, u64) {
        (self.retained.len(), self.retained.bytes())
    }

    /// How many messages wait in sessions; one that several wait for counts once.
    pub fn queue_len(&self) -> usize {
        self.messages.len()
    }

    /// The bytes of the messages that wait in sessions.
    pub fn queue_bytes(&self) -> u64 {
        self.messages.bytes()
    }

    /// Rebuilds what is not in a snapshot.
    pub(crate) fn restore(&mut self) {
        self.groups.restore();
        for (client_id, client) in &self.clients {
            let filters = client.session.iter().flat_map(|session| session.subscriptions.keys());
            for filter in filters.filter(|filter| split_shared(filter).is_none()) {
                self.index.insert(client_id.clone(), filter);
            }
        }
    }

    pub(crate) fn take_outputs(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.outputs)
    }

    fn output(&mut self, output: Output) {
        self.outputs.push(output);
    }

    fn answer(&mut self, connection: ConnectionId, answer: Answer) {
        self.output(Output::Answer(connection, answer));
    }

    /// Whether a client's connection is this one.
    fn holds(&self, client_id: &str, id: ConnectionId) -> bool {
        self.connection(client_id).is_some_and(|connection| connection.id == id)
    }

    fn connection(&self, client_id: &str) -> Option<&Connection> {
        self.clients.get(client_id)?.connection.as_ref()
    }

    fn session_mut(&mut self, client_id: &str) -> Option<&mut Session> {
        self.clients.get_mut(client_id)?.session.as_mut()
    }

    fn sending(&self, queued: &Queued) -> Option<Sending> {
        let kept = self.messages.get(queued.message)?;
        Some(Sending {
            publication: kept.publication.clone(),
            at: kept.at,
            qos: queued.qos,
            retain: queued.retain,
            dup: queued.is_offered,
            packet_id: Some(queued.packet_id),
            subscription_identifiers: queued.subscription_identifiers.clone(),
            is_received: queued.is_received,
        })
    }

    /// The next message that the home has to hear.
    pub(crate) fn next_unheard(&mut self) -> Option<(NodeId, Message)> {
        let next = self.unheard.pop_front();
        if next.is_none() {
            self.heard = 0;
        }
        next
    }

    /// Lets the home hear a message; false if one input has led to too many.
    fn let_hear(&mut self, node: NodeId, message: Message) -> bool {
        self.heard += 1;
        let is_heard = self.heard <= HEARD_PER_INPUT_MAX;
        if is_heard {
            self.unheard.push_back((node, message));
        }
        is_heard
    }
}

impl Work<'_> {
    /// A node begins or ceases to serve clients.
    pub(crate) fn on_serve(&mut self, node: NodeId, limits: Option<&BrokerLimits>) {
        match limits {
            Some(limits) => {
                self.rows.broker.limits = *limits;
                self.rows.broker.servers.insert(node);
                self.on_node(node, |node| node.link = true);
            }
            None => {
                self.rows.broker.servers.remove(&node);
                self.on_node(node, |node| node.link = false);
            }
        }
    }

    /// Users and roles change, at once for those that are connected. A user that is gone, or has
    /// another password, has to connect anew.
    pub(crate) fn on_access(&mut self, change: &AccessChange) {
        let broker = &mut self.rows.broker;
        let former = match change {
            AccessChange::SetUser { name, .. } | AccessChange::RemoveUser { name } => {
                broker.access.user(name).map(|user| (name.clone(), user.clone()))
            }
            AccessChange::SetRole { .. } | AccessChange::RemoveRole { .. } => None,
        };
        if let Err(why) = broker.access.change(change) {
            return self.effect(Effect::Refused(Refusal::Invalid(why)));
        }
        let Some((name, former)) = former else { return };
        let current = broker.access.user(&name);
        let is_same = |user: &User| user.password == former.password && user.client_id == former.client_id;
        if !current.is_some_and(is_same) {
            self.expel(&name);
        }
    }

    /// A client did something.
    pub(crate) fn on_client(&mut self, input: &Input, client: &ClientInput) {
        let id = ConnectionId { node: input.origin.node, boot: input.origin.boot, number: client.connection };
        let client_id = client.client_id.as_str();
        if let ClientAction::Connect(connect) = &client.action {
            return self.on_connect(client_id, id, connect);
        }
        if !self.rows.broker.holds(client_id, id) {
            // Nor is what it published taken: its client may have sent that again and gone on, and an old
            // message must not come behind newer ones. It was not acknowledged.
            if matches!(client.action, ClientAction::Publish { .. }) {
                self.effect(Effect::Refused(Refusal::Stale));
            }
            return self.rows.broker.answer(id, Answer::Gone);
        }
        match &client.action {
            ClientAction::Publish { publication, packet_id, dup } => {
                let packet_id = packet_id.map(|packet_id| (packet_id, *dup));
                self.on_publish(client_id, id, publication, packet_id);
            }
            ClientAction::Release { packet_id } => {
                let session = self.rows.broker.session_mut(client_id);
                let is_known = session.is_some_and(|session| session.release(*packet_id));
                self.rows.broker.answer(id, Answer::Released { is_known });
            }
            ClientAction::Subscribe { subscriptions } => self.on_subscribe(client_id, id, subscriptions),
            ClientAction::Unsubscribe { filters } => self.on_unsubscribe(client_id, id, filters),
            ClientAction::Acknowledge { acks } => self.on_acknowledge(client_id, id, acks),
            ClientAction::Disconnect { sends_will, session_expiry_interval } => {
                self.on_disconnect(client_id, *sends_will, *session_expiry_interval);
            }
            // It came by another way.
            ClientAction::Connect(_) => {}
        }
    }

    fn on_acknowledge(&mut self, client_id: &str, id: ConnectionId, acks: &[(u16, Ack)]) {
        let broker = &mut self.rows.broker;
        for (packet_id, ack) in acks {
            let done =
                broker.session_mut(client_id).and_then(|session| session.acknowledge(*packet_id, *ack));
            if let Some(queued) = done {
                broker.messages.release(queued.message);
            }
        }
        let received = acks.iter().filter(|(_, ack)| *ack == Ack::Received).map(|(packet_id, _)| *packet_id);
        broker.answer(id, Answer::Acknowledged { received: received.collect() });
    }
}
