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

use super::counters::{Counters, count};
use super::fingerprint::Fingerprint;
use super::link::{Connection, Outbound};
use super::outgoing::Outgoing;
use super::recent::Echoes;
use crate::raft::{Applied, ProposeError, Replica};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use gable_devices::Publish;
use gable_rules::{CommandId, Effect, InputKind};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, error, warn};

/// What a PUBLISH has beside topic and payload, at most.
const PACKET_HEADER_MAX: usize = 16;

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

/// The dispatching task.
pub(super) struct Dispatch {
    replica: Replica,
    broker: Broker,
    packet_bytes_max: usize,
    counters: Counters,
    echoes: Arc<Mutex<Echoes>>,
    outgoing: Outgoing,
    connection: Option<Connection>,
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
            connection: None,
            is_leader: false,
            reports: FuturesUnordered::new(),
        }
    }

    /// Runs until the replica stops or the link's task is gone.
    pub(super) async fn run(mut self, mut outbound: mpsc::Receiver<Outbound>) {
        // The listener comes first: what is promised between the two is heard, at worst twice.
        let mut entries = self.replica.entries();
        let mut leading = self.replica.leading();
        self.lead(*leading.borrow_and_update());
        self.sync();
        while self.step(&mut outbound, &mut entries, &mut leading).await.is_ok() {
            self.publish();
            self.report();
        }
        debug!("the MQTT edge stops publishing");
    }

    async fn step(
        &mut self,
        outbound: &mut mpsc::Receiver<Outbound>,
        entries: &mut broadcast::Receiver<Arc<Applied>>,
        leading: &mut watch::Receiver<bool>,
    ) -> Result<(), Ended> {
        let report_at = self.outgoing.next_report_at();
        tokio::select! {
            biased;
            Some(reported) = self.reports.next() => reported?,
            happened = outbound.recv() => self.take(happened.ok_or(Ended)?),
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
                self.sync();
            }
            Outbound::Written(packet_id) => self.outgoing.written(packet_id),
            Outbound::Taken(packet_id) => {
                if self.outgoing.taken(packet_id, Instant::now(), self.is_leader).is_some() {
                    count(&self.counters.published);
                }
            }
            Outbound::Down => {
                self.connection = None;
                self.outgoing.disconnected();
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
            RecvError::Lagged(_) => TryRecvError::Lagged(0),
            RecvError::Closed => TryRecvError::Closed,
        });
        loop {
            match next {
                Ok(entry) => self.apply(&entry),
                Err(TryRecvError::Lagged(_)) => self.sync(),
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Closed) => return Err(Ended),
            }
            next = entries.try_recv();
        }
    }

    fn apply(&mut self, entry: &Applied) {
        for (input, effects) in entry.inputs() {
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
            if let Err(error) = connection.publish(&publish.topic, &publish.payload, publish.retain) {
                warn!(topic = publish.topic, %command_id, %error, "could not publish a command");
                self.outgoing.unpublishable(command_id);
            }
        }
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

/// Tells the log that a broker has a command. That it was settled meanwhile is no fault.
async fn report(replica: Replica, command_id: CommandId) -> Result<(), Ended> {
    match replica.propose(InputKind::CommandSent(command_id)).await {
        Err(ProposeError::Stopped) => Err(Ended),
        _ => Ok(()),
    }
}
