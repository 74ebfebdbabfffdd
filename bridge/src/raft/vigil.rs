//! Watches openraft and the databases for this replica: who leads, and what can not go on.

use super::core::Core;
use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;
use std::sync::Arc;
use tokio::sync::watch;
use tracing::{error, info};

/// Tells `lead` whether this node leads, until the replica stops.
pub(super) async fn watch_role(core: Core, lead: watch::Sender<bool>) {
    let mut servers = core.raft.server_metrics();
    loop {
        let (role, term) = {
            let server = servers.borrow_and_update();
            (server.state, server.vote.leader_id.term)
        };
        let leads = role == ServerState::Leader;
        if leads {
            #[cfg(feature = "simulation")]
            crate::simulation::tell(core.node, || crate::simulation::Sight::Leads { term });
            core.clock.lead();
        }
        if lead.send_if_modified(|old| std::mem::replace(old, leads) != leads) {
            info!(node = %core.node, leads, term, "leadership changed");
        }
        if servers.changed().await.is_err() {
            lead.send_replace(false);
            return;
        }
    }
}

/// Tells when the store or openraft's core stops although nobody asked for it.
pub(super) async fn watch_death(
    core: Core,
    stopped: watch::Receiver<bool>,
    fail: watch::Sender<Option<Arc<str>>>,
) {
    let (mut store, mut history) = (core.store.fatal(), core.history.fatal());
    let mut servers = core.raft.server_metrics();
    let reason: Arc<str> = loop {
        tokio::select! {
            biased;
            reason = failure(&mut store) => break reason,
            reason = failure(&mut history) => break reason,
            changed = servers.changed() => if changed.is_err() {
                let state = core.raft.metrics().borrow_watched().running_state.clone();
                break match state {
                    Ok(()) => "replication panicked".into(),
                    Err(fatal) => fatal.to_string().into(),
                };
            },
        }
    };
    if !*stopped.borrow() {
        error!(node = %core.node, reason = %reason, "this node can not go on");
        fail.send_replace(Some(reason));
    }
}

/// Waits for the reason why a database stopped.
async fn failure(database: &mut watch::Receiver<Option<Arc<str>>>) -> Arc<str> {
    let reason = database.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
    match reason {
        Some(reason) => reason,
        // The core keeps the database, and with it the sender, alive.
        None => std::future::pending().await,
    }
}
