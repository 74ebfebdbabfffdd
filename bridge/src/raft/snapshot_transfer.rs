//! A snapshot on its way to a peer: head, chunks with their offsets, SHA-256 at the end.

use super::frame::{self, BYTES_MAX, Frame, FrameError, Kind};
use super::rpc::{Numbered, Response, SnapshotChunk, SnapshotEnd, SnapshotHead};
use super::types::{TypeConfig, Vote};
use crate::socket::{OwnedReadHalf, TcpStream};
use openraft::alias::SnapshotOf;
use openraft::raft::SnapshotResponse;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

/// A snapshot's content.
pub(crate) type SnapshotBytes = Arc<Vec<u8>>;

const CHUNK_BYTES: usize = 256 << 10;

/// The largest snapshot that is taken from a peer. A home is megabytes.
const SNAPSHOT_BYTES_MAX: u64 = 1 << 30;

/// Why a snapshot did not arrive.
#[derive(Debug, thiserror::Error)]
pub(super) enum TransferError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("a snapshot of {length} bytes exceeds the limit of {SNAPSHOT_BYTES_MAX}")]
    TooLarge { length: u64 },
    #[error("a snapshot's chunk for offset {offset} came at offset {expected}")]
    OutOfOrder { offset: u64, expected: u64 },
    #[error("a snapshot ended after {actual} of {length} bytes")]
    Incomplete { actual: u64, length: u64 },
    #[error("a snapshot's SHA-256 does not fit its content")]
    Checksum,
    #[error("the peer could not install the snapshot: {0}")]
    Refused(String),
}

/// A snapshot that arrived whole.
pub(super) struct Arrived {
    pub(super) vote: Vote,
    pub(super) snapshot: SnapshotOf<TypeConfig, SnapshotBytes>,
}

/// Sends a snapshot over a fresh connection and waits until the peer has installed it. Each step
/// has `limit`.
pub(super) async fn send(
    stream: TcpStream,
    vote: Vote,
    snapshot: SnapshotOf<TypeConfig, SnapshotBytes>,
    limit: Duration,
) -> Result<SnapshotResponse<TypeConfig>, TransferError> {
    let (mut reader, mut writer) = stream.into_split();
    let bytes = &snapshot.snapshot;
    let head = SnapshotHead { vote, meta: snapshot.meta.clone(), length: bytes.len() as u64 };
    let mut buffer = frame::encode(Kind::SnapshotHead, &head, Vec::new())?;
    let mut offset = 0;
    for chunk in bytes.chunks(CHUNK_BYTES) {
        buffer = frame::encode(Kind::SnapshotChunk, &SnapshotChunk { offset, bytes: chunk }, buffer)?;
        within(limit, writer.write_all(&buffer)).await?;
        buffer.clear();
        offset += chunk.len() as u64;
        // Hashing and copying never pause by themselves on a fast network.
        tokio::task::yield_now().await;
    }
    let end = SnapshotEnd { sha256: Sha256::digest(bytes.as_slice()).into() };
    let buffer = frame::encode(Kind::SnapshotEnd, &end, buffer)?;
    within(limit, writer.write_all(&buffer)).await?;
    installed(&mut reader, limit).await
}

/// Waits for the answer; the peer shows meanwhile that it is alive.
async fn installed(
    reader: &mut OwnedReadHalf,
    limit: Duration,
) -> Result<SnapshotResponse<TypeConfig>, TransferError> {
    loop {
        let frame = frame::read_within(reader, BYTES_MAX, limit).await?;
        match frame.kind {
            Kind::Working => {}
            Kind::SnapshotEnd => return Ok(frame.decode()?),
            _ => {
                let Numbered { content, .. } = frame.expect(Kind::Response)?;
                let reason = match content {
                    Response::Failed(reason) => reason,
                    other => format!("{other:?}"),
                };
                return Err(TransferError::Refused(reason));
            }
        }
    }
}

/// Receives a snapshot whole and checks it.
pub(super) async fn receive(reader: &mut OwnedReadHalf, limit: Duration) -> Result<Arrived, TransferError> {
    let head: SnapshotHead =
        frame::read_within(reader, BYTES_MAX, limit).await?.expect(Kind::SnapshotHead)?;
    let SnapshotHead { vote, meta, length } = head;
    if length > SNAPSHOT_BYTES_MAX {
        return Err(TransferError::TooLarge { length });
    }
    let mut bytes = Vec::new();
    let end = loop {
        let frame = frame::read_within(reader, BYTES_MAX, limit).await?;
        match frame.kind {
            Kind::SnapshotChunk => take(&frame, &mut bytes, length)?,
            _ => break frame.expect::<SnapshotEnd>(Kind::SnapshotEnd)?,
        }
    };
    let actual = bytes.len() as u64;
    if actual != length {
        return Err(TransferError::Incomplete { actual, length });
    }
    if end.sha256 != <[u8; 32]>::from(Sha256::digest(&bytes)) {
        return Err(TransferError::Checksum);
    }
    Ok(Arrived { vote, snapshot: openraft::Snapshot { meta, snapshot: Arc::new(bytes) } })
}

fn take(frame: &Frame, bytes: &mut Vec<u8>, length: u64) -> Result<(), TransferError> {
    let SnapshotChunk::<Vec<u8>> { offset, bytes: chunk } = frame.decode()?;
    let expected = bytes.len() as u64;
    if offset != expected {
        return Err(TransferError::OutOfOrder { offset, expected });
    }
    let actual = expected + chunk.len() as u64;
    if actual > length {
        return Err(TransferError::Incomplete { actual, length });
    }
    bytes.extend_from_slice(&chunk);
    Ok(())
}

async fn within(
    limit: Duration,
    writing: impl Future<Output = std::io::Result<()>>,
) -> Result<(), FrameError> {
    timeout(limit, writing).await.map_err(|_| FrameError::Deadline(limit))?.map_err(FrameError::Io)
}
