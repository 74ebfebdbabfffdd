//! Mutual proof of the cluster key at the start of each connection.
//!
//! Both sides send a nonce and prove with HMAC-SHA256 that they hold the key, over both nonces,
//! the cluster's name, both node ids and the connection's purpose, each side under its own label,
//! so that no proof serves for another connection, role or node. Later frames are not
//! authenticated one by one: the network between the nodes has to keep strangers from altering
//! established connections, until certificates come.

use super::frame::{self, FrameError, Kind, UNPROVEN_BYTES_MAX};
use super::rpc::Purpose;
use super::settings::ClusterKey;
use crate::socket::TcpStream;
use gable_rules::NodeId;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

/// How long either side may take to prove itself.
pub(super) const DEADLINE: Duration = Duration::from_secs(2);

type Nonce = [u8; 32];
type Proof = [u8; 32];

/// Who this node is and which secret it holds.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) node: NodeId,
    pub(super) cluster: String,
    pub(super) key: ClusterKey,
}

/// Why a connection was not accepted, on either side.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    #[error("the handshake broke off")]
    Frame(#[from] FrameError),
    #[error("the handshake took longer than {} ms", DEADLINE.as_millis())]
    Deadline,
    #[error("the other side could not prove the cluster key: give every node the same key")]
    WrongKey,
    #[error(
        "it belongs to cluster `{theirs}`, this node to `{ours}`: check the address and the cluster's name"
    )]
    WrongCluster { ours: String, theirs: String },
    #[error("it looked for node {wanted}, but this is node {ours}: check the addresses of the peers")]
    WrongNode { ours: NodeId, wanted: NodeId },
    #[error("node {0} is not among this node's peers")]
    UnknownPeer(NodeId),
    #[error("{0}")]
    Refused(Refusal),
}

/// What the refused side is told. It says no more than the caller may know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub(super) enum Refusal {
    #[error("the node refused this node's proof: give every node the same cluster key")]
    WrongKey,
    #[error("the node belongs to another cluster: check the address and the cluster's name")]
    WrongCluster,
    #[error("another node answers at this address: check the addresses of the peers")]
    WrongNode,
    #[error("the node does not know this node: add it to its peers")]
    UnknownPeer,
}

#[derive(Debug, Serialize, Deserialize)]
struct Hello {
    cluster: String,
    from: NodeId,
    to: NodeId,
    purpose: Purpose,
    nonce: Nonce,
}

#[derive(Debug, Serialize, Deserialize)]
struct Challenge {
    nonce: Nonce,
    proof: Proof,
}

/// Proves this node to `to` and makes `to` prove itself, on the calling side.
pub(super) async fn call(
    stream: &mut TcpStream,
    identity: &Identity,
    to: NodeId,
    purpose: Purpose,
) -> Result<(), HandshakeError> {
    timeout(DEADLINE, call_unbounded(stream, identity, to, purpose))
        .await
        .map_err(|_| HandshakeError::Deadline)?
}

async fn call_unbounded(
    stream: &mut TcpStream,
    identity: &Identity,
    to: NodeId,
    purpose: Purpose,
) -> Result<(), HandshakeError> {
    let nonce = fresh_nonce()?;
    let hello = Hello { cluster: identity.cluster.clone(), from: identity.node, to, purpose, nonce };
    send(stream, Kind::Hello, &hello).await?;
    let challenge: Challenge = receive(stream, Kind::Challenge).await?;
    if !transcript(identity, Side::Answering, &hello, &challenge.nonce).accepts(&challenge.proof) {
        return Err(HandshakeError::WrongKey);
    }
    let proof = transcript(identity, Side::Calling, &hello, &challenge.nonce).into_proof();
    send(stream, Kind::Proof, &proof).await?;
    receive(stream, Kind::Welcome).await
}

/// Lets a caller prove itself, on the answering side. `knows` tells which nodes may call.
pub(super) async fn answer(
    stream: &mut TcpStream,
    identity: &Identity,
    knows: impl Fn(NodeId) -> bool,
) -> Result<(NodeId, Purpose), HandshakeError> {
    timeout(DEADLINE, answer_unbounded(stream, identity, knows))
        .await
        .map_err(|_| HandshakeError::Deadline)?
}

async fn answer_unbounded(
    stream: &mut TcpStream,
    identity: &Identity,
    knows: impl Fn(NodeId) -> bool,
) -> Result<(NodeId, Purpose), HandshakeError> {
    let hello: Hello = frame::read(stream, UNPROVEN_BYTES_MAX).await?.expect(Kind::Hello)?;
    if let Err((refusal, error)) = admit(identity, &hello, knows) {
        send(stream, Kind::Refusal, &refusal).await?;
        return Err(error);
    }
    let nonce = fresh_nonce()?;
    let proof = transcript(identity, Side::Answering, &hello, &nonce).into_proof();
    send(stream, Kind::Challenge, &Challenge { nonce, proof }).await?;
    let proof: Proof = match frame::read(stream, UNPROVEN_BYTES_MAX).await {
        Ok(frame) => frame.expect(Kind::Proof)?,
        // The caller hangs up when our own proof does not convince it.
        Err(FrameError::Closed) => return Err(HandshakeError::WrongKey),
        Err(error) => return Err(error.into()),
    };
    if !transcript(identity, Side::Calling, &hello, &nonce).accepts(&proof) {
        send(stream, Kind::Refusal, &Refusal::WrongKey).await?;
        return Err(HandshakeError::WrongKey);
    }
    send(stream, Kind::Welcome, &()).await?;
    Ok((hello.from, hello.purpose))
}

fn admit(
    identity: &Identity,
    hello: &Hello,
    knows: impl Fn(NodeId) -> bool,
) -> Result<(), (Refusal, HandshakeError)> {
    if hello.cluster != identity.cluster {
        let (ours, theirs) = (identity.cluster.clone(), hello.cluster.clone());
        return Err((Refusal::WrongCluster, HandshakeError::WrongCluster { ours, theirs }));
    }
    if hello.to != identity.node {
        let error = HandshakeError::WrongNode { ours: identity.node, wanted: hello.to };
        return Err((Refusal::WrongNode, error));
    }
    if hello.from == identity.node || !knows(hello.from) {
        return Err((Refusal::UnknownPeer, HandshakeError::UnknownPeer(hello.from)));
    }
    Ok(())
}

async fn send<T: Serialize>(stream: &mut TcpStream, kind: Kind, body: &T) -> Result<(), HandshakeError> {
    let bytes = frame::encode(kind, body, Vec::new())?;
    stream.write_all(&bytes).await.map_err(FrameError::Io)?;
    Ok(())
}

async fn receive<T: serde::de::DeserializeOwned>(
    stream: &mut TcpStream,
    kind: Kind,
) -> Result<T, HandshakeError> {
    let frame = frame::read(stream, UNPROVEN_BYTES_MAX).await?;
    match frame.kind {
        Kind::Refusal => Err(HandshakeError::Refused(frame.decode()?)),
        _ => Ok(frame.expect(kind)?),
    }
}

#[derive(Clone, Copy)]
enum Side {
    Calling,
    Answering,
}

struct Transcript(Hmac<Sha256>);

fn transcript(identity: &Identity, side: Side, hello: &Hello, answering_nonce: &Nonce) -> Transcript {
    // HMAC takes keys of every length.
    let mut mac =
        Hmac::<Sha256>::new_from_slice(identity.key.bytes()).expect("HMAC takes keys of every length");
    mac.update(match side {
        Side::Calling => b"gable peer 1 calling\0",
        Side::Answering => b"gable peer 1 answering\0",
    });
    mac.update(&(hello.cluster.len() as u64).to_le_bytes());
    mac.update(hello.cluster.as_bytes());
    mac.update(&hello.from.0.to_le_bytes());
    mac.update(&hello.to.0.to_le_bytes());
    mac.update(&[hello.purpose as u8]);
    mac.update(&hello.nonce);
    mac.update(answering_nonce);
    Transcript(mac)
}

impl Transcript {
    fn into_proof(self) -> Proof {
        self.0.finalize().into_bytes().into()
    }

    fn accepts(self, proof: &Proof) -> bool {
        // Compares in constant time.
        self.0.verify_slice(proof).is_ok()
    }
}

#[cfg(not(feature = "simulation"))]
fn fresh_nonce() -> Result<Nonce, HandshakeError> {
    let mut nonce = [0; 32];
    getrandom::fill(&mut nonce).map_err(|error| FrameError::Io(std::io::Error::other(error)))?;
    Ok(nonce)
}

/// A simulation has to repeat itself, and has no strangers.
#[cfg(feature = "simulation")]
fn fresh_nonce() -> Result<Nonce, HandshakeError> {
    Ok([7; 32])
}
