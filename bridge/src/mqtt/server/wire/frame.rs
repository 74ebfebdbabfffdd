//! Cuts a stream of bytes into packets. Nothing is kept for a packet that is larger than allowed, or
//! that no client may send: the first bytes already tell.

use super::{ReasonCode, Refusal};
use bytes::BytesMut;

/// How large a CONNECT may be: its sender is a stranger yet.
pub const CONNECT_SIZE_MAX: u32 = 64 * 1_024;

/// The types of packets, which are the upper half of their first byte (section 2.1.2).
pub(super) mod kind {
    pub(in super::super) const CONNECT: u8 = 1;
    pub(in super::super) const CONNACK: u8 = 2;
    pub(in super::super) const PUBLISH: u8 = 3;
    pub(in super::super) const PUBACK: u8 = 4;
    pub(in super::super) const PUBREC: u8 = 5;
    pub(in super::super) const PUBREL: u8 = 6;
    pub(in super::super) const PUBCOMP: u8 = 7;
    pub(in super::super) const SUBSCRIBE: u8 = 8;
    pub(in super::super) const SUBACK: u8 = 9;
    pub(in super::super) const UNSUBSCRIBE: u8 = 10;
    pub(in super::super) const UNSUBACK: u8 = 11;
    pub(in super::super) const PINGREQ: u8 = 12;
    pub(in super::super) const PINGRESP: u8 = 13;
    pub(in super::super) const DISCONNECT: u8 = 14;
    pub(in super::super) const AUTH: u8 = 15;
}

/// One whole packet as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub(super) bytes: BytesMut,
    /// Where what follows the fixed header begins.
    pub(super) body_at: usize,
}

impl Frame {
    /// How many bytes it took on the wire, as limits of packet sizes count them (section 3.1.2.11.4).
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn kind(&self) -> u8 {
        self.first_byte() >> 4
    }

    pub(super) fn flags(&self) -> u8 {
        self.first_byte() & 0b1111
    }

    fn first_byte(&self) -> u8 {
        self.bytes.first().copied().unwrap_or_default()
    }

    /// Whether the remaining length is spelled with more bytes than it needs [MQTT-1.5.5-1].
    pub(super) fn is_overlong(&self) -> bool {
        self.body_at > 2 && self.bytes.get(self.body_at - 1) == Some(&0)
    }
}

/// Finds the packets in what a connection sends.
#[derive(Clone, Debug)]
pub struct Framer {
    size_max: u32,
    is_first: bool,
}

impl Default for Framer {
    fn default() -> Framer {
        Framer { size_max: CONNECT_SIZE_MAX, is_first: true }
    }
}

impl Framer {
    /// Sets how large packets after CONNECT may be, fixed header included.
    pub fn set_packet_size_max(&mut self, size_max: u32) {
        self.size_max = size_max;
    }

    /// Takes the next packet out of `buffer`, or nothing until more was read. After a refusal the
    /// connection is of no use any more.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame>, Refusal> {
        let Some(first_byte) = buffer.first() else { return Ok(None) };
        self.check_kind(first_byte >> 4)?;
        let Some((length, body_at)) = remaining_length(buffer)? else { return Ok(None) };
        let size = body_at + length;
        let size_max = if self.is_first { CONNECT_SIZE_MAX } else { self.size_max };
        if size > size_max as usize {
            let text = format!("a packet of {size} bytes is larger than {size_max}");
            return Err(Refusal::new(ReasonCode::PACKET_TOO_LARGE, text));
        }
        if buffer.len() < size {
            return Ok(None);
        }
        self.is_first = false;
        Ok(Some(Frame { bytes: buffer.split_to(size), body_at }))
    }

    /// [MQTT-3.1.0-1] CONNECT comes first, [MQTT-3.1.0-2] and once. Some packets only a server sends.
    fn check_kind(&self, kind: u8) -> Result<(), Refusal> {
        let text = match kind {
            kind::CONNECT if self.is_first => return Ok(()),
            _ if self.is_first => "the first packet is not a CONNECT",
            kind::CONNECT => "a second CONNECT",
            kind::CONNACK | kind::SUBACK | kind::UNSUBACK | kind::PINGRESP => {
                "only a server sends this packet"
            }
            0 => "there is no packet of type 0",
            _ => return Ok(()),
        };
        Err(Refusal::new(ReasonCode::PROTOCOL_ERROR, text))
    }
}

/// Reads the length behind the first byte, and where it ends; nothing if bytes are missing still.
fn remaining_length(buffer: &[u8]) -> Result<Option<(usize, usize)>, Refusal> {
    let mut length = 0;
    for place in 0..4 {
        let Some(byte) = buffer.get(1 + place) else { return Ok(None) };
        length |= usize::from(byte & 0x7F) << (7 * place);
        if byte & 0x80 == 0 {
            return Ok(Some((length, 2 + place)));
        }
    }
    Err(Refusal::new(ReasonCode::MALFORMED_PACKET, "the remaining length takes more than four bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds bytes one by one and tells the sizes of the packets, or the refusal.
    #[track_caller]
    fn check(size_max: u32, bytes: &[u8], expected: Result<&[usize], ReasonCode>) {
        let (mut framer, mut buffer) = (Framer::default(), BytesMut::new());
        framer.set_packet_size_max(size_max);
        let mut sizes = Vec::new();
        let mut outcome = Ok(());
        for byte in bytes {
            buffer.extend_from_slice(&[*byte]);
            match framer.next(&mut buffer) {
                Ok(frame) => sizes.extend(frame.map(|frame| frame.size())),
                Err(refusal) => {
                    outcome = Err(refusal.reason);
                    break;
                }
            }
        }
        assert_eq!(outcome.map(|()| sizes.as_slice()), expected, "{bytes:02x?}");
    }

    #[test]
    fn packets_come_whole_and_one_by_one() {
        check(100, &[0x10, 0x01, 0x00, 0xC0, 0x00, 0x30, 0x02, 0x01, 0x02], Ok(&[3, 2, 4]));
        check(100, &[0x10, 0x01, 0x00, 0xC0, 0x80, 0x80, 0x00], Ok(&[3, 4]));
        check(100, &[0x10, 0x01], Ok(&[]));
    }

    #[test]
    fn what_may_not_come_is_refused_before_it_is_there() {
        check(100, &[0x30], Err(ReasonCode::PROTOCOL_ERROR));
        check(100, &[0x00], Err(ReasonCode::PROTOCOL_ERROR));
        for first_byte in [0x00, 0x10, 0x20, 0x90, 0xB0, 0xD0] {
            check(100, &[0x10, 0x00, first_byte], Err(ReasonCode::PROTOCOL_ERROR));
        }
        check(100, &[0x10, 0x80, 0x80, 0x80, 0x80], Err(ReasonCode::MALFORMED_PACKET));
    }

    #[test]
    fn limits_hold_before_a_packet_is_there() {
        // 64 KiB with the fixed header of four bytes.
        check(100, &[0x10, 0xFD, 0xFF, 0x03], Err(ReasonCode::PACKET_TOO_LARGE));
        check(100, &[0x10, 0xFC, 0xFF, 0x03], Ok(&[]));
        check(100, &[0x10, 0x00, 0x30, 99], Err(ReasonCode::PACKET_TOO_LARGE));
        check(100, &[0x10, 0x00, 0x30, 98], Ok(&[2]));
    }
}
