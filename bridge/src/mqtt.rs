//! The MQTT edge: Gable as the broker of its devices ([`server`]), or as a client of another one.
//!
//! As a client (rumqttc) it speaks to a broker that is there already, or to one that it
//! starts in its own process. Three tasks share the work: `link` polls the connection, `ingest`
//! brings messages into the log and acknowledges them after commit, `dispatch` brings the outbox's
//! rows to the broker. Where messages are relayed between brokers, a second connection brings in those
//! (`relay`), and everything that is published goes by it.

mod ahead;
mod backlog;
mod client;
mod counters;
mod dispatch;
pub mod embedded;
mod filters;
mod fingerprint;
mod heard;
mod ingest;
mod ledger;
mod link;
mod outgoing;
mod ownership;
mod recent;
mod relay;
mod relaying;
pub mod server;
mod subscriptions;

pub use counters::Status as ClientStatus;

use crate::raft::Replica;
use counters::Counters;
use dispatch::{Broker, Dispatch};
use gable_broker_config::{MqttMode, Settings};
use gable_devices::Millis;
use gable_rules::{InputKind, NodeId};
use ingest::Ingest;
use link::{Link, Options};
use recent::Echoes;
use relay::Relay;
use serde::Serialize;
use server::Server;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How many messages wait between link and ingest. When it is full, messages at QoS 0 are dropped
/// and others stop the link, which stops the broker.
const INBOUND_MAX: usize = 1_024;

/// How many reports wait between link and dispatch. There are at most two for each publish in
/// flight; when it is full the link waits.
const OUTBOUND_MAX: usize = 1_024;

/// How long the log may take to learn that this node's link goes down on purpose.
const FAREWELL_MAX: Duration = Duration::from_secs(1);

/// Longer than it takes until a node that is away counts as away.
const ABSENCE_MAX: Duration = Duration::from_secs(2);

/// How long another node must have listened before this one left, to stand in for it: longer than it
/// takes the cluster to notice either.
const STAND_IN_MIN: Millis = Millis::from_secs(10);

/// How long a node asks for the cluster's view before it connects without it.
const VIEW_MAX: Duration = Duration::from_secs(2);

/// Why the MQTT edge did not start. A broker elsewhere that is down is no error: it is retried.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Embedded(#[from] embedded::Error),
    #[error(transparent)]
    Server(#[from] server::Error),
}

/// The running MQTT edge; its tasks end when it is dropped.
#[derive(Debug)]
pub struct Mqtt {
    address: String,
    replica: Replica,
    edge: Edge,
}

#[derive(Debug)]
enum Edge {
    Client { counters: Counters, tasks: JoinSet<()>, broker: Option<embedded::Broker> },
    Server(Server),
}

impl Mqtt {
    /// Starts the broker, if it is to run in this process, and the tasks.
    pub async fn start(settings: &Settings, replica: Replica) -> Result<Mqtt, Error> {
        let broker = match settings.mqtt.mode {
            MqttMode::Server => {
                let server = Server::start(settings, replica.clone()).await?;
                let address = server.address().map(|address| address.to_string()).unwrap_or_default();
                return Ok(Mqtt { address, replica, edge: Edge::Server(server) });
            }
            MqttMode::Embedded => Some(embedded::Broker::start(settings).await?),
            MqttMode::Attach => None,
        };
        let options = Options::new(settings, broker.as_ref().map(|broker| broker.address().port()));
        let address = broker
            .as_ref()
            .map_or_else(|| options.address().to_owned(), |broker| broker.address().to_string());
        let counters = Counters::default();
        let mut tasks = JoinSet::new();
        start_tasks(&mut tasks, settings, options, &replica, &counters);
        Ok(Mqtt { address, replica, edge: Edge::Client { counters, tasks, broker } })
    }

    /// Returns what the edge did so far.
    pub fn status(&self) -> Status {
        self.watch().status()
    }

    /// Returns a handle that tells the status for as long as anybody asks.
    pub fn watch(&self) -> StatusHandle {
        StatusHandle(match &self.edge {
            Edge::Client { counters, .. } => Watched::Client(counters.clone()),
            Edge::Server(server) => Watched::Server(server.watch()),
        })
    }

    /// `host:port` of the broker that devices use.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Where rumqttd listens, if it runs in this process.
    pub fn embedded_address(&self) -> Option<SocketAddr> {
        match &self.edge {
            Edge::Client { broker, .. } => broker.as_ref().map(embedded::Broker::address),
            Edge::Server(_) => None,
        }
    }

    /// Takes over what may change while it runs: the broker's certificates.
    pub fn reload(&self) {
        match &self.edge {
            Edge::Server(server) => server.reload(),
            Edge::Client { .. } => {}
        }
    }

    /// Ends the tasks, and tells the log that this node hears nothing more, so that others take over
    /// its topics at once.
    pub async fn stop(self) {
        match self.edge {
            Edge::Client { mut tasks, .. } => tasks.shutdown().await,
            Edge::Server(server) => server.stop().await,
        }
        let farewell = self.replica.propose(InputKind::Link { up: false });
        // Without a leader the others find out by themselves.
        let _ = timeout(FAREWELL_MAX, farewell).await;
    }
}

/// Tells the status of a node's MQTT edge.
#[derive(Clone, Debug)]
pub struct StatusHandle(Watched);

#[derive(Clone, Debug)]
enum Watched {
    Client(Counters),
    Server(server::Watch),
}

/// What the edge did so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Status {
    Client(ClientStatus),
    Server(server::Status),
}

impl StatusHandle {
    /// Returns what the edge did so far.
    pub fn status(&self) -> Status {
        match &self.0 {
            Watched::Client(counters) => Status::Client(counters.status()),
            Watched::Server(server) => Status::Server(server.status()),
        }
    }
}

fn start_tasks(
    tasks: &mut JoinSet<()>,
    settings: &Settings,
    options: Options,
    replica: &Replica,
    counters: &Counters,
) {
    let me = NodeId(settings.node.id);
    let mqtt = &settings.mqtt;
    let echoes = Arc::new(Mutex::new(Echoes::default()));
    let (to_ingest, inbound) = mpsc::channel(INBOUND_MAX);
    let (to_dispatch, outbound) = mpsc::channel(OUTBOUND_MAX);
    let broker = match mqtt.mode {
        // It is not attached to anything, and does not come here.
        MqttMode::Embedded | MqttMode::Server => Broker::Embedded,
        MqttMode::Attach if mqtt.shared_broker => Broker::Shared,
        MqttMode::Attach => Broker::Own,
    };
    let mut ingest = Ingest::new(
        replica.clone(),
        me,
        mqtt.shared_broker,
        mqtt.extra_topics.clone(),
        counters.clone(),
        echoes.clone(),
    );
    let packet_bytes_max = match broker {
        Broker::Embedded => mqtt.max_packet_bytes.min(mqtt.embedded.max_payload_bytes),
        Broker::Own | Broker::Shared => mqtt.max_packet_bytes,
    };
    let in_flight_max = mqtt.inflight.into();
    let mut dispatch =
        Dispatch::new(replica.clone(), broker, in_flight_max, packet_bytes_max, counters.clone(), echoes);
    let mut to_dispatch = Some(to_dispatch);
    let relay = &mqtt.attach.relay;
    if !relay.is_empty() {
        let (begun, is_begun) = oneshot::channel();
        ingest = ingest.beside(relay.clone(), begun);
        dispatch = dispatch.relaying(me, in_flight_max, mqtt.attach.max_relay_bytes);
        let (to_relay, inbound) = mpsc::channel(INBOUND_MAX);
        tasks.spawn(Relay::new(replica.clone(), me, relay, counters.clone()).run(inbound, is_begun));
        // Everything is published by this one, whose subscriptions it does not come back to.
        let link = Link {
            options: Options::relaying(settings),
            inbound: to_relay,
            outbound: to_dispatch.take(),
            counters: counters.clone(),
        };
        tasks.spawn(async move { link.run(|| std::future::ready(false)).await });
    }
    tasks.spawn(ingest.run(inbound));
    tasks.spawn(dispatch.run(outbound));
    let link = Link { options, inbound: to_ingest, outbound: to_dispatch, counters: counters.clone() };
    let (replica, is_shared) = (replica.clone(), mqtt.shared_broker);
    tasks.spawn(async move {
        link.run(|| async { is_shared && is_heard_by_another(&replica, me).await }).await;
    });
}

/// Whether another node has listened to the shared broker since before this one left it. Then this
/// node's queue at the broker holds what that one has heard: proposing it now, perhaps hours later,
/// would replay the past. After a short absence the queue is kept, because who left and who came in
/// those seconds is known too roughly; what is in it is held against the log, message by message.
///
/// After all nodes were away the state may still call one present that is not, until the leader has
/// missed it. So the other has to be seen twice, with more than that time between.
async fn is_heard_by_another(replica: &Replica, me: NodeId) -> bool {
    // The log has to know first that this node has left.
    let farewell = replica.propose(InputKind::Link { up: false });
    if !matches!(timeout(VIEW_MAX, farewell).await, Ok(Ok(_))) || !has_stand_in(replica, me) {
        return false;
    }
    sleep(ABSENCE_MAX).await;
    matches!(timeout(VIEW_MAX, replica.linearizable()).await, Ok(Ok(_))) && has_stand_in(replica, me)
}

fn has_stand_in(replica: &Replica, me: NodeId) -> bool {
    replica.read(|state| {
        let left = state.nodes().find(|(node, is)| *node == me && !is.is_ready()).map(|(_, is)| is.since);
        left.is_some_and(|left| {
            state.nodes().any(|(_, is)| is.is_ready() && left.since(is.since) > STAND_IN_MIN)
        })
    })
}
