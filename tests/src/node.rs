//! A real node: the program `gable run` with its own folder, ports and log file.

use crate::{ports, programs, wait};
use serde_json::Value as Json;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// How long a node may take to become ready or to show what was committed.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Where a node listens, chosen before it starts and kept over its restarts.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    pub peer: SocketAddr,
    pub http: SocketAddr,
    /// The broker that the node uses: its own embedded one, or a Mosquitto.
    pub mqtt: SocketAddr,
}

/// One node of a cluster.
pub struct Node {
    pub id: u64,
    pub addresses: Addresses,
    pub folder: TempDir,
    /// The network namespace in which the node lives, if it has one of its own.
    pub namespace: Option<String>,
    /// Runs the node's program with its arguments, if it is not run directly.
    pub launcher: Vec<String>,
    child: Option<Child>,
}

impl Node {
    /// Chooses addresses; `mqtt` is the broker to attach to, or none for an embedded one.
    pub fn new(id: u64, mqtt: Option<SocketAddr>) -> Node {
        let mqtt = mqtt.unwrap_or_else(ports::free);
        let addresses = Addresses { peer: ports::free(), http: ports::free(), mqtt };
        let folder = TempDir::new().expect("a temporary folder can be made");
        Node { id, addresses, folder, namespace: None, launcher: Vec::new(), child: None }
    }

    /// The settings file, which the caller writes before the first start.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("gable.toml")
    }

    /// The home's file.
    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home.yaml")
    }

    /// Starts the process; it is ready when [`Node::wait_until_ready`] says so.
    pub fn start(&mut self) {
        assert!(self.child.is_none(), "node {} runs already", self.id);
        self.child = Some(run(&self.launcher, &self.config(), &self.log_file()));
    }

    /// Kills the process hard, as a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Asks the process to stop (SIGTERM) and waits until it has.
    #[track_caller]
    pub fn terminate(&mut self) {
        self.signal("TERM");
        let mut child = self.child.take().expect("the node runs");
        wait::until("the node to stop after SIGTERM", Duration::from_secs(10), || match child.try_wait() {
            Ok(Some(status)) if status.success() => Ok(()),
            Ok(Some(status)) => panic!("node {} ended with {status}\n{}", self.id, self.log_end()),
            Ok(None) => Err("it still runs".to_owned()),
            Err(error) => Err(error.to_string()),
        });
    }

    /// Stops the process in its tracks: its connections stay open, and nobody answers.
    #[track_caller]
    pub fn pause(&self) {
        self.signal("STOP");
    }

    /// Lets a paused process go on.
    #[track_caller]
    pub fn resume(&self) {
        self.signal("CONT");
    }

    /// Has the process read its certificates anew (SIGHUP).
    #[track_caller]
    pub fn reload(&self) {
        self.signal("HUP");
    }

    #[track_caller]
    fn signal(&self, signal: &str) {
        let child = self.child.as_ref().expect("the node runs");
        let sent = Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "node {} took no SIG{signal}", self.id);
    }

    /// Waits for a process that ends by itself, and returns its code and log.
    #[track_caller]
    pub fn wait_until_ended(&mut self) -> (Option<i32>, String) {
        let mut child = self.child.take().expect("the node was started");
        let status = wait::until("the node to end", PATIENCE, || match child.try_wait() {
            Ok(Some(status)) => Ok(status),
            Ok(None) => Err("it still runs".to_owned()),
            Err(error) => Err(error.to_string()),
        });
        (status.code(), self.log_end())
    }

    /// Whether the process was started and not killed.
    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// The resident memory of the process in bytes.
    pub fn resident_bytes(&self) -> Option<u64> {
        let child = self.child.as_ref()?;
        let text = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
        let line = text.lines().find(|line| line.starts_with("VmRSS:"))?;
        let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kilobytes * 1024)
    }

    /// Asks the node over HTTP; an error names the status or the failure.
    pub fn get(&self, path: &str) -> Result<Json, String> {
        self.http("GET", path, None)
    }

    /// Commits a message through this node's HTTP API; `Ok` means committed.
    pub fn publish(&self, topic: &str, payload: &str) -> Result<Json, String> {
        let body = serde_json::json!({ "topic": topic, "payload": payload });
        self.http("POST", "/api/publish", Some(&body))
    }

    fn http(&self, method: &str, path: &str, body: Option<&Json>) -> Result<Json, String> {
        let call = || http(method, self.addresses.http, path, body);
        match &self.namespace {
            #[cfg(target_os = "linux")]
            Some(namespace) => crate::lan::inside(namespace, call),
            _ => call(),
        }
    }

    /// Waits until the node takes part: it has recovered and knows a leader.
    #[track_caller]
    pub fn wait_until_ready(&self) {
        let what = format!("node {} to be ready", self.id);
        wait::until(&what, PATIENCE, || {
            self.get("/api/ready").map(drop).map_err(|why| format!("{why}\n{}", self.log_end()))
        });
    }

    /// The state of one entity, as Home Assistant's REST API would show it.
    pub fn state(&self, entity_id: &str) -> Result<String, String> {
        let json = self.get(&format!("/api/states/{entity_id}"))?;
        json["state"].as_str().map(str::to_owned).ok_or_else(|| format!("no state in {json}"))
    }

    /// Waits until an entity has this state.
    #[track_caller]
    pub fn wait_for_state(&self, entity_id: &str, wanted: &str) {
        let what = format!("{entity_id} to be {wanted} on node {}", self.id);
        wait::until(&what, PATIENCE, || match self.state(entity_id)? {
            state if state == wanted => Ok(()),
            state => Err(state),
        });
    }

    /// Every committed message that the node's history holds, oldest first.
    pub fn history(&self) -> Result<Vec<Json>, String> {
        self.rows("messages")
    }

    /// Everything that the node's history holds, effects too, oldest first.
    pub fn full_history(&self) -> Result<Vec<Json>, String> {
        self.rows("all")
    }

    fn rows(&self, kind: &str) -> Result<Vec<Json>, String> {
        let mut events = Vec::new();
        let mut after = String::from("0");
        loop {
            let page = self.get(&format!("/api/history?kind={kind}&after={after}&limit=1000"))?;
            let found = page["events"].as_array().ok_or_else(|| format!("no events in {page}"))?;
            if found.is_empty() {
                return Ok(events);
            }
            events.extend(found.iter().cloned());
            after = page["next"].as_str().map_or_else(|| page["next"].to_string(), str::to_owned);
        }
    }

    /// Everything that the node logged, over all its runs.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// The last lines that the node logged.
    pub fn log_end(&self) -> String {
        let text = self.log();
        let lines: Vec<&str> = text.lines().collect();
        let start = lines.len().saturating_sub(25);
        format!("--- log of node {}\n{}\n---", self.id, lines[start..].join("\n"))
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("gable.log")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

fn run(launcher: &[String], config: &Path, log: &Path) -> Child {
    let log = File::options().create(true).append(true).open(log).expect("the log file can be written");
    let output = log.try_clone().expect("a file handle can be doubled");
    let program = programs().join("gable");
    let mut command = match launcher.split_first() {
        Some((first, rest)) => {
            let mut command = Command::new(first);
            command.args(rest).arg(program);
            command
        }
        None => Command::new(program),
    };
    command
        .arg("run")
        .arg("--config")
        .arg(config)
        .stdin(Stdio::null())
        .stdout(Stdio::from(output))
        .stderr(Stdio::from(log))
        .spawn()
        .expect("the program `gable` is built before the tests run: cargo build -p gable")
}

fn http(method: &str, address: SocketAddr, path: &str, body: Option<&Json>) -> Result<Json, String> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(10)))
        .http_status_as_error(false)
        .build()
        .into();
    let url = format!("http://{address}{path}");
    let answer = match (method, body) {
        ("POST", Some(body)) => agent.post(&url).send_json(body),
        _ => agent.get(&url).call(),
    };
    let mut answer = answer.map_err(|error| error.to_string())?;
    let status = answer.status();
    let text = answer.body_mut().read_to_string().map_err(|error| error.to_string())?;
    if !status.is_success() {
        return Err(format!("{method} {path}: {status} {text}"));
    }
    serde_json::from_str(&text).map_err(|error| format!("{method} {path}: {error} in {text}"))
}
