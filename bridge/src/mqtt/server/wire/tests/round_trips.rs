//! What the server writes, a client reads as it was meant. The codec plays the client where a client's
//! packets and a server's differ.

use super::super::{
    Ack, Connack, Delivery, Detail, Disconnect, EncodeError, Encoder, Level, Outgoing, Packet, ReasonCode,
    Suback,
};
use super::mutations::Numbers;
use super::read;
use bytes::BytesMut;
use gable_devices::QoS;
use gable_rules::broker::{Publication, PublishProperties};
use rmqtt_codec::{v3, v5};
use std::num::{NonZeroU16, NonZeroU32};
use tokio_util::codec::Decoder;

const LEVELS: [Level; 3] = [Level::V31, Level::V311, Level::V5];

fn text(numbers: &mut Numbers) -> String {
    (0..numbers.below(12)).map(|_| ['a', '/', 'é', '€', '𪛔', ' '][numbers.below(6)]).collect()
}

fn some<T>(numbers: &mut Numbers, make: impl FnOnce(&mut Numbers) -> T) -> Option<T> {
    numbers.flips().then(|| make(numbers))
}

fn pairs(numbers: &mut Numbers) -> Vec<(String, String)> {
    (0..numbers.below(4)).map(|_| (text(numbers), text(numbers))).collect()
}

fn packet_id(numbers: &mut Numbers) -> NonZeroU16 {
    NonZeroU16::new(1 + numbers.below(65_535) as u16).expect("it is at least 1")
}

fn publication(numbers: &mut Numbers, level: Level) -> Publication {
    let properties = PublishProperties {
        payload_format_indicator: some(numbers, |_| false),
        message_expiry_interval: some(numbers, |numbers| numbers.below(3) as u32),
        content_type: some(numbers, text),
        response_topic: some(numbers, |numbers| format!("r{}", text(numbers))),
        correlation_data: some(numbers, |numbers| text(numbers).into_bytes()),
        user_properties: pairs(numbers),
    };
    // Around the sizes where a length takes another byte.
    let size = [0, 1, 100, 127, 128, 16_383, 16_384][numbers.below(7)] + numbers.below(3);
    Publication {
        topic: format!("t{}", text(numbers)),
        payload: (0..size).map(|byte| byte as u8).collect(),
        qos: [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][numbers.below(3)],
        retain: numbers.flips(),
        properties: if level == Level::V5 { properties } else { PublishProperties::default() },
    }
}

fn delivery<'a>(numbers: &mut Numbers, publication: &'a Publication) -> Delivery<'a> {
    let has_id = publication.qos != QoS::AtMostOnce;
    Delivery {
        publication,
        qos: publication.qos,
        retain: publication.retain,
        dup: has_id && numbers.flips(),
        packet_id: has_id.then(|| packet_id(numbers)),
        message_expiry_interval: publication.properties.message_expiry_interval,
        topic_alias: None,
        is_alias_known: false,
        subscription_identifiers: &[],
    }
}

fn encode(encoder: Encoder, packet: &Outgoing<'_>) -> BytesMut {
    let mut out = BytesMut::new();
    encoder.encode(packet, &mut out).unwrap_or_else(|error| panic!("{packet:?}: {error}"));
    out
}

#[test]
fn messages_come_back_as_they_were() {
    let mut numbers = Numbers(2);
    for round in 0..3_000 {
        let level = LEVELS[round % 3];
        let publication = publication(&mut numbers, level);
        let mut delivery = delivery(&mut numbers, &publication);
        if level == Level::V5 {
            delivery.topic_alias = some(&mut numbers, packet_id);
        }
        let out = encode(Encoder::new(level), &Outgoing::Publish(delivery));
        assert_eq!(out.len(), Encoder::new(level).size(&delivery), "{delivery:?}");
        let Ok(Some(Packet::Publish(back))) = read(level, &out) else { panic!("{delivery:?}: {out:02x?}") };
        assert_eq!(back.publication, publication);
        assert_eq!(
            (back.dup, back.packet_id, back.topic_alias),
            (delivery.dup, delivery.packet_id, delivery.topic_alias)
        );
    }
}

#[test]
fn deliveries_say_what_only_a_server_says() {
    let mut numbers = Numbers(3);
    for _ in 0..500 {
        let publication = publication(&mut numbers, Level::V5);
        let identifiers: Vec<u32> =
            (0..numbers.below(4)).map(|_| [1, 127, 128, 16_384, 268_435_455][numbers.below(5)]).collect();
        let mut delivery = delivery(&mut numbers, &publication);
        delivery.qos = QoS::ExactlyOnce;
        delivery.packet_id = NonZeroU16::new(7);
        delivery.retain = !publication.retain;
        delivery.message_expiry_interval = Some(9);
        delivery.topic_alias = NonZeroU16::new(5);
        delivery.is_alias_known = true;
        delivery.subscription_identifiers = &identifiers;
        let mut out = encode(Encoder::new(Level::V5), &Outgoing::Publish(delivery));
        assert_eq!(out.len(), Encoder::new(Level::V5).size(&delivery));
        let packet = v5::Codec::default().decode(&mut out).unwrap().unwrap().0;
        let v5::Packet::Publish(back) = packet else { panic!("{packet:?}") };
        let properties = back.properties.unwrap();
        assert_eq!((back.topic.as_ref(), properties.topic_alias), ("", NonZeroU16::new(5)));
        assert_eq!((back.qos, back.retain), (v5::QoS::ExactlyOnce, !publication.retain));
        assert_eq!(properties.message_expiry_interval, NonZeroU32::new(9));
        assert_eq!(properties.subscription_ids.iter().map(|it| it.get()).collect::<Vec<_>>(), identifiers);
        assert_eq!(back.payload, publication.payload);
    }
}

#[test]
fn an_alias_is_only_for_level_5() {
    let publication = Publication { topic: "a".to_owned(), ..Publication::default() };
    let mut delivery = delivery(&mut Numbers(4), &publication);
    (delivery.topic_alias, delivery.is_alias_known) = (NonZeroU16::new(1), true);
    delivery.message_expiry_interval = Some(1);
    delivery.subscription_identifiers = &[1];
    assert_eq!(encode(Encoder::new(Level::V311), &Outgoing::Publish(delivery))[..], *b"\x30\x03\0\x01a");
}

fn v5_packet(out: &mut BytesMut) -> v5::Packet {
    let packet = v5::Codec::default().decode(out).unwrap().unwrap().0;
    assert!(out.is_empty());
    packet
}

#[test]
fn answers_of_level_5_come_back_as_they_were() {
    let mut numbers = Numbers(5);
    for _ in 0..500 {
        let detail = Detail { reason_string: some(&mut numbers, text), user_properties: pairs(&mut numbers) };
        let ack = Ack { packet_id: packet_id(&mut numbers), reason: ReasonCode::QUOTA_EXCEEDED, detail };
        let out = encode(Encoder::new(Level::V5), &Outgoing::Puback(ack.clone()));
        assert_eq!(read(Level::V5, &out), Ok(Some(Packet::Puback(ack.clone()))));
        let done = Ack { reason: ReasonCode::SUCCESS, ..ack.clone() };
        let out = encode(Encoder::new(Level::V5), &Outgoing::Pubrel(done.clone()));
        assert_eq!(read(Level::V5, &out), Ok(Some(Packet::Pubrel(done))));
        let suback = Suback {
            packet_id: ack.packet_id,
            reasons: vec![ReasonCode::GRANTED_QOS_2, ReasonCode::TOPIC_FILTER_INVALID],
            detail: ack.detail.clone(),
        };
        let mut out = encode(Encoder::new(Level::V5), &Outgoing::Suback(suback));
        let v5::Packet::SubscribeAck(back) = v5_packet(&mut out) else { panic!("no SUBACK") };
        assert_eq!(back.status.iter().map(|it| u8::from(*it)).collect::<Vec<_>>(), [2, 0x8F]);
        assert_eq!(back.reason_string.map(|it| it.to_string()), ack.detail.reason_string);
        assert_eq!(back.properties.len(), ack.detail.user_properties.len());
    }
}

#[test]
fn a_connack_comes_back_as_it_was() {
    let connack = Connack {
        session_present: true,
        session_expiry_interval: Some(1),
        receive_maximum: NonZeroU16::new(2),
        maximum_packet_size: NonZeroU32::new(3),
        assigned_client_identifier: Some("me".to_owned()),
        topic_alias_maximum: 4,
        server_keep_alive: Some(5),
        response_information: Some("r".to_owned()),
        server_reference: Some("s".to_owned()),
        detail: Detail::text("why"),
        ..Connack::new(ReasonCode::SUCCESS)
    };
    let mut out = encode(Encoder::new(Level::V5), &Outgoing::Connack(Box::new(connack)));
    let v5::Packet::ConnectAck(back) = v5_packet(&mut out) else { panic!("no CONNACK") };
    let expected = v5::ConnectAck {
        session_present: true,
        session_expiry_interval_secs: Some(1),
        receive_max: NonZeroU16::new(2).unwrap(),
        max_packet_size: Some(3),
        assigned_client_id: Some("me".into()),
        topic_alias_max: 4,
        server_keepalive_sec: Some(5),
        response_info: Some("r".into()),
        server_reference: Some("s".into()),
        reason_string: Some("why".into()),
        ..v5::ConnectAck::default()
    };
    assert_eq!(*back, expected);
}

/// Encodes for a client and compares the bytes.
#[track_caller]
fn check(encoder: Encoder, packet: &Outgoing<'_>, expected: Result<&[u8], EncodeError>) {
    let mut out = BytesMut::new();
    let outcome = encoder.encode(packet, &mut out);
    assert_eq!(outcome.map(|()| &out[..]), expected, "{packet:02x?}");
    assert!(outcome.is_ok() || out.is_empty(), "a part was written");
}

#[test]
fn answers_are_as_short_as_they_may_be() {
    let id = NonZeroU16::new(1).unwrap();
    let ack = |reason| Ack::new(id, reason);
    let suback = |reasons: &[ReasonCode]| Suback {
        packet_id: id,
        reasons: reasons.to_vec(),
        detail: Detail::default(),
    };
    let v5 = Encoder::new(Level::V5);
    let v311 = Encoder::new(Level::V311);
    check(v5, &Outgoing::Puback(ack(ReasonCode::SUCCESS)), Ok(&[0x40, 2, 0, 1]));
    check(v5, &Outgoing::Puback(ack(ReasonCode::NO_MATCHING_SUBSCRIBERS)), Ok(&[0x40, 3, 0, 1, 0x10]));
    check(v311, &Outgoing::Pubrec(ack(ReasonCode::NOT_AUTHORIZED)), Ok(&[0x50, 2, 0, 1]));
    check(v311, &Outgoing::Pubrel(ack(ReasonCode::SUCCESS)), Ok(&[0x62, 2, 0, 1]));
    check(v5, &Outgoing::Pubcomp(ack(ReasonCode::PACKET_IDENTIFIER_NOT_FOUND)), Ok(&[0x70, 3, 0, 1, 0x92]));
    let reasons = [ReasonCode::GRANTED_QOS_1, ReasonCode::NOT_AUTHORIZED];
    check(v5, &Outgoing::Suback(suback(&reasons)), Ok(&[0x90, 5, 0, 1, 0, 1, 0x87]));
    check(v311, &Outgoing::Suback(suback(&reasons)), Ok(&[0x90, 4, 0, 1, 1, 0x80]));
    let reasons = [ReasonCode::SUCCESS, ReasonCode::NO_SUBSCRIPTION_EXISTED];
    check(v5, &Outgoing::Unsuback(suback(&reasons)), Ok(&[0xB0, 5, 0, 1, 0, 0, 0x11]));
    check(v311, &Outgoing::Unsuback(suback(&reasons)), Ok(&[0xB0, 2, 0, 1]));
    check(v5, &Outgoing::Pingresp, Ok(&[0xD0, 0]));
    let disconnect = |reason| Outgoing::Disconnect(Disconnect::new(reason, Detail::default()));
    check(v5, &disconnect(ReasonCode::NORMAL_DISCONNECTION), Ok(&[0xE0, 0]));
    check(v5, &disconnect(ReasonCode::SESSION_TAKEN_OVER), Ok(&[0xE0, 1, 0x8E]));
    check(v311, &disconnect(ReasonCode::SESSION_TAKEN_OVER), Err(EncodeError::NotAtLevel));
    let connack =
        |reason| Outgoing::Connack(Box::new(Connack { session_present: true, ..Connack::new(reason) }));
    check(v5, &connack(ReasonCode::SUCCESS), Ok(&[0x20, 3, 1, 0, 0]));
    check(v311, &connack(ReasonCode::SUCCESS), Ok(&[0x20, 2, 1, 0]));
    check(Encoder::new(Level::V31), &connack(ReasonCode::SUCCESS), Ok(&[0x20, 2, 0, 0]));
    check(v311, &connack(ReasonCode::SERVER_BUSY), Ok(&[0x20, 2, 0, 3]));
    check(v311, &connack(ReasonCode::MALFORMED_PACKET), Err(EncodeError::NotAtLevel));
    for level in [v5, v311] {
        assert!(v3::Codec::default().decode(&mut encode(level, &Outgoing::Pingresp)).unwrap().is_some());
    }
}

/// A client that set a maximum packet size and perhaps wants no details.
fn limited(size_max: u32, wants_details: bool) -> Encoder {
    let packet = [0x10, 22, 0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 0, 7, 0x17, wants_details.into(), 0x27];
    let packet = [&packet[..], &size_max.to_be_bytes(), &[0, 2, b'm', b'e']].concat();
    match read(Level::V5, &packet) {
        Ok(Some(Packet::Connect(connect))) => Encoder::for_client(&connect),
        other => panic!("{other:?}"),
    }
}

#[test]
fn details_are_left_out_before_a_packet_is_too_large() {
    let detail = Detail {
        reason_string: Some("no".to_owned()),
        user_properties: vec![("a".to_owned(), "b".to_owned())],
    };
    let id = NonZeroU16::new(1).unwrap();
    let ack =
        Outgoing::Puback(Ack { packet_id: id, reason: ReasonCode::NOT_AUTHORIZED, detail: detail.clone() });
    let text = [0x40, 9, 0, 1, 0x87, 5, 0x1F, 0, 2, b'n', b'o'];
    let all = [&[0x40, 16, 0, 1, 0x87, 12][..], &text[6..], &[0x26, 0, 1, b'a', 0, 1, b'b']].concat();
    check(limited(18, true), &ack, Ok(&all));
    check(limited(17, true), &ack, Ok(&text));
    check(limited(11, true), &ack, Ok(&text));
    check(limited(10, true), &ack, Ok(&[0x40, 3, 0, 1, 0x87]));
    check(limited(4, true), &ack, Err(EncodeError::TooLarge(4)));
    // [MQTT-3.1.2-29] Details are wanted in CONNACK and DISCONNECT only.
    check(limited(100, false), &ack, Ok(&[0x40, 3, 0, 1, 0x87]));
    let disconnect = Outgoing::Disconnect(Disconnect::new(ReasonCode::NOT_AUTHORIZED, Detail::text("no")));
    check(limited(100, false), &disconnect, Ok(&[0xE0, 7, 0x87, 5, 0x1F, 0, 2, b'n', b'o']));
    // [MQTT-3.1.2-24], [MQTT-3.1.2-25] A message that is too large is not sent.
    let publication = Publication { topic: "a".to_owned(), payload: vec![0; 14], ..Publication::default() };
    let message = Outgoing::Publish(delivery(&mut Numbers(6), &publication));
    check(limited(19, true), &message, Err(EncodeError::TooLarge(19)));
    assert_eq!(encode(limited(20, true), &message).len(), 20);
}

#[test]
fn what_has_no_form_on_the_wire_is_not_written() {
    let long = "x".repeat(65_536);
    let mut publication = Publication { topic: long.clone(), ..Publication::default() };
    let v5 = Encoder::new(Level::V5);
    check(v5, &Outgoing::Publish(delivery(&mut Numbers(7), &publication)), Err(EncodeError::FieldTooLong));
    publication.topic = "a".to_owned();
    publication.properties.user_properties = vec![(String::new(), long.clone())];
    check(v5, &Outgoing::Publish(delivery(&mut Numbers(7), &publication)), Err(EncodeError::FieldTooLong));
    publication.properties = PublishProperties::default();
    let mut without_id = delivery(&mut Numbers(7), &publication);
    without_id.qos = QoS::AtLeastOnce;
    check(v5, &Outgoing::Publish(without_id), Err(EncodeError::NoPacketIdentifier));
    // A reason string can be left out instead.
    let disconnect = Outgoing::Disconnect(Disconnect::new(ReasonCode::SERVER_BUSY, Detail::text(long)));
    check(v5, &disconnect, Ok(&[0xE0, 1, 0x89]));
}
