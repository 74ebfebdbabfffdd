//! The connection to the broker: one task that polls rumqttc, and nothing else.
//!
//! rumqttc loses what it accepted when a session is lost (it clears its pending requests at the
//! CONNACK), keeps a packet id collision over a reconnect, and freezes when its polling task also
//! publishes. So this task never publishes nor acknowledges, and every connection gets a new event
//! loop: nothing of an old connection can leak into the next. What was on its way is published
//! anew from the outbox, and delivered anew by the broker.

use super::counters::{Counters, count};
use gable_broker_config::{MqttMode, Settings};
use rumqttc::mqttbytes::Error as PacketError;
use rumqttc::{
    AsyncClient, ClientError, ConnectReturnCode, ConnectionError, EventLoop, MqttOptions, Outgoing, Packet,
    Publish, QoS, StateError, SubscribeFilter, SubscribeReasonCode,
};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{Instant, sleep};
use tracing::{debug, info, warn};

/// How many requests (acknowledgements, publishes, subscriptions) may wait for the polling task.
/// More than there can ever be: acknowledgements are bounded by what is unacknowledged, publishes
/// by what may be in flight. Should it be full all the same, the connection is given up.
const REQUESTS_MAX: usize = 16_384;

/// rumqttc takes packet ids from 1 to this and stops everything, acknowledgements included, when
/// one comes round that is still in use. Far above what the outbox has in flight, so that a
/// publish acknowledged late stops nothing.
const PACKET_IDS: u16 = 1_024;

const CONNECT_SECONDS: u64 = 5;
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// A connection that lived this long was a good one: the next attempt comes without delay.
const GOOD_CONNECTION: Duration = Duration::from_secs(10);

/// The handle of one connection. It goes out of use with the connection.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    client: AsyncClient,
}

/// What the ingesting task hears.
#[derive(Debug)]
pub(super) enum Inbound {
    Up {
        connection: Connection,
        session_present: bool,
    },
    Message(Publish),
    /// The broker's answer to one SUBSCRIBE, in the order in which these were sent.
    Subscribed(Vec<SubscribeReasonCode>),
    Down,
}

/// What the dispatching task hears.
#[derive(Debug)]
pub(super) enum Outbound {
    Up(Connection),
    /// The next publish, in the order of the requests, was written under this packet id.
    Written(u16),
    /// The broker took over a publish.
    Taken(u16),
    Down,
}

/// The polling task's connection to the others. Both channels are bounded: when one is full the
/// polling task waits, and with it the broker.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) options: Options,
    pub(super) inbound: mpsc::Sender<Inbound>,
    pub(super) outbound: mpsc::Sender<Outbound>,
    pub(super) counters: Counters,
}

/// How a connection ended.
enum End {
    Lost(ConnectionError),
    /// Nobody listens any more.
    Unheard,
}

/// How to reach the broker.
#[derive(Clone, Debug)]
pub(super) struct Options {
    mqtt: MqttOptions,
    address: String,
}

impl Options {
    /// Takes the settings; `port` is the one that the embedded broker was given.
    pub(super) fn new(settings: &Settings, embedded_port: Option<u16>) -> Options {
        let mqtt = &settings.mqtt;
        let (host, port) = match (mqtt.mode, embedded_port) {
            (MqttMode::Embedded, Some(port)) => (embedded_host(settings), port),
            _ => (mqtt.host.clone(), mqtt.port),
        };
        let mut options = MqttOptions::new(settings.client_id(), host.clone(), port);
        options
            .set_clean_session(false)
            .set_manual_acks(true)
            .set_keep_alive(Duration::from_secs(mqtt.keep_alive_s.into()))
            .set_inflight(PACKET_IDS)
            .set_max_packet_size(mqtt.max_packet_bytes, mqtt.max_packet_bytes);
        if let Some(username) = &mqtt.username {
            let password = mqtt.password.as_ref().map_or("", |password| password.expose());
            options.set_credentials(username, password);
        }
        Options { mqtt: options, address: format!("{host}:{port}") }
    }

    /// `host:port` of the broker.
    pub(super) fn address(&self) -> &str {
        &self.address
    }
}

/// The address of this process's own broker: an unspecified listening address is reached on loopback.
fn embedded_host(settings: &Settings) -> String {
    match settings.mqtt.embedded.listen.ip() {
        ip if ip.is_unspecified() && ip.is_ipv4() => "127.0.0.1".to_owned(),
        ip if ip.is_unspecified() => "[::1]".to_owned(),
        ip if ip.is_ipv6() => format!("[{ip}]"),
        ip => ip.to_string(),
    }
}

impl Link {
    /// Connects again and again until the receivers are gone. `discards` is asked before each
    /// connection whether what the broker has queued for this node shall be thrown away.
    pub(super) async fn run<F: Future<Output = bool>>(self, discards: impl Fn() -> F) {
        let mut pause = PAUSE_MIN;
        let mut failures = 0_u32;
        while !self.inbound.is_closed() {
            if discards().await {
                self.discard_session().await;
            }
            let started = Instant::now();
            let error = match self.live(&mut failures).await {
                End::Lost(error) => error,
                End::Unheard => return,
            };
            if started.elapsed() >= GOOD_CONNECTION {
                (pause, failures) = (PAUSE_MIN, 0);
            }
            failures += 1;
            self.report(failures, &error);
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Lives through one connection, from CONNECT to its end.
    async fn live(&self, failures: &mut u32) -> End {
        let (client, mut event_loop) = self.event_loop(self.options.mqtt.clone());
        let session_present = match event_loop.poll().await {
            Ok(rumqttc::Event::Incoming(Packet::ConnAck(ack))) => ack.session_present,
            Ok(_) => false,
            Err(error) => return End::Lost(error),
        };
        info!(broker = self.options.address, session_present, "connected to the MQTT broker");
        *failures = 0;
        let connection = Connection { client };
        let up = Inbound::Up { connection: connection.clone(), session_present };
        if self.inbound.send(up).await.is_err() || self.outbound.send(Outbound::Up(connection)).await.is_err()
        {
            return End::Unheard;
        }
        let ended = self.pass_on(&mut event_loop).await;
        let is_heard = self.inbound.send(Inbound::Down).await.is_ok()
            && self.outbound.send(Outbound::Down).await.is_ok();
        if is_heard { ended } else { End::Unheard }
    }

    async fn pass_on(&self, event_loop: &mut EventLoop) -> End {
        loop {
            let event = match event_loop.poll().await {
                Ok(event) => event,
                Err(error) => return End::Lost(error),
            };
            let is_heard = match event {
                rumqttc::Event::Incoming(Packet::Publish(publish)) => self.hear(publish).await,
                rumqttc::Event::Incoming(Packet::SubAck(ack)) => {
                    self.inbound.send(Inbound::Subscribed(ack.return_codes)).await.is_ok()
                }
                rumqttc::Event::Incoming(Packet::PubAck(ack)) => {
                    self.outbound.send(Outbound::Taken(ack.pkid)).await.is_ok()
                }
                rumqttc::Event::Outgoing(Outgoing::Publish(packet_id)) => {
                    self.outbound.send(Outbound::Written(packet_id)).await.is_ok()
                }
                _ => true,
            };
            if !is_heard {
                return End::Unheard;
            }
        }
    }

    /// Hands a message on. One at QoS 0 is dropped when too many wait; others stop the polling, and
    /// with it the broker, which has them still.
    async fn hear(&self, publish: Publish) -> bool {
        let has_promise = publish.qos != QoS::AtMostOnce;
        match self.inbound.try_send(Inbound::Message(publish)) {
            Ok(()) => true,
            Err(TrySendError::Full(message)) if has_promise => self.inbound.send(message).await.is_ok(),
            Err(TrySendError::Full(_)) => {
                count(&self.counters.dropped);
                true
            }
            Err(TrySendError::Closed(_)) => false,
        }
    }

    /// Connects once with a clean session, which makes the broker forget the queued one.
    async fn discard_session(&self) {
        let mut options = self.options.mqtt.clone();
        options.set_clean_session(true);
        let (_client, mut event_loop) = self.event_loop(options);
        match event_loop.poll().await {
            Ok(_) => info!("discarded what the shared broker had queued: other nodes have heard it"),
            Err(error) => debug!(%error, "could not discard the session"),
        }
    }

    fn event_loop(&self, options: MqttOptions) -> (AsyncClient, EventLoop) {
        let (client, mut event_loop) = AsyncClient::new(options, REQUESTS_MAX);
        event_loop.network_options.set_tcp_nodelay(true);
        event_loop.network_options.set_connection_timeout(CONNECT_SECONDS);
        (client, event_loop)
    }

    /// Tells the first failure loudly, and then every hundredth: the retries go on for ever.
    fn report(&self, failures: u32, error: &ConnectionError) {
        let broker = &self.options.address;
        let hint = hint(error);
        if failures % 100 == 1 {
            warn!(broker, %error, hint, "no connection to the MQTT broker, trying again");
        } else {
            debug!(broker, %error, hint, failures, "no connection to the MQTT broker");
        }
    }
}

/// What a person may do about an error.
fn hint(error: &ConnectionError) -> &'static str {
    match error {
        ConnectionError::Io(_) | ConnectionError::NetworkTimeout => {
            "is it running at mqtt.host and mqtt.port?"
        }
        ConnectionError::ConnectionRefused(
            ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized,
        ) => "check mqtt.username and mqtt.password",
        ConnectionError::MqttState(StateError::Deserialization(PacketError::PayloadSizeLimitExceeded(_))) => {
            "a message is larger than mqtt.max_packet_bytes"
        }
        ConnectionError::MqttState(StateError::ConnectionAborted) => {
            "the broker closed it: does another client use the same mqtt.client_id?"
        }
        _ => "",
    }
}

impl Connection {
    /// Publishes at least once, whatever the row's QoS: see [`super::dispatch`].
    pub(super) fn publish(&self, topic: &str, payload: &[u8], retain: bool) -> Result<(), ClientError> {
        self.client.try_publish(topic, QoS::AtLeastOnce, retain, payload)
    }

    pub(super) fn acknowledge(&self, publish: &Publish) -> Result<(), ClientError> {
        self.client.try_ack(publish)
    }

    pub(super) fn subscribe(&self, filters: &[String]) -> Result<(), ClientError> {
        let filters = filters.iter().map(|filter| SubscribeFilter::new(filter.clone(), QoS::AtLeastOnce));
        self.client.try_subscribe_many(filters)
    }

    pub(super) fn unsubscribe(&self, filter: &str) -> Result<(), ClientError> {
        self.client.try_unsubscribe(filter)
    }
}
