//! Messages that go to the other nodes without the log: pictures, firmware.
//!
//! They are lost with a node or the network between nodes, and when too many wait for a slow peer.

use super::core::Core;
use super::rpc::{Purpose, Request};
use super::task;
use gable_rules::broker::Publication;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// How many KiB of messages may wait for peers. What comes on top is dropped for them.
const ROOM_KIB: usize = 16 << 10;

/// A message and the client that published it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relayed {
    pub publisher: Option<String>,
    pub publication: Publication,
}

/// The way out of this node.
#[derive(Debug)]
pub(super) struct Relay {
    room: Arc<Semaphore>,
}

impl Default for Relay {
    fn default() -> Relay {
        Relay { room: Arc::new(Semaphore::new(ROOM_KIB)) }
    }
}

impl Relay {
    /// Sends a message to all other nodes, as far as they keep up; returns how many did not.
    pub(super) fn send(&self, core: &Core, relayed: &Arc<Relayed>) -> usize {
        let kib = u32::try_from(relayed.publication.bytes() / 1_024 + 1).unwrap_or(u32::MAX);
        let mut missed = 0;
        for node in core.peers.others() {
            let link = core.peers.link(node, Purpose::Relay);
            let room = self.room.clone().try_acquire_many_owned(kib).ok();
            let (Some(link), Some(room)) = (link, room) else {
                missed += 1;
                continue;
            };
            let answer = link.send(Request::Relay(relayed.clone()));
            task::spawn(async move {
                // A peer that is gone has missed it.
                let _ = answer.await;
                drop(room);
            });
        }
        missed
    }
}
