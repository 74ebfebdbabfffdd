//! A cluster of real nodes on this machine: one `gable run` process each, with its own folder and
//! loopback ports.
//!
//! `demo` and `bench` use it. The nodes are killed when it is dropped, and they stop by themselves
//! when this process dies in whatever way, because their standard input closes then.

use super::client::Client;
use super::failure::{Exit, Failure};
use serde_json::Value;
use std::fs::File;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often a condition is looked at; small, because `bench` measures restarts with it.
const PAUSE: Duration = Duration::from_millis(5);
/// How long one question to a node may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// How much of a node's log is shown when it does not start.
const LOG_LINES: usize = 15;

const FOLDER_HINT: &str = "check the folder's rights and its disk, or choose another folder";

/// The nodes, in the order of their ids from 1.
pub(crate) struct LocalCluster {
    pub(crate) nodes: Vec<LocalNode>,
}

/// One node, whether its process runs or not.
pub(crate) struct LocalNode {
    pub(crate) id: u64,
    pub(crate) addresses: Addresses,
    folder: PathBuf,
    child: Option<Child>,
}

/// Where a node listens; it keeps them over its restarts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addresses {
    pub(crate) peers: SocketAddr,
    pub(crate) http: SocketAddr,
    /// Its broker.
    pub(crate) mqtt: SocketAddr,
}

impl LocalCluster {
    /// Writes settings and the home's file of `count` nodes below `folder`, without starting one.
    pub(crate) fn prepare(folder: &Path, count: u64, home: &str) -> Result<LocalCluster, Failure> {
        let ports = free_addresses(count * 3)?;
        let addresses =
            ports.chunks_exact(3).map(|three| Addresses { peers: three[0], http: three[1], mqtt: three[2] });
        LocalCluster::prepare_at(folder, addresses, "known to all, for the loopback only", home)
    }

    /// Does so for nodes that listen at given addresses and share the secret `key`.
    pub(crate) fn prepare_at(
        folder: &Path,
        addresses: impl IntoIterator<Item = Addresses>,
        key: &str,
        home: &str,
    ) -> Result<LocalCluster, Failure> {
        let nodes: Vec<LocalNode> = (1..)
            .zip(addresses)
            .map(|(id, addresses)| LocalNode {
                id,
                addresses,
                folder: folder.join(format!("node{id}")),
                child: None,
            })
            .collect();
        let peers: Vec<String> = nodes
            .iter()
            .map(|node| format!("{{ id = {}, address = \"{}\" }}", node.id, node.addresses.peers))
            .collect();
        let peers = peers.join(", ");
        for node in &nodes {
            node.write_files(&peers, key, home).map_err(|error| {
                let what = format!("cannot prepare the folder {}", node.folder.display());
                Failure::new(Exit::Start, anyhow::Error::new(error).context(what), FOLDER_HINT)
            })?;
        }
        Ok(LocalCluster { nodes })
    }

    /// Starts every node that does not run, and waits until each is ready, is linked to its broker
    /// and has the home.
    pub(crate) async fn start_all(&mut self, limit: Duration) -> Result<(), Failure> {
        for node in self.nodes.iter_mut().filter(|node| !node.is_running()) {
            node.start()?;
        }
        for node in &mut self.nodes {
            node.wait_until_ready(limit).await?;
            node.wait_until_linked(limit).await?;
        }
        Ok(())
    }

    /// Waits until all running nodes name one of them as the leader, and returns its place.
    pub(crate) async fn leader(&self, limit: Duration) -> Result<usize, Failure> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(place) = self.agreed_leader().await {
                return Ok(place);
            }
            if Instant::now() >= deadline {
                let error = anyhow::anyhow!("the nodes agreed on no leader within {} s", limit.as_secs());
                return Err(Failure::new(Exit::No, error, "is the machine overloaded? try again"));
            }
            sleep(PAUSE).await;
        }
    }

    async fn agreed_leader(&self) -> Option<usize> {
        let mut agreed = None;
        for node in self.nodes.iter().filter(|node| node.is_running()) {
            let leader = node.ask("/api/status").await.ok()?["leader"].as_u64()?;
            if *agreed.get_or_insert(leader) != leader {
                return None;
            }
        }
        self.nodes.iter().position(|node| Some(node.id) == agreed && node.is_running())
    }
}

impl LocalNode {
    /// Starts the process with the program that runs now.
    pub(crate) fn start(&mut self) -> Result<(), Failure> {
        let spawned = self.spawn().map_err(|error| {
            let what = format!("cannot start the process of node {}", self.id);
            Failure::new(Exit::Start, anyhow::Error::new(error).context(what), FOLDER_HINT)
        })?;
        self.child = Some(spawned);
        Ok(())
    }

    fn spawn(&self) -> std::io::Result<Child> {
        let log = File::options().create(true).append(true).open(self.log_file())?;
        let mut command = Command::new(std::env::current_exe()?);
        // Variables that configure a node of the user's must not reach these.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GABLE_"))
        {
            command.env_remove(name);
        }
        command
            .args(["run", "--until-stdin-closes", "--config"])
            .arg(self.folder.join("gable.toml"))
            .stdin(Stdio::piped())
            .stdout(Stdio::from(log.try_clone()?))
            .stderr(Stdio::from(log))
            // Ctrl-C at a terminal is for this process, which then stops the nodes.
            .process_group(0)
            .spawn()
    }

    /// Kills the process hard (SIGKILL), as a power cut would, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Both fail only if it has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Asks the process to stop in order, and kills it if it has not after `limit`.
    pub(crate) async fn stop(&mut self, limit: Duration) {
        let Some(child) = &mut self.child else { return };
        drop(child.stdin.take());
        let deadline = Instant::now() + limit;
        while matches!(child.try_wait(), Ok(None)) && Instant::now() < deadline {
            sleep(PAUSE).await;
        }
        self.kill();
    }

    /// Whether the process was started and not killed.
    pub(crate) fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// The process, while there is one.
    pub(crate) fn process_id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// What the node logs, standard output and error together.
    pub(crate) fn log_file(&self) -> PathBuf {
        self.folder.join("gable.log")
    }

    /// Asks the node over HTTP.
    pub(crate) async fn ask(&self, path: &str) -> Result<Value, Failure> {
        let failed = |error: super::client::Error| {
            let hint = error.hint();
            Failure::new(Exit::Unreachable, error, hint)
        };
        let client = Client::new(&self.addresses.http.to_string(), None).map_err(failed)?;
        client.with_timeout(ANSWER_LIMIT).get(path).await.map_err(failed)
    }

    /// Waits until the node serves: it has applied its log and knows a leader.
    pub(crate) async fn wait_until_ready(&mut self, limit: Duration) -> Result<(), Failure> {
        self.wait_until("ready", "/api/ready", limit, |_| true).await
    }

    /// Waits until the node is linked to its broker and has the home.
    pub(crate) async fn wait_until_linked(&mut self, limit: Duration) -> Result<(), Failure> {
        self.wait_until("linked to its broker", "/api/status", limit, |status| {
            status["mqtt"]["link_up"] == true && status["automations"] != 0
        })
        .await
    }

    /// Waits until an answer of the node satisfies `is_fine`.
    pub(crate) async fn wait_until(
        &mut self,
        what: &str,
        path: &str,
        limit: Duration,
        is_fine: impl Fn(&Value) -> bool,
    ) -> Result<(), Failure> {
        let deadline = Instant::now() + limit;
        loop {
            if self.ask(path).await.is_ok_and(|answer| is_fine(&answer)) {
                return Ok(());
            }
            if let Some(ended) = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten()) {
                return Err(self.failure(format!("node {} ended with {ended}", self.id)));
            }
            if Instant::now() >= deadline {
                let text = format!("node {} was not {what} within {} s", self.id, limit.as_secs());
                return Err(self.failure(text));
            }
            sleep(PAUSE).await;
        }
    }

    fn failure(&self, text: String) -> Failure {
        let hint = format!("its log ends with:\n{}", self.log_end());
        Failure::new(Exit::Start, anyhow::anyhow!(text), hint)
    }

    fn log_end(&self) -> String {
        let mut text = String::new();
        let read = File::open(self.log_file()).and_then(|mut file| file.read_to_string(&mut text));
        let lines: Vec<&str> = if read.is_ok() { text.lines().collect() } else { Vec::new() };
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }

    fn write_files(&self, peers: &str, key: &str, home: &str) -> std::io::Result<()> {
        let Addresses { peers: listen, http, mqtt } = self.addresses;
        std::fs::create_dir_all(&self.folder)?;
        std::fs::write(self.folder.join("home.yaml"), home)?;
        // All clients of a measurement come from one address.
        std::fs::write(
            self.folder.join("gable.toml"),
            format!(
                "[node]\nid = {id}\ndata_dir = \"data\"\n\n\
                 [cluster]\nname = \"local\"\nkey = \"{key}\"\n\
                 listen = \"{listen}\"\npeers = [{peers}]\n\n\
                 [http]\nlisten = \"{http}\"\n\n[home]\nfiles = [\"home.yaml\"]\n\n\
                 [mqtt]\nmode = \"server\"\n\n[mqtt.server]\nlisten = [\"{mqtt}\"]\n\
                 max_connections_per_address = 2000\n",
                id = self.id,
            ),
        )
    }
}

impl Drop for LocalNode {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Finds loopback ports that are free now, all different.
pub(crate) fn free_addresses(count: u64) -> Result<Vec<SocketAddr>, Failure> {
    // All listeners are kept until the last port was found, so that none comes twice.
    let listeners: std::io::Result<Vec<TcpListener>> =
        (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect();
    let addresses = listeners.and_then(|all| all.iter().map(TcpListener::local_addr).collect());
    addresses.map_err(|error| {
        let error = anyhow::Error::new(error).context("no free port on the loopback");
        Failure::new(Exit::Start, error, "check the limit on open files (`ulimit -n`)")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use gable_broker_config::Settings;

    #[test]
    fn every_node_gets_settings_that_load_and_ports_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let cluster = LocalCluster::prepare(folder.path(), 3, "automation: []\n").unwrap();
        let mut ports = std::collections::BTreeSet::new();
        for node in &cluster.nodes {
            let settings = Settings::load(Some(&node.folder.join("gable.toml")), &[]).unwrap();
            assert_eq!(settings.node.id, node.id);
            assert_eq!(settings.cluster.peers.len(), 3);
            assert!(settings.node.data_dir.starts_with(&node.folder));
            let Addresses { peers, http, mqtt } = node.addresses;
            ports.extend([peers.port(), http.port(), mqtt.port()]);
        }
        assert_eq!(ports.len(), 9);
    }
}
