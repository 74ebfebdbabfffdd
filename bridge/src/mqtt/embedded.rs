//! A broker inside the process: rumqttd, for trying Gable out and for tests without a second program.
//!
//! It serves MQTT 3.1.1 on one port, on loopback unless the settings say otherwise. Its limits,
//! measured on rumqttd 0.20:
//!
//! - It acknowledges before anything is durable, and forgets retained messages and sessions when
//!   the process ends. What a device was told is safe only once Gable has committed it.
//! - No MQTT 3.1, no 5, no TLS, no rights per topic; a wrong password closes the connection without
//!   the code that says so. Keep-alive 0 is refused.
//! - Without MQTT 5 there is no subscription that leaves out a client's own messages or keeps the
//!   retained flag, so `mqtt.attach.relay` is refused with it.
//! - A subscriber gets at most 100 retained messages at QoS 1, and none when it subscribes again.
//! - A retained message is erased by an empty one also when that is not retained.
//! - A topic that begins with a letter outside ASCII ends its router. It is started anew here, with
//!   everything it held gone; Gable itself does not publish such a topic to it.
//! - A client id with one of `+ $ # /` that is refused twice ends its listener for new clients.
//!   With a password set such ids are refused before they do harm.
//! - It holds small packets back, for 40 ms and more; the [`relay`] before it prevents that.
//!
//! For a home that is lived in, run Mosquitto beside each node.

mod relay;

use gable_broker_config::{Embedded, Settings};
use rumqttd::protocol::v4::V4;
use rumqttd::{ConnectionSettings, LinkType, Router, RouterConfig, Server, ServerSettings};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, interval, sleep, timeout};
use tracing::{error, info};

/// How often another process may snatch the port between its choice and its use.
const PORT_ATTEMPTS: usize = 20;

/// How long the listener may take to answer.
const START_MAX: Duration = Duration::from_secs(5);

/// How long the listener's failure may take to show once something answers in its place.
const FAILURE_MAX: Duration = Duration::from_millis(20);

/// How often the router is looked at: rumqttd does not tell when it ends.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);

/// Its own limit on what one subscriber has not acknowledged, and on the replies of one batch.
const INFLIGHT: usize = 100;

/// Why the broker does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "cannot listen for MQTT on {address}: is another broker running? choose another mqtt.embedded.listen"
    )]
    Listen { address: SocketAddr, source: io::Error },
    #[error("the embedded MQTT broker on {address} does not answer")]
    Silent { address: SocketAddr },
    #[error("cannot start a thread for the embedded MQTT broker")]
    Thread { source: io::Error },
}

/// A running broker; it ends when this is dropped.
#[derive(Debug)]
pub struct Broker {
    address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

impl Broker {
    /// Starts a broker and returns when it answers. With port 0 the system chooses the port.
    pub async fn start(settings: &Settings) -> Result<Broker, Error> {
        let wanted = settings.mqtt.embedded.listen;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let address = probe(wanted)?;
            match Broker::start_at(address, settings).await {
                // With a port of the system's choice the next one may be free.
                Err(Error::Listen { .. }) if wanted.port() == 0 && attempt < PORT_ATTEMPTS => {}
                Ok(broker) => {
                    info!(address = %broker.address, "the embedded MQTT broker listens");
                    return Ok(broker);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    async fn start_at(address: SocketAddr, settings: &Settings) -> Result<Broker, Error> {
        let (stop, stopped) = oneshot::channel();
        let (failure, failed) = oneshot::channel();
        let serving = Serving { address, settings: settings.clone() };
        thread::Builder::new()
            .name("mqtt-broker".to_owned())
            .spawn(move || serving.run(stopped, failure))
            .map_err(|source| Error::Thread { source })?;
        let mut failed = std::pin::pin!(failed);
        let answered = tokio::select! {
            biased;
            error = &mut failed => return Err(error.unwrap_or(Error::Silent { address })),
            answered = answers(address) => answered,
        };
        // What answers may be somebody else, who was quicker at the port.
        match timeout(FAILURE_MAX, failed).await {
            Ok(Ok(error)) => Err(error),
            _ if answered => Ok(Broker { address, _stop: stop }),
            _ => Err(Error::Silent { address }),
        }
    }
}

/// Finds out whether the address can be had, and which port the system would choose.
fn probe(address: SocketAddr) -> Result<SocketAddr, Error> {
    TcpListener::bind(address)
        .and_then(|listener| listener.local_addr())
        .map_err(|source| Error::Listen { address, source })
}

/// Waits until a connection is accepted.
async fn answers(mut address: SocketAddr) -> bool {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            [127, 0, 0, 1].into()
        } else {
            [0, 0, 0, 0, 0, 0, 0, 1].into()
        });
    }
    let deadline = Instant::now() + START_MAX;
    while Instant::now() < deadline {
        if TcpStream::connect(address).await.is_ok() {
            return true;
        }
        sleep(Duration::from_millis(5)).await;
    }
    false
}

/// What the broker's thread owns. rumqttd spawns tasks that it never ends, so it gets a runtime of
/// its own, which takes them along when it goes.
struct Serving {
    address: SocketAddr,
    settings: Settings,
}

impl Serving {
    fn run(self, mut stopped: oneshot::Receiver<()>, failure: oneshot::Sender<Error>) {
        let mut failure = Some(failure);
        let mut is_running = true;
        while is_running {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
                error!("cannot start a runtime for the embedded MQTT broker");
                return;
            };
            let ended = runtime.block_on(self.serve(&mut stopped));
            runtime.shutdown_background();
            match ended {
                Ended::Stopped => is_running = false,
                Ended::Failed(source) => {
                    let error = Error::Listen { address: self.address, source };
                    match failure.take().map(|failure| failure.send(error)) {
                        Some(Ok(())) => return,
                        _ => {
                            error!(address = %self.address, "the embedded MQTT broker lost its port, trying again");
                            thread::sleep(WATCH_INTERVAL);
                        }
                    }
                }
                Ended::RouterDied => {
                    error!(
                        "the embedded MQTT broker's router died; it starts anew without sessions and retained messages"
                    );
                }
            }
        }
    }

    async fn serve(&self, stopped: &mut oneshot::Receiver<()>) -> Ended {
        let embedded = &self.settings.mqtt.embedded;
        let listener = match tokio::net::TcpListener::bind(self.address).await {
            Ok(listener) => listener,
            Err(source) => return Ended::Failed(source),
        };
        let Ok(behind) = probe((Ipv4Addr::LOCALHOST, 0).into()) else {
            return Ended::Failed(io::Error::other("no free port on the loopback"));
        };
        let router = Router::new(0, router_config(embedded)).spawn();
        let mut server = Server::new(self.server_settings(behind), router.clone(), V4);
        let mut watch = interval(WATCH_INTERVAL);
        let serving = server.start(LinkType::Remote);
        tokio::pin!(serving);
        let relaying = relay::run(listener, behind);
        tokio::pin!(relaying);
        loop {
            tokio::select! {
                never = &mut relaying => match never {},
                ended = &mut serving => return Ended::Failed(match ended {
                    Err(error) => io::Error::other(error.to_string()),
                    Ok(()) => io::Error::other("the listener ended"),
                }),
                _ = &mut *stopped => return Ended::Stopped,
                _ = watch.tick() => if router.is_disconnected() {
                    return Ended::RouterDied;
                },
            }
        }
    }

    fn server_settings(&self, listen: SocketAddr) -> ServerSettings {
        let mut connections = ConnectionSettings {
            connection_timeout_ms: 5_000,
            max_payload_size: self.settings.mqtt.embedded.max_payload_bytes,
            max_inflight_count: INFLIGHT,
            auth: None,
            external_auth: None,
            // A publish that no filter matches would otherwise end the publisher's connection.
            dynamic_filters: true,
        };
        if let (Some(username), Some(password)) = (&self.settings.mqtt.username, &self.settings.mqtt.password)
        {
            let (username, password) = (username.clone(), password.clone());
            connections.set_auth_handler(move |client_id: String, user: String, word: String| {
                let is_known = user == username && equal(word.as_bytes(), password.expose().as_bytes());
                // rumqttd's own check of the id comes too late and poisons its listener.
                std::future::ready(is_known && !client_id.contains(['+', '$', '#', '/']))
            });
        }
        ServerSettings {
            name: "embedded".to_owned(),
            listen,
            tls: None,
            next_connection_delay_ms: 0,
            connections,
        }
    }
}

enum Ended {
    Stopped,
    RouterDied,
    Failed(io::Error),
}

fn router_config(embedded: &Embedded) -> RouterConfig {
    const SEGMENTS: usize = 4;
    RouterConfig {
        max_connections: embedded.max_connections,
        max_outgoing_packet_count: 200,
        max_segment_size: embedded.max_filter_bytes / SEGMENTS,
        max_segment_count: SEGMENTS,
        // Takes what nobody subscribed: else each such topic would get a log of its own for ever.
        initialized_filters: Some(vec!["#".to_owned()]),
        ..RouterConfig::default()
    }
}

/// Compares without telling by its duration where the difference is.
fn equal(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |all, (l, r)| all | (l ^ r)) == 0
}
