//! What topics, filters, client identifiers and user names may look like.

use super::reader::malformed;
use super::{ReasonCode, Refusal};
use gable_devices::topic;

/// Control characters and non-characters. A server may refuse them (section 1.5.4); in a name they can
/// only confuse people, so this one does. Other texts may hold them: a property may have lines.
fn has_odd_characters(name: &str) -> bool {
    name.chars()
        .any(|c| c.is_control() || matches!(c, '\u{FDD0}'..='\u{FDEF}') || c as u32 & 0xFFFE == 0xFFFE)
}

fn check_characters(name: &str) -> Result<(), Refusal> {
    if has_odd_characters(name) { Err(malformed("a name holds control characters")) } else { Ok(()) }
}

/// [MQTT-4.7.3-1] A topic is not empty, [MQTT-3.3.2-2] and has no wildcard.
pub(super) fn check_topic(name: &str) -> Result<(), Refusal> {
    check_characters(name)?;
    if topic::is_too_deep(name) {
        return Err(Refusal::new(ReasonCode::TOPIC_NAME_INVALID, "the topic has more than 201 levels"));
    }
    topic::check_topic(name)
        .map_err(|why| Refusal::new(ReasonCode::MALFORMED_PACKET, format!("topic: {why}")))
}

/// [MQTT-4.7.1-1], [MQTT-4.7.1-2] Wildcards stand alone in their level, [MQTT-4.7.3-1] a filter is not
/// empty, [MQTT-4.8.2-1], [MQTT-4.8.2-2] and a shared one names its group.
pub(super) fn check_filter(filter: &str) -> Result<(), Refusal> {
    check_characters(filter)?;
    if topic::is_too_deep(filter) {
        return Err(Refusal::new(ReasonCode::TOPIC_FILTER_INVALID, "the filter has more than 201 levels"));
    }
    topic::check_subscription(filter)
        .map_err(|why| Refusal::new(ReasonCode::MALFORMED_PACKET, format!("filter: {why}")))
}

/// A client identifier that can be read and is still not taken [MQTT-3.1.3-5].
pub(super) fn check_client_id(client_id: &str) -> Result<(), Refusal> {
    if has_odd_characters(client_id) {
        let text = "the client identifier holds control characters";
        return Err(Refusal::new(ReasonCode::CLIENT_IDENTIFIER_NOT_VALID, text));
    }
    Ok(())
}

pub(super) fn check_user_name(name: &str) -> Result<(), Refusal> {
    check_characters(name)
}
