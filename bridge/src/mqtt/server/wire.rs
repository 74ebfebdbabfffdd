//! MQTT as bytes, at the levels 3.1, 3.1.1 and 5.
//!
//! [`Framer`] cuts a stream into packets, `check` holds each against the specification and names what
//! is wrong with it, [`decode_connect`] and [`decode`] make a [`Packet`] of it, and [`Encoder`] writes
//! what the server sends. Nothing here knows a session: what depends on earlier packets (quotas, known
//! aliases, packet identifiers in use) is for others to decide.
//!
//! Statements are named as in the specification of MQTT 5, unless 3.1.1 is named.

mod check;
mod codec;
mod decode;
mod encode;
mod frame;
mod names;
mod packet;
mod properties;
mod reader;
mod reason;
#[cfg(test)]
mod tests;

pub use decode::{ConnectRefusal, decode, decode_connect};
pub use encode::{EncodeError, Encoder};
pub use frame::{CONNECT_SIZE_MAX, Frame, Framer};
pub use packet::{
    Ack, Auth, Authentication, Connack, Connect, Delivery, Detail, Disconnect, Level, Outgoing, Packet,
    Publish, RetainHandling, Secret, Suback, Subscribe, SubscribeOptions, Unsubscribe, Will,
};
pub use reason::{ReasonCode, Refusal};

impl ConnectRefusal {
    /// What to send before the connection is closed, if anything: at level 5 a CONNACK with the reason,
    /// at older ones if there is a return code for it [MQTT-3.1.4-1], [MQTT-3.1.4-2]. The text is for
    /// the log: who made the packet wrong does not read it either.
    pub fn answer(&self) -> Option<(Encoder, Outgoing<'static>)> {
        let level = self.level?;
        let reason = self.refusal.reason;
        if level != Level::V5 {
            reason.connack_return_code()?;
        }
        Some((Encoder::new(level), Outgoing::Connack(Box::new(Connack::new(reason)))))
    }
}

impl Refusal {
    /// What to send before the connection is closed, if anything: older levels have no DISCONNECT from
    /// a server.
    pub fn answer(&self, level: Level) -> Option<Outgoing<'static>> {
        let answer = || Outgoing::Disconnect(Disconnect::new(self.reason, Detail::default()));
        (level == Level::V5).then(answer)
    }
}
