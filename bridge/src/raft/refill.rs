//! Fetches from a peer the history that a snapshot stepped over.

use super::core::Core;
use super::offload::blocking;
use super::rpc::{Purpose, Request, Response};
use crate::store::Error;
use crate::store::history::Chunk;
use gable_rules::LogIndex;
use std::io;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{info, warn};

/// How long to wait when no peer could give anything.
const PAUSE: Duration = Duration::from_secs(1);

/// Fills gaps until the replica stops. `complete` tells whether any is left.
pub(super) async fn run(core: Core, complete: watch::Sender<bool>) {
    let mut restored = core.home.restored();
    loop {
        restored.mark_unchanged();
        let gap = match lowest_gap(&core).await {
            Ok(gap) => gap,
            // The history has stopped, which its own watch tells.
            Err(_) => return,
        };
        let was_complete = complete.send_replace(gap.is_none());
        let Some((from, until)) = gap else {
            if !was_complete {
                info!(node = %core.node, "the history is complete");
            }
            if restored.changed().await.is_err() {
                return;
            }
            continue;
        };
        if was_complete {
            info!(node = %core.node, %from, %until, "the history lacks entries: fetching them from a peer");
        }
        match fetch(&core, from, until).await {
            Some(chunk) => {
                let history = core.history.clone();
                if let Err(error) = flatten(blocking(move || history.ingest(&chunk)).await) {
                    warn!(node = %core.node, error = %error, "can not store fetched history");
                    sleep(PAUSE).await;
                }
            }
            None => sleep(PAUSE).await,
        }
    }
}

async fn lowest_gap(core: &Core) -> io::Result<Option<(LogIndex, LogIndex)>> {
    let history = core.history.clone();
    let gaps = flatten(blocking(move || history.gaps()).await)?;
    Ok(gaps.first().copied())
}

/// Asks the peers in turn for the beginning of a gap. One that has removed a part of it itself
/// counts only if no other has more.
async fn fetch(core: &Core, from: LogIndex, until: LogIndex) -> Option<Chunk> {
    let mut partial: Option<Chunk> = None;
    for peer in core.peers.others() {
        let Some(link) = core.peers.link(peer, Purpose::History) else { continue };
        let limit = core.peers.patience().stall * 4;
        let Ok(Response::History(chunk)) = link.call(Request::History { from, until }, limit).await else {
            continue;
        };
        if chunk.through < from {
            continue;
        }
        if chunk.kept_from <= from {
            return Some(chunk);
        }
        if partial.as_ref().is_none_or(|partial| chunk.kept_from < partial.kept_from) {
            partial = Some(chunk);
        }
    }
    partial
}

fn flatten<T>(result: io::Result<Result<T, Error>>) -> io::Result<T> {
    Ok(result??)
}
