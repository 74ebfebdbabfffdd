//! What a replica has to know before it starts, and the timing that follows from its disk.

use gable_rules::{NodeId, Policy};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// How long a cluster key has to be, in bytes.
pub const KEY_LENGTH_MIN: usize = 16;

/// Everything that a replica is told at its start.
#[derive(Clone, Debug)]
pub struct ReplicaSettings {
    /// This node's id; it has to be one of `peers`.
    pub node: NodeId,
    /// The cluster's name. Nodes of another cluster are refused.
    pub cluster: String,
    pub key: ClusterKey,
    /// Where this node listens for its peers.
    pub listen: SocketAddr,
    /// The members and where they are reached (`host:port`), this node included. An address given
    /// here wins over the one in the log.
    pub peers: BTreeMap<NodeId, String>,
    pub timing: Timing,
    /// The slow commits of this node's disk, measured before the start; zero if unknown. Election
    /// timeouts are raised to fit them.
    pub fsync_p99: Duration,
    pub compaction: Compaction,
    pub batching: Batching,
    pub cache: RuleCache,
}

/// How the rules' cache is kept. It changes speed only, so each node may have its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleCache {
    pub policy: Policy,
    pub capacity: usize,
}

/// The secret that all nodes of a cluster share.
#[derive(Clone)]
pub struct ClusterKey(Vec<u8>);

/// Heartbeats and elections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    pub heartbeat: Duration,
    pub election_min: Duration,
    pub election_max: Duration,
}

/// When the log is replaced by a snapshot, and how much of it stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compaction {
    /// A snapshot is taken after this many entries,
    pub entries: u64,
    /// or this many bytes of them,
    pub bytes: u64,
    /// or this long after the first entry that the last snapshot lacks.
    pub age: Duration,
    /// So many entries stay behind a snapshot. It is never small outside of tests: openraft's core
    /// stops when a purge overtakes an entry that waits to be applied (openraft issue 2116).
    pub keep: u64,
}

/// How inputs are gathered into log entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batching {
    /// How long an input waits for others while an earlier batch is under way. With nothing under
    /// way it does not wait.
    pub linger: Duration,
    /// The most inputs in one entry,
    pub inputs_max: usize,
    /// and the most bytes of them.
    pub bytes_max: usize,
    /// The most batches between proposal and local apply.
    pub in_flight_max: usize,
    /// The most inputs that wait for a batch. When it is full `propose` waits and `try_propose`
    /// refuses.
    pub queue_max: usize,
}

/// Why settings can not be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SettingsError {
    #[error("the cluster key has {length} bytes: give it at least {KEY_LENGTH_MIN}")]
    KeyTooShort { length: usize },
    #[error("node {node} is not among the peers: add its own address to them")]
    NotAPeer { node: NodeId },
    #[error("the cluster has no name")]
    NoName,
    #[error("the cluster's name has {length} bytes: use at most {max}")]
    NameTooLong { length: usize, max: usize },
    #[error("the election timeout is not above the heartbeat, or its minimum not below its maximum: {0}")]
    Timing(Timing),
    #[error("batching needs at least one input, byte, batch in flight and place in the queue")]
    Batching,
}

/// The longest name of a cluster; it has to fit the handshake's small frames.
const NAME_LENGTH_MAX: usize = 128;

impl ReplicaSettings {
    /// Usual settings for `node` of `cluster`; `peers` includes the node itself.
    pub fn new(
        node: NodeId,
        cluster: impl Into<String>,
        key: ClusterKey,
        listen: SocketAddr,
        peers: BTreeMap<NodeId, String>,
    ) -> ReplicaSettings {
        ReplicaSettings {
            node,
            cluster: cluster.into(),
            key,
            listen,
            peers,
            timing: Timing::default(),
            fsync_p99: Duration::ZERO,
            compaction: Compaction::default(),
            batching: Batching::default(),
            cache: RuleCache::default(),
        }
    }

    /// Checks what types can not promise.
    pub fn check(&self) -> Result<(), SettingsError> {
        if !self.peers.contains_key(&self.node) {
            return Err(SettingsError::NotAPeer { node: self.node });
        }
        if self.cluster.is_empty() {
            return Err(SettingsError::NoName);
        }
        if self.cluster.len() > NAME_LENGTH_MAX {
            return Err(SettingsError::NameTooLong { length: self.cluster.len(), max: NAME_LENGTH_MAX });
        }
        if self.timing.heartbeat >= self.timing.election_min
            || self.timing.election_min >= self.timing.election_max
            || self.timing.heartbeat < Duration::from_millis(1)
        {
            return Err(SettingsError::Timing(self.timing));
        }
        let batching = &self.batching;
        if [batching.inputs_max, batching.bytes_max, batching.in_flight_max, batching.queue_max].contains(&0)
        {
            return Err(SettingsError::Batching);
        }
        Ok(())
    }
}

impl ClusterKey {
    /// Takes the secret's bytes. Short ones are refused, empty ones above all: there is no
    /// unauthenticated cluster.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<ClusterKey, SettingsError> {
        let bytes = bytes.into();
        match bytes.len() {
            length if length < KEY_LENGTH_MIN => Err(SettingsError::KeyTooShort { length }),
            _ => Ok(ClusterKey(bytes)),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterKey(..)")
    }
}

impl Timing {
    /// Raises the timeouts until an election takes no less than ten of the disk's slow commits:
    /// a disk that is slower than the timeouts lets followers campaign against a healthy leader.
    pub fn raised_to(self, fsync_p99: Duration) -> Timing {
        let wanted = fsync_p99.saturating_mul(10);
        if self.election_min >= wanted || self.election_min.is_zero() {
            return self;
        }
        let factor = wanted.as_secs_f64() / self.election_min.as_secs_f64();
        Timing {
            heartbeat: self.heartbeat.mul_f64(factor),
            election_min: wanted,
            election_max: self.election_max.mul_f64(factor),
        }
    }
}

impl fmt::Display for Timing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Timing { heartbeat, election_min, election_max } = self;
        write!(
            f,
            "heartbeat {} ms, election {}-{} ms",
            heartbeat.as_millis(),
            election_min.as_millis(),
            election_max.as_millis()
        )
    }
}

impl Default for Timing {
    /// Fits solid-state disks and a local network.
    fn default() -> Timing {
        Timing {
            heartbeat: Duration::from_millis(50),
            election_min: Duration::from_millis(150),
            election_max: Duration::from_millis(300),
        }
    }
}

impl Default for Compaction {
    fn default() -> Compaction {
        Compaction { entries: 10_000, bytes: 64 << 20, age: Duration::from_secs(600), keep: 10_000 }
    }
}

impl Default for RuleCache {
    fn default() -> RuleCache {
        RuleCache { policy: Policy::Lru, capacity: 1_024 }
    }
}

impl Default for Batching {
    fn default() -> Batching {
        Batching {
            linger: Duration::from_millis(2),
            inputs_max: 1_000,
            bytes_max: 1 << 20,
            in_flight_max: 8,
            queue_max: 4_096,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(p99_ms: u64, expected: &str) {
        let raised = Timing::default().raised_to(Duration::from_millis(p99_ms));
        assert_eq!(raised.to_string(), expected);
    }

    #[test]
    fn timeouts_follow_a_slow_disk_and_keep_their_proportions() {
        check(0, "heartbeat 50 ms, election 150-300 ms");
        check(15, "heartbeat 50 ms, election 150-300 ms");
        check(30, "heartbeat 100 ms, election 300-600 ms");
        check(150, "heartbeat 500 ms, election 1500-3000 ms");
    }

    #[test]
    fn a_short_key_is_refused() {
        assert_eq!(ClusterKey::new("").err(), Some(SettingsError::KeyTooShort { length: 0 }));
        assert_eq!(ClusterKey::new(vec![7; 15]).err(), Some(SettingsError::KeyTooShort { length: 15 }));
        assert!(ClusterKey::new(vec![7; 16]).is_ok());
    }
}
