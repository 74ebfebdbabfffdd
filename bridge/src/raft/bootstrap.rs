//! The first start of a cluster: who founds it, and who only waits to be found.

use super::core::Core;
use super::types::Peer;
use openraft::error::{InitializeError, RaftError};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tracing::{debug, info, warn};

/// How long a node asks its peers before it founds the cluster without the silent ones.
const ASKING_LIMIT: Duration = Duration::from_secs(3);
/// How many starts an emptied node may have had after the last one that left an input in the log.
const UNSEEN_BOOTS: u64 = 1_000;

const PAUSE: Duration = Duration::from_millis(100);

/// Makes an empty node a member: it founds the cluster unless a peer belongs to one already.
///
/// All nodes found the same cluster, with the same first entry, so it does no harm when several do.
/// A node whose disk was emptied must not: its peers have a cluster, and its leader will refill it.
/// One that stops before it is refilled has a log, and is an emptied node all the same.
pub(super) async fn run(core: Core, members: BTreeMap<u64, Peer>, is_empty: bool) {
    if core.ballot.is_open() {
        return notice_moved_peers(&core, &members).await;
    }
    if !is_empty || has_cluster(&core).await {
        warn!(node = %core.node, "this node was emptied but its cluster exists: waiting for the leader to fill it");
        return refill(&core).await;
    }
    // Its store's own watch tells when this fails.
    let Ok(()) = core.store.take_seat(core.store.boot()).await else { return };
    core.ballot.open();
    let names = members.keys().copied().collect::<Vec<_>>();
    match core.raft.initialize(members).await {
        Ok(()) => {
            info!(node = %core.node, cluster = core.peers.identity.cluster, members = ?names, "founded the cluster")
        }
        // A peer was quicker, and its leader has written to this node's log already.
        Err(RaftError::APIError(InitializeError::NotAllowed(_))) => {}
        Err(error) => warn!(node = %core.node, error = %error, "can not found the cluster"),
    }
}

/// Waits until this node holds everything that the cluster had committed after it was emptied, and
/// lets it vote then.
async fn refill(core: &Core) {
    core.raft.runtime_config().elect(false);
    let index = loop {
        match core.read_index().await {
            Ok(index) => break index,
            Err(error) => debug!(node = %core.node, error = %error, "no leader to be refilled from yet"),
        }
        sleep(PAUSE).await;
    };
    if core.home.applied().wait_for(|applied| *applied >= index).await.is_err() {
        return;
    }
    let last_boot = core.home.read(|state| state.last_origin(core.node)).map(|origin| origin.boot);
    let boot = last_boot.map_or(0, |last_boot| last_boot + UNSEEN_BOOTS);
    // Its store's own watch tells when this fails.
    let Ok(()) = core.store.take_seat(boot).await else { return };
    core.home.window.set_boot(core.store.boot());
    core.ballot.open();
    core.raft.runtime_config().elect(true);
    info!(node = %core.node, log_index = %index, "this node is refilled and votes again");
}

/// Asks the peers whether one of them has a cluster, until all have answered or, after a while, a
/// majority of all nodes is known to have none.
///
/// A node that reaches nobody asks on: with its disk emptied it could help a peer that lags behind
/// to a majority, and what it had helped to commit would be lost.
async fn has_cluster(core: &Core) -> bool {
    let mut silent: Vec<_> = core.peers.others().collect();
    let nodes = silent.len() + 1;
    let asked_since = Instant::now();
    loop {
        let mut still_silent = Vec::new();
        for node in silent {
            match core.peers.introduce(node).await {
                // A peer that was founded a moment ago has the same first entry as this node.
                Ok(introduction) if introduction.last_log_index > 0 => return true,
                Ok(_) => {}
                Err(_) => still_silent.push(node),
            }
        }
        silent = still_silent;
        let most_are_new = (nodes - silent.len()) * 2 > nodes;
        if silent.is_empty() || (most_are_new && asked_since.elapsed() >= ASKING_LIMIT) {
            return false;
        }
        sleep(PAUSE).await;
    }
}

/// Tells when the settings reach a peer elsewhere than the log says: the settings win.
async fn notice_moved_peers(core: &Core, members: &BTreeMap<u64, Peer>) {
    let metrics = core.raft.wait(None);
    let known = metrics.metrics(|metrics| metrics.membership_config.log_id().is_some(), "the members");
    // It fails when the replica stops.
    let Ok(metrics) = known.await else { return };
    let membership = metrics.membership_config;
    for (node, logged) in membership.nodes() {
        match members.get(node) {
            Some(peer) if peer != logged => {
                info!(
                    node,
                    logged = logged.address,
                    dialled = peer.address,
                    "a peer moved: dialling the address in the settings"
                );
            }
            Some(_) => {}
            None => warn!(
                node,
                "a member of the cluster is not among the peers in the settings: it can not be reached"
            ),
        }
    }
    for node in members.keys().filter(|node| membership.membership().get_node(node).is_none()) {
        warn!(node, "a peer in the settings is no member of the cluster");
    }
}
