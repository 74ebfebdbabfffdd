//! A client of MQTT 3.1.1 with little between it and its socket, so that what is measured is the
//! broker. It knows the packets that the load needs, and believes what the broker sends.

use anyhow::{Context, bail, ensure};
use bytes::{Buf, BufMut, BytesMut};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

/// How long a broker may take to answer what is asked at the beginning.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// The first bytes of packets, without flags.
const CONNACK: u8 = 0x20;
const PUBLISH: u8 = 0x30;
const PUBACK: u8 = 0x40;
const SUBACK: u8 = 0x90;

/// What a broker sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    Connack,
    Suback,
    Puback { packet_id: u16 },
    Publish { packet_id: Option<u16>, payload: Vec<u8> },
}

/// A connected client.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) reader: Reader,
    pub(super) writer: Writer,
}

#[derive(Debug)]
pub(super) struct Reader {
    socket: OwnedReadHalf,
    buffer: BytesMut,
}

#[derive(Debug)]
pub(super) struct Writer {
    socket: OwnedWriteHalf,
    /// Packets that are not sent yet.
    buffer: BytesMut,
}

impl Peer {
    /// Connects with a clean session, and without a keep alive.
    pub(super) async fn connect(broker: SocketAddr, client_id: &str) -> anyhow::Result<Peer> {
        let connecting = async {
            let stream = TcpStream::connect(broker).await?;
            stream.set_nodelay(true)?;
            let (reader, writer) = stream.into_split();
            let mut peer = Peer {
                reader: Reader { socket: reader, buffer: BytesMut::new() },
                writer: Writer { socket: writer, buffer: BytesMut::new() },
            };
            let mut body = BytesMut::from(&b"\x00\x04MQTT\x04\x02\x00\x00"[..]);
            put_text(client_id, &mut body);
            peer.writer.put(0x10, &body);
            peer.writer.flush().await?;
            ensure!(peer.reader.next().await? == Incoming::Connack, "no CONNACK");
            anyhow::Ok(peer)
        };
        let connected = timeout(ANSWER_LIMIT, connecting).await.context("it takes too long")?;
        connected.with_context(|| format!("the broker at {broker} does not take a client"))
    }

    /// Subscribes to one topic.
    pub(super) async fn subscribe(&mut self, topic: &str, qos: u8) -> anyhow::Result<()> {
        let mut body = BytesMut::from(&b"\x00\x01"[..]);
        put_text(topic, &mut body);
        body.put_u8(qos);
        self.writer.put(0x82, &body);
        self.writer.flush().await?;
        let answer = timeout(ANSWER_LIMIT, self.reader.next()).await.context("no SUBACK")??;
        ensure!(answer == Incoming::Suback, "no SUBACK but {answer:?}");
        Ok(())
    }

    /// Says goodbye.
    pub(super) async fn disconnect(mut self) -> anyhow::Result<()> {
        self.writer.put(0xE0, &[]);
        self.writer.flush().await
    }
}

impl Writer {
    /// Adds a PUBLISH, at QoS 1 if it has a packet identifier.
    pub(super) fn publish(&mut self, topic: &str, packet_id: Option<u16>, payload: &[u8]) {
        let mut body = BytesMut::with_capacity(topic.len() + payload.len() + 4);
        put_text(topic, &mut body);
        if let Some(packet_id) = packet_id {
            body.put_u16(packet_id);
        }
        body.put_slice(payload);
        self.put(PUBLISH | u8::from(packet_id.is_some()) << 1, &body);
    }

    /// Adds a PUBACK.
    pub(super) fn puback(&mut self, packet_id: u16) {
        self.put(PUBACK, &packet_id.to_be_bytes());
    }

    /// Sends what was added.
    pub(super) async fn flush(&mut self) -> anyhow::Result<()> {
        self.socket.write_all_buf(&mut self.buffer).await.context("the broker takes no bytes")
    }

    fn put(&mut self, first_byte: u8, body: &[u8]) {
        self.buffer.put_u8(first_byte);
        let mut length = body.len();
        while length > 0x7F {
            self.buffer.put_u8((length & 0x7F) as u8 | 0x80);
            length >>= 7;
        }
        self.buffer.put_u8(length as u8);
        self.buffer.put_slice(body);
    }
}

impl Reader {
    /// Waits for the next packet.
    pub(super) async fn next(&mut self) -> anyhow::Result<Incoming> {
        loop {
            if let Some(incoming) = self.take()? {
                return Ok(incoming);
            }
            let read = self.socket.read_buf(&mut self.buffer).await.context("the connection broke")?;
            ensure!(read > 0, "the broker closed the connection");
        }
    }

    /// Takes the next packet if it is there already.
    pub(super) fn take(&mut self) -> anyhow::Result<Option<Incoming>> {
        let (mut length, mut body_at) = (0, 1);
        loop {
            let Some(byte) = self.buffer.get(body_at) else { return Ok(None) };
            length |= usize::from(byte & 0x7F) << (7 * (body_at - 1));
            body_at += 1;
            if byte & 0x80 == 0 {
                break;
            }
            ensure!(body_at < 5, "a packet without an end");
        }
        if self.buffer.len() < body_at + length {
            return Ok(None);
        }
        let first_byte = self.buffer[0];
        let mut body = self.buffer.split_to(body_at + length);
        body.advance(body_at);
        read(first_byte, body).map(Some)
    }
}

fn read(first_byte: u8, mut body: BytesMut) -> anyhow::Result<Incoming> {
    let has_bytes = |body: &BytesMut, count| {
        ensure!(body.len() >= count, "a packet of type {first_byte:#x} is too short");
        Ok(())
    };
    has_bytes(&body, 2)?;
    match first_byte & 0xF0 {
        CONNACK => {
            ensure!(body[1] == 0, "the broker refuses with return code {}", body[1]);
            Ok(Incoming::Connack)
        }
        SUBACK => {
            ensure!(body.last().is_some_and(|code| *code < 0x80), "the broker refuses the subscription");
            Ok(Incoming::Suback)
        }
        PUBACK => Ok(Incoming::Puback { packet_id: body.get_u16() }),
        PUBLISH => {
            let topic = usize::from(body.get_u16());
            let is_acknowledged = first_byte & 0x06 != 0;
            has_bytes(&body, topic + if is_acknowledged { 2 } else { 0 })?;
            body.advance(topic);
            let packet_id = is_acknowledged.then(|| body.get_u16());
            Ok(Incoming::Publish { packet_id, payload: body.to_vec() })
        }
        _ => bail!("the broker sent a packet of type {first_byte:#x}"),
    }
}

fn put_text(text: &str, out: &mut BytesMut) {
    // The texts of the load are short.
    out.put_u16(text.len() as u16);
    out.put_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: Option<Incoming>) {
        let found = read(bytes[0], BytesMut::from(&bytes[2..]));
        assert_eq!(found.ok(), expected, "{bytes:02x?}");
    }

    #[test]
    fn packets_of_a_broker_are_understood() {
        check(&[0x20, 2, 0, 0], Some(Incoming::Connack));
        check(&[0x20, 2, 0, 5], None);
        check(&[0x90, 3, 0, 1, 1], Some(Incoming::Suback));
        check(&[0x90, 3, 0, 1, 0x80], None);
        check(&[0x40, 2, 1, 2], Some(Incoming::Puback { packet_id: 258 }));
        let payload = b"x".to_vec();
        check(
            &[0x30, 4, 0, 1, b't', b'x'],
            Some(Incoming::Publish { packet_id: None, payload: payload.clone() }),
        );
        check(&[0x32, 6, 0, 1, b't', 0, 7, b'x'], Some(Incoming::Publish { packet_id: Some(7), payload }));
        check(&[0x32, 4, 0, 1, b't', 0], None);
        check(&[0xD0, 0], None);
    }
}
