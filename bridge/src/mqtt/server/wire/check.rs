//! Holds packets against the specification, before the codec reads them. It names what is wrong in the
//! packet's own words; the codec knows one error for most of it, and lets some pass.
//!
//! One file for each kind of packet. What older levels lack is checked as they say: where a number of
//! a statement differs there, it is of 3.1.1.

mod acks;
mod connect;
mod publish;
mod subscribe;

pub(super) use connect::{Flags, check_connect};

use super::frame::{Frame, kind};
use super::properties::Properties;
use super::reader::{Reader, malformed, protocol_error};
use super::{Level, Refusal};

/// Checks any packet but CONNECT. Returns what its properties say, if it is a PUBLISH.
pub(super) fn check(level: Level, frame: &Frame) -> Result<Properties, Refusal> {
    check_length(level, frame)?;
    check_flags(level, frame)?;
    let mut reader = Reader::new(&frame.bytes, frame.body_at);
    let reader = &mut reader;
    match frame.kind() {
        kind::PUBLISH => return publish::check_publish(level, frame.flags(), reader),
        kind @ (kind::PUBACK | kind::PUBREC | kind::PUBREL | kind::PUBCOMP) => {
            acks::check_ack(level, kind, reader)?;
        }
        kind::SUBSCRIBE => subscribe::check_subscribe(level, reader)?,
        kind::UNSUBSCRIBE => subscribe::check_unsubscribe(level, reader)?,
        kind::PINGREQ => reader.finish()?,
        kind::DISCONNECT => acks::check_disconnect(level, reader)?,
        kind::AUTH => acks::check_auth(level, reader)?,
        _ => return Err(protocol_error("a client does not send this packet now")),
    }
    Ok(Properties::default())
}

fn check_length(level: Level, frame: &Frame) -> Result<(), Refusal> {
    if level == Level::V5 && frame.is_overlong() {
        return Err(malformed("the remaining length takes more bytes than it needs"));
    }
    Ok(())
}

/// [MQTT-2.1.3-1] Flags are what the table says, or the packet is malformed. At level 3.1 a packet that
/// is sent again has DUP, and what a type does not use may be anything.
fn check_flags(level: Level, frame: &Frame) -> Result<(), Refusal> {
    let expected = match frame.kind() {
        kind::PUBLISH => return Ok(()),
        // [MQTT-3.6.1-1], [MQTT-3.8.1-1], [MQTT-3.10.1-1]
        kind::PUBREL | kind::SUBSCRIBE | kind::UNSUBSCRIBE => 0b0010,
        _ => 0,
    };
    if level == Level::V31 || frame.flags() == expected {
        Ok(())
    } else {
        Err(malformed("the flags of the fixed header are not those of the packet"))
    }
}
