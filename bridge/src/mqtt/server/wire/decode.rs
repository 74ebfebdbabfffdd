//! Makes our packets of the codec's.
//!
//! The codec is only given what `check` let pass, and one packet each time. Where it knows less than
//! the specification (a message that expires at once, a payload format that is said not to be text, an
//! empty client identifier with clean start 0), the packet it is given is changed first, and what it
//! returns is set right.

use super::check::{self, Flags};
use super::frame::{Frame, kind};
use super::properties::Properties;
use super::reader::{Reader, malformed};
use super::{Connect, Level, Packet, ReasonCode, Refusal, codec};
use gable_rules::broker::PublishProperties;
use rmqtt_codec::{v3, v5};

/// Why a connection ends with its first packet, and at which level to say so: without one there is no
/// answer that its client would understand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectRefusal {
    pub level: Option<Level>,
    pub refusal: Refusal,
}

/// Decodes the first packet of a connection, at whatever level it is.
pub fn decode_connect(frame: Frame) -> Result<Connect, ConnectRefusal> {
    let level = find_level(&frame)?;
    let at_level = |refusal| ConnectRefusal { level: Some(level), refusal };
    let (flags, will) = check::check_connect(level, &frame).map_err(at_level)?;
    decode_checked_connect(level, frame, flags, will).map_err(at_level)
}

/// Reads protocol name and level (sections 3.1.2.1 and 3.1.2.2).
fn find_level(frame: &Frame) -> Result<Level, ConnectRefusal> {
    let without_answer = |refusal| ConnectRefusal { level: None, refusal };
    if frame.kind() != kind::CONNECT {
        return Err(without_answer(malformed("the first packet is not a CONNECT")));
    }
    let mut reader = Reader::new(&frame.bytes, frame.body_at);
    let name = reader.binary().map_err(without_answer)?;
    // [MQTT-3.1.2-1] A client with another name speaks something else.
    if name != b"MQTT" && name != b"MQIsdp" {
        let text = "the protocol name is not MQTT";
        return Err(without_answer(Refusal::new(ReasonCode::UNSUPPORTED_PROTOCOL_VERSION, text)));
    }
    let number = reader.byte().map_err(without_answer)?;
    match (name, number) {
        (b"MQIsdp", 3) => Ok(Level::V31),
        (b"MQTT", 4) => Ok(Level::V311),
        (b"MQTT", 5) => Ok(Level::V5),
        // [MQTT-3.1.2-2] The client gets to know, in the form that it probably reads: a bridge may set
        // the upper bit of the level.
        _ => Err(ConnectRefusal {
            level: Some(if number & 0x7F < 5 { Level::V311 } else { Level::V5 }),
            refusal: Refusal::new(
                ReasonCode::UNSUPPORTED_PROTOCOL_VERSION,
                format!("protocol level {number} is not known"),
            ),
        }),
    }
}

fn decode_checked_connect(
    level: Level,
    mut frame: Frame,
    flags: Flags,
    will: Properties,
) -> Result<Connect, Refusal> {
    frame.bytes[0] = kind::CONNECT << 4;
    // The codec takes an empty client identifier only with it, and nothing in the reserved bit.
    frame.bytes[flags.at] = flags.bits & !Flags::RESERVED | Flags::CLEAN_START;
    hide_zero_expiry(&mut frame, will);
    let mut connect = match level {
        Level::V31 | Level::V311 => match codec::read_v3(frame)? {
            v3::Packet::Connect(connect) => codec::from_v3_connect(level, flags, *connect),
            _ => return Err(codec::unexpected()),
        },
        Level::V5 => match codec::read_v5(frame)? {
            v5::Packet::Connect(connect) => codec::from_v5_connect(flags, *connect),
            _ => return Err(codec::unexpected()),
        },
    };
    if let Some(it) = &mut connect.will {
        restore(&mut it.publication.properties, will);
    }
    Ok(connect)
}

/// Decodes a later packet.
pub fn decode(level: Level, mut frame: Frame) -> Result<Packet, Refusal> {
    let properties = check::check(level, &frame)?;
    let kind = frame.kind();
    match kind {
        kind::PUBLISH => hide_zero_expiry(&mut frame, properties),
        // At level 3.1 flags were left open, which the codec would not let pass.
        kind::PUBREL | kind::SUBSCRIBE | kind::UNSUBSCRIBE => frame.bytes[0] = kind << 4 | 0b0010,
        _ => frame.bytes[0] = kind << 4,
    }
    let mut packet = match level {
        Level::V31 | Level::V311 => codec::from_v3(codec::read_v3(frame)?)?,
        Level::V5 => codec::from_v5(codec::read_v5(frame)?)?,
    };
    if let Packet::Publish(publish) = &mut packet {
        restore(&mut publish.publication.properties, properties);
    }
    Ok(packet)
}

/// The codec takes a message expiry interval of 0 for an error; it stands for "at once".
fn hide_zero_expiry(frame: &mut Frame, properties: Properties) {
    let last = properties.zero_expiry_at.and_then(|at| frame.bytes.get_mut(at + 3));
    if let Some(last) = last {
        *last = 1;
    }
}

fn restore(properties: &mut PublishProperties, said: Properties) {
    properties.payload_format_indicator = said.payload_format_indicator;
    if said.zero_expiry_at.is_some() {
        properties.message_expiry_interval = Some(0);
    }
}
