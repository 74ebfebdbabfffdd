//! From the outbox to the broker: one task that publishes promised commands and reports what the
//! broker has taken over.
//!
//! With a broker beside each node every node publishes every command to its own, because a device
//! may sit on any of them. With one broker for all, the leader does. Either starts from the rows of
//! the outbox, so that nothing has to be handed over when a node dies.
//!
//! Every command goes to the broker at QoS 1, also where the home's files say 0: only then does the
//! broker confirm that it has it. What the broker hands on to a device is the lower of that and the
//! device's own subscription; a device with a persistent session at QoS 1 therefore gets what it
//! missed while it was away. QoS 2 is sent as 1.
//!
//! Where messages are relayed, the others' go the same way, on one connection with the commands: the
//! broker keeps what comes on it away from its own subscriptions.

use super::client::Client;
use super::counters::{Counters, count};
use super::fingerprint::Fingerprint;
use super::link::Outbound;
use super::outgoing::Outgoing;
use super::recent::Echoes;
use super::relaying::{LogTime, Relaying};
use crate::raft::{Applied, ProposeError, Replica};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use gable_devices::Publish;
use gable_rules::{CommandId, Effect, Input, InputKind, LogIndex, NodeId};
use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{debug, error, warn};

/// What a PUBLISH has beside topic and payload, at most.
const PACKET_HEADER_MAX: usize = 64;

/// How often it is asked how far the log is, until a leader says so.
const LEADER_PAUSE: Duration = Duration::from_millis(200);

/// Why the task ends.
struct Ended;

/// Where commands are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broker {
    /// One of this node's own.
    Own,
    /// One of this node's own, inside the process: rumqttd, which some topics would end.
    Embedded,
    /// One that all nodes share.
    Shared,
}

/// What was given to the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Request {
    Command,
    Relayed,
}

/// What it takes to relay.
struct Relay {
    me: NodeId,
    relaying: Relaying,
    /// From which entry on messages are relayed: what is applied before that this node, or an earlier
    /// process of it, may have relayed already. And the log's time since then.
    since: Option<(LogIndex, LogTime)>,
}

/// The dispatching task.
pub(super) struct Dispatch {
    replica: Replica,
    broker: Broker,
    packet_bytes_max: usize,
    counters: Counters,
    echoes: Arc<Mutex<Echoes>>,
    outgoing: Outgoing,
    /// Present where messages of other nodes are relayed.
    relay: Option<Relay>,
    /// Whose the requests are that are not written yet, in their order.
    requests: VecDeque<Request>,
    connection: Option<Client>,
    is_leader: bool,
    reports: FuturesUnordered<BoxFuture<'static, Result<(), Ended>>>,
}

impl Dispatch {
    pub(super) fn new(
        replica: Replica,
        broker: Broker,
        in_flight_max: usize,
        packet_bytes_max: usize,
        counters: Counters,
        echoes: Arc<Mutex<Echoes>>,
    ) -> Dispatch {
        Dispatch {
            replica,
            broker,
            packet_bytes_max,
            counters,
            echoes,
            outgoing: Outgoing::new(in_flight_max),
            relay: None,
            requests: VecDeque::new(),
            connection: None,
            is_leader: false,
            reports: FuturesUnordered::new(),
        }
    }

    /// Relays what other nodes hear, too. The connection has to be one that can.
    pub(super) fn relaying(mut self, me: NodeId, in_flight_max: usize, bytes_max: usize) -> Dispatch {
        self.relay = Some(Relay { me, relaying: Relaying::new(in_flight_max, bytes_max), since: None });
        self
    }

    /// Runs until the replica stops or the link's task is gone.
    pub(super) async fn run(mut self, mut outbound: mpsc::Receiver<Outbound>) {
        // The listener comes first: what is promised between the two is heard, at worst twice.
        let mut entries = self.replica.entries();
        let mut leading = self.replica.leading();
        self.lead(*leading.borrow_and_update());
        self.sync();
        let mut beginning = self.relay.is_some().then(|| caught_up(self.replica.clone()).boxed());
        while self.step(&mut outbound, &mut entries, &mut leading, &mut beginning).await.is_ok() {
            self.publish();
            self.publish_relayed();
            self.report();
        }
        debug!("the MQTT edge stops publishing");
    }

    async fn step(
        &mut self,
        outbound: &mut mpsc::Receiver<Outbound>,
        entries: &mut broadcast::Receiver<Arc<Applied>>,
        leading: &mut watch::Receiver<bool>,
        beginning: &mut Option<BoxFuture<'static, LogIndex>>,
    ) -> Result<(), Ended> {
        let report_at = self.outgoing.next_report_at();
        tokio::select! {
            biased;
            Some(reported) = self.reports.next() => reported?,
            happened = outbound.recv() => self.take(happened.ok_or(Ended)?),
            index = begun(beginning), if beginning.is_some() => {
                *beginning = None;
                self.begin_to_relay(index);
            }
            entry = entries.recv() => self.follow(entry, entries)?,
            changed = leading.changed() => {
                changed.map_err(|_| Ended)?;
                self.lead(*leading.borrow_and_update());
            }
            () = sleep_until(report_at.unwrap_or_else(Instant::now)), if report_at.is_some() => {}
        }
        Ok(())
    }

    fn take(&mut self, outbound: Outbound) {
        match outbound {
            Outbound::Up(connection) => {
                self.connection = Some(connection);
                self.outgoing.connected();
                self.relay.iter_mut().for_each(|relay| relay.relaying.connected());
                self.sync();
            }
            Outbound::Written(packet_id) => match (self.requests.pop_front(), &mut self.relay) {
                (Some(Request::Relayed), Some(relay)) => {
                    if relay.relaying.written(packet_id) {
                        count(&self.counters.relayed);
                    }
                }
                _ => self.outgoing.written(packet_id),
            },
            Outbound::Taken(packet_id) => {
                if self.relay.as_mut().is_some_and(|relay| relay.relaying.taken(packet_id)) {
                    count(&self.counters.relayed);
                } else if self.outgoing.taken(packet_id, Instant::now(), self.is_leader).is_some() {
                    count(&self.counters.published);
                }
            }
            Outbound::Down => {
                self.connection = None;
                self.requests.clear();
                self.outgoing.disconnected();
                self.relay.iter_mut().for_each(|relay| relay.relaying.disconnected());
            }
        }
    }

    /// Follows one applied entry and those that wait behind it, before anything is published: a
    /// command may be superseded in the next.
    fn follow(
        &mut self,
        entry: Result<Arc<Applied>, RecvError>,
        entries: &mut broadcast::Receiver<Arc<Applied>>,
    ) -> Result<(), Ended> {
        let mut next = entry.map_err(|error| match error {
            RecvError::Lagged(missed) => TryRecvError::Lagged(missed),
            RecvError::Closed => TryRecvError::Closed,
        });
        loop {
            match next {
                Ok(entry) => self.apply(&entry),
                Err(TryRecvError::Lagged(missed)) => {
                    self.sync();
                    if self.relay.is_some() {
                        warn!(
                            missed,
                            "this node was behind: entries went by that may have held messages to relay"
                        );
                        self.counters.relay_dropped.fetch_add(missed, Relaxed);
                    }
                }
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Closed) => return Err(Ended),
            }
            next = entries.try_recv();
        }
    }

    fn apply(&mut self, entry: &Applied) {
        for (input, effects) in entry.inputs() {
            self.relay(entry.index, input, effects);
            let is_report = matches!(input.kind, InputKind::CommandSent(_));
            for effect in effects {
                match effect {
                    Effect::CommandQueued { command_id, publish, .. } if self.is_responsible() => {
                        let row = self.replica.read(|state| state.command(*command_id).cloned());
                        self.outgoing.queued(*command_id, publish, row.as_ref(), self.replica.home_time());
                    }
                    Effect::CommandSent { command_id } => self.outgoing.sent(*command_id, false),
                    // Nothing but the report confirmed it, and it is the device's own broker that counts.
                    Effect::CommandConfirmed { command_id, .. } if is_report => {
                        self.outgoing.sent(*command_id, true);
                    }
                    Effect::CommandConfirmed { command_id, .. }
                    | Effect::CommandExpired { command_id, .. }
                    | Effect::CommandSuperseded { command_id, .. } => self.outgoing.settled(*command_id),
                    _ => {}
                }
            }
        }
    }

    /// Takes what another node's broker has heard, if it is to be heard here as well.
    fn relay(&mut self, index: LogIndex, input: &Input, effects: &[Effect]) {
        let Some(Relay { me, relaying, since: Some((since, time)) }) = &mut self.relay else { return };
        time.note(Instant::now(), input.at);
        let InputKind::Message(message) = &input.kind else { return };
        let is_news = message.is_relayed
            && index > *since
            && input.origin.node != *me
            && !matches!(effects.first(), Some(Effect::Refused(_)));
        if is_news {
            let (topic, payload) = (message.topic.clone(), message.payload.clone());
            relaying.push(Publish { topic, payload, qos: message.qos, retain: message.retain }, input.at);
        }
    }

    /// Notes that this node has applied everything up to an entry, and begins to relay what follows.
    fn begin_to_relay(&mut self, index: LogIndex) {
        let time = LogTime::new(Instant::now(), self.replica.home_time());
        self.relay.iter_mut().for_each(|relay| relay.since = Some((index, time)));
    }

    fn lead(&mut self, is_leader: bool) {
        let was_responsible = self.is_responsible();
        self.is_leader = is_leader;
        match (was_responsible, self.is_responsible()) {
            (false, true) => self.sync(),
            (true, false) => self.outgoing.stand_down(),
            _ => {}
        }
    }

    fn is_responsible(&self) -> bool {
        self.broker != Broker::Shared || self.is_leader
    }

    fn sync(&mut self) {
        if self.is_responsible() {
            let now = self.replica.home_time();
            let rows: Vec<_> = self.replica.read(|state| state.outbox().cloned().collect());
            self.outgoing.sync(&rows, now);
        }
    }

    fn publish(&mut self) {
        while let Some((command_id, publish)) = self.outgoing.next(self.replica.home_time()) {
            if let Err(reason) = self.check(&publish) {
                count(&self.counters.unpublishable);
                error!(topic = publish.topic, %command_id, reason, "a command can not be published");
                self.outgoing.unpublishable(command_id);
                continue;
            }
            if self.broker != Broker::Shared {
                let mut echoes = self.echoes.lock().unwrap_or_else(PoisonError::into_inner);
                echoes.published(Instant::now(), Fingerprint::of(&publish.topic, &publish.payload));
            }
            let Some(connection) = &self.connection else { return };
            match connection.publish(&publish.topic, &publish.payload, publish.retain) {
                Ok(()) => self.requests.push_back(Request::Command),
                Err(error) => {
                    warn!(topic = publish.topic, %command_id, %error, "could not publish a command");
                    self.outgoing.unpublishable(command_id);
                }
            }
        }
    }

    fn publish_relayed(&mut self) {
        let Some(mut relay) = self.relay.take() else { return };
        let now = relay.since.map_or_else(|| self.replica.home_time(), |(_, time)| time.now(Instant::now()));
        while let Some(publish) = relay.relaying.next(now) {
            let refused = self.check(&publish).err().map(str::to_owned);
            let refused = refused.or_else(|| match &self.connection {
                Some(connection) => connection.relay(&publish).err().map(|error| error.to_string()),
                None => Some("there is no connection".to_owned()),
            });
            match refused {
                None => self.requests.push_back(Request::Relayed),
                Some(reason) => {
                    warn!(topic = publish.topic, reason, "a message can not be relayed");
                    relay.relaying.unpublishable();
                }
            }
        }
        self.counters.relay_dropped.fetch_add(relay.relaying.take_dropped(), Relaxed);
        self.relay = Some(relay);
    }

    /// Says why a command can not be published here.
    fn check(&self, publish: &Publish) -> Result<(), &'static str> {
        match publish.topic.as_str() {
            "" => Err("its topic is empty"),
            topic if topic.contains(['+', '#', '\0']) => Err("its topic has a wildcard or a zero character"),
            topic if topic.len() > usize::from(u16::MAX) => Err("its topic is too long"),
            // rumqttc ends the connection over such a packet, and would again with the next.
            topic if PACKET_HEADER_MAX + topic.len() + publish.payload.len() > self.packet_bytes_max => {
                Err("it is larger than the broker's packets may be: see mqtt.max_packet_bytes")
            }
            topic if self.broker == Broker::Embedded && !topic.is_char_boundary(1) => {
                Err("the embedded broker can not take a topic that begins with a letter outside ASCII")
            }
            _ => Ok(()),
        }
    }

    fn report(&mut self) {
        while let Some(command_id) = self.outgoing.next_report(Instant::now()) {
            self.reports.push(report(self.replica.clone(), command_id).boxed());
        }
    }
}

/// Waits until this node has applied everything that is committed, and says how far that is.
async fn caught_up(replica: Replica) -> LogIndex {
    loop {
        match replica.linearizable().await {
            Ok(index) => return index,
            Err(_) => sleep(LEADER_PAUSE).await,
        }
    }
}

async fn begun(beginning: &mut Option<BoxFuture<'static, LogIndex>>) -> LogIndex {
    match beginning {
        Some(beginning) => beginning.await,
        None => std::future::pending().await,
    }
}

/// Tells the log that a broker has a command. That it was settled meanwhile is no fault.
async fn report(replica: Replica, command_id: CommandId) -> Result<(), Ended> {
    match replica.propose(InputKind::CommandSent(command_id)).await {
        Err(ProposeError::Stopped) => Err(Ended),
        _ => Ok(()),
    }
}
