//! The leader's judgement of who is up, told to everybody as log entries.
//!
//! It compares what it hears with what the state says and proposes the difference, so a new
//! leader begins from rows and needs nothing from its predecessor.

use super::core::Core;
use super::proposer::Entrance;
use super::types::TypeConfig;
use gable_rules::{InputKind, NodeId};
use openraft::async_runtime::watch::WatchReceiver;
use openraft::{Instant as _, RaftMetrics};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tracing::info;

/// Watches the peers while this node leads.
pub(super) struct Liveness {
    pub(super) core: Core,
    pub(super) entrance: Entrance,
    /// How often to look.
    pub(super) interval: Duration,
    /// A peer that did not answer for so long is down.
    pub(super) limit: Duration,
    pub(super) leading: watch::Receiver<bool>,
}

impl Liveness {
    /// Runs until the replica stops.
    pub(super) async fn run(mut self) {
        while self.leading.wait_for(|leading| *leading).await.is_ok() {
            let since = Instant::now();
            while *self.leading.borrow() {
                for (node, up) in self.changes(since) {
                    info!(node = %node, up, "a node's liveness changed");
                    if self.entrance.propose(InputKind::NodeSeen { node, up }).await.is_err() {
                        return;
                    }
                }
                tokio::select! {
                    biased;
                    changed = self.leading.changed() => if changed.is_err() { return },
                    () = sleep(self.interval) => {}
                }
            }
        }
    }

    /// Returns the members that the state sees otherwise than this leader, which leads `since`.
    fn changes(&self, since: Instant) -> Vec<(NodeId, bool)> {
        let metrics = self.core.raft.metrics();
        let heard = heard_of(&metrics.borrow_watched(), self.core.node);
        let rows: BTreeMap<_, _> =
            self.core.home.read(|state| state.nodes().map(|(id, node)| (id, node.up)).collect());
        heard
            .into_iter()
            .filter_map(|(node, last)| {
                let up = judge(last.map(|last| last.max(since)), since, Instant::now(), self.limit)?;
                (rows.get(&node) != Some(&up)).then_some((node, up))
            })
            .collect()
    }
}

/// When each member last answered; a leader always hears itself.
fn heard_of(metrics: &RaftMetrics<TypeConfig>, own: NodeId) -> BTreeMap<NodeId, Option<Instant>> {
    let mut heard = BTreeMap::new();
    for (node, last) in metrics.heartbeat.iter().flatten() {
        heard
            .insert(NodeId(*node), last.as_ref().and_then(|last| Instant::now().checked_sub(last.elapsed())));
    }
    if metrics.heartbeat.is_some() {
        heard.insert(own, Some(Instant::now()));
    }
    heard
}

/// Decides whether a member that answered at `last` is up at `now`; none while it is too early to
/// tell.
fn judge(last: Option<Instant>, since: Instant, now: Instant, limit: Duration) -> Option<bool> {
    match last {
        Some(last) if now.duration_since(last) <= limit => Some(true),
        Some(_) => Some(false),
        None => (now.duration_since(since) > limit).then_some(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(answered_ms: Option<u64>, now_ms: u64, expected: Option<bool>) {
        let since = Instant::now();
        let at = |ms| since + Duration::from_millis(ms);
        assert_eq!(judge(answered_ms.map(at), since, at(now_ms), Duration::from_millis(600)), expected);
    }

    #[test]
    fn a_peer_is_down_after_its_silence_and_unknown_before_it() {
        check(Some(100), 400, Some(true));
        check(Some(100), 701, Some(false));
        check(None, 400, None);
        check(None, 601, Some(false));
    }
}
