//! Brings this node's inputs into the log: numbered, gathered, in order, exactly once.
//!
//! One task numbers the inputs, gathers them into batches and hands these to the leader, several
//! ahead of their commit. An input is settled when this node applies it, whatever answers were
//! lost on the way; until then its batch is kept. When the leader changes or a batch is lost,
//! everything unsettled is sent again in order: the state takes each number once.

use super::core::Core;
use super::link::CallError;
use super::rpc::{Purpose, Request, Response};
use super::settings::Batching;
use super::types::{Batch, TypeConfig};
use super::window::{Committed, Window};
use crate::clock::Clock;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use gable_rules::{Hlc, Input, InputKind, NodeId, Origin};
use openraft::alias::WatchReceiverOf;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::metrics::RaftServerMetrics;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};
use tracing::debug;

/// The largest input. Larger ones would hold up heartbeats' neighbours and snapshots alike.
pub const INPUT_BYTES_MAX: usize = 16 << 20;

const RETRY_MIN: Duration = Duration::from_millis(2);
const RETRY_MAX: Duration = Duration::from_millis(200);

/// Why an input was not proposed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    #[error("too many inputs wait to be committed: try again later")]
    Busy,
    #[error("an input of {bytes} bytes exceeds the limit of {INPUT_BYTES_MAX}")]
    TooLarge { bytes: usize },
    #[error("the replica has stopped: whether the input was committed is unknown")]
    Stopped,
}

/// Where inputs enter.
#[derive(Clone, Debug)]
pub(super) struct Entrance {
    queue: mpsc::Sender<Proposal>,
    clock: Clock,
}

/// An input on its way, and who waits for it.
#[derive(Debug)]
struct Proposal {
    heard: Hlc,
    kind: InputKind,
    bytes: usize,
    answer: oneshot::Sender<Committed>,
}

impl Entrance {
    pub(super) fn new(batching: &Batching, clock: Clock) -> (Entrance, Queue) {
        // When it is full, `propose` waits and `try_propose` refuses.
        let (queue, receiver) = mpsc::channel(batching.queue_max);
        (Entrance { queue, clock }, Queue(receiver))
    }

    pub(super) async fn propose(&self, kind: InputKind) -> Result<Committed, ProposeError> {
        let (proposal, answered) = self.proposal(kind)?;
        self.queue.send(proposal).await.map_err(|_| ProposeError::Stopped)?;
        answered.await.map_err(|_| ProposeError::Stopped)
    }

    pub(super) async fn submit(&self, kind: InputKind) -> Result<(), ProposeError> {
        let (proposal, _) = self.proposal(kind)?;
        self.queue.send(proposal).await.map_err(|_| ProposeError::Stopped)
    }

    pub(super) fn try_propose(
        &self,
        kind: InputKind,
    ) -> Result<impl Future<Output = Result<Committed, ProposeError>> + Send + use<>, ProposeError> {
        let (proposal, answered) = self.proposal(kind)?;
        self.queue.try_send(proposal).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => ProposeError::Busy,
            mpsc::error::TrySendError::Closed(_) => ProposeError::Stopped,
        })?;
        Ok(async move { answered.await.map_err(|_| ProposeError::Stopped) })
    }

    fn proposal(&self, kind: InputKind) -> Result<(Proposal, oneshot::Receiver<Committed>), ProposeError> {
        let bytes = bytes_of(&kind);
        if bytes > INPUT_BYTES_MAX {
            return Err(ProposeError::TooLarge { bytes });
        }
        let (answer, answered) = oneshot::channel();
        Ok((Proposal { heard: self.clock.stamp(), kind, bytes, answer }, answered))
    }
}

/// The inputs that wait for the proposer.
pub(super) struct Queue(mpsc::Receiver<Proposal>);

/// The proposing task of a node.
pub(super) struct Proposer {
    core: Core,
    window: Arc<Window>,
    batching: Batching,
    servers: WatchReceiverOf<TypeConfig, RaftServerMetrics<TypeConfig>>,
    next_sequence: u64,
    /// Taken from the queue, not yet numbered.
    gathered: Vec<Proposal>,
    gathered_bytes: usize,
    gathered_since: Instant,
    /// Sent, not yet settled; in the order of their numbers.
    flights: VecDeque<Flight>,
    answers: FuturesUnordered<BoxFuture<'static, Answer>>,
    /// Counts the rounds of sending: answers to an earlier round mean nothing.
    round: u64,
    route: Option<NodeId>,
    /// While it is set nothing is sent; at its end everything unsettled is.
    retry_at: Option<Instant>,
    pause: Duration,
}

/// A batch between its sending and its settlement.
struct Flight {
    first: u64,
    last: u64,
    batch: Batch,
    /// The leader has applied it, so this node will.
    confirmed: bool,
}

struct Answer {
    round: u64,
    first: u64,
    result: Result<(), Lost>,
}

/// A batch was not taken, or nobody knows; perhaps somebody else leads.
#[derive(Debug)]
struct Lost {
    reason: String,
    leader: Option<NodeId>,
}

impl Proposer {
    pub(super) fn new(core: Core, window: Arc<Window>, batching: Batching) -> Proposer {
        let servers = core.raft.server_metrics();
        Proposer {
            core,
            window,
            batching,
            servers,
            next_sequence: 1,
            gathered: Vec::new(),
            gathered_bytes: 0,
            gathered_since: Instant::now(),
            flights: VecDeque::new(),
            answers: FuturesUnordered::new(),
            round: 0,
            route: None,
            retry_at: None,
            pause: Duration::ZERO,
        }
    }

    /// Runs until the replica stops.
    pub(super) async fn run(mut self, Queue(mut queue): Queue) {
        self.core.ballot.opened().await;
        self.follow_leader().await;
        loop {
            let room = self.room();
            tokio::select! {
                biased;
                () = self.window.changed() => self.take_note().await,
                Some(answer) = self.answers.next(), if !self.answers.is_empty() => self.hear(answer),
                changed = self.servers.changed() => match changed {
                    Ok(()) => self.follow_leader().await,
                    Err(_) => return,
                },
                () = sleep_until_some(self.retry_at), if self.retry_at.is_some() => self.send_again().await,
                taken = take(&mut queue, &mut self.gathered, room), if room > 0 => match taken {
                    0 => return,
                    taken => self.gather(taken),
                },
                () = sleep_until(self.gathered_since + self.batching.linger), if self.may_send() => {
                    self.send_gathered().await;
                }
            }
            while self.should_send() {
                self.send_gathered().await;
            }
        }
    }

    /// How many inputs may be taken from the queue.
    fn room(&self) -> usize {
        if self.gathered_bytes >= self.batching.bytes_max {
            return 0;
        }
        self.batching.inputs_max.saturating_sub(self.gathered.len())
    }

    fn may_send(&self) -> bool {
        !self.gathered.is_empty()
            && self.retry_at.is_none()
            && self.route.is_some()
            && self.flights.len() < self.batching.in_flight_max
    }

    /// Whether the gathered inputs need not wait for more: nothing is under way, or they are many.
    fn should_send(&self) -> bool {
        self.may_send() && (self.flights.is_empty() || self.room() == 0)
    }

    fn gather(&mut self, taken: usize) {
        let old = self.gathered.len() - taken;
        if old == 0 {
            self.gathered_since = Instant::now();
        }
        self.gathered_bytes += self.gathered[old..].iter().map(|proposal| proposal.bytes).sum::<usize>();
    }

    async fn send_gathered(&mut self) {
        let first = self.next_sequence;
        let (at, boot) = (self.core.stamp(), self.window.boot());
        let mut inputs = Vec::with_capacity(self.gathered.len());
        let mut answers = Vec::with_capacity(self.gathered.len());
        for proposal in self.gathered.drain(..) {
            let origin = Origin { node: self.core.node, boot, sequence: self.next_sequence };
            inputs.push(Input { at, origin, heard: proposal.heard, kind: proposal.kind });
            answers.push(proposal.answer);
            self.next_sequence += 1;
        }
        self.gathered_bytes = 0;
        // The waiters have to be there before the state machine can meet the inputs.
        self.window.add(answers);
        let batch = Batch::new(inputs);
        self.flights.push_back(Flight {
            first,
            last: self.next_sequence - 1,
            batch: batch.clone(),
            confirmed: false,
        });
        self.send(first, batch).await;
    }

    /// Forgets what is settled, and begins again if an input came before its predecessors.
    async fn take_note(&mut self) {
        let (settled_before, gap) = self.window.progress();
        let open = self.flights.len();
        while self.flights.front().is_some_and(|flight| flight.last < settled_before) {
            self.flights.pop_front();
        }
        if self.flights.len() < open {
            self.pause = Duration::ZERO;
        }
        if gap {
            for flight in &mut self.flights {
                flight.confirmed = false;
            }
            self.send_again().await;
        }
    }

    fn hear(&mut self, answer: Answer) {
        if answer.round != self.round {
            return;
        }
        match answer.result {
            Ok(()) => {
                if let Some(flight) = self.flights.iter_mut().find(|flight| flight.first == answer.first) {
                    flight.confirmed = true;
                }
            }
            Err(lost) => {
                debug!(node = %self.core.node, reason = lost.reason, "a batch was not taken by the leader");
                let known = self.servers.borrow_watched().current_leader.map(NodeId);
                self.route = lost.leader.or(known);
                if self.retry_at.is_none() {
                    self.pause = (self.pause * 2).clamp(RETRY_MIN, RETRY_MAX);
                    self.retry_at = Some(Instant::now() + self.pause);
                }
            }
        }
    }

    async fn follow_leader(&mut self) {
        let leader = self.servers.borrow_and_update().current_leader.map(NodeId);
        if leader == self.route && self.retry_at.is_none() {
            return;
        }
        self.route = leader;
        self.pause = Duration::ZERO;
        match leader {
            Some(_) => self.send_again().await,
            None => self.retry_at = None,
        }
    }

    /// Sends everything that is neither settled nor certain to be, in order.
    async fn send_again(&mut self) {
        self.retry_at = None;
        self.round += 1;
        if self.route.is_none() {
            self.route = self.servers.borrow_watched().current_leader.map(NodeId);
        }
        let open: Vec<_> = self.flights.iter().filter(|flight| !flight.confirmed).collect();
        let at = self.core.stamp();
        let again: Vec<_> = open.iter().map(|flight| (flight.first, stamped(&flight.batch, at))).collect();
        for (first, batch) in again {
            self.send(first, batch).await;
        }
    }

    async fn send(&mut self, first: u64, batch: Batch) {
        let round = self.round;
        let answer = match self.route {
            None => return,
            Some(leader) if leader == self.core.node => {
                let written = self.core.write(batch).await;
                Box::pin(async move {
                    let result = match written {
                        Ok(written) => written.await,
                        Err(error) => Err(error),
                    };
                    let result =
                        result.map_err(|error| Lost { reason: error.to_string(), leader: error.leader() });
                    Answer { round, first, result }
                }) as BoxFuture<'static, Answer>
            }
            Some(leader) => {
                let request = Request::Propose { hlc: self.core.clock.hlc(), inputs: batch };
                let answer = self.core.peers.link(leader, Purpose::Forward).map(|link| link.send(request));
                Box::pin(async move {
                    let result = match answer {
                        Some(answer) => forwarded(answer.await),
                        None => Err(Lost {
                            reason: format!("node {leader} is not among the peers"),
                            leader: None,
                        }),
                    };
                    Answer { round, first, result }
                })
            }
        };
        self.answers.push(answer);
    }
}

fn forwarded(answer: Result<Response, CallError>) -> Result<(), Lost> {
    match answer {
        Ok(Response::Proposed) => Ok(()),
        Ok(Response::NotLeader(leader)) => Err(Lost { reason: "it does not lead".to_owned(), leader }),
        Ok(other) => Err(Lost { reason: format!("{other:?}"), leader: None }),
        Err(error) => Err(Lost { reason: error.to_string(), leader: None }),
    }
}

fn stamped(batch: &Batch, at: gable_devices::Timestamp) -> Batch {
    let inputs = batch.inputs().iter().map(|input| Input { at, ..input.clone() });
    Batch::new(inputs.collect())
}

async fn take(queue: &mut mpsc::Receiver<Proposal>, gathered: &mut Vec<Proposal>, room: usize) -> usize {
    queue.recv_many(gathered, room).await
}

async fn sleep_until_some(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// About how large an input is in the log.
pub(super) fn bytes_of(kind: &InputKind) -> usize {
    const FIXED: usize = 64;
    FIXED
        + match kind {
            InputKind::Message(message) => message.topic.len() + message.payload.len(),
            InputKind::Configure(files) => files.iter().map(|file| file.name.len() + file.text.len()).sum(),
            InputKind::Calendar(calendar) => {
                let events = calendar.sun.as_ref().map_or(0, |sun| sun.events.len());
                (calendar.changes.len() + events) * 16 + calendar.place.time_zone.len()
            }
            InputKind::TimerDue(_)
            | InputKind::CommandSent(_)
            | InputKind::Link { .. }
            | InputKind::NodeSeen { .. }
            | InputKind::ErrandDone { .. }
            | InputKind::Serve(_)
            | InputKind::Leading => 0,
            InputKind::Client(client) => client.bytes(),
            // Bounded by what the API takes.
            InputKind::Access(_) => 1 << 10,
            InputKind::Release { automation } => automation.len(),
        }
}
