//! Who is connected to this node, and what each gets of what the log decides.
//!
//! The hub is told of every applied input at once and in order, while the state stands still. So a
//! clean session's subscription begins exactly between two inputs, and no retained message is both
//! found and delivered, or neither.

use super::counters::Counters;
use super::figures::{Figures, Presence};
use super::mailbox::Mailbox;
use super::session::Event;
use crate::raft::{Audience, Relayed};
use gable_devices::{QoS, Timestamp, topic};
use gable_rules::broker::{
    Answer, ConnectionId, Delivery, Output, Published, RetainHandling, Right, Sending, SubscribeOptions,
    SubscriptionIndex, Who,
};
use gable_rules::{NodeId, State};
use std::collections::{BTreeMap, VecDeque};
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
    figures: Figures,
    /// The most clients that were connected at once.
    clients_max: usize,
}

#[derive(Debug)]
struct Connection {
    client_id: String,
    username: Option<String>,
    /// Whether the session is kept in the log.
    is_kept: bool,
    subscriptions: BTreeMap<String, SubscribeOptions>,
    /// The subscriptions to figures in what the log was asked for, with their places, until it has
    /// answered. As many as a client's packets may wait for the log.
    asked: VecDeque<Vec<(usize, String, SubscribeOptions)>>,
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
            asked: VecDeque::new(),
            mailbox,
        };
        self.lock().connections.insert(number, connection);
    }

    /// Takes a connection away.
    pub(super) fn remove(&self, number: u64) {
        self.lock().remove(number);
    }

    /// Whether a client is connected to this node.
    pub(super) fn holds(&self, client_id: &str) -> bool {
        self.lock().by_client.contains_key(client_id)
    }

    /// How many clients are connected, or about to be.
    pub(super) fn len(&self) -> usize {
        self.lock().connections.len()
    }

    /// How many clients are connected, and what only this node knows of them.
    pub(super) fn presence(&self) -> Presence {
        let held = self.lock();
        let clean = held.connections.values().filter(|connection| !connection.is_kept);
        Presence {
            connected: held.by_client.len(),
            connected_max: held.clients_max,
            subscriptions: clean.map(|connection| connection.subscriptions.len()).sum(),
        }
    }

    /// Tells who is subscribed which figures have changed, and keeps them for who comes. The caller
    /// holds the state.
    pub(super) fn show(&self, figures: Vec<(String, String)>, at: Timestamp, state: &State) {
        let mut held = self.lock();
        for (topic, payload) in figures {
            let Some(publication) = held.figures.set(topic, payload, at) else { continue };
            let (queued, shared) = (BTreeMap::new(), Vec::new());
            let delivery = Delivery { publication, publisher: None, at, queued, shared };
            held.deliver(&delivery, state, &self.counters);
        }
    }

    /// Notes that the log is asked for subscriptions: it does not know the figures.
    pub(super) fn ask(&self, number: u64, subscriptions: &[(String, SubscribeOptions)]) {
        let figures = subscriptions.iter().enumerate().filter(|(_, (filter, _))| Figures::are_in(filter));
        let asked = figures.map(|(place, (filter, options))| (place, filter.clone(), *options)).collect();
        if let Some(connection) = self.lock().connections.get_mut(&number) {
            connection.asked.push_back(asked);
        }
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
            if is_new.is_some_and(|is_new| wants_retained(&options, is_new))
                && let Some(connection) = held.connections.get(&number)
            {
                let found = state.broker().retained(&filter, state.now());
                let found = found.filter(|found| connection.may_read(&found.publication.topic, state));
                retained.extend(found.map(|found| found.sending(&options)));
                let figures = held.figures.matching(&filter, &options).into_iter();
                retained.extend(figures.filter(|it| connection.may_read(&it.publication.topic, state)));
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
        held.by_client.clear();
        held.index = SubscriptionIndex::default();
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
    fn answer(&mut self, number: u64, mut answer: Answer, state: &State) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        match &mut answer {
            Answer::Connected { is_kept, .. } => {
                connection.is_kept = *is_kept;
                self.by_client.insert(connection.client_id.clone(), number);
                self.clients_max = self.clients_max.max(self.by_client.len());
                self.follow_session(number, state);
            }
            Answer::Subscribed { granted, retained } => {
                for (place, filter, options) in connection.asked.pop_front().unwrap_or_default() {
                    let is_new = !connection.subscriptions.contains_key(&filter);
                    if granted.get(place) == Some(&true) && wants_retained(&options, is_new) {
                        let figures = self.figures.matching(&filter, &options).into_iter();
                        retained
                            .extend(figures.filter(|it| connection.may_read(&it.publication.topic, state)));
                    }
                }
                self.follow_session(number, state);
            }
            Answer::Unsubscribed { .. } => self.follow_session(number, state),
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
    /// subscribed to is not, and what the home itself listens to counts. Only a PUBACK tells of it.
    fn has_receivers(&self, delivery: &Delivery, state: &State) -> bool {
        let topic = &delivery.publication.topic;
        delivery.publication.qos != QoS::AtLeastOnce
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

/// Whether a granted subscription is sent what is retained.
fn wants_retained(options: &SubscribeOptions, is_new: bool) -> bool {
    match options.retain_handling {
        RetainHandling::Send => true,
        RetainHandling::SendIfNew => is_new,
        RetainHandling::DoNotSend => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gable_rules::broker::{ClientAction, ClientInput, Connect};
    use gable_rules::{Hlc, Input, InputKind, LogIndex, Origin};

    const FIGURE: &str = "$SYS/broker/uptime";

    /// A hub with one client, whose number is 1, and the log that it follows.
    struct World {
        hub: Hub,
        mailbox: Arc<Mailbox>,
        state: State,
        sequence: u64,
    }

    impl World {
        fn new(session_expiry_interval: u32) -> World {
            let hub = Hub::new(NodeId(1), Counters::default());
            hub.open(1);
            let mailbox = Arc::new(Mailbox::new(1 << 20));
            hub.add(1, "c", None, mailbox.clone());
            let mut world = World { hub, mailbox, state: State::new(), sequence: 0 };
            world.show("1 seconds");
            world.apply(InputKind::Serve(Some(gable_rules::broker::BrokerLimits::default())));
            let heard = Timestamp(1_000);
            let connect =
                Connect { session_expiry_interval, protocol_version: 5, heard, ..Connect::default() };
            world.client(ClientAction::Connect(connect));
            assert_eq!(world.got(), [""; 0]);
            world
        }

        fn apply(&mut self, kind: InputKind) {
            self.sequence += 1;
            let origin = Origin { node: NodeId(1), boot: 1, sequence: self.sequence };
            let input = Input { at: Timestamp(1_000), origin, heard: Hlc::default(), kind };
            self.state.apply(LogIndex(self.sequence), &input);
            self.hub.take(self.state.take_outputs(), &self.state);
        }

        fn client(&mut self, action: ClientAction) {
            self.apply(InputKind::Client(ClientInput { client_id: "c".to_owned(), connection: 1, action }));
        }

        fn show(&self, payload: &str) {
            let figures = vec![(FIGURE.to_owned(), payload.to_owned())];
            self.hub.show(figures, Timestamp(1_000), &self.state);
        }

        /// Subscribes as the session of this client would.
        fn subscribe(&mut self, filters: &[&str], options: SubscribeOptions, is_kept: bool) {
            let subscriptions: Vec<_> =
                filters.iter().map(|filter| ((*filter).to_owned(), options)).collect();
            if is_kept {
                self.hub.ask(1, &subscriptions);
                self.client(ClientAction::Subscribe { subscriptions });
            } else {
                let answer = self.hub.subscribe(1, subscriptions, 10, &self.state);
                self.mailbox.push(Event::Answer(answer));
            }
        }

        /// What has come since this was last asked: payloads, `retained` in front of those.
        fn got(&self) -> Vec<String> {
            let mut got = Vec::new();
            for event in self.mailbox.take() {
                let sendings = match event {
                    Event::Answer(Answer::Subscribed { retained, .. }) => retained,
                    Event::Send(sending) => vec![sending],
                    _ => Vec::new(),
                };
                got.extend(sendings.iter().map(|sending| {
                    let payload = String::from_utf8_lossy(&sending.publication.payload);
                    if sending.retain { format!("retained {payload}") } else { payload.into_owned() }
                }));
            }
            got
        }
    }

    #[test]
    fn figures_come_with_a_subscription_and_when_they_change() {
        for is_kept in [false, true] {
            let mut world = World::new(if is_kept { 60 } else { 0 });
            let options = SubscribeOptions { qos: QoS::ExactlyOnce, ..SubscribeOptions::default() };
            world.subscribe(&["a", "#", "$SYS/#"], options, is_kept);
            assert_eq!(world.got(), ["retained 1 seconds"], "kept: {is_kept}");
            world.show("1 seconds");
            world.show("2 seconds");
            assert_eq!(world.got(), ["2 seconds"], "kept: {is_kept}");
            let if_new = SubscribeOptions { retain_handling: RetainHandling::SendIfNew, ..options };
            world.subscribe(&["$SYS/#"], if_new, is_kept);
            assert_eq!(world.got(), [""; 0], "it is not new; kept: {is_kept}");
            world.subscribe(&["$SYS/broker/+"], if_new, is_kept);
            assert_eq!(world.got(), ["retained 2 seconds"], "kept: {is_kept}");
            let never = SubscribeOptions { retain_handling: RetainHandling::DoNotSend, ..options };
            world.subscribe(&[FIGURE], never, is_kept);
            assert_eq!(world.got(), [""; 0], "kept: {is_kept}");
            let presence = world.hub.presence();
            assert_eq!((presence.connected, presence.connected_max), (1, 1));
            assert_eq!(presence.subscriptions, if is_kept { 0 } else { 5 });
        }
    }

    #[test]
    fn a_refused_subscription_is_told_no_figures() {
        let mut world = World::new(60);
        let limits = gable_rules::broker::BrokerLimits { subscriptions_max: 1, ..Default::default() };
        world.apply(InputKind::Serve(Some(limits)));
        world.subscribe(&["a", "$SYS/#"], SubscribeOptions::default(), true);
        assert_eq!(world.got(), [""; 0]);
        world.show("2 seconds");
        assert_eq!(world.got(), [""; 0]);
    }

    #[test]
    fn figures_outlive_a_snapshot_that_ends_all_connections() {
        let mut world = World::new(0);
        world.hub.restored(&world.state);
        assert_eq!((world.hub.len(), world.hub.presence().connected), (0, 0));
        world.hub.add(1, "c", None, world.mailbox.clone());
        world.subscribe(&["$SYS/#"], SubscribeOptions::default(), false);
        assert_eq!(world.got(), ["retained 1 seconds"]);
    }
}
