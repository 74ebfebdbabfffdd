//! openraft's configuration, as our settings and the disk want it.

use super::replica::Error;
use super::settings::{ReplicaSettings, Timing};
use openraft::{Config, SnapshotPolicy};
use std::time::Duration;
use tracing::warn;

/// The timing of the settings, or a slower one that fits the disk.
pub(super) fn fitting(settings: &ReplicaSettings) -> Timing {
    let timing = settings.timing.raised_to(settings.fsync_p99);
    if timing != settings.timing {
        warn!(
            node = %settings.node, fsync_p99_ms = settings.fsync_p99.as_secs_f64() * 1000.0, wanted = %settings.timing, %timing,
            "the disk is slow: raised the election timeouts to ten of its commits"
        );
    }
    timing
}

/// Returns what openraft is told.
pub(super) fn config_for(settings: &ReplicaSettings, timing: &Timing) -> Result<Config, Error> {
    let ms = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let keep = settings.compaction.keep;
    let config = Config {
        cluster_name: settings.cluster.clone(),
        heartbeat_interval: ms(timing.heartbeat),
        election_timeout_min: ms(timing.election_min),
        election_timeout_max: ms(timing.election_max),
        // Our own task takes snapshots, far from the entries that are being applied.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: keep,
        // Entries that are still there reach a peer that lags sooner than a snapshot would.
        replication_lag_threshold: keep.max(1_000),
        install_snapshot_timeout: 10_000,
        enable_pre_vote: Some(true),
        // Frees a majority that an old leader holds back although it reaches none itself.
        quorum_loss_probe_interval: Some(ms(timing.election_max * 2)),
        // The committed index is saved late and the state not at all, so a leader that starts
        // again may know less than it once told.
        enable_leader_restore: Some(false),
        // A node whose disk was emptied is refilled. It does not vote until then: see `Ballot`.
        allow_log_reversion: Some(true),
        backoff: "25ms 50ms 100ms ...400ms".to_owned(),
        ..Config::default()
    };
    config.validate().map_err(|error| Error::Config(Box::new(error)))
}
