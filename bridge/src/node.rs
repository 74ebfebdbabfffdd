//! One running node: the place where its parts are started and stopped.
//!
//! The order matters. A floating address that a killed node left goes first: another node may hold
//! it. Addresses are taken before the data folder is touched, so that a second
//! process on the same machine fails without harm; the log is there before the broker is heard; the
//! API comes last. A stop goes the other way round: no address for devices, no new messages,
//! leadership handed over, then the log.

mod home;
mod reload;

use crate::address::{self, Presence};
use crate::almanac;
use crate::errands;
use crate::http::{self, Api};
use crate::mqtt::{self, Mqtt};
use crate::raft::{
    self, Batching, ClusterKey, Compaction, Replica, ReplicaSettings, RuleCache, SettingsError, Timing,
};
use crate::store::history::{self, History};
use crate::store::{self, Identity, ReadCache, Store};
use gable_broker_config::{CachePolicy, Settings};
use gable_devices::Millis;
use gable_rules::{NodeId, Policy};
use home::HomeFiles;
use reload::Reload;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tracing::{info, warn};

/// How long one attempt to see the node recovered may take; it is tried again until it has.
const RECOVERY_ATTEMPT: Duration = Duration::from_secs(5);
/// How long requests that are being answered may hold up a stop.
const HTTP_GRACE: Duration = Duration::from_millis(300);

/// Why a node could not start. Each message names the address, folder or key that is at fault.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Address(#[from] address::Error),
    #[error(transparent)]
    Http(#[from] http::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("cluster settings can not be used")]
    Cluster(#[from] SettingsError),
    #[error(transparent)]
    Replica(#[from] raft::Error),
    #[error(transparent)]
    Mqtt(#[from] mqtt::Error),
}

/// Where a node can be reached.
#[derive(Clone, Debug)]
pub struct Addresses {
    pub peers: SocketAddr,
    pub http: SocketAddr,
    /// The broker that devices use.
    pub mqtt: String,
}

/// A running node.
pub struct Node {
    replica: Replica,
    mqtt: Mqtt,
    presence: Presence,
    addresses: Addresses,
    recovered: watch::Receiver<bool>,
    stopping: watch::Sender<bool>,
    reload: Arc<Notify>,
    http: JoinHandle<()>,
    tasks: Vec<JoinHandle<()>>,
}

impl Node {
    /// Starts all parts. It returns as soon as the node listens; see [`Node::ready`].
    pub async fn start(settings: Settings) -> Result<Node, Error> {
        address::clear(&settings.address).await?;
        let listener = http::bind(settings.http.listen).await?;
        let Opened { store, history, fsync_p99 } = open(&settings).await?;
        let replica = Replica::start(replica_settings(&settings, fsync_p99)?, store, history).await?;
        let mqtt = match Mqtt::start(&settings, replica.clone()).await {
            Ok(mqtt) => mqtt,
            Err(error) => {
                replica.shutdown().await;
                return Err(error.into());
            }
        };
        Ok(Node::run(settings, listener, replica, mqtt))
    }

    fn run(settings: Settings, listener: TcpListener, replica: Replica, mqtt: Mqtt) -> Node {
        let addresses = Addresses {
            peers: replica.listen_address(),
            http: listener.local_addr().unwrap_or(settings.http.listen),
            mqtt: mqtt.address().to_owned(),
        };
        let (stopping, stopped) = watch::channel(false);
        let (recover, recovered) = watch::channel(false);
        let reload = Arc::new(Notify::new());
        let home = settings.home.clone();
        let reloading = Reload {
            files: HomeFiles::new(settings.home.files.clone(), &settings.node.data_dir),
            replica: replica.clone(),
            recovered: recovered.clone(),
            asked: reload.clone(),
        };
        let presence = Presence::start(&settings, &replica, recovered.clone());
        let api = Arc::new(Api {
            replica: replica.clone(),
            cache: Arc::new(ReadCache::new(
                replica.history().clone(),
                to_policy(settings.cache.policy),
                settings.cache.history_capacity,
            )),
            mqtt: mqtt.watch(),
            holds_address: presence.holds(),
            settings,
            recovered: recovered.clone(),
            stopping: stopped,
        });
        let node = replica.node();
        let http = tokio::spawn(async move {
            if let Err(error) = http::serve(listener, api).await {
                warn!(node = %node, error = %error, "the HTTP API has stopped");
            }
        });
        let tasks = vec![
            tokio::spawn(watch_recovery(replica.clone(), recover)),
            tokio::spawn(reloading.run()),
            tokio::spawn(almanac::run(replica.clone(), home)),
            tokio::spawn(errands::run(replica.clone())),
        ];
        info!(node = %node, http = %addresses.http, peers = %addresses.peers, mqtt = addresses.mqtt, "the node listens");
        Node { replica, mqtt, presence, addresses, recovered, stopping, reload, http, tasks }
    }

    pub fn id(&self) -> NodeId {
        self.replica.node()
    }

    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Waits until the node has applied what it had applied before and knows a leader.
    pub async fn ready(&self) {
        let mut recovered = self.recovered.clone();
        // An error means that the node stops, and then nobody waits for it.
        let _ = recovered.wait_for(|recovered| *recovered).await;
    }

    /// Waits until the node must not go on, and returns the reason.
    pub async fn fatal(&self) -> Arc<str> {
        let mut fatal = self.replica.fatal();
        match fatal.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_else(|| "replication has stopped".into()),
            Err(_) => "replication has stopped".into(),
        }
    }

    /// Puts this node's files of the home into force, whichever were offered last, and reads the
    /// broker's certificates anew.
    pub fn reload(&self) {
        self.reload.notify_one();
        self.mqtt.reload();
    }

    /// Stops all parts: gives the cluster's address up, takes no more messages, hands leadership over, closes the log.
    pub async fn stop(self) {
        let Node { replica, mqtt, presence, stopping, http, tasks, .. } = self;
        info!(node = %replica.node(), "the node stops");
        stopping.send_replace(true);
        presence.stop().await;
        mqtt.stop().await;
        replica.shutdown().await;
        for task in &tasks {
            task.abort();
        }
        // A client that does not read its answer must not keep the node.
        let abort = http.abort_handle();
        if tokio::time::timeout(HTTP_GRACE, http).await.is_err() {
            abort.abort();
        }
        info!(node = %replica.node(), "the node has stopped");
    }
}

struct Opened {
    store: Store,
    history: History,
    fsync_p99: Duration,
}

/// Opens the data folder off the runtime's threads: a check of a large log takes its time.
async fn open(settings: &Settings) -> Result<Opened, Error> {
    let folder = settings.node.data_dir.clone();
    let identity = Identity { cluster: settings.cluster.name.clone(), node: NodeId(settings.node.id) };
    let limits = settings.history.clone();
    let opened = tokio::task::spawn_blocking(move || {
        let store = Store::open(&folder, store::Options::new(identity.clone()))?;
        let fsync_p99 = store::measure_fsync_p99(&folder)?;
        let unlimited = |limit: u64| if limit == 0 { u64::MAX } else { limit };
        let options = history::Options {
            keep_bytes: unlimited(limits.max_bytes),
            keep_for: Millis::from_secs(unlimited(limits.max_age_days).saturating_mul(24 * 3600)),
            ..history::Options::new(identity)
        };
        let history = History::open(&folder, options)?;
        Ok(Opened { store, history, fsync_p99 })
    });
    match opened.await {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

fn to_policy(policy: CachePolicy) -> Policy {
    match policy {
        CachePolicy::Lru => Policy::Lru,
        CachePolicy::Fifo => Policy::Fifo,
        CachePolicy::Off => Policy::Off,
    }
}

fn replica_settings(settings: &Settings, fsync_p99: Duration) -> Result<ReplicaSettings, Error> {
    let cluster = &settings.cluster;
    let key = cluster.key.as_ref().map_or("", |key| key.expose());
    Ok(ReplicaSettings {
        node: NodeId(settings.node.id),
        cluster: cluster.name.clone(),
        key: ClusterKey::new(key)?,
        listen: cluster.listen,
        peers: cluster.peers.iter().map(|peer| (NodeId(peer.id), peer.address.clone())).collect(),
        timing: Timing {
            heartbeat: Duration::from_millis(cluster.heartbeat_ms),
            election_min: Duration::from_millis(cluster.election_min_ms),
            election_max: Duration::from_millis(cluster.election_max_ms),
        },
        fsync_p99,
        cache: RuleCache { policy: to_policy(settings.cache.policy), capacity: settings.cache.capacity },
        compaction: Compaction::default(),
        batching: Batching { linger: Duration::from_millis(cluster.linger_ms), ..Batching::default() },
    })
}

/// Tells once that the node has applied its log and knows a leader.
async fn watch_recovery(replica: Replica, recover: watch::Sender<bool>) {
    while !replica.recovered(RECOVERY_ATTEMPT).await {
        info!(node = %replica.node(), "waits for a leader: a majority of the nodes has to be up");
    }
    recover.send_replace(true);
}
