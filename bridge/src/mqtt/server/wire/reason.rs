//! Reason codes (section 2.4) and refusals: why a packet is not taken.

use std::borrow::Cow;
use std::fmt;

/// What an answer says, by the names of MQTT 5. Some codes have several names: which one is meant
/// follows from the packet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReasonCode(u8);

/// Declares the codes with their names for people.
macro_rules! reason_codes {
    ($($name:ident = $code:literal $text:literal,)*) => {
        impl ReasonCode {
            $(#[doc = concat!($text, ".")] pub const $name: ReasonCode = ReasonCode($code);)*
        }

        /// Where codes share a value, the first name is told.
        const NAMES: &[(u8, &str)] = &[$(($code, $text)),*];
    };
}

reason_codes! {
    SUCCESS = 0x00 "success",
    NORMAL_DISCONNECTION = 0x00 "normal disconnection",
    GRANTED_QOS_0 = 0x00 "granted QoS 0",
    GRANTED_QOS_1 = 0x01 "granted QoS 1",
    GRANTED_QOS_2 = 0x02 "granted QoS 2",
    DISCONNECT_WITH_WILL_MESSAGE = 0x04 "disconnect with will message",
    NO_MATCHING_SUBSCRIBERS = 0x10 "no matching subscribers",
    NO_SUBSCRIPTION_EXISTED = 0x11 "no subscription existed",
    CONTINUE_AUTHENTICATION = 0x18 "continue authentication",
    RE_AUTHENTICATE = 0x19 "re-authenticate",
    UNSPECIFIED_ERROR = 0x80 "unspecified error",
    MALFORMED_PACKET = 0x81 "malformed packet",
    PROTOCOL_ERROR = 0x82 "protocol error",
    IMPLEMENTATION_SPECIFIC_ERROR = 0x83 "implementation specific error",
    UNSUPPORTED_PROTOCOL_VERSION = 0x84 "unsupported protocol version",
    CLIENT_IDENTIFIER_NOT_VALID = 0x85 "client identifier not valid",
    BAD_USER_NAME_OR_PASSWORD = 0x86 "bad user name or password",
    NOT_AUTHORIZED = 0x87 "not authorized",
    SERVER_UNAVAILABLE = 0x88 "server unavailable",
    SERVER_BUSY = 0x89 "server busy",
    BANNED = 0x8A "banned",
    SERVER_SHUTTING_DOWN = 0x8B "server shutting down",
    BAD_AUTHENTICATION_METHOD = 0x8C "bad authentication method",
    KEEP_ALIVE_TIMEOUT = 0x8D "keep alive timeout",
    SESSION_TAKEN_OVER = 0x8E "session taken over",
    TOPIC_FILTER_INVALID = 0x8F "topic filter invalid",
    TOPIC_NAME_INVALID = 0x90 "topic name invalid",
    PACKET_IDENTIFIER_IN_USE = 0x91 "packet identifier in use",
    PACKET_IDENTIFIER_NOT_FOUND = 0x92 "packet identifier not found",
    RECEIVE_MAXIMUM_EXCEEDED = 0x93 "receive maximum exceeded",
    TOPIC_ALIAS_INVALID = 0x94 "topic alias invalid",
    PACKET_TOO_LARGE = 0x95 "packet too large",
    MESSAGE_RATE_TOO_HIGH = 0x96 "message rate too high",
    QUOTA_EXCEEDED = 0x97 "quota exceeded",
    ADMINISTRATIVE_ACTION = 0x98 "administrative action",
    PAYLOAD_FORMAT_INVALID = 0x99 "payload format invalid",
    RETAIN_NOT_SUPPORTED = 0x9A "retain not supported",
    QOS_NOT_SUPPORTED = 0x9B "QoS not supported",
    USE_ANOTHER_SERVER = 0x9C "use another server",
    SERVER_MOVED = 0x9D "server moved",
    SHARED_SUBSCRIPTIONS_NOT_SUPPORTED = 0x9E "shared subscriptions not supported",
    CONNECTION_RATE_EXCEEDED = 0x9F "connection rate exceeded",
    MAXIMUM_CONNECT_TIME = 0xA0 "maximum connect time",
    SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED = 0xA1 "subscription identifiers not supported",
    WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED = 0xA2 "wildcard subscriptions not supported",
}

impl ReasonCode {
    /// The code on the wire.
    pub fn value(self) -> u8 {
        self.0
    }

    /// Returns the code of this value, if the specification has one.
    pub fn from_value(value: u8) -> Option<ReasonCode> {
        NAMES.iter().any(|(code, _)| *code == value).then_some(ReasonCode(value))
    }

    /// Whether something was refused (section 2.4).
    pub fn is_failure(self) -> bool {
        self.0 >= 0x80
    }

    /// The name in the specification, in lower case.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(code, _)| *code == self.0).map_or("unknown", |(_, name)| name)
    }

    /// The CONNACK return code that says the same to a client of level 3.1 or 3.1.1 (3.1.1, section
    /// 3.2.2.3). Without one, its connection is closed without an answer.
    pub fn connack_return_code(self) -> Option<u8> {
        match self {
            ReasonCode::SUCCESS => Some(0),
            ReasonCode::UNSUPPORTED_PROTOCOL_VERSION => Some(1),
            ReasonCode::CLIENT_IDENTIFIER_NOT_VALID => Some(2),
            ReasonCode::SERVER_UNAVAILABLE
            | ReasonCode::SERVER_BUSY
            | ReasonCode::SERVER_SHUTTING_DOWN
            | ReasonCode::QUOTA_EXCEEDED
            | ReasonCode::USE_ANOTHER_SERVER
            | ReasonCode::SERVER_MOVED
            | ReasonCode::CONNECTION_RATE_EXCEEDED => Some(3),
            ReasonCode::BAD_USER_NAME_OR_PASSWORD => Some(4),
            ReasonCode::NOT_AUTHORIZED | ReasonCode::BANNED | ReasonCode::BAD_AUTHENTICATION_METHOD => {
                Some(5)
            }
            _ => None,
        }
    }

    /// The SUBACK return code that says the same to a client of level 3.1.1 (section 3.9.3). Level 3.1
    /// knows no failure; the same bit tells its clients at least that something is odd.
    pub fn suback_return_code(self) -> u8 {
        if self.is_failure() { 0x80 } else { self.0 }
    }
}

impl fmt::Debug for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:02x} {}", self.0, self.name())
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a packet is not taken. The connection it came on ends with this reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {text}")]
pub struct Refusal {
    pub reason: ReasonCode,
    pub text: Cow<'static, str>,
}

impl Refusal {
    /// Refuses with a text for the log, and for the reason string at level 5.
    pub fn new(reason: ReasonCode, text: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal { reason, text: text.into() }
    }
}
