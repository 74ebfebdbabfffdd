//! Writes what the server sends. The codec owns what it writes, reason codes and empty properties
//! always included; this lends a publication to the packet and leaves out what the specification lets
//! leave out.

use super::frame::kind;
use super::properties as id;
use super::{Ack, Connack, Connect, Delivery, Detail, Disconnect, Level, Outgoing, ReasonCode, Suback};
use bytes::{BufMut, BytesMut};
use gable_devices::QoS;

/// The largest remaining length (section 2.1.4).
const REMAINING_LENGTH_MAX: usize = 268_435_455;

/// Why a packet is not sent. Nothing of it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// [MQTT-3.1.2-24] The client takes no packet of this size, or no client does.
    #[error("the packet is larger than {0} bytes")]
    TooLarge(usize),
    #[error("a text or binary field is longer than 65535 bytes")]
    FieldTooLong,
    #[error("a message at QoS 1 or 2 has no packet identifier")]
    NoPacketIdentifier,
    #[error("the client's protocol level has no such packet")]
    NotAtLevel,
}

/// Writes packets for one client.
#[derive(Clone, Copy, Debug)]
pub struct Encoder {
    level: Level,
    packet_size_max: usize,
    wants_details: bool,
}

impl Encoder {
    /// Writes for a client that set no limits.
    pub fn new(level: Level) -> Encoder {
        Encoder { level, packet_size_max: usize::MAX, wants_details: true }
    }

    /// Writes for a client as it asked to.
    pub fn for_client(connect: &Connect) -> Encoder {
        Encoder {
            level: connect.level,
            packet_size_max: connect.maximum_packet_size.map_or(usize::MAX, |max| max.get() as usize),
            wants_details: connect.request_problem_information,
        }
    }

    /// Writes one packet behind what is in `out`. Details are left out as far as the packet would be too
    /// large for the client with them.
    pub fn encode(&self, packet: &Outgoing<'_>, out: &mut BytesMut) -> Result<(), EncodeError> {
        match packet {
            Outgoing::Connack(connack) => self.encode_connack(connack, out),
            Outgoing::Publish(delivery) => self.encode_publish(delivery, out),
            Outgoing::Puback(ack) => self.encode_ack(kind::PUBACK << 4, ack, out),
            Outgoing::Pubrec(ack) => self.encode_ack(kind::PUBREC << 4, ack, out),
            Outgoing::Pubrel(ack) => self.encode_ack(kind::PUBREL << 4 | 0b0010, ack, out),
            Outgoing::Pubcomp(ack) => self.encode_ack(kind::PUBCOMP << 4, ack, out),
            Outgoing::Suback(suback) => self.encode_suback(kind::SUBACK << 4, suback, out),
            Outgoing::Unsuback(suback) => self.encode_suback(kind::UNSUBACK << 4, suback, out),
            Outgoing::Pingresp => self.finish(kind::PINGRESP << 4, &[], out),
            Outgoing::Disconnect(disconnect) => self.encode_disconnect(disconnect, out),
        }
    }

    /// How many bytes a message takes on the wire.
    pub fn size(&self, delivery: &Delivery<'_>) -> usize {
        let remaining = self.publish_length(delivery, self.publish_properties_length(delivery));
        1 + integer_length(remaining) + remaining
    }

    fn encode_publish(&self, delivery: &Delivery<'_>, out: &mut BytesMut) -> Result<(), EncodeError> {
        let publication = delivery.publication;
        let properties = self.publish_properties_length(delivery);
        let remaining = self.publish_length(delivery, properties);
        self.check_size(remaining)?;
        check_publication(delivery)?;
        let packet_id = match (delivery.qos, delivery.packet_id) {
            (QoS::AtMostOnce, _) => None,
            (_, None) => return Err(EncodeError::NoPacketIdentifier),
            (_, packet_id) => packet_id,
        };
        let flags = u8::from(delivery.dup) << 3 | (delivery.qos as u8) << 1 | u8::from(delivery.retain);
        out.reserve(5 + remaining);
        out.put_u8(kind::PUBLISH << 4 | flags);
        put_integer(remaining, out);
        put_field(self.topic(delivery).as_bytes(), out);
        if let Some(packet_id) = packet_id {
            out.put_u16(packet_id.get());
        }
        if self.level == Level::V5 {
            put_integer(properties, out);
            put_publish_properties(delivery, out);
        }
        out.put_slice(&publication.payload);
        Ok(())
    }

    fn topic<'a>(&self, delivery: &Delivery<'a>) -> &'a str {
        let is_known = self.level == Level::V5 && delivery.is_alias_known && delivery.topic_alias.is_some();
        if is_known { "" } else { &delivery.publication.topic }
    }

    fn publish_length(&self, delivery: &Delivery<'_>, properties: usize) -> usize {
        let packet_id = if delivery.qos == QoS::AtMostOnce { 0 } else { 2 };
        let properties = if self.level == Level::V5 { integer_length(properties) + properties } else { 0 };
        2 + self.topic(delivery).len() + packet_id + properties + delivery.publication.payload.len()
    }

    fn publish_properties_length(&self, delivery: &Delivery<'_>) -> usize {
        if self.level != Level::V5 {
            return 0;
        }
        let properties = &delivery.publication.properties;
        let field = |length: Option<usize>| length.map_or(0, |length| 3 + length);
        let identifiers = delivery.subscription_identifiers.iter().map(|it| 1 + integer_length(*it as usize));
        let pairs = properties.user_properties.iter().map(|(name, value)| 5 + name.len() + value.len());
        properties.payload_format_indicator.map_or(0, |_| 2)
            + delivery.message_expiry_interval.map_or(0, |_| 5)
            + field(properties.content_type.as_ref().map(String::len))
            + field(properties.response_topic.as_ref().map(String::len))
            + field(properties.correlation_data.as_ref().map(Vec::len))
            + delivery.topic_alias.map_or(0, |_| 3)
            + identifiers.sum::<usize>()
            + pairs.sum::<usize>()
    }

    fn encode_connack(&self, connack: &Connack, out: &mut BytesMut) -> Result<(), EncodeError> {
        // [MQTT-3.2.2-6] A refused client has no session.
        let session_present = u8::from(connack.session_present && !connack.reason.is_failure());
        if self.level != Level::V5 {
            let code = connack.reason.connack_return_code().ok_or(EncodeError::NotAtLevel)?;
            // Level 3.1 has no such flag.
            let session_present = if self.level == Level::V31 { 0 } else { session_present };
            return self.finish(kind::CONNACK << 4, &[session_present, code], out);
        }
        // The client may want to know what its CONNECT lacked even if it wants no details else: they
        // are allowed here [MQTT-3.1.2-29].
        self.finish_shortest(kind::CONNACK << 4, &connack.detail, true, out, |detail| {
            let mut properties = Properties::default();
            if connack.topic_alias_maximum > 0 {
                properties.two_bytes(id::TOPIC_ALIAS_MAXIMUM, Some(connack.topic_alias_maximum));
            }
            properties.four_bytes(id::MAXIMUM_PACKET_SIZE, connack.maximum_packet_size.map(Into::into));
            properties.two_bytes(id::RECEIVE_MAXIMUM, connack.receive_maximum.map(Into::into));
            properties.four_bytes(id::SESSION_EXPIRY_INTERVAL, connack.session_expiry_interval);
            properties.text(id::ASSIGNED_CLIENT_IDENTIFIER, connack.assigned_client_identifier.as_deref());
            properties.two_bytes(id::SERVER_KEEP_ALIVE, connack.server_keep_alive);
            properties.text(id::RESPONSE_INFORMATION, connack.response_information.as_deref());
            properties.text(id::SERVER_REFERENCE, connack.server_reference.as_deref());
            properties.detail(detail);
            let mut body = vec![session_present, connack.reason.value()];
            properties.write(&mut body)?;
            Ok(body)
        })
    }

    fn encode_ack(&self, first_byte: u8, ack: &Ack, out: &mut BytesMut) -> Result<(), EncodeError> {
        let packet_id = ack.packet_id.get().to_be_bytes();
        if self.level != Level::V5 {
            return self.finish(first_byte, &packet_id, out);
        }
        self.finish_shortest(first_byte, &ack.detail, self.wants_details, out, |detail| {
            let mut body = packet_id.to_vec();
            put_reason(ack.reason, &Properties::of(detail), &mut body)?;
            Ok(body)
        })
    }

    fn encode_suback(&self, first_byte: u8, suback: &Suback, out: &mut BytesMut) -> Result<(), EncodeError> {
        let mut body = suback.packet_id.get().to_be_bytes().to_vec();
        match (self.level, first_byte >> 4) {
            (Level::V5, _) => {}
            // [MQTT-3.10.4-4] of 3.1.1: an UNSUBACK says nothing more.
            (_, kind::UNSUBACK) => return self.finish(first_byte, &body, out),
            (Level::V31 | Level::V311, _) => {
                body.extend(suback.reasons.iter().map(|reason| reason.suback_return_code()));
                return self.finish(first_byte, &body, out);
            }
        }
        self.finish_shortest(first_byte, &suback.detail, self.wants_details, out, |detail| {
            let mut body = body.clone();
            Properties::of(detail).write(&mut body)?;
            body.extend(suback.reasons.iter().map(|reason| reason.value()));
            Ok(body)
        })
    }

    fn encode_disconnect(&self, disconnect: &Disconnect, out: &mut BytesMut) -> Result<(), EncodeError> {
        if self.level != Level::V5 {
            return Err(EncodeError::NotAtLevel);
        }
        // Details are allowed here [MQTT-3.1.2-29].
        self.finish_shortest(kind::DISCONNECT << 4, &disconnect.detail, true, out, |detail| {
            let mut properties = Properties::default();
            // [MQTT-3.14.2-2] A session expiry interval is for clients to send.
            properties.text(id::SERVER_REFERENCE, disconnect.server_reference.as_deref());
            properties.detail(detail);
            let mut body = Vec::new();
            put_reason(disconnect.reason, &properties, &mut body)?;
            Ok(body)
        })
    }

    /// Writes the packet with as much of the detail as fits: all of it, without its user properties, or
    /// none [MQTT-3.2.2-19], [MQTT-3.2.2-20] and their like.
    fn finish_shortest(
        &self,
        first_byte: u8,
        detail: &Detail,
        is_wanted: bool,
        out: &mut BytesMut,
        body: impl Fn(&Detail) -> Result<Vec<u8>, EncodeError>,
    ) -> Result<(), EncodeError> {
        if is_wanted && *detail != Detail::default() {
            let without_properties =
                Detail { reason_string: detail.reason_string.clone(), user_properties: Vec::new() };
            for detail in [detail, &without_properties] {
                if body(detail).and_then(|body| self.finish(first_byte, &body, out)).is_ok() {
                    return Ok(());
                }
            }
        }
        self.finish(first_byte, &body(&Detail::default())?, out)
    }

    fn finish(&self, first_byte: u8, body: &[u8], out: &mut BytesMut) -> Result<(), EncodeError> {
        self.check_size(body.len())?;
        out.reserve(5 + body.len());
        out.put_u8(first_byte);
        put_integer(body.len(), out);
        out.put_slice(body);
        Ok(())
    }

    fn check_size(&self, remaining: usize) -> Result<(), EncodeError> {
        let size = 1 + integer_length(remaining) + remaining;
        match () {
            () if remaining > REMAINING_LENGTH_MAX => Err(EncodeError::TooLarge(REMAINING_LENGTH_MAX)),
            () if size > self.packet_size_max => Err(EncodeError::TooLarge(self.packet_size_max)),
            () => Ok(()),
        }
    }
}

/// Reason and properties, which are left out as far as they say nothing (section 3.4.2.1).
fn put_reason(reason: ReasonCode, properties: &Properties, body: &mut Vec<u8>) -> Result<(), EncodeError> {
    if reason == ReasonCode::SUCCESS && properties.bytes.is_empty() && !properties.is_broken {
        return Ok(());
    }
    body.push(reason.value());
    if properties.bytes.is_empty() && !properties.is_broken {
        return Ok(());
    }
    properties.write(body)
}

fn put_publish_properties(delivery: &Delivery<'_>, out: &mut BytesMut) {
    let properties = &delivery.publication.properties;
    if let Some(is_text) = properties.payload_format_indicator {
        out.put_slice(&[id::PAYLOAD_FORMAT_INDICATOR as u8, is_text.into()]);
    }
    if let Some(interval) = delivery.message_expiry_interval {
        out.put_u8(id::MESSAGE_EXPIRY_INTERVAL as u8);
        out.put_u32(interval);
    }
    if let Some(alias) = delivery.topic_alias {
        out.put_u8(id::TOPIC_ALIAS as u8);
        out.put_u16(alias.get());
    }
    for (id, field) in [
        (id::CONTENT_TYPE, properties.content_type.as_deref().map(str::as_bytes)),
        (id::RESPONSE_TOPIC, properties.response_topic.as_deref().map(str::as_bytes)),
        (id::CORRELATION_DATA, properties.correlation_data.as_deref()),
    ] {
        if let Some(field) = field {
            out.put_u8(id as u8);
            put_field(field, out);
        }
    }
    for identifier in delivery.subscription_identifiers {
        out.put_u8(id::SUBSCRIPTION_IDENTIFIER as u8);
        put_integer(*identifier as usize, out);
    }
    for (name, value) in &properties.user_properties {
        out.put_u8(id::USER_PROPERTY as u8);
        put_field(name.as_bytes(), out);
        put_field(value.as_bytes(), out);
    }
}

/// Every field fits its length, and every identifier its integer.
fn check_publication(delivery: &Delivery<'_>) -> Result<(), EncodeError> {
    let publication = delivery.publication;
    let properties = &publication.properties;
    let pairs = properties.user_properties.iter().flat_map(|(name, value)| [name.len(), value.len()]);
    let longest = [
        publication.topic.len(),
        properties.content_type.as_ref().map_or(0, String::len),
        properties.response_topic.as_ref().map_or(0, String::len),
        properties.correlation_data.as_ref().map_or(0, Vec::len),
    ]
    .into_iter()
    .chain(pairs)
    .max();
    let highest = delivery.subscription_identifiers.iter().max().copied().unwrap_or_default();
    if longest > Some(u16::MAX.into()) || highest as usize > REMAINING_LENGTH_MAX {
        return Err(EncodeError::FieldTooLong);
    }
    Ok(())
}

/// Properties as they are written.
#[derive(Debug, Default)]
struct Properties {
    bytes: Vec<u8>,
    /// Whether a field did not fit its length.
    is_broken: bool,
}

impl Properties {
    fn of(detail: &Detail) -> Properties {
        let mut properties = Properties::default();
        properties.detail(detail);
        properties
    }

    fn two_bytes(&mut self, id: u32, value: Option<u16>) {
        if let Some(value) = value {
            self.bytes.push(id as u8);
            self.bytes.extend(value.to_be_bytes());
        }
    }

    fn four_bytes(&mut self, id: u32, value: Option<u32>) {
        if let Some(value) = value {
            self.bytes.push(id as u8);
            self.bytes.extend(value.to_be_bytes());
        }
    }

    fn text(&mut self, id: u32, text: Option<&str>) {
        if let Some(text) = text {
            self.bytes.push(id as u8);
            self.field(text);
        }
    }

    fn detail(&mut self, detail: &Detail) {
        self.text(id::REASON_STRING, detail.reason_string.as_deref());
        for (name, value) in &detail.user_properties {
            self.bytes.push(id::USER_PROPERTY as u8);
            self.field(name);
            self.field(value);
        }
    }

    fn field(&mut self, text: &str) {
        match u16::try_from(text.len()) {
            Ok(length) => self.bytes.extend(length.to_be_bytes()),
            Err(_) => self.is_broken = true,
        }
        self.bytes.extend(text.as_bytes());
    }

    fn write(&self, body: &mut Vec<u8>) -> Result<(), EncodeError> {
        if self.is_broken {
            return Err(EncodeError::FieldTooLong);
        }
        if self.bytes.len() > REMAINING_LENGTH_MAX {
            return Err(EncodeError::TooLarge(REMAINING_LENGTH_MAX));
        }
        put_integer(self.bytes.len(), body);
        body.extend(&self.bytes);
        Ok(())
    }
}

/// Writes a text or binary field; its length was checked.
fn put_field(field: &[u8], out: &mut impl BufMut) {
    out.put_u16(field.len() as u16);
    out.put_slice(field);
}

/// Writes a variable byte integer (section 1.5.5); its value was checked.
fn put_integer(mut value: usize, out: &mut impl BufMut) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

fn integer_length(value: usize) -> usize {
    match value {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        _ => 4,
    }
}
