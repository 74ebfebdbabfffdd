//! A cluster of real nodes.

use crate::broker::Mosquitto;
use crate::node::{Node, PATIENCE};
use crate::wait;
use serde_json::Value as Json;
use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

/// Which MQTT brokers a cluster uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Brokers {
    /// rumqttd inside each node.
    Embedded,
    /// One Mosquitto beside each node.
    MosquittoEach,
    /// One Mosquitto that all nodes share.
    MosquittoShared,
    /// The nodes themselves: Gable is the broker.
    Server,
}

/// Nodes, their brokers, and the home that they run.
pub struct Cluster {
    pub nodes: Vec<Node>,
    pub brokers: Vec<Mosquitto>,
}

impl Cluster {
    /// Starts `count` nodes with the given home and waits until all of them are ready and have
    /// taken the home over.
    #[track_caller]
    pub fn start(count: u64, kind: Brokers, home: &str) -> Cluster {
        let mut cluster = Cluster::prepare(count, kind, home);
        cluster.start_all();
        cluster
    }

    /// Starts three nodes that are the broker; `settings` are lines for `[mqtt.server]`.
    #[track_caller]
    pub fn serve(settings: &str, home: &str) -> Cluster {
        let mut cluster = Cluster::prepare_with(3, Brokers::Server, home, settings);
        cluster.start_all();
        cluster
    }

    /// Starts three nodes with a Mosquitto beside each; `settings` end their files.
    #[track_caller]
    pub fn attach(settings: &str, home: &str) -> Cluster {
        let mut cluster = Cluster::prepare_with(3, Brokers::MosquittoEach, home, settings);
        cluster.start_all();
        cluster
    }

    /// Makes folders, settings and brokers without starting a node.
    pub fn prepare(count: u64, kind: Brokers, home: &str) -> Cluster {
        Cluster::prepare_with(count, kind, home, "")
    }

    /// Like [`Cluster::prepare`]; `more` ends the settings.
    fn prepare_with(count: u64, kind: Brokers, home: &str, more: &str) -> Cluster {
        let brokers: Vec<Mosquitto> = match kind {
            Brokers::Embedded | Brokers::Server => Vec::new(),
            Brokers::MosquittoEach => (0..count).map(|_| Mosquitto::start()).collect(),
            Brokers::MosquittoShared => vec![Mosquitto::start()],
        };
        let broker =
            |n: usize| brokers.get(n.min(brokers.len().saturating_sub(1))).map(|found| found.address);
        let nodes: Vec<Node> = (0..count).map(|n| Node::new(n + 1, broker(n as usize))).collect();
        let cluster = Cluster { nodes, brokers };
        for node in &cluster.nodes {
            let settings = cluster.settings(node, kind) + more;
            fs::write(node.config(), settings).expect("the node's folder can be written");
            fs::write(node.home(), home).expect("the node's folder can be written");
        }
        cluster
    }

    /// Starts every node that does not run and waits until all are ready and see their broker.
    #[track_caller]
    pub fn start_all(&mut self) {
        for node in self.nodes.iter_mut().filter(|node| !node.is_running()) {
            node.start();
        }
        for node in &self.nodes {
            node.wait_until_ready();
            let what = format!("node {} to take over the home and subscribe", node.id);
            wait::until(&what, PATIENCE, || match node.get("/api/status")? {
                status if status["mqtt"]["link_up"] == true && status["entities"] != 0 => Ok(()),
                status => Err(status.to_string()),
            });
        }
    }

    /// The settings file of one node.
    fn settings(&self, node: &Node, kind: Brokers) -> String {
        let peers: Vec<String> = self
            .nodes
            .iter()
            .map(|peer| format!("{{ id = {}, address = \"{}\" }}", peer.id, peer.addresses.peer))
            .collect();
        let mqtt = node.addresses.mqtt;
        let broker = match kind {
            Brokers::Embedded => format!("mode = \"embedded\"\n[mqtt.embedded]\nlisten = \"{mqtt}\""),
            Brokers::Server => format!("mode = \"server\"\n[mqtt.server]\nlisten = [\"{mqtt}\"]"),
            Brokers::MosquittoEach | Brokers::MosquittoShared => format!(
                "mode = \"attach\"\nhost = \"{}\"\nport = {}\nshared_broker = {}",
                mqtt.ip(),
                mqtt.port(),
                kind == Brokers::MosquittoShared
            ),
        };
        format!(
            "[node]\nid = {id}\ndata_dir = \"data\"\n\n\
             [cluster]\nname = \"test\"\nkey = \"a key for tests on the loopback only\"\n\
             listen = \"{peer}\"\npeers = [{peers}]\n\n\
             [http]\nlisten = \"{http}\"\n\n[home]\nfiles = [\"home.yaml\"]\n\n\
             [log]\nlevel = \"info\"\n\n[mqtt]\n{broker}\n",
            id = node.id,
            peer = node.addresses.peer,
            peers = peers.join(", "),
            http = node.addresses.http,
        )
    }

    /// The broker addresses, one per node.
    pub fn mqtt(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(|node| node.addresses.mqtt).collect()
    }

    /// Waits until the running nodes agree on a leader among them, and returns its place.
    #[track_caller]
    pub fn leader(&self) -> usize {
        wait::until("a leader that all running nodes name", PATIENCE, || {
            let running: Vec<&Node> = self.nodes.iter().filter(|node| node.is_running()).collect();
            let named: Result<Vec<Json>, String> =
                running.iter().map(|node| Ok(node.get("/api/status")?["leader"].clone())).collect();
            let named = named?;
            let leader = named.first().and_then(Json::as_u64).ok_or_else(|| format!("{named:?}"))?;
            let agreed = named.iter().all(|other| other.as_u64() == Some(leader));
            let place = self.nodes.iter().position(|node| node.id == leader && node.is_running());
            place.filter(|_| agreed).ok_or_else(|| format!("{named:?}"))
        })
    }

    /// A place that is not the leader's.
    #[track_caller]
    pub fn follower(&self) -> usize {
        let leader = self.leader();
        (0..self.nodes.len())
            .find(|n| *n != leader && self.nodes[*n].is_running())
            .expect("more than one node runs")
    }

    /// Waits until all nodes stand at one index with one state hash.
    #[track_caller]
    pub fn wait_until_equal(&self) {
        wait::until("equal state hashes at one index", PATIENCE, || {
            let statuses: Result<Vec<Json>, String> =
                self.nodes.iter().map(|node| node.get("/api/status")).collect();
            let shown: Vec<(Json, Json)> = statuses?
                .iter()
                .map(|status| (status["applied_index"].clone(), status["state_hash"].clone()))
                .collect();
            match shown.windows(2).all(|pair| pair[0] == pair[1]) {
                true => Ok(()),
                false => Err(format!("{shown:?}")),
            }
        });
    }

    /// Waits until all nodes hold the same history, and returns it.
    #[track_caller]
    pub fn equal_history(&self) -> Vec<Json> {
        self.wait_until_equal();
        wait::until("equal histories", Duration::from_secs(60), || {
            let histories: Result<Vec<Vec<Json>>, String> = self.nodes.iter().map(Node::history).collect();
            let mut histories = histories?;
            match histories.windows(2).all(|pair| pair[0] == pair[1]) {
                true => Ok(histories.remove(0)),
                false => Err(format!("lengths {:?}", histories.iter().map(Vec::len).collect::<Vec<_>>())),
            }
        })
    }
}
