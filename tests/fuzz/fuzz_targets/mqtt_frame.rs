//! Cuts any stream of bytes into MQTT packets, in pieces of any size: the pieces make no difference,
//! nothing is lost, and nothing waits for a packet that is too large.
//!
//! The first two bytes choose the largest packet and the pieces.

#![no_main]

use bytes::BytesMut;
use gable::mqtt::server::wire::{CONNECT_SIZE_MAX, Frame, Framer, ReasonCode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let [limit, piece, stream @ ..] = input else { return };
    let size_max = 1 << (limit % 28);
    let whole = cut(stream, size_max, stream.len().max(1));
    let pieces = cut(stream, size_max, usize::from(*piece) + 1);
    assert_eq!(whole, pieces);
    let (frames, outcome) = whole;
    let taken: usize = frames.iter().map(Frame::size).sum();
    assert!(taken <= stream.len());
    let larger = size_max.max(CONNECT_SIZE_MAX);
    assert!(frames.iter().all(|frame| frame.size() <= larger as usize));
    if outcome.is_ok() {
        // What is left is the beginning of one packet.
        assert!(stream.len() - taken < larger as usize);
    }
});

fn cut(stream: &[u8], size_max: u32, piece: usize) -> (Vec<Frame>, Result<(), ReasonCode>) {
    let (mut framer, mut buffer, mut frames) = (Framer::default(), BytesMut::new(), Vec::new());
    framer.set_packet_size_max(size_max);
    for piece in stream.chunks(piece) {
        buffer.extend_from_slice(piece);
        loop {
            match framer.next(&mut buffer) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(refusal) => return (frames, Err(refusal.reason)),
            }
        }
    }
    (frames, Ok(()))
}
