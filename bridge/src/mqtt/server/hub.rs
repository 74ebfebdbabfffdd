//! Who is connected to this node, and what each gets of what the log decides.
//!
//! The hub is told of every applied input at once and in order, while the state stands still. So a
//! clean session's subscription begins exactly between two inputs, and no retained message is both
//! found and delivered, or neither.

use super::counters::Counters;
use super::mailbox::Mailbox;
use super::session::Event;
use crate::raft::{Audience, Relayed};
use gable_devices::{QoS, topic};
use gable_rules::broker::{
    Answer, ConnectionId, Delivery, Output, Published, RetainHandling, Right, Sending, SubscribeOptions,
    SubscriptionIndex, Who,
};
use gable_rules::{NodeId, State};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// The connections of a node.
#[derive(Debug)]
pub(super) struct Hub {
    me: NodeId,
    /// Which start of this node it is, once the log knows it.
    boot: OnceLock<u64>,
    counters: Counters,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    connections: BTreeMap<u64, Connection>,
    /// The connection that counts of each client.
    by_client: BTreeMap<String, u64>,
    /// All subscriptions of the connections here but the shared ones.
    index: SubscriptionIndex<u64>,
}

#[derive(Debug)]
struct Connection {
    client_id: String,
    username: Option<String>,
    /// Whether the session is kept in the log.
    is_kept: bool,
    subscriptions: BTreeMap<String, SubscribeOptions>,
    mailbox: Arc<Mailbox>,
}

impl Hub {
    pub(super) fn new(me: NodeId, counters: Counters) -> Hub {
        Hub { me, boot: OnceLock::new(), counters, held: Mutex::default() }
    }

    /// Begins to serve.
    pub(super) fn open(&self, boot: u64) {
        // A second time it is the same.
        let _ = self.boot.set(boot);
    }

    /// Whether clients can be served.
    pub(super) fn is_open(&self) -> bool {
        self.boot.get().is_some()
    }

    /// Adds a connection, whose CONNECT the log will answer.
    pub(super) fn add(&self, number: u64, client_id: &str, username: Option<String>, mailbox: Arc<Mailbox>) {
        let connection = Connection {
            client_id: client_id.to_owned(),
            username,
            is_kept: false,
            subscriptions: BTreeMap::new(),
            mailbox,
        };
        self.lock().connections.insert(number, connection);
    }

    /// Takes a connection away.
    pub(super) fn remove(&self, number: u64) {
        self.lock().remove(number);
    }

    /// How many clients are connected, or about to be.
    pub(super) fn len(&self) -> usize {
        self.lock().connections.len()
    }

    /// Notes subscriptions of a clean session. The caller holds the state.
    pub(super) fn subscribe(
        &self,
        number: u64,
        subscriptions: Vec<(String, SubscribeOptions)>,
        subscriptions_max: usize,
        state: &State,
    ) -> Answer {
        let mut held = self.lock();
        let (mut granted, mut retained) = (Vec::new(), Vec::new());
        for (filter, options) in subscriptions {
            let is_new = held.subscribe(number, &filter, options, subscriptions_max);
            granted.push(is_new.is_some());
            let is_wanted = match options.retain_handling {
                RetainHandling::Send => is_new.is_some(),
                RetainHandling::SendIfNew => is_new == Some(true),
                RetainHandling::DoNotSend => false,
            };
            if is_wanted {
                let connection = held.connections.get(&number);
                let found = state.broker().retained(&filter, state.now()).filter(|found| {
                    connection.is_some_and(|it| it.may_read(&found.publication.topic, state))
                });
                retained.extend(found.map(|found| found.sending(&options)));
            }
        }
        Answer::Subscribed { granted, retained }
    }

    /// Forgets subscriptions of a clean session.
    pub(super) fn unsubscribe(&self, number: u64, filters: &[String]) -> Answer {
        let mut held = self.lock();
        Answer::Unsubscribed {
            existed: filters.iter().map(|filter| held.unsubscribe(number, filter)).collect(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose number this is here, if it is a connection of this process.
    fn number(&self, id: ConnectionId) -> Option<u64> {
        (id.node == self.me && Some(&id.boot) == self.boot.get()).then_some(id.number)
    }
}

impl Audience for Hub {
    fn take(&self, outputs: Vec<Output>, state: &State) {
        let mut held = self.lock();
        let mut outputs = outputs.into_iter().peekable();
        while let Some(output) = outputs.next() {
            match output {
                Output::Answer(id, answer) => {
                    let Some(number) = self.number(id) else { continue };
                    let answer = match (answer, outputs.peek()) {
                        // Its delivery comes behind it.
                        (Answer::Published(Published::Taken), Some(Output::Deliver(delivery)))
                            if !held.has_receivers(delivery, state) =>
                        {
                            Answer::Published(Published::Unheard)
                        }
                        (answer, _) => answer,
                    };
                    held.answer(number, answer, state);
                }
                Output::Deliver(delivery) => held.deliver(&delivery, state, &self.counters),
                Output::Close(id, reason) => {
                    if let Some(connection) = self.number(id).and_then(|number| held.remove(number)) {
                        connection.mailbox.push(Event::Close(reason));
                    }
                }
            }
        }
    }

    fn relayed(&self, relayed: &Relayed, state: &State) {
        let delivery = Delivery {
            publication: Arc::new(relayed.publication.clone()),
            publisher: relayed.publisher.clone(),
            at: state.now(),
            queued: BTreeMap::new(),
            shared: Vec::new(),
        };
        self.lock().deliver(&delivery, state, &self.counters);
    }

    fn restored(&self, _state: &State) {
        // Messages went by unseen: who comes back is told what it missed as far as that is kept.
        let mut held = self.lock();
        for connection in std::mem::take(&mut held.connections).into_values() {
            connection.mailbox.push(Event::Missed);
        }
        *held = Held::default();
    }
}

impl Connection {
    fn may_read(&self, topic: &str, state: &State) -> bool {
        let who = Who { username: self.username.as_deref(), client_id: &self.client_id };
        state.broker().access().allows(who, Right::Read, topic)
    }
}

impl Held {
    fn remove(&mut self, number: u64) -> Option<Connection> {
        let connection = self.connections.remove(&number)?;
        if self.by_client.get(&connection.client_id) == Some(&number) {
            self.by_client.remove(&connection.client_id);
        }
        for filter in connection.subscriptions.keys() {
            self.index.remove(number, filter);
        }
        Some(connection)
    }

    fn subscribe(
        &mut self,
        number: u64,
        filter: &str,
        options: SubscribeOptions,
        subscriptions_max: usize,
    ) -> Option<bool> {
        let connection = self.connections.get_mut(&number)?;
        let is_new = !connection.subscriptions.contains_key(filter);
        if is_new && connection.subscriptions.len() >= subscriptions_max {
            return None;
        }
        connection.subscriptions.insert(filter.to_owned(), options);
        self.index.insert(number, filter);
        Some(is_new)
    }

    fn unsubscribe(&mut self, number: u64, filter: &str) -> bool {
        self.index.remove(number, filter);
        let connection = self.connections.get_mut(&number);
        connection.is_some_and(|connection| connection.subscriptions.remove(filter).is_some())
    }

    /// Hands an answer on, after what it means for what the connection gets from now on.
    fn answer(&mut self, number: u64, answer: Answer, state: &State) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        match &answer {
            Answer::Connected { is_kept, .. } => {
                connection.is_kept = *is_kept;
                self.by_client.insert(connection.client_id.clone(), number);
                self.follow_session(number, state);
            }
            Answer::Subscribed { .. } | Answer::Unsubscribed { .. } => self.follow_session(number, state),
            Answer::ConnectRefused
            | Answer::Published(_)
            | Answer::Released { .. }
            | Answer::Acknowledged { .. }
            | Answer::Gone => {}
        }
        if let Some(connection) = self.connections.get(&number) {
            connection.mailbox.push(Event::Answer(answer));
        }
    }

    /// Takes over the subscriptions of a kept session.
    fn follow_session(&mut self, number: u64, state: &State) {
        let Some(connection) = self.connections.get_mut(&number).filter(|it| it.is_kept) else { return };
        let client = state.broker().client(&connection.client_id);
        let session = client.and_then(|client| client.session());
        let subscriptions: BTreeMap<String, SubscribeOptions> = session
            .into_iter()
            .flat_map(|session| session.subscriptions())
            .filter(|(filter, _)| !filter.starts_with("$share/"))
            .map(|(filter, options)| (filter.to_owned(), *options))
            .collect();
        for filter in connection.subscriptions.keys().filter(|filter| !subscriptions.contains_key(*filter)) {
            self.index.remove(number, filter);
        }
        for filter in subscriptions.keys() {
            self.index.insert(number, filter);
        }
        connection.subscriptions = subscriptions;
    }

    /// Whether anybody gets a message, as far as it is known: what clean sessions of other nodes are
    /// subscribed to is not, and what the home itself listens to counts.
    fn has_receivers(&self, delivery: &Delivery, state: &State) -> bool {
        let topic = &delivery.publication.topic;
        delivery.publication.qos == QoS::AtMostOnce
            || !state.broker().is_alone()
            || !delivery.queued.is_empty()
            || !delivery.shared.is_empty()
            || !self.index.matches(topic).is_empty()
            || state.topic_filters().iter().any(|filter| topic::covers(filter, topic))
    }

    fn deliver(&self, delivery: &Delivery, state: &State, counters: &Counters) {
        let topic = &delivery.publication.topic;
        for (client_id, sending) in &delivery.queued {
            self.send(self.of_client(client_id), sending.clone(), counters);
        }
        for (number, filters) in self.index.matches(topic) {
            let connection = self.connections.get(number);
            let Some(connection) = connection.filter(|it| it.may_read(topic, state)) else { continue };
            let options = filters.iter().filter_map(|filter| connection.subscriptions.get(*filter));
            let Some(sending) = delivery.sending(&connection.client_id, options) else { continue };
            // What a kept session queues came with the delivery.
            if !connection.is_kept || sending.qos == QoS::AtMostOnce {
                self.send(Some(connection), sending, counters);
            }
        }
        for (client_id, sending) in &delivery.shared {
            self.send(self.of_client(client_id), sending.clone(), counters);
        }
    }

    fn of_client(&self, client_id: &str) -> Option<&Connection> {
        self.connections.get(self.by_client.get(client_id)?)
    }

    fn send(&self, connection: Option<&Connection>, sending: Sending, counters: &Counters) {
        if let Some(connection) = connection
            && !connection.mailbox.send(sending)
        {
            counters.dropped();
        }
    }
}
