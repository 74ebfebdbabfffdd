//! Gable as the MQTT broker of its devices: MQTT 3.1, 3.1.1 and 5 on every node, one broker on all.
//!
//! What a client publishes is committed before it is acknowledged, and delivered by every node to the
//! clients that it holds. Packets come in by [`connection`], become wishes in [`session`], entries in
//! the log, and answers and deliveries by the [`hub`]. What has to outlive a node is in
//! [`gable_rules::broker`].

mod admission;
mod connection;
mod counters;
mod figures;
mod hub;
mod mailbox;
pub mod net;
pub mod password;
mod rights;
pub mod session;
mod sys;
pub mod wire;

pub use counters::Counted;
pub use net::Error;

use crate::raft::{Replica, spawn};
use counters::Counters;
use gable_broker_config::Settings;
use gable_devices::Millis;
use gable_rules::broker::BrokerLimits;
use gable_rules::{InputKind, NodeId};
use hub::Hub;
use net::{Listeners, Transport};
use password::Passwords;
use rights::Classes;
use serde::Serialize;
use session::Quotas;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use sys::Sys;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What all connections of a server share.
struct Context {
    replica: Replica,
    hub: Arc<Hub>,
    counters: Counters,
    passwords: Passwords,
    classes: Arc<Classes>,
    quotas: Quotas,
    packet_size_max: u32,
    /// The longest keep alive, in seconds; 0 stands for no limit.
    keep_alive_max: u16,
    /// PUBLISH packets that a client may send within a second; 0 stands for no limit.
    messages_per_second_max: u32,
    /// Bytes of messages that may wait for one client.
    backlog_max: usize,
    /// How long a client's packet may wait for the log.
    patience: Duration,
    numbers: AtomicU64,
    stop: watch::Receiver<bool>,
}

impl Context {
    fn new(
        settings: &gable_broker_config::Server,
        replica: Replica,
        hub: Arc<Hub>,
        counters: Counters,
        stop: watch::Receiver<bool>,
    ) -> Context {
        Context {
            replica,
            hub,
            counters,
            passwords: Passwords::new(),
            classes: Arc::new(Classes::new(&settings.topics)),
            quotas: Quotas {
                receive_maximum: settings.receive_maximum,
                in_flight_max: settings.max_inflight,
                topic_aliases_max: settings.max_topic_aliases,
                subscriptions_max: settings.max_subscriptions,
            },
            keep_alive_max: settings.max_keep_alive_s,
            messages_per_second_max: settings.max_messages_per_second,
            packet_size_max: u32::try_from(settings.max_packet_bytes).unwrap_or(u32::MAX),
            backlog_max: settings.max_backlog_bytes,
            patience: Duration::from_secs(settings.ack_patience_s),
            numbers: AtomicU64::new(1),
            stop,
        }
    }

    fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }
}

/// The running server; it ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    addresses: Vec<(Transport, SocketAddr)>,
    watch: Watch,
    certificates: Option<net::Certificates>,
    stop: watch::Sender<bool>,
    /// Tells the log, and later how the server does.
    opening: JoinHandle<()>,
    listening: JoinHandle<()>,
}

/// Tells how a server does.
#[derive(Clone, Debug)]
pub struct Watch {
    hub: Arc<Hub>,
    counters: Counters,
    listeners: net::StatusHandle,
}

/// How a server does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Whether clients are served.
    pub link_up: bool,
    /// Clients that are connected to this node.
    pub clients: usize,
    #[serde(flatten)]
    pub counted: Counted,
    pub listeners: net::Status,
}

impl Watch {
    /// Returns how the server does.
    pub fn status(&self) -> Status {
        Status {
            link_up: self.hub.is_open(),
            clients: self.hub.len(),
            counted: self.counters.get(),
            listeners: self.listeners.status(),
        }
    }
}

impl Server {
    /// Starts to listen. Clients are served as soon as the log has taken note.
    pub async fn start(settings: &Settings, replica: Replica) -> Result<Server, Error> {
        let me = NodeId(settings.node.id);
        let settings = &settings.mqtt.server;
        let counters = Counters::default();
        let hub = Arc::new(Hub::new(me, counters.clone()));
        let listeners = Listeners::bind(settings).await?;
        let addresses: Vec<_> = listeners.addresses().collect();
        let certificates = listeners.certificates();
        replica.set_audience(hub.clone());
        let (stop, stopped) = watch::channel(false);
        let context =
            Arc::new(Context::new(settings, replica.clone(), hub.clone(), counters.clone(), stopped));
        let interval = (settings.sys_interval_s > 0).then(|| Duration::from_secs(settings.sys_interval_s));
        let sys = interval.map(|interval| Sys::new(replica.clone(), hub.clone(), counters.clone(), interval));
        let opening = spawn(open(replica, hub.clone(), limits(settings), sys));
        let watch = Watch { hub, counters, listeners: listeners.watch() };
        let listening = spawn(
            listeners.run(context.stop.clone(), move |accepted| connection::run(context.clone(), accepted)),
        );
        Ok(Server { addresses, watch, certificates, stop, opening, listening })
    }

    /// Where it listens for clients, first for those without encryption.
    pub fn address(&self) -> Option<SocketAddr> {
        self.addresses.first().map(|(_, address)| *address)
    }

    /// Returns what tells how it does, for as long as anybody asks.
    pub fn watch(&self) -> Watch {
        self.watch.clone()
    }

    /// Reads the certificates anew, for connections to come. Broken files leave the old ones in use.
    pub fn reload(&self) {
        // What is wrong with them was logged.
        let _ = self.certificates.as_ref().map(net::Certificates::reload);
    }

    /// Says goodbye to the clients and ends.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        self.opening.abort();
        // The listeners end when the clients have gone; a panic of theirs has been told.
        let _ = (&mut self.listening).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.opening.abort();
        self.listening.abort();
    }
}

/// What the log keeps at most.
fn limits(settings: &gable_broker_config::Server) -> BrokerLimits {
    BrokerLimits {
        clients_max: settings.max_clients,
        subscriptions_max: settings.max_subscriptions,
        retained_max: settings.max_retained,
        retained_bytes_max: settings.max_retained_bytes,
        queue_max: settings.max_queued,
        queue_bytes_max: settings.max_queued_bytes,
        session_expiry_max: settings.max_session_expiry_s,
        grace: Millis::from_secs(settings.grace_s),
        patience: Millis::from_secs(settings.ack_patience_s),
    }
}

/// Tells the log that this node serves clients, and from then on clients how it does.
async fn open(replica: Replica, hub: Arc<Hub>, limits: BrokerLimits, sys: Option<Sys>) {
    if replica.propose(InputKind::Serve(Some(limits))).await.is_err() {
        return;
    }
    let Some(mut sys) = sys else { return hub.open(replica.boot()) };
    // The first client finds them there.
    sys.tell();
    hub.open(replica.boot());
    sys.run().await;
}
