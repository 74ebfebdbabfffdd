//! PUBACK, PUBREC, PUBREL, PUBCOMP (sections 3.4 to 3.7), DISCONNECT (3.14) and AUTH (3.15): a reason
//! code and properties, either of which may be left out.

use super::super::frame::kind;
use super::super::properties::{self, Place};
use super::super::reader::{Reader, protocol_error};
use super::super::{Level, ReasonCode, Refusal};

/// What a client may say in PUBACK and PUBREC [MQTT-3.4.2-1], [MQTT-3.5.2-1].
const RECEIVED: &[ReasonCode] = &[
    ReasonCode::SUCCESS,
    ReasonCode::NO_MATCHING_SUBSCRIBERS,
    ReasonCode::UNSPECIFIED_ERROR,
    ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR,
    ReasonCode::NOT_AUTHORIZED,
    ReasonCode::TOPIC_NAME_INVALID,
    ReasonCode::PACKET_IDENTIFIER_IN_USE,
    ReasonCode::QUOTA_EXCEEDED,
    ReasonCode::PAYLOAD_FORMAT_INVALID,
];

/// What a client may say in PUBREL and PUBCOMP [MQTT-3.6.2-1], [MQTT-3.7.2-1].
const RELEASED: &[ReasonCode] = &[ReasonCode::SUCCESS, ReasonCode::PACKET_IDENTIFIER_NOT_FOUND];

/// What a client may say in DISCONNECT (table 3-10) [MQTT-3.14.2-1].
const DISCONNECTED: &[ReasonCode] = &[
    ReasonCode::NORMAL_DISCONNECTION,
    ReasonCode::DISCONNECT_WITH_WILL_MESSAGE,
    ReasonCode::UNSPECIFIED_ERROR,
    ReasonCode::MALFORMED_PACKET,
    ReasonCode::PROTOCOL_ERROR,
    ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR,
    ReasonCode::TOPIC_NAME_INVALID,
    ReasonCode::RECEIVE_MAXIMUM_EXCEEDED,
    ReasonCode::TOPIC_ALIAS_INVALID,
    ReasonCode::PACKET_TOO_LARGE,
    ReasonCode::MESSAGE_RATE_TOO_HIGH,
    ReasonCode::QUOTA_EXCEEDED,
    ReasonCode::ADMINISTRATIVE_ACTION,
    ReasonCode::PAYLOAD_FORMAT_INVALID,
];

/// What a client may say in AUTH (table 3-11) [MQTT-3.15.2-1].
const AUTHENTICATING: &[ReasonCode] = &[ReasonCode::CONTINUE_AUTHENTICATION, ReasonCode::RE_AUTHENTICATE];

pub(super) fn check_ack(level: Level, kind: u8, reader: &mut Reader<'_>) -> Result<(), Refusal> {
    reader.packet_id()?;
    let reasons = if kind == kind::PUBREL || kind == kind::PUBCOMP { RELEASED } else { RECEIVED };
    if level == Level::V5 && !reader.is_at_end() {
        check_reason(reader, reasons)?;
        if !reader.is_at_end() {
            properties::scan(reader, Place::Ack)?;
        }
    }
    reader.finish()
}

pub(super) fn check_disconnect(level: Level, reader: &mut Reader<'_>) -> Result<(), Refusal> {
    if level == Level::V5 && !reader.is_at_end() {
        check_reason(reader, DISCONNECTED)?;
        if !reader.is_at_end() {
            properties::scan(reader, Place::Disconnect)?;
        }
    }
    reader.finish()
}

pub(super) fn check_auth(level: Level, reader: &mut Reader<'_>) -> Result<(), Refusal> {
    if level != Level::V5 {
        return Err(protocol_error("AUTH is of level 5"));
    }
    if reader.is_at_end() {
        // Section 3.15.2.1: this says "success", which only a server does.
        return Err(protocol_error("an AUTH without a reason"));
    }
    check_reason(reader, AUTHENTICATING)?;
    let properties = properties::scan(reader, Place::Auth)?;
    // Section 3.15.2.2.2
    if !properties.has(properties::AUTHENTICATION_METHOD) {
        return Err(protocol_error("an AUTH without an authentication method"));
    }
    reader.finish()
}

fn check_reason(reader: &mut Reader<'_>, allowed: &[ReasonCode]) -> Result<(), Refusal> {
    let value = reader.byte()?;
    match allowed.iter().any(|reason| reason.value() == value) {
        true => Ok(()),
        false => Err(Refusal::new(
            ReasonCode::PROTOCOL_ERROR,
            format!("reason code 0x{value:02x} is none of a client's in this packet"),
        )),
    }
}
