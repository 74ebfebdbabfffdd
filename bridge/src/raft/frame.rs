//! Frames on the wire between nodes: length, kind, version, body, checksum.
//!
//! The length counts everything after itself. The checksum (CRC32C over kind, version and body)
//! catches what TCP's weak sum lets through; authenticity is the handshake's business.

use serde::{Serialize, de::DeserializeOwned};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

/// The version of every body; a frame of another version is refused.
pub(super) const VERSION: u8 = 1;

/// The largest body before the peer has proved who it is.
pub(super) const UNPROVEN_BYTES_MAX: usize = 1024;

/// The largest body of any later frame. An append holds about 2 MB of entries at most, unless one
/// entry alone is larger; the proposer keeps entries near 1 MB, so this leaves ample room.
pub(super) const BYTES_MAX: usize = 64 << 20;

const LENGTH_BYTES: usize = 4;
const HEAD_BYTES: usize = 2;
const CHECKSUM_BYTES: usize = 4;

/// A body grows in steps of this size while it arrives, so that a length alone reserves no memory.
const READ_STEP: usize = 64 << 10;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Hello = 1,
    Challenge = 2,
    Proof = 3,
    Welcome = 4,
    Refusal = 5,
    Request = 6,
    Response = 7,
    /// The request is still worked on: the connection lives.
    Working = 8,
    SnapshotHead = 9,
    SnapshotChunk = 10,
    SnapshotEnd = 11,
}

/// Why a frame could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    #[error("the connection failed")]
    Io(#[from] io::Error),
    #[error("the peer closed the connection")]
    Closed,
    #[error("a frame of {length} bytes exceeds the limit of {max}")]
    TooLarge { length: usize, max: usize },
    #[error("a frame of {length} bytes is too short to be one")]
    TooShort { length: usize },
    #[error("a frame's checksum does not fit its content")]
    Checksum,
    #[error("a frame of version {0} arrived: this node speaks version {VERSION}")]
    Version(u8),
    #[error("a frame of unknown kind {0} arrived")]
    UnknownKind(u8),
    #[error("expected a frame of kind {expected:?}, got {actual:?}")]
    Unexpected { expected: Kind, actual: Kind },
    #[error("a frame's body can not be decoded")]
    Body(#[from] postcard::Error),
    #[error("the peer did not answer within {} ms", .0.as_millis())]
    Deadline(Duration),
}

/// A received frame.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    body: Vec<u8>,
}

impl Frame {
    /// Decodes the body.
    pub(super) fn decode<T: DeserializeOwned>(&self) -> Result<T, FrameError> {
        Ok(postcard::from_bytes(&self.body)?)
    }

    /// Decodes the body of a frame that has to be of `kind`.
    pub(super) fn expect<T: DeserializeOwned>(&self, kind: Kind) -> Result<T, FrameError> {
        if self.kind != kind {
            return Err(FrameError::Unexpected { expected: kind, actual: self.kind });
        }
        self.decode()
    }
}

/// Encodes `body` into a frame appended to `buffer`.
pub(super) fn encode<T: Serialize + ?Sized>(
    kind: Kind,
    body: &T,
    buffer: Vec<u8>,
) -> Result<Vec<u8>, FrameError> {
    let start = buffer.len();
    let mut buffer = buffer;
    buffer.extend_from_slice(&[0; LENGTH_BYTES]);
    buffer.extend_from_slice(&[kind as u8, VERSION]);
    let mut buffer = postcard::to_extend(body, buffer)?;
    let checksum = crc32c::crc32c(&buffer[start + LENGTH_BYTES..]);
    buffer.extend_from_slice(&checksum.to_le_bytes());
    let length = buffer.len() - start - LENGTH_BYTES;
    let field = u32::try_from(length)
        .ok()
        .filter(|_| length <= BYTES_MAX)
        .ok_or(FrameError::TooLarge { length, max: BYTES_MAX })?;
    buffer[start..start + LENGTH_BYTES].copy_from_slice(&field.to_le_bytes());
    Ok(buffer)
}

/// Reads one frame whose size does not exceed `bytes_max`.
pub(super) async fn read<R: AsyncRead + Unpin>(
    reader: &mut R,
    bytes_max: usize,
) -> Result<Frame, FrameError> {
    let mut field = [0; LENGTH_BYTES];
    reader.read_exact(&mut field).await.map_err(closed)?;
    let length = u32::from_le_bytes(field) as usize;
    if length > bytes_max {
        return Err(FrameError::TooLarge { length, max: bytes_max });
    }
    if length < HEAD_BYTES + CHECKSUM_BYTES {
        return Err(FrameError::TooShort { length });
    }
    let mut content = Vec::with_capacity(length.min(READ_STEP));
    while content.len() < length {
        let old = content.len();
        content.resize(length.min(old + READ_STEP.max(old)), 0);
        reader.read_exact(&mut content[old..]).await.map_err(closed)?;
    }
    parse(content)
}

/// Reads one frame, or fails when it is not complete within `limit`.
pub(super) async fn read_within<R: AsyncRead + Unpin>(
    reader: &mut R,
    bytes_max: usize,
    limit: Duration,
) -> Result<Frame, FrameError> {
    timeout(limit, read(reader, bytes_max)).await.map_err(|_| FrameError::Deadline(limit))?
}

fn parse(mut content: Vec<u8>) -> Result<Frame, FrameError> {
    let (rest, checksum) = content.split_at(content.len() - CHECKSUM_BYTES);
    if crc32c::crc32c(rest).to_le_bytes() != checksum {
        return Err(FrameError::Checksum);
    }
    let (kind, version) = (rest[0], rest[1]);
    if version != VERSION {
        return Err(FrameError::Version(version));
    }
    let kind = Kind::from_byte(kind).ok_or(FrameError::UnknownKind(kind))?;
    content.truncate(content.len() - CHECKSUM_BYTES);
    content.drain(..HEAD_BYTES);
    Ok(Frame { kind, body: content })
}

fn closed(error: io::Error) -> FrameError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => FrameError::Closed,
        _ => FrameError::Io(error),
    }
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Kind> {
        const KINDS: [Kind; 11] = [
            Kind::Hello,
            Kind::Challenge,
            Kind::Proof,
            Kind::Welcome,
            Kind::Refusal,
            Kind::Request,
            Kind::Response,
            Kind::Working,
            Kind::SnapshotHead,
            Kind::SnapshotChunk,
            Kind::SnapshotEnd,
        ];
        KINDS.into_iter().find(|kind| *kind as u8 == byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a frame, changes its bytes, and reads it again.
    async fn check(change: impl FnOnce(&mut Vec<u8>), expected: &str) {
        let mut bytes = encode(Kind::Hello, "hall", Vec::new()).unwrap();
        change(&mut bytes);
        let actual = match read(&mut bytes.as_slice(), 64).await {
            Ok(frame) => format!("{:?} {}", frame.kind, frame.decode::<String>().unwrap()),
            Err(error) => error.to_string(),
        };
        assert_eq!(actual, expected);
    }

    #[tokio::test]
    async fn a_frame_survives_the_wire_or_is_refused() {
        check(|_| (), "Hello hall").await;
        check(|bytes| bytes[7] ^= 1, "a frame's checksum does not fit its content").await;
        check(|bytes| bytes.truncate(9), "the peer closed the connection").await;
        check(|bytes| bytes[0] = 200, "a frame of 200 bytes exceeds the limit of 64").await;
        check(|bytes| bytes[0] = 3, "a frame of 3 bytes is too short to be one").await;
    }

    #[tokio::test]
    async fn a_frame_that_does_not_arrive_meets_its_deadline() {
        let (mut reader, _writer) = tokio::io::duplex(64);
        let error = read_within(&mut reader, 64, Duration::from_millis(5)).await.unwrap_err();
        assert_eq!(error.to_string(), "the peer did not answer within 5 ms");
    }

    #[tokio::test]
    async fn a_length_alone_reserves_no_memory() {
        let announced = (BYTES_MAX as u32).to_le_bytes();
        let error = read(&mut announced.as_slice(), BYTES_MAX).await.unwrap_err();
        assert_eq!(error.to_string(), "the peer closed the connection");
    }
}
