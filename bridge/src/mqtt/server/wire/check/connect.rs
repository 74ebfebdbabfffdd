//! CONNECT (section 3.1).

use super::super::frame::Frame;
use super::super::properties::{self, Place, Properties};
use super::super::reader::{Reader, malformed, protocol_error};
use super::super::{Level, ReasonCode, Refusal, names};
use super::{check_flags, check_length, publish};

/// The connect flags (section 3.1.2.3), and where they stand in the packet.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Flags {
    pub(in super::super) bits: u8,
    pub(in super::super) at: usize,
}

impl Flags {
    pub(in super::super) const RESERVED: u8 = 0b0000_0001;
    pub(in super::super) const CLEAN_START: u8 = 0b0000_0010;
    const WILL: u8 = 0b0000_0100;
    const WILL_QOS: u8 = 0b0001_1000;
    const WILL_RETAIN: u8 = 0b0010_0000;
    const PASSWORD: u8 = 0b0100_0000;
    const USER_NAME: u8 = 0b1000_0000;

    pub(in super::super) fn has(self, flag: u8) -> bool {
        self.bits & flag != 0
    }

    fn check(self, level: Level) -> Result<(), Refusal> {
        // [MQTT-3.1.2-3]; level 3.1 leaves it open.
        if level != Level::V31 && self.has(Flags::RESERVED) {
            return Err(malformed("the reserved connect flag is set"));
        }
        // [MQTT-3.1.2-12]
        if self.bits & Flags::WILL_QOS == Flags::WILL_QOS {
            return Err(malformed("the will has QoS 3"));
        }
        // [MQTT-3.1.2-11], [MQTT-3.1.2-13]
        if !self.has(Flags::WILL) && self.has(Flags::WILL_QOS | Flags::WILL_RETAIN) {
            return Err(protocol_error("flags of a will without a will"));
        }
        // [MQTT-3.1.2-22] of 3.1.1; level 5 allows it.
        if level != Level::V5 && self.has(Flags::PASSWORD) && !self.has(Flags::USER_NAME) {
            return Err(protocol_error("a password without a user name"));
        }
        Ok(())
    }
}

/// Checks a CONNECT of a known level. Returns its flags and what the will's properties say.
pub(in super::super) fn check_connect(level: Level, frame: &Frame) -> Result<(Flags, Properties), Refusal> {
    check_length(level, frame)?;
    check_flags(level, frame)?;
    let mut reader = Reader::new(&frame.bytes, frame.body_at);
    // Protocol name and level were read already.
    reader.binary()?;
    reader.byte()?;
    let at = reader.at();
    let flags = Flags { bits: reader.byte()?, at };
    flags.check(level)?;
    reader.two_bytes()?;
    if level == Level::V5 {
        let properties = properties::scan(&mut reader, Place::Connect)?;
        // [MQTT-3.1.2.11.10]
        properties::check_authentication(&properties)?;
    }
    check_client_id(level, flags, reader.text()?)?;
    let will = match flags.has(Flags::WILL) {
        // [MQTT-3.1.2-9] The fields are there if the flag is set.
        true => check_will(level, &mut reader)?,
        false => Properties::default(),
    };
    // [MQTT-3.1.2-16] to [MQTT-3.1.2-19] A field is there if its flag is set, and only then.
    if flags.has(Flags::USER_NAME) {
        names::check_user_name(reader.text()?)?;
    }
    if flags.has(Flags::PASSWORD) {
        reader.binary()?;
    }
    reader.finish()?;
    Ok((flags, will))
}

/// [MQTT-3.1.3-6] A server may assign an identifier. Level 3.1 knows no empty one, [MQTT-3.1.3-8] of
/// 3.1.1 allows it for a clean session.
fn check_client_id(level: Level, flags: Flags, client_id: &str) -> Result<(), Refusal> {
    let may_be_empty = match level {
        Level::V31 => false,
        Level::V311 => flags.has(Flags::CLEAN_START),
        Level::V5 => true,
    };
    if client_id.is_empty() && !may_be_empty {
        let text = "the client identifier is empty";
        return Err(Refusal::new(ReasonCode::CLIENT_IDENTIFIER_NOT_VALID, text));
    }
    names::check_client_id(client_id)
}

fn check_will(level: Level, reader: &mut Reader<'_>) -> Result<Properties, Refusal> {
    let properties = match level {
        Level::V5 => properties::scan(reader, Place::Will)?,
        Level::V31 | Level::V311 => Properties::default(),
    };
    // [MQTT-3.1.3-11]
    names::check_topic(reader.text()?)?;
    publish::check_payload(&properties, reader.binary()?)?;
    Ok(properties)
}
