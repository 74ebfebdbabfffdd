//! The handle through which the rest of the process meets the log.

use super::core::{Ballot, Core, Raft, ReadError};
use super::home::{Applied, Audience, Home};
use super::liveness::Liveness;
use super::network::Factory;
use super::peers::Peers;
use super::proposer::{Entrance, ProposeError, Proposer};
use super::relay::{Relay, Relayed};
use super::server::Server;
use super::settings::{ReplicaSettings, SettingsError, Timing};
use super::state_machine::{Growth, StateMachine};
use super::status::{Leadership, PeerStatus, Role, Status};
use super::task::{self, Task};
use super::types::{LogId, Peer, TypeConfig};
use super::window::{Committed, Window};
use super::{bootstrap, compaction, config, refill, vigil};
use crate::clock::Clock;
use crate::socket::{self, TcpListener};
use crate::store::Store;
use crate::store::history::History;
use crate::timers;
use gable_devices::Timestamp;
use gable_rules::{InputKind, LogIndex, NodeId, State};
use openraft::async_runtime::Instant as _;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::storage::RaftLogStorage;
use openraft::{RaftMetrics, ServerState};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

/// How long a planned stop waits for another node to lead.
const HANDOVER_LIMIT: Duration = Duration::from_secs(1);

/// How long `linearizable` looks for a leader before it gives up.
const READ_LIMIT: Duration = Duration::from_secs(5);

/// Why a replica could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("the store belongs to {found}, the settings to node {node} of cluster `{cluster}`")]
    OtherStore { found: crate::store::Identity, node: NodeId, cluster: String },
    #[error("can not listen for peers at {address}: is the port in use, or the address not this machine's?")]
    Listen {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("openraft refuses its configuration")]
    Config(#[source] Box<openraft::ConfigError>),
    #[error("the log can not be taken up again: {0}")]
    Recovery(String),
}

/// This node's replica of the log and the home. Clones are the same replica.
#[derive(Clone)]
pub struct Replica(Arc<Inner>);

struct Inner {
    core: Core,
    entrance: Entrance,
    relay: Relay,
    timing: Timing,
    listen: SocketAddr,
    leading: watch::Receiver<bool>,
    fatal: watch::Receiver<Option<Arc<str>>>,
    history_complete: watch::Receiver<bool>,
    stop: watch::Sender<bool>,
    tasks: Mutex<Vec<Task>>,
}

impl Replica {
    /// Starts to replicate. `store` and `history` are this node's, opened for the same node and
    /// cluster.
    ///
    /// It returns before the cluster has a leader; `propose` waits for one.
    pub async fn start(settings: ReplicaSettings, store: Store, history: History) -> Result<Replica, Error> {
        settings.check()?;
        check_owner(&settings, &store)?;
        let timing = config::fitting(&settings);
        let listener = socket::listen(settings.listen)
            .await
            .map_err(|source| Error::Listen { address: settings.listen, source })?;
        let clock = Clock::new();
        let window = Arc::new(Window::new(settings.node, store.boot()));
        let home = Arc::new(Home::new(settings.cache, window.clone(), clock.clone()));
        let growth = Arc::new(Growth::default());
        let peers = Arc::new(Peers::new(&settings, &timing, clock.clone()));
        let machine = StateMachine::new(home.clone(), store.clone(), history.clone(), growth.clone());
        let config = config::config_for(&settings, &timing)?;
        let factory = Factory { peers: peers.clone() };
        let raft = Raft::build(settings.node.0, Arc::new(config), factory, store.log(), machine)
            .await
            .map_err(|fatal| Error::Recovery(fatal.to_string()))?;
        let log = store.log().get_log_state().await.map_err(|error| Error::Recovery(error.to_string()))?;
        let is_empty = log.last_log_id.is_none();
        let ballot = Arc::new(Ballot::new(store.has_seat() && !is_empty));
        let core = Core { node: settings.node, raft, peers, clock, home, store, history, ballot };
        Ok(Replica::run(core, &settings, timing, growth, listener, is_empty))
    }

    fn run(
        core: Core,
        settings: &ReplicaSettings,
        timing: Timing,
        growth: Arc<Growth>,
        listener: TcpListener,
        is_empty: bool,
    ) -> Replica {
        let listen = listener.local_addr().unwrap_or(settings.listen);
        let (entrance, queue) = Entrance::new(&settings.batching, core.clock.clone());
        let (stop, stopped) = watch::channel(false);
        let (lead, leading) = watch::channel(false);
        let (fail, fatal) = watch::channel(None);
        let (complete, history_complete) = watch::channel(true);
        let members =
            settings.peers.iter().map(|(node, address)| (node.0, Peer { address: address.clone() }));
        let liveness = Liveness {
            core: core.clone(),
            entrance: entrance.clone(),
            interval: timing.heartbeat,
            limit: timing.election_max * 2,
            leading: leading.clone(),
        };
        let window = core.home.window.clone();
        let proposer = Proposer::new(core.clone(), window, settings.batching);
        let server = Server::new(core.clone(), stopped.clone());
        let role = vigil::watch_role(core.clone(), lead);
        let death = vigil::watch_death(core.clone(), stopped, fail);
        core.raft.run();
        info!(node = %core.node, cluster = settings.cluster, address = %listen, %timing, "replication starts");
        let tasks = vec![
            task::spawn(role),
            task::spawn(death),
            task::spawn(server.run(listener)),
            task::spawn(proposer.run(queue)),
            task::spawn(liveness.run()),
            task::spawn(compaction::run(core.clone(), settings.compaction, growth)),
            task::spawn(refill::run(core.clone(), complete)),
            task::spawn(bootstrap::run(core.clone(), members.collect(), is_empty)),
        ];
        let tasks = Mutex::new(tasks);
        let inner = Inner {
            core,
            entrance,
            relay: Relay::default(),
            timing,
            leading,
            fatal,
            history_complete,
            stop,
            tasks,
            listen,
        };
        let replica = Replica(Arc::new(inner));
        let timers = task::spawn(timers::run(replica.clone()));
        replica.tasks().push(timers);
        replica
    }

    /// Brings an input into the log, and waits until it is committed and applied here.
    ///
    /// Inputs enter in the order of the calls, each exactly once, whatever happens to leaders and
    /// connections meanwhile. It waits as long as there is no majority. To drop the future does
    /// not take the input back.
    pub async fn propose(&self, kind: InputKind) -> Result<Committed, ProposeError> {
        self.0.entrance.propose(kind).await
    }

    /// Like [`Replica::propose`], but refuses at once when too many inputs wait already. The input
    /// is under way when this returns; the future tells its end.
    pub fn try_propose(
        &self,
        kind: InputKind,
    ) -> Result<impl Future<Output = Result<Committed, ProposeError>> + Send + use<>, ProposeError> {
        self.0.entrance.try_propose(kind)
    }

    /// Brings an input into the log, and returns as soon as it has its place behind this node's
    /// earlier ones. What became of it, the audience hears.
    pub async fn submit(&self, kind: InputKind) -> Result<(), ProposeError> {
        self.0.entrance.submit(kind).await
    }

    /// Sends a message to the other nodes without the log; returns how many can not take it now.
    pub fn relay(&self, relayed: &Arc<Relayed>) -> usize {
        self.0.relay.send(&self.0.core, relayed)
    }

    /// Says who hears what inputs mean for MQTT connections. There is one at most, for good.
    pub fn set_audience(&self, audience: Arc<dyn Audience>) {
        self.0.core.home.set_audience(audience);
    }

    /// Which start of this node it is; part of the origin of its inputs.
    pub fn boot(&self) -> u64 {
        self.0.core.home.window.boot()
    }

    /// Reads the state as this node has applied it so far. Applying waits meanwhile, so `read`
    /// should be short.
    pub fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        self.0.core.home.read(read)
    }

    /// Waits until a local read sees everything that was committed when this was called.
    pub async fn linearizable(&self) -> Result<LogIndex, ReadError> {
        let index = timeout(READ_LIMIT, self.confirmed_index()).await.map_err(|_| ReadError::NoLeader)??;
        let mut applied = self.applied();
        let waited = timeout(READ_LIMIT, applied.wait_for(|applied| *applied >= index)).await;
        waited.map_err(|_| ReadError::NoLeader)?.map_err(|_| ReadError::Stopped)?;
        Ok(index)
    }

    async fn confirmed_index(&self) -> Result<LogIndex, ReadError> {
        loop {
            match self.0.core.read_index().await {
                Err(ReadError::NoLeader) => sleep(self.0.timing.heartbeat).await,
                decided => return decided,
            }
        }
    }

    /// Waits until this node has applied at least what it had applied before its last stop.
    pub async fn recovered(&self, limit: Duration) -> bool {
        self.0.core.raft.wait_for_recovery(Some(limit)).await.is_ok()
    }

    /// Returns the applied entries from now on. A listener that lags by thousands loses some, is
    /// told so, and has to read the rows again.
    pub fn entries(&self) -> broadcast::Receiver<Arc<Applied>> {
        self.0.core.home.listen()
    }

    /// Returns the index of the last applied entry, and tells when it grows.
    pub fn applied(&self) -> watch::Receiver<LogIndex> {
        self.0.core.home.applied()
    }

    /// Tells whether this node leads, and when that changes.
    pub fn leading(&self) -> watch::Receiver<bool> {
        self.0.leading.clone()
    }

    pub fn is_leader(&self) -> bool {
        *self.0.leading.borrow()
    }

    /// Returns since when at the latest this node is known to lead. It asks nobody: the proofs are
    /// the answers to heartbeats and entries.
    pub fn leadership(&self) -> Leadership {
        let metrics = self.0.core.raft.metrics().borrow_watched().clone();
        let own = self.0.core.node.0;
        if metrics.state != ServerState::Leader || metrics.current_leader != Some(own) {
            return Leadership { term: metrics.current_term, proved: None };
        }
        let voters = metrics.membership_config.membership().voter_ids();
        // openraft's instants do not show their insides. Taken first, this makes no proof younger.
        let now = Instant::now();
        let proved = match voters.eq([own]) {
            // A single voter is its own majority, and nobody answers it.
            true => Some(now),
            false => metrics.last_quorum_acked.and_then(|acked| now.checked_sub(acked.elapsed())),
        };
        Leadership { term: metrics.current_term, proved }
    }

    /// Returns the timing that this replica keeps: that of its settings, or a slower one that fits
    /// its disk.
    pub fn timing(&self) -> Timing {
        self.0.timing
    }

    /// Returns whom this node follows; itself if it leads.
    pub fn leader(&self) -> Option<NodeId> {
        self.0.core.raft.server_metrics().borrow_watched().current_leader.map(NodeId)
    }

    pub fn node(&self) -> NodeId {
        self.0.core.node
    }

    /// Returns the address that the peer listener got.
    pub fn listen_address(&self) -> SocketAddr {
        self.0.listen
    }

    /// Returns the log's time now, as far as this node can tell.
    pub fn home_time(&self) -> Timestamp {
        self.0.core.clock.log_time()
    }

    /// Returns this node's clocks.
    pub fn clock(&self) -> &Clock {
        &self.0.core.clock
    }

    /// Returns the store below.
    pub fn store(&self) -> &Store {
        &self.0.core.store
    }

    /// Tells why this node must end: its store failed, or openraft's core stopped.
    pub fn fatal(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.0.fatal.clone()
    }

    /// Returns what this node knows about itself and its peers. It hashes the whole state.
    pub fn status(&self) -> Status {
        let core = &self.0.core;
        let metrics = core.raft.metrics().borrow_watched().clone();
        let applied_index = core.home.applied_index();
        let (state_hash, hash_index, up) = core.home.read(|state| {
            let up: BTreeMap<_, _> = state.nodes().map(|(id, node)| (id, node.up)).collect();
            (state.hash(), state.index(), up)
        });
        let index_of = |log_id: Option<LogId>| LogIndex(log_id.map_or(0, |log_id| log_id.index()));
        Status {
            node: core.node,
            boot: core.store.boot(),
            role: role_of(metrics.state),
            term: metrics.current_term,
            leader: metrics.current_leader.map(NodeId),
            last_log_index: LogIndex(metrics.last_log_index.unwrap_or(0)),
            committed_index: index_of(metrics.local_committed),
            applied_index,
            snapshot_index: index_of(metrics.snapshot),
            state_hash,
            hash_index,
            peers: self.peers(&metrics, &up),
            history_complete: self.history_complete(),
            fsync_p99: core.store.metrics().commit_p99,
            timing: self.0.timing,
        }
    }

    fn peers(&self, metrics: &RaftMetrics<TypeConfig>, up: &BTreeMap<NodeId, bool>) -> Vec<PeerStatus> {
        let core = &self.0.core;
        let last = metrics.last_log_index.unwrap_or(0);
        let status = |(node, address): (NodeId, &str)| {
            let replicated = metrics.replication.as_ref().and_then(|replication| replication.get(&node.0));
            let matched = replicated.map(|log_id| log_id.map_or(0, |log_id| log_id.index()));
            PeerStatus {
                node,
                address: address.to_owned(),
                up: up.get(&node).copied().unwrap_or(false),
                matched: matched.map(LogIndex),
                lag: matched.map(|matched| last.saturating_sub(matched)),
            }
        };
        core.peers.addresses().filter(|(node, _)| *node != core.node).map(status).collect()
    }

    /// Whether every committed entry is in this node's history, or some are still fetched from a
    /// peer.
    pub fn history_complete(&self) -> bool {
        *self.0.history_complete.borrow()
    }

    /// Returns the history of this node.
    pub fn history(&self) -> &History {
        &self.0.core.history
    }

    /// Takes a snapshot of the state now, rather than when it is due.
    pub async fn take_snapshot(&self) {
        // It fails when the core has stopped, which `fatal` tells.
        let _ = self.0.core.raft.trigger().snapshot().await;
    }

    /// Hands leadership to the voter that is closest behind, and waits at most a second for it to
    /// lead. Returns whether another node leads.
    pub async fn transfer_leadership(&self) -> bool {
        let core = &self.0.core;
        let mut servers = core.raft.server_metrics();
        if servers.borrow_watched().current_leader != Some(core.node.0) {
            return true;
        }
        let Some(heir) = self.heir() else { return false };
        info!(node = %core.node, heir = %heir, "hands leadership over");
        if core.raft.trigger().transfer_leader(heir.0).await.is_err() {
            return false;
        }
        let own = core.node.0;
        let handed = async {
            while servers.borrow_and_update().current_leader.is_none_or(|leader| leader == own) {
                if servers.changed().await.is_err() {
                    return false;
                }
            }
            true
        };
        timeout(HANDOVER_LIMIT, handed).await.unwrap_or(false)
    }

    fn heir(&self) -> Option<NodeId> {
        let core = &self.0.core;
        let metrics = core.raft.metrics().borrow_watched().clone();
        let up: BTreeMap<_, _> = self.read(|state| state.nodes().map(|(id, node)| (id, node.up)).collect());
        let voters: Vec<_> = metrics.membership_config.membership().voter_ids().collect();
        let candidates = metrics.replication.as_ref()?.iter().filter(|(node, _)| {
            **node != core.node.0 && voters.contains(node) && up.get(&NodeId(**node)) != Some(&false)
        });
        candidates
            .max_by_key(|(node, matched)| (**matched, std::cmp::Reverse(**node)))
            .map(|(node, _)| NodeId(*node))
    }

    /// Stops: hands leadership over, then ends all tasks. The store closes with its last handle.
    pub async fn shutdown(&self) {
        self.transfer_leadership().await;
        self.halt().await;
    }

    /// Stops like [`Replica::shutdown`], but tells nobody: the others find out by themselves.
    pub async fn halt(&self) {
        self.0.stop.send_replace(true);
        let tasks = std::mem::take(&mut *self.tasks());
        for task in &tasks {
            task.abort();
        }
        self.0.core.home.window.stop();
        if self.0.core.raft.shutdown().await.is_err() {
            warn!(node = %self.0.core.node, "replication did not stop in order");
        }
    }

    fn tasks(&self) -> MutexGuard<'_, Vec<Task>> {
        self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Replica {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Replica of node {}", self.0.core.node)
    }
}

fn check_owner(settings: &ReplicaSettings, store: &Store) -> Result<(), Error> {
    let found = store.identity();
    if found.node == settings.node && found.cluster == settings.cluster {
        return Ok(());
    }
    Err(Error::OtherStore { found: found.clone(), node: settings.node, cluster: settings.cluster.clone() })
}

fn role_of(state: ServerState) -> Role {
    match state {
        ServerState::Leader => Role::Leader,
        ServerState::Follower => Role::Follower,
        ServerState::Candidate => Role::Candidate,
        ServerState::Learner | ServerState::Shutdown => Role::Learner,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::ClusterKey;
    use crate::raft::types::Batch;
    use crate::store::history::{self, Filter, Position};
    use crate::store::{self, Identity};
    use gable_rules::{Hlc, Input, Message, Origin};

    const STRANGER: NodeId = NodeId(9);

    /// Writes batches of another node's inputs, given by their sequences, into the log of a cluster
    /// of one, and compares which of them the history holds.
    async fn check(batches: &[&[u64]], expected: &[&str]) {
        let folder = tempfile::tempdir().unwrap();
        let identity = Identity { cluster: "home".to_owned(), node: NodeId(1) };
        let store = Store::open(folder.path(), store::Options::new(identity.clone())).unwrap();
        let history = History::open(folder.path(), history::Options::new(identity)).unwrap();
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let peers = BTreeMap::from([(NodeId(1), "127.0.0.1:1".to_owned())]);
        let key = ClusterKey::new("a key of enough length").unwrap();
        let settings = ReplicaSettings::new(NodeId(1), "home", key, listen, peers);
        let replica = Replica::start(settings, store, history.clone()).await.unwrap();
        replica.leading().wait_for(|leading| *leading).await.unwrap();
        for sequences in batches {
            let inputs = sequences.iter().map(|sequence| input(*sequence));
            let written = replica.0.core.write(Batch::new(inputs.collect())).await.unwrap();
            written.await.unwrap();
        }
        let page = history.page(Position::START, 100, Filter::Messages).unwrap();
        let topics = page.rows.iter().filter_map(|row| match &row.kind {
            history::Kind::Message(message) => Some(message.topic.clone()),
            history::Kind::Effect(_) | history::Kind::Input(_) => None,
        });
        assert_eq!(topics.collect::<Vec<_>>(), expected);
        replica.halt().await;
    }

    fn input(sequence: u64) -> Input {
        let message = Message { topic: sequence.to_string(), ..Message::default() };
        Input {
            at: Timestamp::default(),
            origin: Origin { node: STRANGER, boot: 1, sequence },
            heard: Hlc::default(),
            kind: InputKind::Message(message),
        }
    }

    #[tokio::test]
    async fn a_batch_that_arrives_twice_is_applied_once() {
        check(&[&[1, 2], &[1, 2], &[2, 3], &[1]], &["1", "2", "3"]).await;
    }

    #[tokio::test]
    async fn a_batch_that_overtakes_another_waits_to_be_sent_again() {
        check(&[&[3, 4], &[1, 2], &[3, 4]], &["1", "2", "3", "4"]).await;
    }
}
