//! SUBSCRIBE (section 3.8) and UNSUBSCRIBE (section 3.10).

use super::super::properties::{self, Place};
use super::super::reader::{Reader, malformed, protocol_error};
use super::super::{Level, ReasonCode, Refusal, names};
use gable_devices::topic;

/// How many filters a packet may bring. Home Assistant sends 500; each takes some hundred bytes in
/// memory however short it is.
const FILTERS_MAX: usize = 4_096;

pub(super) fn check_subscribe(level: Level, reader: &mut Reader<'_>) -> Result<(), Refusal> {
    check_head(level, reader, Place::Subscribe)?;
    check_filters(reader, |filter, reader| check_options(level, filter, reader.byte()?))
}

pub(super) fn check_unsubscribe(level: Level, reader: &mut Reader<'_>) -> Result<(), Refusal> {
    check_head(level, reader, Place::Unsubscribe)?;
    check_filters(reader, |_, _| Ok(()))
}

fn check_head(level: Level, reader: &mut Reader<'_>, place: Place) -> Result<(), Refusal> {
    reader.packet_id()?;
    if level == Level::V5 {
        properties::scan(reader, place)?;
    }
    Ok(())
}

/// [MQTT-3.8.3-1], [MQTT-3.10.3-1] Filters are UTF-8, [MQTT-3.8.3-2], [MQTT-3.10.3-2] and at least one.
fn check_filters(
    reader: &mut Reader<'_>,
    mut rest: impl FnMut(&str, &mut Reader<'_>) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    if reader.is_at_end() {
        return Err(protocol_error("there is no topic filter"));
    }
    let mut count = 0;
    while !reader.is_at_end() {
        let filter = reader.text()?;
        names::check_filter(filter)?;
        rest(filter, reader)?;
        count += 1;
        if count > FILTERS_MAX {
            let text = format!("more than {FILTERS_MAX} topic filters");
            return Err(Refusal::new(ReasonCode::QUOTA_EXCEEDED, text));
        }
    }
    Ok(())
}

fn check_options(level: Level, filter: &str, options: u8) -> Result<(), Refusal> {
    let (qos, no_local, retain_handling) = (options & 0b11, options & 0b100 != 0, options >> 4 & 0b11);
    match level {
        // Level 3.1 leaves the other bits open.
        Level::V31 if qos == 3 => Err(malformed("QoS 3")),
        Level::V31 => Ok(()),
        // [MQTT-3-8.3-4] of 3.1.1: the packet is malformed, whichever bit it is.
        Level::V311 if options > 2 => Err(malformed("a QoS above 2 or a reserved bit")),
        Level::V311 => Ok(()),
        // [MQTT-3.8.3-5]
        Level::V5 if options & 0b1100_0000 != 0 => {
            Err(malformed("a reserved bit of the subscription options"))
        }
        // Section 3.8.3.1: protocol errors.
        Level::V5 if qos == 3 => Err(protocol_error("QoS 3")),
        Level::V5 if retain_handling == 3 => Err(protocol_error("retain handling 3")),
        // [MQTT-3.8.3-4]
        Level::V5 if no_local && topic::split_share(filter).is_some() => {
            Err(protocol_error("no local on a shared subscription"))
        }
        Level::V5 => Ok(()),
    }
}
