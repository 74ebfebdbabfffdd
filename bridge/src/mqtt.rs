//! The MQTT edge: the link to a broker, what comes in over it and what goes out.
//!
//! Gable is a client (MQTT 3.1.1, rumqttc) of a broker that is there already, or of one that it
//! starts in its own process. Three tasks share the work: `link` polls the connection, `ingest`
//! brings messages into the log and acknowledges them after commit, `dispatch` brings the outbox's
//! rows to the broker.

mod ahead;
mod backlog;
mod counters;
mod dispatch;
pub mod embedded;
mod filters;
mod fingerprint;
mod ingest;
mod ledger;
mod link;
mod outgoing;
mod ownership;
mod recent;
pub mod server;
mod subscriptions;

pub use counters::Status;

use crate::raft::Replica;
use counters::Counters;
use dispatch::{Broker, Dispatch};
use gable_broker_config::{MqttMode, Settings};
use gable_devices::Millis;
use gable_rules::{InputKind, NodeId};
use ingest::Ingest;
use link::{Link, Options};
use recent::Echoes;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;
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
}

/// The running MQTT edge; its tasks end when it is dropped.
#[derive(Debug)]
pub struct Mqtt {
    counters: Counters,
    address: String,
    replica: Replica,
    tasks: JoinSet<()>,
    broker: Option<embedded::Broker>,
}

impl Mqtt {
    /// Starts the broker, if it is to run in this process, and the tasks.
    pub async fn start(settings: &Settings, replica: Replica) -> Result<Mqtt, Error> {
        let broker = match settings.mqtt.mode {
            MqttMode::Embedded => Some(embedded::Broker::start(settings).await?),
            MqttMode::Attach => None,
        };
        let options = Options::new(settings, broker.as_ref().map(|broker| broker.address().port()));
        let address = options.address().to_owned();
        let counters = Counters::default();
        let mut tasks = JoinSet::new();
        start_tasks(&mut tasks, settings, options, &replica, &counters);
        Ok(Mqtt { counters, address, replica, tasks, broker })
    }

    /// Returns what the edge did so far.
    pub fn status(&self) -> Status {
        self.counters.status()
    }

    /// Returns a handle that tells the status for as long as anybody asks.
    pub fn watch(&self) -> StatusHandle {
        StatusHandle(self.counters.clone())
    }

    /// `host:port` of the broker.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Where the broker in this process listens, if there is one.
    pub fn embedded_address(&self) -> Option<SocketAddr> {
        self.broker.as_ref().map(embedded::Broker::address)
    }

    /// Ends the tasks, and tells the log that this node hears nothing more, so that others take over
    /// its topics at once.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
        let farewell = self.replica.propose(InputKind::Link { up: false });
        // Without a leader the others find out by themselves.
        let _ = timeout(FAREWELL_MAX, farewell).await;
    }
}

/// Tells the status of a node's MQTT edge.
#[derive(Clone, Debug)]
pub struct StatusHandle(Counters);

impl StatusHandle {
    /// Returns what the edge did so far.
    pub fn status(&self) -> Status {
        self.0.status()
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
        MqttMode::Embedded => Broker::Embedded,
        MqttMode::Attach if mqtt.shared_broker => Broker::Shared,
        MqttMode::Attach => Broker::Own,
    };
    let ingest = Ingest::new(
        replica.clone(),
        me,
        mqtt.shared_broker,
        mqtt.extra_topics.clone(),
        counters.clone(),
        echoes.clone(),
    );
    tasks.spawn(ingest.run(inbound));
    let packet_bytes_max = match broker {
        Broker::Embedded => mqtt.max_packet_bytes.min(mqtt.embedded.max_payload_bytes),
        Broker::Own | Broker::Shared => mqtt.max_packet_bytes,
    };
    let in_flight_max = mqtt.inflight.into();
    let dispatch =
        Dispatch::new(replica.clone(), broker, in_flight_max, packet_bytes_max, counters.clone(), echoes);
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
