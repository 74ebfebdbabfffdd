//! Nodes with a log, a home and an MQTT edge, all in this process.

use super::broker::Mosquitto;
use gable::mqtt::{ClientStatus, Mqtt, Status};
use gable::raft::{ClusterKey, Replica, ReplicaSettings};
use gable::store::history::{self, Filter, History, Kind, Position};
use gable::store::{self, Identity, Store};
use gable_broker_config::{MqttMode, Secret, Settings};
use gable_rules::{InputKind, Message, NodeId, SourceFile};
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

const KEY: &str = "a key of enough length";

/// How long anything may take before a test fails. Machines that run tests are slow at times.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// A home that listens on `in/#` and answers each message on `go` with one on `out`.
pub(super) const HOME: &str = r#"
mqtt:
  - binary_sensor:
      name: Door
      default_entity_id: binary_sensor.door
      state_topic: door
automation:
  - id: listen
    triggers: [{ trigger: mqtt, topic: "in/#" }]
    actions: []
  - id: answer
    triggers: [{ trigger: mqtt, topic: go }]
    actions:
      - action: mqtt.publish
        data: { topic: out, payload: "{{ trigger.payload }}", retain: true }
"#;

/// The folders and addresses of some nodes.
pub(super) struct Bench {
    members: BTreeMap<NodeId, String>,
    folders: Vec<TempDir>,
}

impl Bench {
    pub(super) fn new(size: u64) -> Bench {
        let listeners: Vec<_> = (0..size).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let addresses = listeners.iter().map(|listener| listener.local_addr().unwrap().to_string());
        Bench {
            members: (1..).map(NodeId).zip(addresses).collect(),
            folders: (0..size).map(|_| tempfile::tempdir().unwrap()).collect(),
        }
    }

    /// Starts the log of a node.
    pub(super) async fn replica(&self, node: u64) -> Replica {
        let folder = self.folders[node as usize - 1].path();
        let listen: SocketAddr = self.members[&NodeId(node)].parse().unwrap();
        let key = ClusterKey::new(KEY).unwrap();
        let settings = ReplicaSettings::new(NodeId(node), "test", key, listen, self.members.clone());
        let identity = Identity { cluster: "test".to_owned(), node: NodeId(node) };
        let store = opened(|| Store::open(folder, store::Options::new(identity.clone()))).await;
        let history = opened(|| History::open(folder, history::Options::new(identity.clone()))).await;
        Replica::start(settings, store, history).await.unwrap()
    }
}

/// Opens a database; a node that was just stopped may take a moment to close it.
async fn opened<T>(open: impl Fn() -> Result<T, store::Error>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match open() {
            Ok(database) => return database,
            Err(store::Error::InUse { .. }) if Instant::now() < deadline => {
                sleep(Duration::from_millis(5)).await
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Starts a single node's log with the home in force.
pub(super) async fn single() -> (Bench, Replica) {
    let bench = Bench::new(1);
    let replica = bench.replica(1).await;
    configure(&replica).await;
    (bench, replica)
}

pub(super) async fn configure(replica: &Replica) {
    let file = SourceFile { name: "home.yaml".into(), text: HOME.into() };
    within(replica.propose(InputKind::Configure(vec![file]))).await.unwrap();
    replica.read(|state| assert!(state.problems().is_empty(), "{:?}", state.problems()));
}

/// Settings of node 1 with a broker inside the process, on a port of the system's choice.
pub(super) fn embedded() -> Settings {
    let mut settings = Settings::default();
    settings.cluster.name = "test".into();
    settings.cluster.key = Some(Secret::new(KEY));
    settings.mqtt.mode = MqttMode::Embedded;
    settings.mqtt.embedded.listen.set_port(0);
    settings
}

/// Settings of a node beside a Mosquitto.
pub(super) fn attached(node: u64, broker: &Mosquitto) -> Settings {
    let mut settings = embedded();
    settings.mqtt.mode = MqttMode::Attach;
    settings.node.id = node;
    settings.mqtt.port = broker.port();
    settings
}

/// Starts a node's MQTT edge and waits until its link is up.
pub(super) async fn edge(settings: &Settings, replica: &Replica) -> Mqtt {
    let mqtt = Mqtt::start(settings, replica.clone()).await.unwrap();
    up(&mqtt).await;
    mqtt
}

pub(super) async fn up(mqtt: &Mqtt) {
    until("the link to be up", || counts(mqtt).link_up).await;
}

/// Every message of a node's history, as `topic payload`.
pub(super) fn history(replica: &Replica) -> Vec<String> {
    let page = replica.history().page(Position::START, 100_000, Filter::Messages).unwrap();
    let messages = page.rows.iter().filter_map(|row| match &row.kind {
        Kind::Message(Message { topic, payload, .. }) => {
            Some(format!("{topic} {}", String::from_utf8_lossy(payload)))
        }
        _ => None,
    });
    messages.collect()
}

/// Every message of a node's history with who proposed it, and how.
pub(super) fn proposals(replica: &Replica) -> Vec<String> {
    let page = replica.history().page(Position::START, 100_000, Filter::Messages).unwrap();
    let messages = page.rows.iter().filter_map(|row| match &row.kind {
        Kind::Message(Message { topic, payload, takeover, packet_id, .. }) => {
            let (at, node, index) = (row.at, row.node, row.position.log_index);
            let payload = String::from_utf8_lossy(payload);
            Some(format!(
                "{index} {at:?} node {node} takeover {takeover} packet {packet_id}: {topic} {payload}"
            ))
        }
        _ => None,
    });
    messages.collect()
}

/// Waits until the history holds these messages.
pub(super) async fn until_history(replica: &Replica, expected: &[&str]) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = history(replica);
        if found == expected {
            return;
        }
        assert!(Instant::now() < deadline, "history holds {found:?}, not {expected:?}");
        sleep(Duration::from_millis(5)).await;
    }
}

pub(super) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited too long for {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

pub(super) async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("it takes too long")
}

/// What a client of another broker did so far.
pub(super) fn counts(mqtt: &Mqtt) -> ClientStatus {
    match mqtt.status() {
        Status::Client(status) => status,
        Status::Server(status) => panic!("it is no client: {status:?}"),
    }
}
