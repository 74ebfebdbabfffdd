//! The broker's sockets: who may connect, and by which way.
//!
//! Each connection gets a task of its own, in which the handshakes of TLS and WebSocket happen, so
//! that a silent client holds up nobody but itself. What comes out is a stream of bytes whichever
//! way it came, for the connection's state machine to read MQTT from. This knows no packet.

mod counters;
mod identity;
mod seats;
mod tls;
mod websocket;

#[cfg(test)]
mod tests;

pub use counters::Status;
pub use seats::Claim;
pub use tls::Certificates;

use crate::raft::spawn;
use crate::socket::{self, TcpListener, TcpStream};
use counters::Counters;
use futures_util::FutureExt;
use futures_util::future::join_all;
use gable_broker_config::Server;
use seats::{Full, Seat, Seats};
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::{debug, error, info, warn};

/// How long connections may take to say goodbye when the broker stops.
const FAREWELL_MAX: Duration = Duration::from_secs(5);

/// How long to wait when the system has no connection to give: trying at once would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the listeners can not be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot listen for MQTT on {address}: is another broker running? choose another {key}")]
    Listen { address: SocketAddr, key: &'static str, source: io::Error },
    #[error("cannot listen for MQTT on {address}: set mqtt.server.certificate and mqtt.server.key")]
    NoCertificate { address: SocketAddr },
    #[error("cannot read {path}, which {key} names")]
    Read { path: PathBuf, key: &'static str, source: io::Error },
    #[error("{path}, which {key} names, is not a PEM file with {expected}")]
    Pem {
        path: PathBuf,
        key: &'static str,
        expected: &'static str,
        source: tokio_rustls::rustls::pki_types::pem::Error,
    },
    #[error(
        "the certificate in {certificate} and the key in {key} can not be used: do they belong together?"
    )]
    Certificate { certificate: PathBuf, key: PathBuf, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("the authorities in {path}, which mqtt.server.client_ca names, can not be used")]
    ClientCa { path: PathBuf, source: Box<dyn std::error::Error + Send + Sync> },
}

/// Which way a connection came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    Tcp,
    Tls,
    WebSocket,
    SecureWebSocket,
}

impl Transport {
    fn has_tls(self) -> bool {
        matches!(self, Transport::Tls | Transport::SecureWebSocket)
    }

    fn is_websocket(self) -> bool {
        matches!(self, Transport::WebSocket | Transport::SecureWebSocket)
    }

    /// The setting that lists its addresses.
    fn key(self) -> &'static str {
        match self {
            Transport::Tcp => "mqtt.server.listen",
            Transport::Tls => "mqtt.server.tls_listen",
            Transport::WebSocket => "mqtt.server.websocket_listen",
            Transport::SecureWebSocket => "mqtt.server.websocket_tls_listen",
        }
    }
}

/// A stream of bytes in both directions. What is written may stay in it until it is flushed. It
/// belongs to one task: reading may have to write.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection whose handshakes are done.
pub struct Accepted {
    pub stream: Box<dyn Stream>,
    pub peer: SocketAddr,
    /// Where the listener is bound.
    pub local: SocketAddr,
    pub transport: Transport,
    /// Whom the client's certificate names.
    pub identity: Option<String>,
    /// Whether the client may come without a name, by the settings and by where it came in.
    pub may_be_anonymous: bool,
    /// When the CONNECT has to be there.
    pub deadline: Instant,
    /// To be told when the client has proved who it is.
    pub claim: Claim,
}

impl fmt::Debug for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Accepted { peer, local, transport, identity, .. } = self;
        f.debug_struct("Accepted")
            .field("peer", peer)
            .field("local", local)
            .field("transport", transport)
            .field("identity", identity)
            .finish_non_exhaustive()
    }
}

/// The open listeners.
pub struct Listeners {
    listeners: Vec<Listener>,
    reception: Reception,
}

struct Listener {
    socket: TcpListener,
    entrance: Entrance,
}

/// Where a connection comes in.
#[derive(Clone, Copy, Debug)]
struct Entrance {
    local: SocketAddr,
    transport: Transport,
    may_be_anonymous: bool,
}

/// What all connections need until they are served.
#[derive(Clone, Debug)]
struct Reception {
    seats: Arc<Seats>,
    counters: Arc<Counters>,
    certificates: Option<Certificates>,
    connect_timeout: Duration,
    /// How long the other end may be gone; none leaves it to the system.
    silence: Option<Duration>,
    packet_bytes_max: usize,
}

impl Listeners {
    /// Opens every listener that the settings name, or none.
    pub async fn bind(settings: &Server) -> Result<Listeners, Error> {
        let certificates = Certificates::read(settings)?;
        let mut listeners = Vec::new();
        for (transport, addresses) in [
            (Transport::Tcp, &settings.listen),
            (Transport::Tls, &settings.tls_listen),
            (Transport::WebSocket, &settings.websocket_listen),
            (Transport::SecureWebSocket, &settings.websocket_tls_listen),
        ] {
            for address in addresses.iter().copied() {
                if transport.has_tls() && certificates.is_none() {
                    return Err(Error::NoCertificate { address });
                }
                let listener = Listener::bind(address, transport, settings)
                    .await
                    .map_err(|source| Error::Listen { address, key: transport.key(), source })?;
                info!(address = %listener.entrance.local, ?transport, "listens for MQTT");
                listeners.push(listener);
            }
        }
        let reception = Reception {
            seats: Seats::new(settings.max_connections, settings.max_connections_per_address),
            counters: Arc::default(),
            certificates,
            connect_timeout: settings.connect_timeout(),
            silence: (settings.silence_s > 0).then(|| Duration::from_secs(settings.silence_s)),
            packet_bytes_max: settings.max_packet_bytes,
        };
        Ok(Listeners { listeners, reception })
    }

    /// Where is listened, in the order of the settings.
    pub fn addresses(&self) -> impl Iterator<Item = (Transport, SocketAddr)> {
        self.listeners.iter().map(|listener| (listener.entrance.transport, listener.entrance.local))
    }

    /// The certificates, to have them read anew.
    pub fn certificates(&self) -> Option<Certificates> {
        self.reception.certificates.clone()
    }

    /// Returns a handle that tells the figures for as long as anybody asks.
    pub fn watch(&self) -> StatusHandle {
        StatusHandle { seats: self.reception.seats.clone(), counters: self.reception.counters.clone() }
    }

    /// Accepts connections until `stop` becomes true or its sender is gone, and lets `serve` have
    /// each in a task of its own. Then nobody comes in any more, strangers are sent away, and
    /// returns when the others have ended, of themselves or after five seconds.
    ///
    /// When this is dropped, all connections end at once.
    pub async fn run<F, S>(self, mut stop: watch::Receiver<bool>, serve: F)
    where
        F: Fn(Accepted) -> S + Send + Sync + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        let Listeners { listeners, reception } = self;
        let serve = Arc::new(serve);
        // Gone with this future; the connections take that for their end.
        let (house, _) = watch::channel(());
        {
            let accepting =
                listeners.iter().map(|listener| listener.accept(&reception, &serve, house.subscribe()));
            let accepting = join_all(accepting);
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => {}
                _ = accepting => {}
            }
        }
        drop(listeners);
        reception.seats.dismiss_strangers();
        if timeout(FAREWELL_MAX, reception.seats.empty()).await.is_err() {
            warn!(open = reception.seats.open(), "closes MQTT connections that do not end");
        }
    }
}

/// Tells what happened at the listeners.
#[derive(Clone, Debug)]
pub struct StatusHandle {
    seats: Arc<Seats>,
    counters: Arc<Counters>,
}

impl StatusHandle {
    /// Returns what happened so far.
    pub fn status(&self) -> Status {
        self.counters.status(self.seats.open())
    }
}

impl Listener {
    async fn bind(address: SocketAddr, transport: Transport, settings: &Server) -> io::Result<Listener> {
        let socket = socket::listen(address).await?;
        let local = socket.local_addr()?;
        let may_be_anonymous = settings.allows_anonymous(local, transport.is_websocket());
        Ok(Listener { socket, entrance: Entrance { local, transport, may_be_anonymous } })
    }

    /// Accepts for ever.
    async fn accept<F, S>(&self, reception: &Reception, serve: &Arc<F>, house: watch::Receiver<()>)
    where
        F: Fn(Accepted) -> S + Send + Sync + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        loop {
            match self.socket.accept().await {
                Ok((stream, peer)) => self.admit(reception, serve, house.clone(), stream, peer),
                Err(error) if concerns_one(&error) => {
                    debug!(error = &error as &dyn std::error::Error, "a connection ended before it began");
                }
                Err(error) => {
                    if let Some(times) = reception.counters.accepts_failed.add() {
                        let error = &error as &dyn std::error::Error;
                        warn!(address = %self.entrance.local, error, times, "cannot accept MQTT connections");
                    }
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Finds a place for a connection, and starts its task.
    fn admit<F, S>(
        &self,
        reception: &Reception,
        serve: &Arc<F>,
        house: watch::Receiver<()>,
        stream: TcpStream,
        peer: SocketAddr,
    ) where
        F: Fn(Accepted) -> S + Send + Sync + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        let deadline = Instant::now() + reception.connect_timeout;
        let counters = &reception.counters;
        counters.accepted.add();
        // A listener for both kinds shows IPv4 addresses in IPv6 ones.
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let (seat, dismissed) = match reception.seats.take(peer.ip()) {
            Ok(taken) => taken,
            Err(full) => {
                let (count, reason) = match full {
                    Full::Total => (&counters.refused_total, "mqtt.server.max_connections is reached"),
                    Full::Address => {
                        (&counters.refused_address, "mqtt.server.max_connections_per_address is reached")
                    }
                };
                if let Some(times) = count.add() {
                    warn!(%peer, reason, times, "refused an MQTT connection");
                }
                return;
            }
        };
        let (entrance, reception, serve) = (self.entrance, reception.clone(), serve.clone());
        spawn(async move {
            let work = async {
                if let Some(accepted) = reception.greet(stream, peer, entrance, deadline, &seat).await {
                    serve(accepted).await;
                }
            };
            reception.watch_over(work, peer, house, dismissed).await;
        });
    }
}

impl Reception {
    /// Does the handshakes, in time or not at all.
    async fn greet(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        entrance: Entrance,
        deadline: Instant,
        seat: &Seat,
    ) -> Option<Accepted> {
        let Entrance { local, transport, may_be_anonymous } = entrance;
        let handshakes = timeout_at(deadline, self.handshakes(stream, transport)).await;
        match handshakes.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok((stream, identity)) => {
                let claim = self.seats.claim(seat);
                Some(Accepted { stream, peer, local, transport, identity, may_be_anonymous, deadline, claim })
            }
            Err(error) => {
                let told = self.counters.handshakes_failed.add();
                // Whoever only looks whether somebody listens leaves without a word.
                let has_left = matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset);
                if let Some(times) = told.filter(|_| !has_left) {
                    let error = &error as &dyn std::error::Error;
                    warn!(%peer, ?transport, error, times, "an MQTT client's handshake failed");
                }
                None
            }
        }
    }

    async fn handshakes(
        &self,
        stream: TcpStream,
        transport: Transport,
    ) -> io::Result<(Box<dyn Stream>, Option<String>)> {
        stream.set_nodelay(true)?;
        if let Some(silence) = self.silence {
            socket::end_after_silence(&stream, silence)?;
        }
        let limit = self.packet_bytes_max;
        let certificates = self.certificates.as_ref().filter(|_| transport.has_tls());
        Ok(match (certificates, transport.is_websocket()) {
            (None, false) => (Box::new(stream), None),
            (None, true) => (Box::new(websocket::accept(stream, limit).await?), None),
            (Some(certificates), is_websocket) => {
                let (stream, identity) = certificates.accept(stream).await?;
                match is_websocket {
                    false => (Box::new(stream), identity),
                    true => (Box::new(websocket::accept(stream, limit).await?), identity),
                }
            }
        })
    }

    /// Lets a connection work until it ends, has to go, or panics, which ends nothing else.
    async fn watch_over(
        &self,
        work: impl Future<Output = ()>,
        peer: SocketAddr,
        mut house: watch::Receiver<()>,
        dismissed: oneshot::Receiver<()>,
    ) {
        tokio::select! {
            biased;
            _ = house.changed() => {}
            _ = dismissed => {
                self.counters.displaced.add();
                debug!(%peer, "closed an MQTT connection for another: it had not proved itself");
            }
            worked = AssertUnwindSafe(work).catch_unwind() => {
                let told = worked.err().and_then(|_| self.counters.panicked.add());
                if let Some(times) = told {
                    error!(%peer, times, "closed an MQTT connection because of a fault in Gable");
                }
            }
        }
    }
}

/// Whether accepting failed because of the one connection that would have been next.
fn concerns_one(error: &io::Error) -> bool {
    use ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
