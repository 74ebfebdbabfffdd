//! openraft's network over our links: appends pipelined, heartbeats and votes on their own.

use super::link::{CallError, Link, connect};
use super::peers::Peers;
use super::rpc::{Clocks, Purpose, Request, Response};
use super::snapshot_transfer::{self, SnapshotBytes};
use super::types::{LogId, Peer, TypeConfig, Vote};
use futures_util::{Stream, StreamExt, stream};
use gable_rules::NodeId;
use openraft::alias::SnapshotOf;
use openraft::base::{BoxFuture, BoxStream};
use openraft::error::{NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{OptionalSend, RPCTypes};
use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;

type RpcError = RPCError<TypeConfig>;
type Snapshot = SnapshotOf<TypeConfig, SnapshotBytes>;

/// The most appends on their way to one peer. openraft's receiving side has as many slots.
const APPENDS_IN_FLIGHT_MAX: usize = 64;

/// Makes openraft's clients out of a node's links.
#[derive(Clone, Debug)]
pub(super) struct Factory {
    pub(super) peers: Arc<Peers>,
}

/// openraft's view of one peer.
#[derive(Debug)]
pub(super) struct Client {
    peers: Arc<Peers>,
    target: NodeId,
    /// Carries appends, or heartbeats.
    appends: Option<Link>,
    control: Option<Link>,
}

impl Factory {
    fn client(&self, target: u64, appends: Purpose) -> Client {
        let target = NodeId(target);
        Client {
            peers: self.peers.clone(),
            target,
            appends: self.peers.link(target, appends),
            control: self.peers.link(target, Purpose::Control),
        }
    }
}

impl RaftNetworkFactory<TypeConfig> for Factory {
    type Network = Client;

    async fn new_client(&mut self, target: u64, _node: &Peer) -> Client {
        self.client(target, Purpose::Append)
    }

    async fn new_heartbeat_client(&mut self, target: u64, _node: &Peer) -> Client {
        self.client(target, Purpose::Heartbeat)
    }
}

impl Client {
    async fn ask(&self, request: Request, option: &RPCOption) -> Result<Response, RpcError> {
        let link = self.control.as_ref().ok_or_else(|| unknown(self.target))?;
        link.call(request, option.soft_ttl()).await.map_err(|error| self.rpc_error(error, option))
    }

    fn rpc_error(&self, error: CallError, option: &RPCOption) -> RpcError {
        match error {
            CallError::Deadline { .. } => RPCError::Timeout(Timeout {
                action: RPCTypes::Vote,
                id: self.peers.identity.node.0,
                target: self.target.0,
                timeout: option.soft_ttl(),
            }),
            CallError::Broken { .. } => RPCError::Network(NetworkError::from_string(error)),
            CallError::Unreachable { .. }
            | CallError::Refused { .. }
            | CallError::Busy { .. }
            | CallError::Unsendable(_) => RPCError::Unreachable(Unreachable::from_string(error)),
        }
    }
}

impl RaftNetworkV2<TypeConfig> for Client {
    type SnapshotData = SnapshotBytes;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RpcError> {
        let link = self.appends.as_ref().ok_or_else(|| unknown(self.target))?;
        let answer = link.call(append_request(&self.peers, rpc), option.soft_ttl()).await;
        to_append_response(answer.map_err(|error| self.rpc_error(error, &option))?)
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Result<BoxStream<'s, Result<StreamAppendResult<TypeConfig>, RpcError>>, RpcError>>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        Box::pin(async move {
            let link = self.appends.clone().ok_or_else(|| unknown(self.target))?;
            let pipeline =
                Pipeline { client: self, link, option, input: Some(input), in_flight: VecDeque::new() };
            let answers: BoxStream<'s, _> = Box::pin(stream::unfold(pipeline, Pipeline::next));
            Ok(answers)
        })
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        to_vote_response(self.ask(Request::Vote(rpc), &option).await?)
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        to_vote_response(self.ask(Request::PreVote(rpc), &option).await?)
    }

    async fn transfer_leader(
        &mut self,
        req: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RpcError> {
        match self.ask(Request::TransferLeader(req), &option).await? {
            Response::TransferLeader(answer) => Ok(answer),
            other => Err(out_of_place(&other)),
        }
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let unreachable = |error: CallError| StreamingError::Unreachable(Unreachable::from_string(error));
        let target = self.peers.snapshot_target(self.target).ok_or_else(|| {
            unreachable(CallError::Unsendable(format!("node {} is not among the peers", self.target)))
        })?;
        let sending = async {
            let stream = connect(&self.peers.identity, &target).await.map_err(unreachable)?;
            snapshot_transfer::send(stream, vote, snapshot, option.soft_ttl().max(target.stall_limit))
                .await
                .map_err(|error| StreamingError::Network(NetworkError::from_string(error)))
        };
        tokio::select! {
            biased;
            closed = cancel => Err(StreamingError::Closed(closed)),
            sent = sending => sent,
        }
    }
}

/// Appends that are sent before the answers to earlier ones are there.
struct Pipeline<'s, S> {
    client: &'s Client,
    link: Link,
    option: RPCOption,
    /// None when nothing more is to be sent: at the end, or after an error.
    input: Option<S>,
    in_flight: VecDeque<InFlight>,
}

struct InFlight {
    answer: Answer,
    previous: Option<LogId>,
    last: Option<LogId>,
}

type Answer = std::pin::Pin<Box<dyn Future<Output = Result<Response, CallError>> + Send>>;

impl<S> Pipeline<'_, S>
where
    S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
{
    /// Returns the answer to the oldest append in flight, sending further ones meanwhile.
    async fn next(mut self) -> Option<(Result<StreamAppendResult<TypeConfig>, RpcError>, Self)> {
        loop {
            let may_send = self.in_flight.len() < APPENDS_IN_FLIGHT_MAX;
            let Some(oldest) = self.in_flight.front_mut() else {
                let append = self.input.as_mut()?.next().await?;
                self.send(append);
                continue;
            };
            let Some(input) = self.input.as_mut().filter(|_| may_send) else {
                let answer = (&mut oldest.answer).await;
                return Some(self.settle(answer));
            };
            tokio::select! {
                biased;
                answer = &mut oldest.answer => return Some(self.settle(answer)),
                append = input.next() => match append {
                    Some(append) => self.send(append),
                    None => self.input = None,
                },
            }
        }
    }

    fn send(&mut self, append: AppendEntriesRequest<TypeConfig>) {
        use openraft::entry::RaftEntry;
        let previous = append.prev_log_id;
        let last = append.entries.last().map(|entry| entry.log_id()).or(previous);
        let answer = Box::pin(self.link.send(append_request(&self.client.peers, append)));
        self.in_flight.push_back(InFlight { answer, previous, last });
    }

    fn settle(
        mut self,
        answer: Result<Response, CallError>,
    ) -> (Result<StreamAppendResult<TypeConfig>, RpcError>, Self) {
        let sent = self.in_flight.pop_front();
        let result = answer
            .map_err(|error| self.client.rpc_error(error, &self.option))
            .and_then(to_append_response)
            .and_then(|response| to_stream_result(response, sent));
        if !matches!(result, Ok(Ok(_))) {
            // openraft begins anew after an error; later answers belong to an abandoned past.
            self.input = None;
            self.in_flight.clear();
        }
        (result, self)
    }
}

fn to_stream_result(
    response: AppendEntriesResponse<TypeConfig>,
    sent: Option<InFlight>,
) -> Result<StreamAppendResult<TypeConfig>, RpcError> {
    let (previous, last) = sent.map_or((None, None), |sent| (sent.previous, sent.last));
    if response.is_conflict() && previous.is_none() {
        // An append at the log's very beginning conflicts with nothing.
        return Err(RPCError::Unreachable(Unreachable::from_string(
            "the peer reported an impossible conflict",
        )));
    }
    Ok(response.into_stream_result(previous, last))
}

fn append_request(peers: &Peers, append: AppendEntriesRequest<TypeConfig>) -> Request {
    let clocks = Clocks { log_time: peers.clock.log_time(), hlc: peers.clock.hlc() };
    Request::Append { clocks, append }
}

fn to_append_response(response: Response) -> Result<AppendEntriesResponse<TypeConfig>, RpcError> {
    match response {
        Response::Append(response) => Ok(response),
        other => Err(out_of_place(&other)),
    }
}

fn to_vote_response(response: Response) -> Result<VoteResponse<TypeConfig>, RpcError> {
    match response {
        Response::Vote(response) => Ok(response),
        other => Err(out_of_place(&other)),
    }
}

fn out_of_place(response: &Response) -> RpcError {
    RPCError::Unreachable(Unreachable::from_string(format!("the peer answered: {response:?}")))
}

fn unknown(node: NodeId) -> RpcError {
    RPCError::Unreachable(Unreachable::from_string(format!("node {node} is not among the peers")))
}
