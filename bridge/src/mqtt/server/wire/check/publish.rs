//! PUBLISH (section 3.3).

use super::super::properties::{self, Place, Properties};
use super::super::reader::{Reader, malformed, protocol_error};
use super::super::{Level, ReasonCode, Refusal, names};

pub(super) fn check_publish(level: Level, flags: u8, reader: &mut Reader<'_>) -> Result<Properties, Refusal> {
    let qos = flags >> 1 & 0b11;
    // [MQTT-3.3.1-4]
    if qos == 3 {
        return Err(malformed("QoS 3"));
    }
    // [MQTT-3.3.1-2]; level 3.1 leaves it open.
    if qos == 0 && flags & 0b1000 != 0 && level != Level::V31 {
        return Err(malformed("DUP at QoS 0"));
    }
    // [MQTT-3.3.2-1]
    let topic = reader.text()?;
    if qos > 0 {
        reader.packet_id()?;
    }
    let properties = match level {
        Level::V5 => properties::scan(reader, Place::Publish)?,
        Level::V31 | Level::V311 => Properties::default(),
    };
    if topic.is_empty() && level == Level::V5 {
        // Section 3.3.2.1: a protocol error.
        if !properties.has(properties::TOPIC_ALIAS) {
            return Err(protocol_error("neither a topic nor an alias"));
        }
    } else {
        // [MQTT-3.3.2-2]
        names::check_topic(topic)?;
    }
    check_payload(&properties, reader.rest())?;
    Ok(properties)
}

/// Section 3.3.2.3.2: a payload that is called UTF-8 may be held to it. Receivers rely on the word.
pub(super) fn check_payload(properties: &Properties, payload: &[u8]) -> Result<(), Refusal> {
    if properties.payload_format_indicator == Some(true) && str::from_utf8(payload).is_err() {
        return Err(Refusal::new(ReasonCode::PAYLOAD_FORMAT_INVALID, "the payload is not UTF-8 as it says"));
    }
    Ok(())
}
