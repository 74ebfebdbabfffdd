//! Decodes any bytes as MQTT packets of each level. What is accepted and may go both ways is written
//! again, and means the same when it is read back.
//!
//! The stream is fed twice: as it is, with its own CONNECT, and behind one that is right.

#![no_main]

use bytes::BytesMut;
use gable::mqtt::server::wire::{
    Connect, Delivery, Encoder, Framer, Level, Outgoing, Packet, decode, decode_connect,
};
use libfuzzer_sys::fuzz_target;

const PACKET_SIZE_MAX: u32 = 1 << 20;

fuzz_target!(|stream: &[u8]| {
    read(stream, None);
    for level in [Level::V31, Level::V311, Level::V5] {
        read(stream, Some(level));
    }
});

/// Reads all packets; the first is a CONNECT unless a level is given.
fn read(stream: &[u8], level: Option<Level>) {
    let (mut framer, mut buffer) = (Framer::default(), BytesMut::new());
    if level.is_some() {
        buffer.extend_from_slice(&[0x10, 0x00]);
        assert!(matches!(framer.next(&mut buffer), Ok(Some(_))));
    }
    framer.set_packet_size_max(PACKET_SIZE_MAX);
    buffer.extend_from_slice(stream);
    let mut encoder = Encoder::new(level.unwrap_or(Level::V5));
    let mut level = level;
    while let Ok(Some(frame)) = framer.next(&mut buffer) {
        let Some(level) = level else {
            let Ok(connect) = decode_connect(frame).map_err(|refusal| drop(refusal.answer())) else { return };
            level = Some(connect.level);
            encoder = Encoder::for_client(&connect);
            check_connect(&connect);
            continue;
        };
        match decode(level, frame) {
            Ok(packet) => write_again(level, &encoder, &packet),
            Err(refusal) => return drop(refusal.answer(level)),
        }
    }
}

fn check_connect(connect: &Connect) {
    let will = connect.will.iter().map(|will| &will.publication);
    assert!(will.into_iter().all(|will| !will.topic.is_empty()));
    assert!(connect.level == Level::V5 || connect.user_properties.is_empty());
}

fn write_again(level: Level, encoder: &Encoder, packet: &Packet) {
    let outgoing = match packet {
        Packet::Publish(publish) => {
            let publication = &publish.publication;
            Outgoing::Publish(Delivery {
                publication,
                qos: publication.qos,
                retain: publication.retain,
                dup: publish.dup,
                packet_id: publish.packet_id,
                message_expiry_interval: publication.properties.message_expiry_interval,
                topic_alias: publish.topic_alias,
                is_alias_known: publication.topic.is_empty(),
                subscription_identifiers: &[],
            })
        }
        Packet::Puback(ack) => Outgoing::Puback(ack.clone()),
        Packet::Pubrec(ack) => Outgoing::Pubrec(ack.clone()),
        Packet::Pubrel(ack) => Outgoing::Pubrel(ack.clone()),
        Packet::Pubcomp(ack) => Outgoing::Pubcomp(ack.clone()),
        // What a server never sends.
        Packet::Connect(_)
        | Packet::Subscribe(_)
        | Packet::Unsubscribe(_)
        | Packet::Pingreq
        | Packet::Disconnect(_)
        | Packet::Auth(_) => return,
    };
    let mut bytes = BytesMut::new();
    if encoder.encode(&outgoing, &mut bytes).is_err() {
        // Then it is larger than this client takes.
        assert!(bytes.is_empty());
        assert!(Encoder::new(level).encode(&outgoing, &mut bytes).is_ok(), "{packet:?}");
        return;
    }
    let is_whole = match &outgoing {
        Outgoing::Publish(delivery) => {
            assert_eq!(encoder.size(delivery), bytes.len());
            true
        }
        // Details are left out for clients that want none.
        _ => false,
    };
    bytes = [&[0x10, 0x00], &bytes[..]].concat().as_slice().into();
    let mut framer = Framer::default();
    assert!(matches!(framer.next(&mut bytes), Ok(Some(_))));
    framer.set_packet_size_max(u32::MAX);
    let frame = framer.next(&mut bytes).ok().flatten().expect("what was written is one packet");
    assert!(bytes.is_empty());
    let again = decode(level, frame);
    assert_eq!(again.as_ref().map(std::mem::discriminant), Ok(std::mem::discriminant(packet)));
    assert!(!is_whole || again.as_ref() == Ok(packet), "{packet:?} became {again:?}");
}
