//! One connection of an MQTT client, over the simulated network.

use crate::node::{MQTT_PORT, name_of};
use gable_rules::NodeId;
use gable_tests::mqtt::Packet;
use gable_tests::mqtt::packet::{self, Hello};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};
use turmoil::net::TcpStream;

/// After so much silence a client asks for a sign of life,
const PING_AFTER: Duration = Duration::from_millis(600);
/// and after so much it takes the connection for dead.
const SILENCE_MAX: Duration = Duration::from_millis(1500);

/// A connection that a node has let in.
pub(crate) struct Link {
    stream: TcpStream,
    level: u8,
    input: Vec<u8>,
    heard: Instant,
    has_pinged: bool,
}

impl Link {
    /// Connects to a node; returns the connection and whether the session was there.
    pub(crate) async fn open(node: NodeId, hello: &Hello, patience: Duration) -> Option<(Link, bool)> {
        let opening = async {
            let stream = TcpStream::connect((name_of(node), MQTT_PORT)).await.ok()?;
            let (level, heard) = (hello.level, Instant::now());
            let mut link = Link { stream, level, input: Vec::new(), heard, has_pinged: false };
            link.send(&packet::connect(hello)).await;
            match link.next().await? {
                Packet::Connack { session_present, reason: 0 } => Some((link, session_present)),
                _ => None,
            }
        };
        timeout(patience, opening).await.ok()?
    }

    /// Sends bytes. Whether they arrive, the answer tells.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// Returns the next packet; none if the connection has ended. What was read stays if this is
    /// dropped.
    pub(crate) async fn next(&mut self) -> Option<Packet> {
        loop {
            let taken = packet::take(&mut self.input, self.level);
            if let Some(packet) = taken.expect("a node sends what is MQTT") {
                return Some(packet);
            }
            if !matches!(self.stream.read_buf(&mut self.input).await, Ok(1..)) {
                return None;
            }
            (self.heard, self.has_pinged) = (Instant::now(), false);
        }
    }

    /// When to look after the connection if nothing comes.
    pub(crate) fn next_look(&self) -> Instant {
        self.heard + if self.has_pinged { SILENCE_MAX } else { PING_AFTER }
    }

    /// Looks after a silent connection; returns whether it counts as dead.
    pub(crate) async fn look(&mut self) -> bool {
        if !self.has_pinged && self.heard.elapsed() >= PING_AFTER {
            self.has_pinged = true;
            self.send(&packet::PINGREQ).await;
        }
        self.heard.elapsed() >= SILENCE_MAX
    }
}
