//! One device's way to the brokers: one connection at a time, the next address when it breaks.

use super::Said;
use gable_devices::Publish;
use rumqttc::{AsyncClient, Event, EventLoop, LastWill, MqttOptions, Outgoing, Packet, QoS};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// How many packets may wait for the socket. A publish that finds no place is lost, as in a device
/// without memory.
const REQUESTS_MAX: usize = 64;
/// How many events may wait for the device. When it is full the socket is not read.
const EVENTS_MAX: usize = 64;
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// How long a device waits before it tries the next address.
const PAUSE: Duration = Duration::from_millis(200);

/// What comes from the broker.
pub(super) enum Heard {
    Connected,
    Message { topic: String, payload: Vec<u8> },
    Acknowledged(Said),
}

/// A client that never gives up.
pub(super) struct Connection {
    client_id: String,
    will: Publish,
    brokers: Vec<String>,
    current: usize,
    live: Option<Live>,
    /// Whether the pause before the next attempt is due.
    is_broken: bool,
}

struct Live {
    client: AsyncClient,
    events: mpsc::Receiver<Event>,
    /// Polls the connection and ends when this is dropped. It is a task of its own because a poll
    /// that is given up half-way may lose what it has taken.
    _polling: JoinSet<()>,
    /// Publishes that were handed over and have no packet id yet, in their order.
    handed: VecDeque<Said>,
    in_flight: BTreeMap<u16, Said>,
    is_connected: bool,
}

impl Connection {
    /// Prepares to connect, first to the broker at `place` of the list, counted around.
    pub(super) fn new(client_id: &str, will: Publish, brokers: &[String], place: usize) -> Connection {
        let current = place % brokers.len().max(1);
        let (client_id, brokers) = (client_id.to_owned(), brokers.to_vec());
        Connection { client_id, will, brokers, current, live: None, is_broken: false }
    }

    /// The broker that is in use or tried.
    pub(super) fn broker(&self) -> &str {
        self.brokers.get(self.current).map_or("none", String::as_str)
    }

    /// Waits for the next thing from the broker. It may be dropped at any time.
    pub(super) async fn next(&mut self) -> Heard {
        loop {
            if self.is_broken {
                sleep(PAUSE).await;
                self.is_broken = false;
            }
            let Some(live) = &mut self.live else {
                self.live = self.dial();
                self.is_broken = self.live.is_none();
                continue;
            };
            match live.events.recv().await {
                Some(event) => {
                    if let Some(heard) = live.take(event) {
                        return heard;
                    }
                }
                None => {
                    self.live = None;
                    self.is_broken = true;
                    self.current = (self.current + 1) % self.brokers.len().max(1);
                }
            }
        }
    }

    fn dial(&self) -> Option<Live> {
        let (host, port) = self.brokers.get(self.current)?.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let mut options = MqttOptions::new(&self.client_id, host, port.parse().ok()?);
        options.set_keep_alive(KEEP_ALIVE).set_clean_session(true);
        options.set_last_will(LastWill::new(
            &self.will.topic,
            self.will.payload.clone(),
            QoS::AtLeastOnce,
            self.will.retain,
        ));
        let (client, event_loop) = AsyncClient::new(options, REQUESTS_MAX);
        let (tell, events) = mpsc::channel(EVENTS_MAX);
        let mut polling = JoinSet::new();
        polling.spawn(poll(event_loop, tell));
        Some(Live {
            client,
            events,
            _polling: polling,
            handed: VecDeque::new(),
            in_flight: BTreeMap::new(),
            is_connected: false,
        })
    }

    pub(super) fn subscribe(&self, topics: &[String]) {
        let Some(live) = &self.live else { return };
        for topic in topics {
            // The queue is empty right after a connection, so there is room.
            let _ = live.client.try_subscribe(topic, QoS::AtLeastOnce);
        }
    }

    /// Publishes, if there is a broker and room.
    pub(super) fn publish(&mut self, publish: &Publish) {
        let Some(live) = self.live.as_mut().filter(|live| live.is_connected) else { return };
        let sent = live.client.try_publish(
            &publish.topic,
            QoS::AtLeastOnce,
            publish.retain,
            publish.payload.clone(),
        );
        if sent.is_ok() {
            live.handed.push_back(Said::from(publish));
        }
    }

    /// Disconnects, so that the broker keeps the will to itself.
    pub(super) async fn leave(mut self) {
        let Some(live) = &mut self.live else { return };
        if live.client.try_disconnect().is_err() {
            return;
        }
        while let Some(event) = live.events.recv().await {
            if matches!(event, Event::Outgoing(Outgoing::Disconnect)) {
                return;
            }
        }
    }
}

/// Polls until the connection breaks or nobody listens.
async fn poll(mut event_loop: EventLoop, tell: mpsc::Sender<Event>) {
    while let Ok(event) = event_loop.poll().await {
        if tell.send(event).await.is_err() {
            return;
        }
    }
}

impl Live {
    fn take(&mut self, event: Event) -> Option<Heard> {
        match event {
            Event::Incoming(Packet::ConnAck(_)) => {
                self.is_connected = true;
                Some(Heard::Connected)
            }
            Event::Incoming(Packet::Publish(publish)) => {
                Some(Heard::Message { topic: publish.topic, payload: publish.payload.to_vec() })
            }
            Event::Outgoing(Outgoing::Publish(packet_id)) => {
                if let Some(said) = self.handed.pop_front() {
                    self.in_flight.insert(packet_id, said);
                }
                None
            }
            Event::Incoming(Packet::PubAck(ack)) => self.in_flight.remove(&ack.pkid).map(Heard::Acknowledged),
            _ => None,
        }
    }
}
