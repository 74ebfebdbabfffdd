//! The connection to the broker: one task that polls rumqttc, and nothing else.
//!
//! rumqttc loses what it accepted when a session is lost (it clears its pending requests at the
//! CONNACK), keeps a packet id collision over a reconnect, and freezes when its polling task also
//! publishes. So this task never publishes nor acknowledges, and every connection gets a new event
//! loop: nothing of an old connection can leak into the next. What was on its way is published
//! anew from the outbox, and delivered anew by the broker.

use super::client::{self, Client, EventLoop, Happened, Lost};
use super::counters::{Counters, count};
use gable_broker_config::{MqttMode, Settings};
use rumqttc::{Publish, QoS};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{Instant, sleep};
use tracing::{debug, info, warn};

const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// A connection that lived this long was a good one: the next attempt comes without delay.
const GOOD_CONNECTION: Duration = Duration::from_secs(10);

/// What the ingesting task hears.
#[derive(Debug)]
pub(super) enum Inbound {
    Up {
        connection: Client,
        session_present: bool,
    },
    Message(Publish),
    /// A message that a node has relayed, and that nobody shall relay again.
    Relayed(Publish),
    /// The broker's answer to one SUBSCRIBE, in the order in which these were sent: what it granted.
    Subscribed(Vec<bool>),
    Down,
}

/// What the dispatching task hears.
#[derive(Debug)]
pub(super) enum Outbound {
    Up(Client),
    /// The next publish, in the order of the requests, was written under this packet id.
    Written(u16),
    /// The broker took over a publish.
    Taken(u16),
    Down,
}

/// The polling task's connection to the others. Both channels are bounded: when one is full the
/// polling task waits, and with it the broker.
pub(super) struct Link {
    pub(super) options: Options,
    pub(super) inbound: mpsc::Sender<Inbound>,
    /// Absent where another connection publishes.
    pub(super) outbound: Option<mpsc::Sender<Outbound>>,
    pub(super) counters: Counters,
}

/// How a connection ended.
enum End {
    Lost(Lost),
    /// Nobody listens any more.
    Unheard,
}

/// How to reach the broker.
#[derive(Clone)]
pub(super) struct Options {
    mqtt: client::Options,
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
        let mqtt = client::Options::new(settings, &host, port);
        Options { mqtt, address: format!("{host}:{port}") }
    }

    /// The second connection, for relaying. Only a broker elsewhere can be one of those between which
    /// messages are relayed.
    pub(super) fn relaying(settings: &Settings) -> Options {
        let (host, port) = (&settings.mqtt.host, settings.mqtt.port);
        Options { mqtt: client::Options::relaying(settings, host, port), address: format!("{host}:{port}") }
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
            let lost = match self.live(&mut failures).await {
                End::Lost(lost) => lost,
                End::Unheard => return,
            };
            if started.elapsed() >= GOOD_CONNECTION {
                (pause, failures) = (PAUSE_MIN, 0);
            }
            failures += 1;
            self.report(failures, &lost);
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Lives through one connection, from CONNECT to its end.
    async fn live(&self, failures: &mut u32) -> End {
        let (client, mut event_loop) = self.options.mqtt.clone().connect();
        let session_present = match event_loop.poll().await {
            Ok(Happened::Connected { session_present }) => session_present,
            Ok(_) => false,
            Err(lost) => return End::Lost(lost),
        };
        info!(broker = self.options.address, session_present, "connected to the MQTT broker");
        *failures = 0;
        let up = Inbound::Up { connection: client.clone(), session_present };
        if self.inbound.send(up).await.is_err() || !self.tell(Outbound::Up(client)).await {
            return End::Unheard;
        }
        let ended = self.pass_on(&mut event_loop).await;
        let is_heard = self.inbound.send(Inbound::Down).await.is_ok() && self.tell(Outbound::Down).await;
        if is_heard { ended } else { End::Unheard }
    }

    async fn pass_on(&self, event_loop: &mut EventLoop) -> End {
        loop {
            let happened = match event_loop.poll().await {
                Ok(happened) => happened,
                Err(lost) => return End::Lost(lost),
            };
            let is_heard = match happened {
                Happened::Message(publish) => self.hear(publish).await,
                Happened::Relayed(publish) => self.inbound.send(Inbound::Relayed(publish)).await.is_ok(),
                Happened::Subscribed(granted) => {
                    self.inbound.send(Inbound::Subscribed(granted)).await.is_ok()
                }
                Happened::Taken(packet_id) => self.tell(Outbound::Taken(packet_id)).await,
                Happened::Written(packet_id) => self.tell(Outbound::Written(packet_id)).await,
                Happened::Connected { .. } | Happened::Other => true,
            };
            if !is_heard {
                return End::Unheard;
            }
        }
    }

    /// Whether who publishes is still there, if anybody publishes on this connection.
    async fn tell(&self, outbound: Outbound) -> bool {
        match &self.outbound {
            Some(sender) => sender.send(outbound).await.is_ok(),
            None => true,
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
        let (_client, mut event_loop) = self.options.mqtt.clone().clean().connect();
        match event_loop.poll().await {
            Ok(_) => info!("discarded what the shared broker had queued: other nodes have heard it"),
            Err(Lost { error, .. }) => debug!(error, "could not discard the session"),
        }
    }

    /// Tells the first failure loudly, and then every hundredth: the retries go on for ever.
    fn report(&self, failures: u32, lost: &Lost) {
        let broker = &self.options.address;
        let Lost { error, hint } = lost;
        if failures % 100 == 1 {
            warn!(broker, error, hint, "no connection to the MQTT broker, trying again");
        } else {
            debug!(broker, error, hint, failures, "no connection to the MQTT broker");
        }
    }
}
