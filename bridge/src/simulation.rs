//! What a simulation sees of the replicas that run in its thread.
//!
//! A program meets a replica through its handle, which may skip what nobody waits for. To check
//! every applied entry and every leader, a simulation has to be told at the place where it
//! happens. Nothing here changes what a replica does, and no program contains it.

use crate::raft::Applied;
use gable_rules::{LogIndex, NodeId};
use std::cell::RefCell;
use std::sync::Arc;

/// Something that happened inside a replica.
#[derive(Debug)]
pub enum Sight {
    /// An entry was applied; `hash` is the state's after it.
    Applied { applied: Arc<Applied>, hash: u64 },
    /// The state was taken over from a snapshot.
    Installed { index: LogIndex, hash: u64 },
    /// The log on the node's disk ends there.
    Persisted { last: LogIndex },
    /// The node found itself leader.
    Leads { term: u64 },
    /// A client is about to be told that its message is taken: PUBACK or PUBREC.
    Acknowledges { client_id: String, packet_id: u16 },
}

type Watcher = Box<dyn Fn(NodeId, Sight)>;

thread_local! {
    static WATCHER: RefCell<Option<Watcher>> = const { RefCell::new(None) };
}

/// Lets `watcher` see what happens in this thread's replicas from now on. It must not call them.
pub fn watch(watcher: impl Fn(NodeId, Sight) + 'static) {
    WATCHER.set(Some(Box::new(watcher)));
}

/// Tells the watcher, if there is one. What costs something is worked out only for it.
pub(crate) fn tell(node: NodeId, sight: impl FnOnce() -> Sight) {
    WATCHER.with_borrow(|watcher| {
        if let Some(watcher) = watcher {
            watcher(node, sight());
        }
    });
}
