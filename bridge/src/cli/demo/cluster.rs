//! The demo's nodes: a local cluster at addresses that are easy to type, and what the play has to
//! know of it.

use crate::cli::client::Client;
use crate::cli::failure::{Exit, Failure};
use crate::cli::local_cluster::{Addresses, LocalCluster};
use anyhow::{Context, anyhow};
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// The home that the nodes run; in the program, so that an installed one needs no file.
const HOME: &str = include_str!("../../../../examples/homes/demo/home.yaml");

/// Where the nodes listen if the ports are free.
const PEER_PORTS: u16 = 7101;
const HTTP_PORTS: u16 = 7181;
const MQTT_PORTS: u16 = 18_831;

/// How often a condition is looked at.
const TICK: Duration = Duration::from_millis(20);
const START_LIMIT: Duration = Duration::from_secs(30);
const STOP_LIMIT: Duration = Duration::from_secs(4);

/// The nodes; their processes end with it.
pub(super) struct Cluster {
    // The nodes die before their folder goes.
    local: LocalCluster,
    folder: TempDir,
}

impl Cluster {
    /// Writes the nodes' settings; none runs yet.
    pub(super) fn prepare(count: u64) -> Result<Cluster, Failure> {
        let folder = tempfile::Builder::new().prefix("gable-demo-").tempdir();
        let folder = folder.context("cannot make a temporary folder").map_err(with_hint("check TMPDIR"))?;
        let addresses = addresses(count).map_err(with_hint("check that 127.0.0.1 can be used"))?;
        let key = random_key().map_err(with_hint("check /dev/urandom"))?;
        let local = LocalCluster::prepare_at(folder.path(), addresses, &key, HOME)?;
        Ok(Cluster { local, folder })
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Stops the nodes and leaves the folder with their logs, for somebody to look into.
    pub(super) fn keep(self) -> PathBuf {
        drop(self.local);
        self.folder.keep()
    }

    pub(super) fn len(&self) -> usize {
        self.local.nodes.len()
    }

    pub(super) fn id(&self, place: usize) -> u64 {
        self.local.nodes[place].id
    }

    /// The nodes' ids and addresses.
    pub(super) fn addresses(&self) -> impl Iterator<Item = (u64, Addresses)> {
        self.local.nodes.iter().map(|node| (node.id, node.addresses))
    }

    pub(super) fn clients(&self) -> Result<Vec<Client>, Failure> {
        let client = |node: &Addresses| {
            Client::new(&node.http.to_string(), None).map_err(crate::cli::status::unreachable)
        };
        self.local.nodes.iter().map(|node| client(&node.addresses)).collect()
    }

    /// Starts what does not run, and waits until all nodes take part.
    pub(super) async fn start_all(&mut self) -> Result<(), Failure> {
        self.local.start_all(START_LIMIT).await
    }

    /// Kills a node as a power cut would.
    pub(super) fn kill(&mut self, place: usize) {
        self.local.nodes[place].kill();
    }

    /// Waits until the living nodes agree on a leader among them, and returns its place and term.
    pub(super) async fn leader(&self) -> Result<(usize, u64), Failure> {
        let place = self.local.leader(START_LIMIT).await?;
        let status = self.local.nodes[place].ask("/api/status").await?;
        Ok((place, status["term"].as_u64().unwrap_or(0)))
    }

    /// Waits until the living nodes are at one entry with one state, and returns both; with
    /// `settled` also until no command waits for its device.
    pub(super) async fn agreement(&self, limit: Duration, settled: bool) -> Option<(u64, String)> {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if let Some(statuses) = self.statuses().await {
                let of = |status: &Value| (status["applied_index"].clone(), status["state_hash"].clone());
                let is_equal = statuses.windows(2).all(|pair| of(&pair[0]) == of(&pair[1]));
                let is_settled = !settled || statuses.iter().all(|status| status["outbox"] == 0);
                if is_equal && is_settled {
                    let (index, hash) = of(statuses.first()?);
                    return Some((index.as_u64()?, hash.as_str()?.to_owned()));
                }
            }
            sleep(TICK).await;
        }
        None
    }

    /// What the living nodes say about themselves; none if one of them is silent.
    async fn statuses(&self) -> Option<Vec<Value>> {
        let mut statuses = Vec::new();
        for node in self.local.nodes.iter().filter(|node| node.is_running()) {
            statuses.push(node.ask("/api/status").await.ok()?);
        }
        Some(statuses)
    }

    /// Reads every living node's whole history, effects included.
    pub(super) async fn histories(&self) -> Result<Vec<Vec<Value>>, Failure> {
        let mut histories = Vec::new();
        for node in self.local.nodes.iter().filter(|node| node.is_running()) {
            let mut events = Vec::new();
            let mut after = "0".to_owned();
            loop {
                let page = node.ask(&format!("/api/history?kind=all&limit=1000&after={after}")).await?;
                let found = page["events"].as_array().cloned().unwrap_or_default();
                if found.is_empty() {
                    break;
                }
                events.extend(found);
                after = page["next"].as_str().map_or_else(|| page["next"].to_string(), str::to_owned);
            }
            histories.push(events);
        }
        Ok(histories)
    }

    /// Stops all nodes, in order if they can, and reaps them.
    pub(super) async fn stop(&mut self) {
        for node in &mut self.local.nodes {
            node.stop(STOP_LIMIT).await;
        }
    }
}

/// The ports with the easy numbers, or others where those are taken.
fn addresses(count: u64) -> anyhow::Result<Vec<Addresses>> {
    // All listeners are held until the last port was found, so that none comes twice.
    let mut held = Vec::new();
    let mut port = |wanted: u16| -> anyhow::Result<SocketAddr> {
        let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        let listener = bind(wanted).or_else(|_| bind(0)).context("cannot listen on loopback")?;
        let address = listener.local_addr().context("cannot listen on loopback")?;
        held.push(listener);
        Ok(address)
    };
    (0..count)
        .map(|place| {
            let place = u16::try_from(place)?;
            let (peers, http) = (port(PEER_PORTS + place)?, port(HTTP_PORTS + place)?);
            Ok(Addresses { peers, http, mqtt: port(MQTT_PORTS + place)? })
        })
        .collect()
}

/// A new secret for each demo: other programs on this machine have no part in it.
fn random_key() -> anyhow::Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| anyhow!("the system gives no random numbers: {error}"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn with_hint(hint: &'static str) -> impl Fn(anyhow::Error) -> Failure {
    move |error| Failure::new(Exit::Start, error, hint)
}
