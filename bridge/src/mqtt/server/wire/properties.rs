//! Properties (section 2.2.2): which there are, where they may stand and what they may hold.

use super::reader::{Reader, malformed, protocol_error};
use super::{ReasonCode, Refusal, names};

/// How many user properties a packet may bring. Each is at least five bytes on the wire and some
/// hundred in memory, so without this a packet could take twenty times its size.
const USER_PROPERTIES_MAX: usize = 1_024;

/// Where properties of clients stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Connect = 1,
    Will = 2,
    Publish = 4,
    /// PUBACK, PUBREC, PUBREL and PUBCOMP.
    Ack = 8,
    Subscribe = 16,
    Unsubscribe = 32,
    Disconnect = 64,
    Auth = 128,
}

/// What a property holds, and from which value on.
#[derive(Clone, Copy, Debug)]
enum Holds {
    /// A byte that is 0 or 1.
    Flag,
    TwoBytes(u16),
    FourBytes(u32),
    VariableByteInteger(u32),
    Text,
    Topic,
    Binary,
    Pair,
}

/// What there is to know of a property.
struct Property {
    id: u32,
    name: &'static str,
    holds: Holds,
    /// The places where a client may send it.
    places: u8,
}

pub(super) const PAYLOAD_FORMAT_INDICATOR: u32 = 0x01;
pub(super) const MESSAGE_EXPIRY_INTERVAL: u32 = 0x02;
pub(super) const CONTENT_TYPE: u32 = 0x03;
pub(super) const RESPONSE_TOPIC: u32 = 0x08;
pub(super) const CORRELATION_DATA: u32 = 0x09;
pub(super) const SUBSCRIPTION_IDENTIFIER: u32 = 0x0B;
pub(super) const SESSION_EXPIRY_INTERVAL: u32 = 0x11;
pub(super) const ASSIGNED_CLIENT_IDENTIFIER: u32 = 0x12;
pub(super) const SERVER_KEEP_ALIVE: u32 = 0x13;
pub(super) const AUTHENTICATION_METHOD: u32 = 0x15;
pub(super) const AUTHENTICATION_DATA: u32 = 0x16;
pub(super) const REQUEST_PROBLEM_INFORMATION: u32 = 0x17;
pub(super) const WILL_DELAY_INTERVAL: u32 = 0x18;
pub(super) const REQUEST_RESPONSE_INFORMATION: u32 = 0x19;
pub(super) const RESPONSE_INFORMATION: u32 = 0x1A;
pub(super) const SERVER_REFERENCE: u32 = 0x1C;
pub(super) const REASON_STRING: u32 = 0x1F;
pub(super) const RECEIVE_MAXIMUM: u32 = 0x21;
pub(super) const TOPIC_ALIAS_MAXIMUM: u32 = 0x22;
pub(super) const TOPIC_ALIAS: u32 = 0x23;
pub(super) const MAXIMUM_QOS: u32 = 0x24;
pub(super) const RETAIN_AVAILABLE: u32 = 0x25;
pub(super) const USER_PROPERTY: u32 = 0x26;
pub(super) const MAXIMUM_PACKET_SIZE: u32 = 0x27;
pub(super) const WILDCARD_SUBSCRIPTION_AVAILABLE: u32 = 0x28;
pub(super) const SUBSCRIPTION_IDENTIFIERS_AVAILABLE: u32 = 0x29;
pub(super) const SHARED_SUBSCRIPTION_AVAILABLE: u32 = 0x2A;

const MESSAGE: u8 = Place::Publish as u8 | Place::Will as u8;
const CONNECT: u8 = Place::Connect as u8;
const AUTH: u8 = Place::Connect as u8 | Place::Auth as u8;
const SERVER: u8 = 0;

/// Table 2-4 of the specification.
#[rustfmt::skip]
const PROPERTIES: &[Property] = &[
    row(PAYLOAD_FORMAT_INDICATOR, "payload format indicator", Holds::Flag, MESSAGE),
    row(MESSAGE_EXPIRY_INTERVAL, "message expiry interval", Holds::FourBytes(0), MESSAGE),
    row(CONTENT_TYPE, "content type", Holds::Text, MESSAGE),
    row(RESPONSE_TOPIC, "response topic", Holds::Topic, MESSAGE),
    row(CORRELATION_DATA, "correlation data", Holds::Binary, MESSAGE),
    // [MQTT-3.3.4-6] In a PUBLISH only a server sends it.
    row(SUBSCRIPTION_IDENTIFIER, "subscription identifier", Holds::VariableByteInteger(1), Place::Subscribe as u8),
    row(SESSION_EXPIRY_INTERVAL, "session expiry interval", Holds::FourBytes(0), CONNECT | Place::Disconnect as u8),
    row(ASSIGNED_CLIENT_IDENTIFIER, "assigned client identifier", Holds::Text, SERVER),
    row(SERVER_KEEP_ALIVE, "server keep alive", Holds::TwoBytes(0), SERVER),
    row(AUTHENTICATION_METHOD, "authentication method", Holds::Text, AUTH),
    row(AUTHENTICATION_DATA, "authentication data", Holds::Binary, AUTH),
    row(REQUEST_PROBLEM_INFORMATION, "request problem information", Holds::Flag, CONNECT),
    row(WILL_DELAY_INTERVAL, "will delay interval", Holds::FourBytes(0), Place::Will as u8),
    row(REQUEST_RESPONSE_INFORMATION, "request response information", Holds::Flag, CONNECT),
    row(RESPONSE_INFORMATION, "response information", Holds::Text, SERVER),
    row(SERVER_REFERENCE, "server reference", Holds::Text, Place::Disconnect as u8),
    row(REASON_STRING, "reason string", Holds::Text, Place::Ack as u8 | Place::Disconnect as u8 | Place::Auth as u8),
    row(RECEIVE_MAXIMUM, "receive maximum", Holds::TwoBytes(1), CONNECT),
    row(TOPIC_ALIAS_MAXIMUM, "topic alias maximum", Holds::TwoBytes(0), CONNECT),
    // [MQTT-3.3.2-8] It is not 0.
    row(TOPIC_ALIAS, "topic alias", Holds::TwoBytes(1), Place::Publish as u8),
    row(MAXIMUM_QOS, "maximum QoS", Holds::Flag, SERVER),
    row(RETAIN_AVAILABLE, "retain available", Holds::Flag, SERVER),
    row(USER_PROPERTY, "user property", Holds::Pair, u8::MAX),
    row(MAXIMUM_PACKET_SIZE, "maximum packet size", Holds::FourBytes(1), CONNECT),
    row(WILDCARD_SUBSCRIPTION_AVAILABLE, "wildcard subscription available", Holds::Flag, SERVER),
    row(SUBSCRIPTION_IDENTIFIERS_AVAILABLE, "subscription identifiers available", Holds::Flag, SERVER),
    row(SHARED_SUBSCRIPTION_AVAILABLE, "shared subscription available", Holds::Flag, SERVER),
];

const fn row(id: u32, name: &'static str, holds: Holds, places: u8) -> Property {
    Property { id, name, holds, places }
}

/// What a packet's properties say beyond what the codec tells of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Properties {
    /// One bit for each identifier that was given.
    given: u64,
    pub(super) payload_format_indicator: Option<bool>,
    /// Where in the packet a message expiry interval of 0 stands.
    pub(super) zero_expiry_at: Option<usize>,
}

impl Properties {
    pub(super) fn has(&self, id: u32) -> bool {
        self.given & (1 << id) != 0
    }
}

/// Reads the properties that come next and checks each of them.
pub(super) fn scan(packet: &mut Reader<'_>, place: Place) -> Result<Properties, Refusal> {
    let mut reader = packet.properties()?;
    let mut found = Properties::default();
    let mut user_properties = 0;
    while !reader.is_at_end() {
        let id = reader.variable_byte_integer()?;
        let property = PROPERTIES.iter().find(|property| property.id == id);
        let property = property.ok_or_else(|| malformed("there is no such property"))?;
        let value_at = reader.at();
        let value = property.holds.read(&mut reader)?;
        if property.places & place as u8 == 0 {
            return Err(Refusal::new(misplaced(place), format!("{} may not stand here", property.name)));
        }
        if id == USER_PROPERTY {
            user_properties += 1;
        } else if found.has(id) {
            return Err(Refusal::new(
                ReasonCode::PROTOCOL_ERROR,
                format!("{} is given twice", property.name),
            ));
        }
        if user_properties > USER_PROPERTIES_MAX {
            let text = format!("more than {USER_PROPERTIES_MAX} user properties");
            return Err(Refusal::new(ReasonCode::QUOTA_EXCEEDED, text));
        }
        let value = value.ok_or_else(|| {
            Refusal::new(ReasonCode::PROTOCOL_ERROR, format!("{} holds what it may not", property.name))
        })?;
        found.given |= 1 << id;
        match (id, value) {
            (PAYLOAD_FORMAT_INDICATOR, value) => found.payload_format_indicator = Some(value == 1),
            (MESSAGE_EXPIRY_INTERVAL, 0) => found.zero_expiry_at = Some(value_at),
            _ => {}
        }
    }
    Ok(found)
}

/// Section 2.2.2.2 calls a packet with a property of another one malformed; by section 4.13.1 it is a
/// protocol error as well, "data that is not allowed by the protocol". Clients know the latter from
/// the brokers that they meet, except for subscriptions.
fn misplaced(place: Place) -> ReasonCode {
    match place {
        Place::Subscribe | Place::Unsubscribe => ReasonCode::MALFORMED_PACKET,
        Place::Connect | Place::Will | Place::Publish | Place::Ack | Place::Disconnect | Place::Auth => {
            ReasonCode::PROTOCOL_ERROR
        }
    }
}

impl Holds {
    /// Reads a value; nothing if it is out of range. What is no number counts as 0.
    fn read(self, reader: &mut Reader<'_>) -> Result<Option<u32>, Refusal> {
        let value = match self {
            Holds::Flag => Some(reader.byte()?.into()).filter(|value| *value <= 1),
            Holds::TwoBytes(min) => Some(reader.two_bytes()?).filter(|value| *value >= min).map(u32::from),
            Holds::FourBytes(min) => Some(reader.four_bytes()?).filter(|value| *value >= min),
            Holds::VariableByteInteger(min) => {
                Some(reader.variable_byte_integer()?).filter(|value| *value >= min)
            }
            Holds::Text => reader.text().map(|_| Some(0))?,
            // [MQTT-3.3.2-13], [MQTT-3.3.2-14] It is a topic, without wildcards.
            Holds::Topic => names::check_topic(reader.text()?).is_ok().then_some(0),
            Holds::Binary => reader.binary().map(|_| Some(0))?,
            Holds::Pair => {
                reader.text()?;
                reader.text()?;
                Some(0)
            }
        };
        Ok(value)
    }
}

/// For the checks that need a property beside another.
pub(super) fn check_authentication(properties: &Properties) -> Result<(), Refusal> {
    if properties.has(AUTHENTICATION_DATA) && !properties.has(AUTHENTICATION_METHOD) {
        return Err(protocol_error("authentication data without a method"));
    }
    Ok(())
}
