//! MQTT as bytes, at the levels 3.1, 3.1.1 and 5.
//!
//! [`frame`] cuts a stream into packets, `check` holds each against the specification and names what
//! is wrong with it, `decode` makes a [`Packet`] of it, and [`Encoder`] writes what the server sends.
//! Nothing here knows a session: what depends on earlier packets (quotas, known aliases, packet
//! identifiers in use) is for others to decide.

mod packet;
mod reason;

pub use packet::{
    Ack, Auth, Authentication, Connack, Connect, Delivery, Detail, Disconnect, Level, Outgoing, Packet,
    Publish, RetainHandling, Secret, Suback, Subscribe, SubscribeOptions, Unsubscribe, Will,
};
pub use reason::{ReasonCode, Refusal};
