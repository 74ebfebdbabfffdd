//! openraft's handle with what its users below `raft` need beside it.

use super::home::Home;
use super::peers::Peers;
use super::rpc::{Purpose, Request, Response};
use super::state_machine::StateMachine;
use super::types::{Batch, TypeConfig};
use crate::clock::Clock;
use crate::store::Store;
use crate::store::history::History;
use gable_devices::Timestamp;
use gable_rules::{LogIndex, NodeId};
use openraft::ReadPolicy;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::error::{ClientWriteError, ForwardToLeader, RaftError};
use openraft::impls::ProgressResponder;
use std::sync::Arc;
use tokio::sync::watch;

pub(super) type Raft = openraft::Raft<TypeConfig, StateMachine>;

/// What the tasks of a replica share.
#[derive(Clone)]
pub(super) struct Core {
    pub(super) node: NodeId,
    pub(super) raft: Raft,
    pub(super) peers: Arc<Peers>,
    pub(super) clock: Clock,
    pub(super) home: Arc<Home>,
    pub(super) store: Store,
    pub(super) history: History,
    pub(super) ballot: Arc<Ballot>,
}

/// Whether this node may vote and propose.
///
/// A node whose disk was emptied has forgotten which entries it helped to commit. Until it has
/// caught up it must not help to elect a leader that lacks them. It has also forgotten how it
/// numbered its inputs, and would number new ones like old ones.
#[derive(Debug)]
pub(super) struct Ballot(watch::Sender<bool>);

impl Ballot {
    pub(super) fn new(open: bool) -> Ballot {
        Ballot(watch::Sender::new(open))
    }

    pub(super) fn is_open(&self) -> bool {
        *self.0.borrow()
    }

    pub(super) fn open(&self) {
        self.0.send_replace(true);
    }

    /// Waits until the node may vote.
    pub(super) async fn opened(&self) {
        // The sender lives as long as this.
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}

/// Why a batch did not get into the log here.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error("this node does not lead")]
    NotLeader { leader: Option<NodeId> },
    #[error("replication has stopped")]
    Stopped,
}

impl WriteError {
    pub(super) fn leader(&self) -> Option<NodeId> {
        match self {
            WriteError::NotLeader { leader } => *leader,
            WriteError::Stopped => None,
        }
    }
}

impl Core {
    /// Returns the time to stamp into an entry.
    pub(super) fn stamp(&self) -> Timestamp {
        if self.raft.as_leader().is_ok() {
            self.clock.lead();
        }
        self.clock.log_time()
    }

    /// Hands a stamped batch to the log of this node, which has to lead.
    ///
    /// The order of the calls is the order in the log. The future that is returned tells when the
    /// batch has been committed and applied here.
    pub(super) async fn write(
        &self,
        batch: Batch,
    ) -> Result<impl Future<Output = Result<(), WriteError>> + Send + use<>, WriteError> {
        let (responder, completed) = ProgressResponder::complete_only();
        self.raft.client_write_ff(batch, Some(responder)).await.map_err(|_| WriteError::Stopped)?;
        Ok(async move {
            match completed.await {
                Ok(Ok(_applied)) => Ok(()),
                Ok(Err(ClientWriteError::ForwardToLeader(to) | ClientWriteError::LogEntryDiscarded(to))) => {
                    Err(not_leader(&to))
                }
                Ok(Err(_)) => Err(WriteError::NotLeader { leader: None }),
                Err(_) => Err(WriteError::Stopped),
            }
        })
    }
}

/// Why it is not known up to where a read has to wait.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("no leader confirmed the read in time: try again, or read what this node has")]
    NoLeader,
    #[error("replication has stopped")]
    Stopped,
}

impl Core {
    /// Asks the leader, perhaps this node, which entry a read must not miss.
    pub(super) async fn read_index(&self) -> Result<LogIndex, ReadError> {
        let leader = self.raft.server_metrics().borrow_watched().current_leader.map(NodeId);
        match leader {
            None => Err(ReadError::NoLeader),
            Some(leader) if leader == self.node => self.own_read_index().await?.ok_or(ReadError::NoLeader),
            Some(leader) => {
                let link = self.peers.link(leader, Purpose::Forward).ok_or(ReadError::NoLeader)?;
                match link.call(Request::ReadIndex, self.peers.patience().stall).await {
                    Ok(Response::ReadIndex(index)) => Ok(index),
                    _ => Err(ReadError::NoLeader),
                }
            }
        }
    }

    /// Returns that entry if this node can prove that it leads.
    pub(super) async fn own_read_index(&self) -> Result<Option<LogIndex>, ReadError> {
        match self.raft.get_read_log_id(ReadPolicy::ReadIndex).await {
            Ok((log_id, _applied)) => Ok(Some(LogIndex(log_id.index()))),
            Err(RaftError::APIError(_)) => Ok(None),
            Err(RaftError::Fatal(_)) => Err(ReadError::Stopped),
        }
    }
}

fn not_leader(to: &ForwardToLeader<TypeConfig>) -> WriteError {
    WriteError::NotLeader { leader: to.leader_id.map(NodeId) }
}
