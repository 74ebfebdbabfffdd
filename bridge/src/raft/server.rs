//! Accepts connections of peers, proves them, and answers what they ask.

use super::core::Core;
use super::frame::{self, BYTES_MAX, Frame, FrameError, Kind};
use super::handshake::{self, HandshakeError};
use super::offload::blocking;
use super::rpc::{Arrived, Introduction, Numbered, Purpose, Request, Response};
use super::types::Batch;
use super::{snapshot_transfer, task};
use crate::socket::{OwnedReadHalf, OwnedWriteHalf, TcpListener, TcpStream};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, FuturesUnordered, StreamExt};
use gable_rules::{LogIndex, NodeId};
use openraft::async_runtime::watch::WatchReceiver;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, interval_at, sleep, sleep_until, timeout};
use tracing::{debug, warn};

/// The most connections that have not proved themselves yet; further ones are closed at once.
const UNPROVEN_MAX: usize = 32;

/// The most proven connections for each peer: one a purpose, and as many that a restarted peer
/// left half open.
const PROVEN_MAX_PER_PEER: usize = 16;

/// The most requests of one connection that are worked on at a time. Further ones wait in the
/// socket, and the peer slows down.
const WORKING_MAX: usize = 128;

/// A connection without a request for so long is closed; its peer opens a new one when it wants.
const IDLE_LIMIT: Duration = Duration::from_secs(120);

/// The same refusal is told again after so long.
const REPEAT_REFUSAL: Duration = Duration::from_secs(10);

/// Answers are gathered into one write up to this size.
const WRITE_BYTES: usize = 256 << 10;

/// Answers with history hold about so many bytes.
const HISTORY_BYTES_MAX: usize = 1 << 20;

/// The peer listener of a node.
pub(super) struct Server {
    core: Core,
    unproven: Arc<Semaphore>,
    proven: Arc<Semaphore>,
    refusals: Arc<Refusals>,
    stop: watch::Receiver<bool>,
}

impl Server {
    pub(super) fn new(core: Core, stop: watch::Receiver<bool>) -> Server {
        let peers = core.peers.others().count().max(1);
        Server {
            core,
            unproven: Arc::new(Semaphore::new(UNPROVEN_MAX)),
            proven: Arc::new(Semaphore::new(PROVEN_MAX_PER_PEER * peers)),
            refusals: Arc::default(),
            stop,
        }
    }

    /// Accepts connections until the replica stops.
    pub(super) async fn run(self, listener: TcpListener) {
        let mut stop = self.stop.clone();
        loop {
            let accepted = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => self.admit(stream, address),
                Err(error) => {
                    // Out of file handles, most likely: trying again at once would only spin.
                    warn!(error = &error as &dyn std::error::Error, "can not accept a peer's connection");
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn admit(&self, stream: TcpStream, address: SocketAddr) {
        let Ok(unproven) = self.unproven.clone().try_acquire_owned() else {
            debug!(%address, "closed a connection: too many wait to prove themselves");
            return;
        };
        let session =
            Session { core: self.core.clone(), proven: self.proven.clone(), refusals: self.refusals.clone() };
        let mut stop = self.stop.clone();
        task::spawn(async move {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => {}
                () = session.run(stream, address, unproven) => {}
            }
        });
    }
}

/// One connection.
struct Session {
    core: Core,
    proven: Arc<Semaphore>,
    refusals: Arc<Refusals>,
}

impl Session {
    async fn run(self, mut stream: TcpStream, address: SocketAddr, unproven: OwnedSemaphorePermit) {
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let peers = &self.core.peers;
        let proved = handshake::answer(&mut stream, &peers.identity, |node| peers.knows(node)).await;
        drop(unproven);
        let (from, purpose) = match proved {
            Ok(proved) => proved,
            Err(error) => return self.refusals.report(&error, address),
        };
        let Ok(_proven) = self.proven.clone().try_acquire_owned() else {
            warn!(node = %from, %address, "closed a peer's connection: it has too many");
            return;
        };
        let (reader, writer) = stream.into_split();
        let ended = match purpose {
            Purpose::Snapshot => self.take_snapshot(reader, writer).await,
            Purpose::Append
            | Purpose::Control
            | Purpose::Heartbeat
            | Purpose::Forward
            | Purpose::History
            | Purpose::Relay => self.answer_requests(from, reader, writer).await,
        };
        match ended {
            Ok(()) | Err(FrameError::Closed | FrameError::Io(_)) => {}
            Err(error) => warn!(node = %from, ?purpose, reason = %error, "closed a peer's connection"),
        }
    }

    async fn answer_requests(
        &self,
        from: NodeId,
        reader: OwnedReadHalf,
        mut writer: OwnedWriteHalf,
    ) -> Result<(), FrameError> {
        let mut frames = frames(reader);
        let mut working: FuturesUnordered<BoxFuture<'static, Numbered<Response>>> = FuturesUnordered::new();
        let limit = self.core.peers.patience().stall;
        let (mut last_sign, mut last_request) = (Instant::now(), Instant::now());
        loop {
            let wake = if working.is_empty() { last_request + IDLE_LIMIT } else { last_sign + limit / 4 };
            tokio::select! {
                biased;
                Some(answer) = working.next(), if !working.is_empty() => {
                    let bytes = gather(answer, &mut working)?;
                    write(&mut writer, &bytes, limit).await?;
                }
                frame = frames.next(), if working.len() < WORKING_MAX => {
                    let Some(frame) = frame else { return Ok(()) };
                    last_request = Instant::now();
                    if working.is_empty() {
                        last_sign = last_request;
                    }
                    let Numbered { number, content } = frame?.expect(Kind::Request)?;
                    let answer = self.begin(from, content);
                    working.push(Box::pin(answer.map(move |content| Numbered { number, content })));
                }
                () = sleep_until(wake) => {
                    if working.is_empty() {
                        return Ok(());
                    }
                    last_sign = Instant::now();
                    let bytes = frame::encode(Kind::Working, &(), Vec::new())?;
                    write(&mut writer, &bytes, limit).await?;
                }
            }
        }
    }

    /// Begins to answer a request. What has to reach openraft in the order of arrival has done so
    /// when this returns.
    fn begin(&self, from: NodeId, request: Arrived) -> BoxFuture<'static, Response> {
        let core = self.core.clone();
        let mut answer = Box::pin(async move { answer(&core, from, request).await });
        match (&mut answer).now_or_never() {
            Some(response) => Box::pin(std::future::ready(response)),
            None => answer,
        }
    }

    async fn take_snapshot(
        &self,
        mut reader: OwnedReadHalf,
        mut writer: OwnedWriteHalf,
    ) -> Result<(), FrameError> {
        let limit = self.core.peers.patience().stall;
        let arrived = match snapshot_transfer::receive(&mut reader, limit).await {
            Ok(arrived) => arrived,
            Err(error) => {
                warn!(reason = %error, "a snapshot did not arrive");
                return Ok(());
            }
        };
        let installing = self.core.raft.install_full_snapshot(arrived.vote, arrived.snapshot);
        tokio::pin!(installing);
        let mut sign_of_life = interval_at(Instant::now() + limit / 4, limit / 4);
        loop {
            tokio::select! {
                biased;
                installed = &mut installing => {
                    let bytes = match installed {
                        Ok(response) => frame::encode(Kind::SnapshotEnd, &response, Vec::new())?,
                        Err(error) => {
                            let content = Response::Failed(error.to_string());
                            frame::encode(Kind::Response, &Numbered { number: 0, content }, Vec::new())?
                        }
                    };
                    return write(&mut writer, &bytes, limit).await;
                }
                _ = sign_of_life.tick() => {
                    let bytes = frame::encode(Kind::Working, &(), Vec::new())?;
                    write(&mut writer, &bytes, limit).await?;
                }
            }
        }
    }
}

async fn answer(core: &Core, from: NodeId, request: Arrived) -> Response {
    match request {
        Request::Append { clocks, append } => {
            let received = Instant::now();
            match core.raft.append_entries(append).await {
                Ok(response) => {
                    if response.is_success() {
                        core.clock.follow(clocks.log_time, received);
                        core.clock.meet(clocks.hlc);
                    }
                    Response::Append(response)
                }
                Err(error) => Response::Failed(error.to_string()),
            }
        }
        Request::Vote(_) | Request::PreVote(_) if !core.ballot.is_open() => {
            Response::Failed("this node is being refilled and does not vote".to_owned())
        }
        Request::Vote(vote) => core.raft.vote(vote).await.map_or_else(failed, Response::Vote),
        Request::PreVote(vote) => core.raft.pre_vote(vote).await.map_or_else(failed, Response::Vote),
        Request::TransferLeader(transfer) => {
            core.raft.handle_transfer_leader(transfer).await.map_or_else(failed, Response::TransferLeader)
        }
        Request::Introduce => introduce(core).await,
        Request::Propose { hlc, mut inputs } => {
            core.clock.meet(hlc);
            let at = core.stamp();
            for input in &mut inputs {
                input.at = at;
            }
            debug!(node = %from, inputs = inputs.len(), "took inputs of a peer");
            propose(core, Batch::new(inputs)).await
        }
        Request::ReadIndex => read_index(core).await,
        Request::History { from, until } => history(core, from, until).await,
        Request::Relay(relayed) => {
            core.home.relayed(&relayed);
            Response::Relayed
        }
    }
}

async fn introduce(core: &Core) -> Response {
    match core.raft.is_initialized().await {
        Ok(initialized) => {
            let metrics = core.raft.metrics().borrow_watched().clone();
            let leader = metrics.current_leader.map(NodeId);
            let last_log_index = metrics.last_log_index.unwrap_or(0);
            Response::Introduced(Introduction { initialized, leader, last_log_index })
        }
        Err(error) => failed(error),
    }
}

async fn propose(core: &Core, batch: Batch) -> Response {
    let written = match core.write(batch).await {
        Ok(written) => written.await,
        Err(error) => Err(error),
    };
    match written {
        Ok(()) => Response::Proposed,
        Err(error) => Response::NotLeader(error.leader()),
    }
}

async fn read_index(core: &Core) -> Response {
    match core.own_read_index().await {
        Ok(Some(index)) => Response::ReadIndex(index),
        Ok(None) => Response::NotLeader(None),
        Err(error) => failed(error),
    }
}

async fn history(core: &Core, from: LogIndex, until: LogIndex) -> Response {
    let history = core.history.clone();
    match blocking(move || history.rows_between(from, until, HISTORY_BYTES_MAX)).await {
        Ok(Ok(chunk)) => Response::History(chunk),
        Ok(Err(error)) => failed(error),
        Err(error) => failed(error),
    }
}

fn failed(error: impl std::fmt::Display) -> Response {
    Response::Failed(error.to_string())
}

/// Encodes `first` and all other answers that are ready.
fn gather(
    first: Numbered<Response>,
    working: &mut FuturesUnordered<BoxFuture<'static, Numbered<Response>>>,
) -> Result<Vec<u8>, FrameError> {
    let mut bytes = frame::encode(Kind::Response, &first, Vec::new())?;
    while bytes.len() < WRITE_BYTES
        && let Some(Some(answer)) = working.next().now_or_never()
    {
        bytes = frame::encode(Kind::Response, &answer, bytes)?;
    }
    Ok(bytes)
}

async fn write(writer: &mut OwnedWriteHalf, bytes: &[u8], limit: Duration) -> Result<(), FrameError> {
    timeout(limit, writer.write_all(bytes))
        .await
        .map_err(|_| FrameError::Deadline(limit))?
        .map_err(FrameError::Io)
}

/// Frames one after the other. A half-read frame survives when its reading is set aside.
fn frames(reader: OwnedReadHalf) -> BoxStream<'static, Result<Frame, FrameError>> {
    Box::pin(stream::unfold(Some(reader), |reader| async {
        let mut reader = reader?;
        match frame::read(&mut reader, BYTES_MAX).await {
            Ok(frame) => Some((Ok(frame), Some(reader))),
            Err(error) => Some((Err(error), None)),
        }
    }))
}

/// Tells of refused connections, the same one no more than once in a while.
#[derive(Default)]
struct Refusals(Mutex<Option<(Instant, String)>>);

impl Refusals {
    fn report(&self, error: &HandshakeError, address: SocketAddr) {
        if let HandshakeError::Frame(FrameError::Closed | FrameError::Io(_)) = error {
            debug!(%address, reason = %error, "a connection ended before its handshake");
            return;
        }
        let reason = error.to_string();
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = last.as_ref().is_none_or(|(at, text)| at.elapsed() > REPEAT_REFUSAL || *text != reason);
        if is_news {
            warn!(%address, reason, "refused a connection to the peer listener");
            *last = Some((Instant::now(), reason));
        }
    }
}
