//! Replicas in one process, each with its own folder and port.

use gable::raft::{ClusterKey, Committed, Error, ProposeError, Replica, ReplicaSettings};
use gable::store::history::{self, Filter, History, Kind, Position, Row};
use gable::store::{self, Identity, Store};
use gable_devices::Timestamp;
use gable_rules::{Effect, InputKind, Message, NodeId};
use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

pub(crate) const KEY: &str = "a key of enough length";

/// How long anything may take before a test fails. Machines that run tests are slow at times.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

type Tweak = Box<dyn Fn(&mut ReplicaSettings) + Send + Sync>;

pub(crate) struct Cluster {
    members: BTreeMap<NodeId, String>,
    folders: BTreeMap<u64, TempDir>,
    running: BTreeMap<u64, Replica>,
    tweak: Tweak,
}

impl Cluster {
    pub(crate) async fn start(size: u64) -> Cluster {
        Cluster::start_with(size, |_| ()).await
    }

    pub(crate) async fn start_with(
        size: u64,
        tweak: impl Fn(&mut ReplicaSettings) + Send + Sync + 'static,
    ) -> Cluster {
        capture_log();
        let addresses = free_addresses(size);
        let members =
            (1..).zip(&addresses).map(|(node, address)| (NodeId(node), address.to_string())).collect();
        let folders = (1..=size).map(|node| (node, tempfile::tempdir().unwrap())).collect();
        let mut cluster = Cluster { members, folders, running: BTreeMap::new(), tweak: Box::new(tweak) };
        for node in 1..=size {
            cluster.restart(node).await;
        }
        cluster
    }

    pub(crate) fn node(&self, node: u64) -> &Replica {
        &self.running[&node]
    }

    /// Starts a node from its folder.
    pub(crate) async fn restart(&mut self, node: u64) {
        let settings = self.settings(node);
        let (store, history) = open(self.folders[&node].path(), node, &settings.cluster).await;
        let replica = Replica::start(settings, store, history).await.unwrap();
        self.running.insert(node, replica);
    }

    /// Stops a node without telling anybody.
    pub(crate) async fn kill(&mut self, node: u64) {
        let replica = self.running.remove(&node).unwrap();
        replica.halt().await;
    }

    /// Stops a node as planned.
    pub(crate) async fn shutdown(&mut self, node: u64) {
        let replica = self.running.remove(&node).unwrap();
        replica.shutdown().await;
    }

    pub(crate) async fn stop(mut self) {
        while let Some((_, replica)) = self.running.pop_first() {
            replica.halt().await;
        }
    }

    /// Loses a stopped node's disk.
    pub(crate) fn empty(&mut self, node: u64) {
        self.folders.insert(node, tempfile::tempdir().unwrap());
    }

    /// Starts a node in the place of a stopped one, with an empty disk and changed settings.
    pub(crate) async fn stranger(&self, node: u64, change: impl FnOnce(&mut ReplicaSettings)) -> Replica {
        let mut settings = self.settings(node);
        change(&mut settings);
        let folder = tempfile::tempdir().unwrap();
        let (store, history) = open(folder.path(), node, &settings.cluster).await;
        Replica::start(settings, store, history).await.unwrap()
    }

    /// Starts a node on a port that is in use.
    pub(crate) async fn start_twice(&self) -> Result<Replica, Error> {
        let settings = self.settings(1);
        let folder = tempfile::tempdir().unwrap();
        let (store, history) = open(folder.path(), 1, &settings.cluster).await;
        Replica::start(settings, store, history).await
    }

    pub(crate) async fn start_with_store_of(&self, node: u64, owner: u64) -> Result<Replica, Error> {
        let mut settings = self.settings(node);
        settings.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let folder = tempfile::tempdir().unwrap();
        let (store, history) = open(folder.path(), owner, &settings.cluster).await;
        Replica::start(settings, store, history).await
    }

    /// Waits until all running nodes follow one of them, and returns it.
    pub(crate) async fn leader(&self) -> u64 {
        let mut leader = None;
        until("the nodes follow one leader", || {
            let mut leaders = self.running.values().map(Replica::leader);
            let first = leaders.next().flatten();
            leader = first.map(|node| node.0).filter(|node| {
                leaders.all(|other| other == first) && self.running.get(node).is_some_and(Replica::is_leader)
            });
            leader.is_some()
        })
        .await;
        leader.unwrap()
    }

    /// Returns a running node that does not lead.
    pub(crate) async fn follower(&self) -> u64 {
        let leader = self.leader().await;
        *self.running.keys().find(|node| **node != leader).unwrap()
    }

    /// Proposes message `n` through `node`.
    pub(crate) async fn say(&self, node: u64, n: u32) -> Result<Committed, ProposeError> {
        timeout(PATIENCE, self.node(node).propose(message(n))).await.expect("the input is committed in time")
    }

    /// Waits until the history of every running node holds exactly these messages in this order,
    /// and compares the states.
    pub(crate) async fn agrees_on(&self, expected: &[u32]) {
        for (node, replica) in &self.running {
            let deadline = Instant::now() + PATIENCE;
            loop {
                let said = said(replica.history());
                if said == expected {
                    break;
                }
                assert!(
                    Instant::now() < deadline,
                    "node {node} holds {} messages, not {}: {}",
                    said.len(),
                    expected.len(),
                    first_difference(&said, expected)
                );
                sleep(Duration::from_millis(10)).await;
            }
        }
        until("the states are equal", || {
            let mut hashes = self.running.values().map(|replica| {
                let status = replica.status();
                (status.hash_index, status.state_hash)
            });
            let first = hashes.next();
            hashes.all(|hash| Some(hash) == first)
        })
        .await;
    }

    fn settings(&self, node: u64) -> ReplicaSettings {
        let listen = self.members[&NodeId(node)].parse().unwrap();
        let key = ClusterKey::new(KEY).unwrap();
        let mut settings = ReplicaSettings::new(NodeId(node), "home", key, listen, self.members.clone());
        (self.tweak)(&mut settings);
        settings
    }
}

/// Opens a node's databases; a node that was just stopped may take a moment to close them.
async fn open(folder: &Path, node: u64, cluster: &str) -> (Store, History) {
    let identity = Identity { cluster: cluster.to_owned(), node: NodeId(node) };
    let deadline = Instant::now() + PATIENCE;
    let store = loop {
        match Store::open(folder, store::Options::new(identity.clone())) {
            Ok(store) => break store,
            Err(store::Error::InUse { .. }) if Instant::now() < deadline => {
                sleep(Duration::from_millis(5)).await
            }
            Err(error) => panic!("{error}"),
        }
    };
    let history = loop {
        match History::open(folder, history::Options::new(identity.clone())) {
            Ok(history) => break history,
            Err(store::Error::InUse { .. }) if Instant::now() < deadline => {
                sleep(Duration::from_millis(5)).await
            }
            Err(error) => panic!("{error}"),
        }
    };
    (store, history)
}

pub(crate) fn message(n: u32) -> InputKind {
    InputKind::Message(Message {
        topic: "said".to_owned(),
        payload: n.to_string().into_bytes(),
        ..Message::default()
    })
}

fn said(history: &History) -> Vec<u32> {
    let page = history.page(Position::START, 100_000, Filter::Messages).unwrap();
    let numbers = page.rows.iter().filter_map(|row| match &row.kind {
        Kind::Message(message) => Some(String::from_utf8_lossy(&message.payload).parse().unwrap()),
        Kind::Effect(_) | Kind::Input(_) => None,
    });
    numbers.collect()
}

/// Returns when timers fired, as the history tells.
pub(crate) fn fired(history: &History) -> Vec<Timestamp> {
    let page = history.page(Position::START, 100_000, Filter::Everything).unwrap();
    let fired = |row: &Row| matches!(row.kind, Kind::Effect(Effect::TimerFired { .. }));
    page.rows.iter().filter(|row| fired(row)).map(|row| row.at).collect()
}

fn first_difference(said: &[u32], expected: &[u32]) -> String {
    let place = said.iter().zip(expected).position(|(a, b)| a != b).unwrap_or(said.len().min(expected.len()));
    format!("at {place} stands {:?}, not {:?}", said.get(place), expected.get(place))
}

fn free_addresses(count: u64) -> Vec<SocketAddr> {
    let listeners: Vec<_> = (0..count).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    listeners.iter().map(|listener| listener.local_addr().unwrap()).collect()
}

/// Waits until `holds`, or fails.
#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let place = std::panic::Location::caller();
    async move {
        let deadline = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < deadline, "{place}: waited in vain: {what}");
            sleep(Duration::from_millis(5)).await;
        }
    }
}

/// What the tests' replicas logged, warnings and worse.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn clear(&self) {
        self.0.lock().unwrap().clear();
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        if std::env::var_os("SHOW_LOG").is_some() {
            std::io::stderr().write_all(bytes)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Collects the log of this process, which all its tests share.
pub(crate) fn capture_log() -> Log {
    static LOG: OnceLock<Log> = OnceLock::new();
    LOG.get_or_init(|| {
        let log = Log::default();
        let writer = log.clone();
        let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| "gable=info".to_owned());
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .init();
        log
    })
    .clone()
}
