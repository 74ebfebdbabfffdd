//! The sections and keys. `config/default.toml` says what each means; here are types and defaults.

mod server;

pub use server::{Server, Topics};

use crate::{FloatingAddress, Secret, list};
use serde::Deserialize;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// All settings of one node.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub node: Node,
    pub cluster: Cluster,
    pub mqtt: Mqtt,
    pub http: Http,
    pub address: Address,
    pub home: Home,
    pub history: History,
    pub cache: Cache,
    pub log: Log,
}

/// Who this node is and where it keeps its data.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Node {
    pub id: u64,
    pub data_dir: PathBuf,
}

/// The nodes that share one log, and the pace at which they do.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cluster {
    pub name: String,
    /// Present after [`Settings::load`], also when it came from `key_file`.
    pub key: Option<Secret>,
    pub key_file: Option<PathBuf>,
    pub listen: SocketAddr,
    #[serde(deserialize_with = "list::peers")]
    pub peers: Vec<Peer>,
    pub heartbeat_ms: u64,
    pub election_min_ms: u64,
    pub election_max_ms: u64,
    pub linger_ms: u64,
}

/// One node of the cluster and where the others reach it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    pub id: u64,
    /// `host:port`.
    pub address: String,
}

/// The link to the MQTT broker.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mqtt {
    pub mode: MqttMode,
    pub host: String,
    pub port: u16,
    /// Empty stands for the name that [`Settings::client_id`] makes.
    pub client_id: String,
    pub username: Option<String>,
    /// Present after [`Settings::load`], also when it came from `password_file`.
    pub password: Option<Secret>,
    pub password_file: Option<PathBuf>,
    pub shared_broker: bool,
    pub keep_alive_s: u16,
    pub inflight: u16,
    pub max_packet_bytes: usize,
    #[serde(deserialize_with = "list::texts")]
    pub extra_topics: Vec<String>,
    pub attach: Attach,
    pub embedded: Embedded,
    pub server: Server,
}

/// What nodes do for each other where each is the client of a broker of its own.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Attach {
    #[serde(deserialize_with = "list::texts")]
    pub relay: Vec<String>,
    pub max_relay_bytes: usize,
}

/// Where the broker runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MqttMode {
    /// Gable is the broker.
    #[default]
    Server,
    /// Elsewhere; Gable is its client.
    Attach,
    /// In this process; Gable is its client over loopback.
    Embedded,
}

/// The broker inside the process.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Embedded {
    pub listen: SocketAddr,
    pub max_connections: usize,
    pub max_payload_bytes: usize,
    pub max_filter_bytes: usize,
}

/// The HTTP API.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    pub listen: SocketAddr,
    /// Present after [`Settings::load`], also when it came from `token_file`.
    pub token: Option<Secret>,
    pub token_file: Option<PathBuf>,
}

/// The address under which devices find whichever node leads.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Address {
    #[serde(deserialize_with = "list::floating")]
    pub floating: Vec<FloatingAddress>,
    /// Needed with `floating`; alone it keeps mDNS to this interface.
    pub interface: Option<String>,
    pub mdns: bool,
    pub name: String,
}

/// The home's files, and where it is as far as they do not say.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Home {
    #[serde(deserialize_with = "list::paths")]
    pub files: Vec<PathBuf>,
    pub time_zone: String,
    pub latitude: Option<f64>,
    pub longitude: Option<f64>,
    pub elevation: f64,
}

/// How much history is kept; 0 means no limit.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct History {
    pub max_age_days: u64,
    pub max_bytes: u64,
}

/// The read caches.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cache {
    pub policy: CachePolicy,
    pub capacity: usize,
    pub history_capacity: usize,
}

/// What a full cache gives up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CachePolicy {
    #[default]
    Lru,
    Fifo,
    Off,
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    pub level: String,
    pub json: bool,
}

impl Settings {
    /// Returns the name of this node's session at the broker.
    pub fn client_id(&self) -> String {
        if self.mqtt.client_id.is_empty() {
            format!("gable-{}-{}", self.cluster.name, self.node.id)
        } else {
            self.mqtt.client_id.clone()
        }
    }
}

impl Default for Node {
    fn default() -> Node {
        Node { id: 1, data_dir: "data".into() }
    }
}

impl Default for Cluster {
    fn default() -> Cluster {
        Cluster {
            name: "home".into(),
            key: None,
            key_file: None,
            listen: loopback(7101),
            peers: vec![Peer { id: 1, address: "127.0.0.1:7101".into() }],
            heartbeat_ms: 50,
            election_min_ms: 150,
            election_max_ms: 300,
            linger_ms: 0,
        }
    }
}

impl Default for Mqtt {
    fn default() -> Mqtt {
        Mqtt {
            mode: MqttMode::Server,
            host: "127.0.0.1".into(),
            port: 1883,
            client_id: String::new(),
            username: None,
            password: None,
            password_file: None,
            shared_broker: false,
            keep_alive_s: 30,
            inflight: 20,
            max_packet_bytes: 4 << 20,
            extra_topics: Vec::new(),
            attach: Attach::default(),
            embedded: Embedded::default(),
            server: Server::default(),
        }
    }
}

impl Default for Attach {
    fn default() -> Attach {
        Attach { relay: Vec::new(), max_relay_bytes: 16 << 20 }
    }
}

impl Default for Embedded {
    fn default() -> Embedded {
        Embedded {
            listen: loopback(1883),
            max_connections: 500,
            max_payload_bytes: 1 << 20,
            max_filter_bytes: 4 << 20,
        }
    }
}

impl Default for Http {
    fn default() -> Http {
        Http { listen: loopback(7180), token: None, token_file: None }
    }
}

impl Default for Address {
    fn default() -> Address {
        Address { floating: Vec::new(), interface: None, mdns: false, name: "gable".into() }
    }
}

impl Default for Home {
    fn default() -> Home {
        Home {
            files: vec!["home.yaml".into()],
            time_zone: "UTC".into(),
            latitude: None,
            longitude: None,
            elevation: 0.0,
        }
    }
}

impl Default for History {
    fn default() -> History {
        History { max_age_days: 30, max_bytes: 1 << 30 }
    }
}

impl Default for Cache {
    fn default() -> Cache {
        Cache { policy: CachePolicy::Lru, capacity: 1024, history_capacity: 256 }
    }
}

impl Default for Log {
    fn default() -> Log {
        Log { level: "info".into(), json: false }
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}
