//! The tables' packets with random changes: whatever comes, nothing panics and nothing grows.

use super::super::{Framer, Level};
use super::{lines, read, summary};
use bytes::BytesMut;

/// How many packets are made. Each level reads each of them.
const PACKETS: usize = 200_000;

/// A number generator for tests: the same numbers each time.
pub(super) struct Numbers(pub(super) u64);

impl Numbers {
    /// Returns the next number below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % end.max(1) as u64) as usize
    }

    pub(super) fn flips(&mut self) -> bool {
        self.below(2) == 0
    }
}

/// Changes, adds or takes some bytes, and mends the remaining length mostly: without it few changes
/// would get past the frame.
fn mutate(numbers: &mut Numbers, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut packet = seeds[numbers.below(seeds.len())].clone();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(packet.len() + 1);
        match numbers.below(5) {
            0 => packet.insert(at, numbers.below(256) as u8),
            1 if at < packet.len() => drop(packet.remove(at)),
            2 if at < packet.len() => packet[at] ^= 1 << numbers.below(8),
            3 if at < packet.len() => packet[at] = [0x00, 0x01, 0x7F, 0x80, 0xFF][numbers.below(5)],
            _ => {
                // A part of another packet, where properties and texts begin and end.
                let other = &seeds[numbers.below(seeds.len())];
                let from = numbers.below(other.len());
                let to = from + numbers.below(other.len() - from + 1);
                packet.splice(at..at, other[from..to].iter().copied());
            }
        }
    }
    if packet.len() >= 2 && numbers.below(8) > 0 {
        packet.truncate(129);
        packet[1] = (packet.len() - 2) as u8;
    }
    packet
}

#[test]
fn no_packet_panics_or_grows() {
    let seeds: Vec<Vec<u8>> =
        lines().into_iter().map(|line| line.packet).filter(|it| it.len() >= 2).collect();
    let mut numbers = Numbers(1);
    let mut read_count = 0;
    for _ in 0..PACKETS {
        let packet = mutate(&mut numbers, &seeds);
        for level in [Level::V311, Level::V5] {
            if let Ok(Some(decoded)) = read_all(level, &packet) {
                read_count += 1;
                // Every name and separator is told for at least five bytes of a packet.
                let text = summary::packet(&decoded);
                assert!(text.len() <= 100 + 6 * packet.len(), "{packet:02x?} grew to {text}");
            }
        }
    }
    // Else the packets are too broken to say anything.
    assert!(read_count > PACKETS / 20, "only {read_count} of {PACKETS} packets were read");
}

/// Reads the first packet of the bytes, whatever follows.
fn read_all(level: Level, bytes: &[u8]) -> Result<Option<super::Packet>, super::Refusal> {
    let mut framer = Framer::default();
    framer.set_packet_size_max(1_024);
    if bytes.first().is_some_and(|byte| byte >> 4 != 1) {
        framer.next(&mut BytesMut::from(&[0x10, 0x00][..]))?;
    }
    let mut buffer = BytesMut::from(bytes);
    let before = buffer.capacity();
    let frame = framer.next(&mut buffer)?;
    assert!(buffer.capacity() <= before, "the framer took memory");
    let Some(frame) = frame else { return Ok(None) };
    let whole = frame.bytes.to_vec();
    read(level, &whole)
}
