//! A connection to one peer for one purpose: requests go out in order, answers come back by number.
//!
//! It connects when it is first used, stays connected, and connects again after a failure with a
//! back-off during which requests fail at once. A request is sent at most once; whether to repeat
//! it is the caller's business.

use super::frame::{self, BYTES_MAX, Frame, FrameError, Kind};
use super::handshake::{self, HandshakeError, Identity};
use super::rpc::{Numbered, Purpose, Request, Response};
use super::task::{self, Task};
use crate::socket::{self, OwnedReadHalf, OwnedWriteHalf, TcpStream};
use gable_rules::NodeId;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, warn};

/// The most requests that wait to be written. Further ones fail with [`CallError::Busy`], which
/// openraft and the proposer treat like an unreachable peer.
const QUEUE_MAX: usize = 256;

/// Frames are gathered into one write up to this size.
const WRITE_BYTES: usize = 256 << 10;

const BACKOFF_MIN: Duration = Duration::from_millis(25);
const BACKOFF_MAX: Duration = Duration::from_millis(400);

/// Why a request got no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum CallError {
    #[error("no connection to node {node} at {address}: {reason}")]
    Unreachable { node: NodeId, address: String, reason: String },
    /// The peer, or this node, found the other not to be what it should be: people have to act.
    #[error("no connection with node {node}: {reason}")]
    Refused { node: NodeId, reason: String },
    #[error("the connection to node {node} broke: {reason}")]
    Broken { node: NodeId, reason: String },
    #[error("node {node} did not answer within {} ms", limit.as_millis())]
    Deadline { node: NodeId, limit: Duration },
    #[error("too many requests wait for node {node}")]
    Busy { node: NodeId },
    #[error("the request can not be sent: {0}")]
    Unsendable(String),
}

/// Whom a link reaches, and how patient it is.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) node: NodeId,
    pub(super) address: String,
    pub(super) purpose: Purpose,
    pub(super) connect_limit: Duration,
    /// A connection that owes answers and stays silent for so long is given up.
    pub(super) stall_limit: Duration,
}

/// The calling side of a connection.
#[derive(Clone, Debug)]
pub(super) struct Link {
    node: NodeId,
    calls: mpsc::Sender<Call>,
}

struct Call {
    request: Box<Request>,
    answer: Answer,
}

type Answer = oneshot::Sender<Result<Response, CallError>>;

impl Link {
    /// Starts the task that owns the connection. It ends with the last clone of the link.
    pub(super) fn start(identity: Arc<Identity>, target: Target) -> Link {
        let (calls, queue) = mpsc::channel(QUEUE_MAX);
        let node = target.node;
        task::spawn(Worker { identity, target, queue, number: 0, backoff: Backoff::default() }.run());
        Link { node, calls }
    }

    /// Queues a request at once, behind all earlier ones, and returns the answer to come.
    pub(super) fn send(
        &self,
        request: Request,
    ) -> impl Future<Output = Result<Response, CallError>> + Send + Unpin + use<> {
        let (answer, answered) = oneshot::channel();
        let node = self.node;
        let queued = self.calls.try_send(Call { request: Box::new(request), answer });
        Box::pin(async move {
            queued.map_err(|_| CallError::Busy { node })?;
            let gone =
                |_| CallError::Broken { node, reason: "it ended before the request was written".to_owned() };
            answered.await.map_err(gone)?
        })
    }

    /// Sends a request and waits for its answer, but not longer than `limit`.
    pub(super) async fn call(&self, request: Request, limit: Duration) -> Result<Response, CallError> {
        let node = self.node;
        timeout(limit, self.send(request)).await.map_err(|_| CallError::Deadline { node, limit })?
    }
}

/// Opens a proven connection to `target`.
pub(super) async fn connect(identity: &Identity, target: &Target) -> Result<TcpStream, CallError> {
    let unreachable = |reason: String| CallError::Unreachable {
        node: target.node,
        address: target.address.clone(),
        reason,
    };
    let mut stream = socket::connect(&target.address, target.connect_limit)
        .await
        .map_err(|e| unreachable(e.to_string()))?;
    let proved = handshake::call(&mut stream, identity, target.node, target.purpose).await;
    proved.map_err(|error| match error {
        HandshakeError::Frame(_) | HandshakeError::Deadline => unreachable(error.to_string()),
        refusal => CallError::Refused { node: target.node, reason: refusal.to_string() },
    })?;
    Ok(stream)
}

struct Worker {
    identity: Arc<Identity>,
    target: Target,
    queue: mpsc::Receiver<Call>,
    number: u64,
    backoff: Backoff,
}

impl Worker {
    async fn run(mut self) {
        let mut connection: Option<Connection> = None;
        while let Some(call) = self.queue.recv().await {
            if call.answer.is_closed() {
                continue;
            }
            if connection.as_ref().is_some_and(|connection| connection.pending.is_dead()) {
                connection = None;
            }
            if connection.is_none() {
                match self.connect().await {
                    Ok(fresh) => connection = Some(fresh),
                    Err(error) => {
                        let _ = call.answer.send(Err(error));
                        continue;
                    }
                }
            }
            if let Some(live) = &mut connection
                && let Err(error) = self.write(live, call).await
            {
                live.pending.fail(&self.target, &error.to_string());
                connection = None;
            }
        }
    }

    async fn connect(&mut self) -> Result<Connection, CallError> {
        if let Some(reason) = self.backoff.refuses() {
            let Target { node, address, .. } = self.target.clone();
            return Err(CallError::Unreachable { node, address, reason });
        }
        match connect(&self.identity, &self.target).await {
            Ok(stream) => {
                debug!(node = %self.target.node, purpose = ?self.target.purpose, "connected to a peer");
                self.backoff = Backoff::default();
                Ok(Connection::over(stream, self.target.clone()))
            }
            Err(error) => {
                let reason = error.to_string();
                // The same refusal comes at every try; once is enough to act on.
                if matches!(error, CallError::Refused { .. }) && self.backoff.reason != reason {
                    let Target { node, address, purpose, .. } = &self.target;
                    warn!(%node, address, ?purpose, reason, "a peer can not be joined");
                }
                self.backoff.extend(reason);
                Err(error)
            }
        }
    }

    /// Writes `first` and whatever else waits already.
    async fn write(&mut self, connection: &mut Connection, first: Call) -> Result<(), FrameError> {
        let mut next = Some(first);
        let mut buffer = Vec::new();
        while let Some(call) = next.take() {
            self.number += 1;
            let content = Numbered { number: self.number, content: &*call.request };
            let before = buffer.len();
            buffer = match frame::encode(Kind::Request, &content, std::mem::take(&mut buffer)) {
                Ok(longer) => longer,
                Err(error) => {
                    let _ = call.answer.send(Err(CallError::Unsendable(error.to_string())));
                    // The buffer went with the failed frame: let the requests before it fail, too.
                    return if before == 0 { Ok(()) } else { Err(error) };
                }
            };
            connection.pending.add(self.number, call.answer);
            if buffer.len() < WRITE_BYTES {
                next = self.queue.try_recv().ok();
            }
        }
        let limit = self.target.stall_limit;
        let written = timeout(limit, connection.writer.write_all(&buffer)).await;
        written.map_err(|_| FrameError::Deadline(limit))?.map_err(FrameError::Io)
    }
}

struct Connection {
    writer: OwnedWriteHalf,
    pending: Arc<Pending>,
    reader: Task,
}

impl Connection {
    fn over(stream: TcpStream, target: Target) -> Connection {
        let (reader, writer) = stream.into_split();
        let pending = Arc::new(Pending::default());
        let reader = task::spawn(read_answers(reader, pending.clone(), target));
        Connection { writer, pending, reader }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// The requests that wait for an answer.
#[derive(Default)]
struct Pending {
    answers: Mutex<Answers>,
    /// Wakes the reader when the first request begins to wait.
    added: Notify,
}

#[derive(Default)]
struct Answers {
    by_number: BTreeMap<u64, Answer>,
    dead: bool,
}

impl Pending {
    fn lock(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, number: u64, answer: Answer) {
        let mut answers = self.lock();
        if answers.dead {
            // Dropping the answer tells the caller that the connection broke.
            return;
        }
        answers.by_number.insert(number, answer);
        if answers.by_number.len() == 1 {
            self.added.notify_one();
        }
    }

    fn take(&self, number: u64) -> Option<Answer> {
        self.lock().by_number.remove(&number)
    }

    fn is_idle(&self) -> bool {
        self.lock().by_number.is_empty()
    }

    fn is_dead(&self) -> bool {
        self.lock().dead
    }

    fn fail(&self, target: &Target, reason: &str) {
        let waiting = {
            let mut answers = self.lock();
            answers.dead = true;
            std::mem::take(&mut answers.by_number)
        };
        for answer in waiting.into_values() {
            let _ = answer.send(Err(CallError::Broken { node: target.node, reason: reason.to_owned() }));
        }
    }
}

async fn read_answers(reader: OwnedReadHalf, pending: Arc<Pending>, target: Target) {
    let error = match read_until_broken(reader, &pending, target.stall_limit).await {
        Ok(never) => match never {},
        Err(error) => error,
    };
    debug!(node = %target.node, purpose = ?target.purpose, reason = %error, "a connection to a peer ended");
    pending.fail(&target, &error.to_string());
}

async fn read_until_broken(
    mut reader: OwnedReadHalf,
    pending: &Pending,
    stall_limit: Duration,
) -> Result<std::convert::Infallible, FrameError> {
    loop {
        let frame = {
            let reading = frame::read(&mut reader, BYTES_MAX);
            tokio::pin!(reading);
            let mut silent_since = Instant::now();
            loop {
                let idle = pending.is_idle();
                tokio::select! {
                    biased;
                    frame = &mut reading => break frame?,
                    () = pending.added.notified(), if idle => silent_since = Instant::now(),
                    () = sleep_until(silent_since + stall_limit), if !idle => {
                        return Err(FrameError::Deadline(stall_limit));
                    }
                }
            }
        };
        settle(&frame, pending)?;
    }
}

fn settle(frame: &Frame, pending: &Pending) -> Result<(), FrameError> {
    if frame.kind == Kind::Working {
        return Ok(());
    }
    let Numbered { number, content } = frame.expect(Kind::Response)?;
    if let Some(answer) = pending.take(number) {
        let _ = answer.send(Ok(content));
    }
    Ok(())
}

/// Keeps a dead peer from being dialled over and over.
#[derive(Default)]
struct Backoff {
    pause: Duration,
    until: Option<Instant>,
    reason: String,
}

impl Backoff {
    fn refuses(&self) -> Option<String> {
        self.until.filter(|until| Instant::now() < *until).map(|_| self.reason.clone())
    }

    fn extend(&mut self, reason: String) {
        self.pause = (self.pause * 2).clamp(BACKOFF_MIN, BACKOFF_MAX);
        self.until = Some(Instant::now() + self.pause);
        self.reason = reason;
    }
}
