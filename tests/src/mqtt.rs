//! A small MQTT client that hides nothing: packet identifiers, flags, reason codes, silence.
//!
//! It is written from the specification and shares no code with what it tests. It sends what it is
//! told to, also what a client must not send, and does nothing by itself.

mod bytes;
pub mod packet;

pub use packet::{Ack, Hello, LastWill, Message, Packet, Publish};

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How long an answer may take that has to come.
pub const ANSWER_MAX: Duration = Duration::from_secs(20);

/// Why there is no packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Nothing came in the time that was given.
    Silence,
    /// The connection is gone.
    Closed(String),
    /// What came is no packet of the protocol.
    Garbage(String),
}

/// One connection of a client.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    level: u8,
    input: Vec<u8>,
    /// Packets that came while another one was waited for.
    aside: VecDeque<Packet>,
    next_packet_id: u16,
    /// What the CONNACK said.
    pub session_present: bool,
}

impl Client {
    /// Connects; an error names the reason code or what went wrong.
    pub fn try_connect(address: SocketAddr, hello: &Hello) -> Result<Client, String> {
        let mut client = Client::open(address, hello.level)?;
        client.send_bytes(&packet::connect(hello)).map_err(|error| error.to_string())?;
        match client.next(ANSWER_MAX) {
            Ok(Packet::Connack { session_present, reason: 0 }) => {
                client.session_present = session_present;
                Ok(client)
            }
            Ok(Packet::Connack { reason, .. }) => Err(format!("CONNACK {reason:#04x}")),
            other => Err(format!("no CONNACK but {other:?}")),
        }
    }

    /// Connects, and fails the test if that fails.
    #[track_caller]
    pub fn connect(address: SocketAddr, hello: &Hello) -> Client {
        Client::try_connect(address, hello)
            .unwrap_or_else(|why| panic!("{} can not connect to {address}: {why}", hello.client_id))
    }

    /// Opens a connection and says nothing.
    pub fn open(address: SocketAddr, level: u8) -> Result<Client, String> {
        let connecting = TcpStream::connect_timeout(&address, Duration::from_secs(2));
        let stream = connecting.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        Ok(Client {
            stream,
            level,
            input: Vec::new(),
            aside: VecDeque::new(),
            next_packet_id: 1,
            session_present: false,
        })
    }

    /// Sends bytes as they are.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends a PUBLISH.
    pub fn send(&mut self, publish: &Publish) -> std::io::Result<()> {
        self.stream.write_all(&packet::publish(publish, self.level))
    }

    /// Sends PUBACK, PUBREC, PUBREL or PUBCOMP.
    pub fn send_ack(&mut self, ack: Ack, packet_id: u16) -> std::io::Result<()> {
        self.stream.write_all(&packet::ack(ack, packet_id))
    }

    /// The next packet, if one comes in time. What was put aside is not among it.
    pub fn next(&mut self, within: Duration) -> Result<Packet, Missing> {
        let deadline = Instant::now() + within;
        loop {
            match packet::take(&mut self.input, self.level) {
                Ok(Some(packet)) => return Ok(packet),
                Ok(None) => {}
                Err(why) => return Err(Missing::Garbage(why)),
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Missing::Silence);
            }
            let mut chunk = [0; 16 << 10];
            // No time at all would stand for ever.
            let waited = self.stream.set_read_timeout(Some(left.max(Duration::from_millis(1))));
            match waited.and_then(|()| self.stream.read(&mut chunk)) {
                Ok(0) => return Err(Missing::Closed("end of file".to_owned())),
                Ok(read) => self.input.extend_from_slice(&chunk[..read]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Missing::Closed(error.to_string())),
            }
        }
    }

    /// The next packet, first among those that were put aside.
    pub fn next_of_all(&mut self, within: Duration) -> Result<Packet, Missing> {
        match self.aside.pop_front() {
            Some(packet) => Ok(packet),
            None => self.next(within),
        }
    }

    /// The next message, first among those that were put aside.
    pub fn message(&mut self, within: Duration) -> Result<Message, Missing> {
        let is_message = |packet: &Packet| matches!(packet, Packet::Publish(_));
        if let Some(place) = self.aside.iter().position(is_message)
            && let Some(Packet::Publish(message)) = self.aside.remove(place)
        {
            return Ok(message);
        }
        let deadline = Instant::now() + within;
        loop {
            match self.next(deadline.saturating_duration_since(Instant::now()))? {
                Packet::Publish(message) => return Ok(message),
                Packet::Disconnect { reason } => {
                    return Err(Missing::Closed(format!("DISCONNECT {reason:#04x}")));
                }
                _ => {}
            }
        }
    }

    /// The next message that satisfies `wanted`, acknowledged at QoS 1; others are dropped.
    #[track_caller]
    pub fn wait_for(&mut self, within: Duration, wanted: impl Fn(&Message) -> bool) -> Message {
        let deadline = Instant::now() + within;
        let mut heard = Vec::new();
        loop {
            match self.message(deadline.saturating_duration_since(Instant::now())) {
                Ok(message) => {
                    if let (1, Some(packet_id)) = (message.qos, message.packet_id) {
                        self.send_ack(Ack::Puback, packet_id).expect("the connection stands");
                    }
                    if wanted(&message) {
                        return message;
                    }
                    heard.push(format!("{} {}", message.topic, message.text()));
                }
                Err(why) => panic!("no such message within {within:?} ({why:?}); heard {heard:#?}"),
            }
        }
    }

    /// Subscribes and waits for the answer; messages that come before it are put aside.
    #[track_caller]
    pub fn subscribe(&mut self, filter: &str, qos: u8) {
        let granted = self.try_subscribe(filter, qos);
        assert_eq!(granted, Ok(vec![qos]), "the subscription to {filter} was not granted as asked");
    }

    /// Subscribes; returns the reason codes.
    pub fn try_subscribe(&mut self, filter: &str, qos: u8) -> Result<Vec<u8>, Missing> {
        let packet_id = self.packet_id();
        let bytes = packet::subscribe(packet_id, filter, qos, self.level);
        self.send_bytes(&bytes).map_err(|error| Missing::Closed(error.to_string()))?;
        self.answer(|packet| match packet {
            Packet::Suback { packet_id: found, reasons } if *found == packet_id => Some(reasons.clone()),
            _ => None,
        })
    }

    /// Publishes and waits until the last acknowledgement is there.
    #[track_caller]
    pub fn publish(&mut self, topic: &str, payload: impl AsRef<[u8]>, qos: u8, retain: bool) {
        let packet_id = (qos > 0).then(|| self.packet_id());
        let publish = Publish { topic, payload: payload.as_ref(), qos, retain, dup: false, packet_id };
        self.send(&publish).expect("the connection stands");
        let Some(packet_id) = packet_id else { return };
        let steps: &[Ack] = if qos == 1 { &[Ack::Puback] } else { &[Ack::Pubrec, Ack::Pubcomp] };
        for step in steps {
            let reason = self.answer(|packet| match packet {
                Packet::Ack { ack, packet_id: found, reason } if (ack, *found) == (step, packet_id) => {
                    Some(*reason)
                }
                _ => None,
            });
            assert!(reason.clone().is_ok_and(|reason| reason < 0x80), "{step:?} for {topic}: {reason:?}");
            if *step == Ack::Pubrec {
                self.send_ack(Ack::Pubrel, packet_id).expect("the connection stands");
            }
        }
    }

    /// Asks for a sign of life and waits for it.
    #[track_caller]
    pub fn ping(&mut self) {
        self.send_bytes(&packet::PINGREQ).expect("the connection stands");
        let answer = self.answer(|packet| matches!(packet, Packet::Pingresp).then_some(()));
        assert_eq!(answer, Ok(()), "no answer to a ping");
    }

    /// A packet identifier that this connection has not used lately.
    pub fn packet_id(&mut self) -> u16 {
        let packet_id = self.next_packet_id;
        self.next_packet_id = self.next_packet_id.checked_add(1).unwrap_or(1);
        packet_id
    }

    /// Leaves with a DISCONNECT, so that no will is sent.
    pub fn leave(mut self) {
        let _ = self.send_bytes(&packet::DISCONNECT);
        let _ = self.stream.shutdown(Shutdown::Write);
        while self.next(Duration::from_secs(2)).is_ok() {}
    }

    fn answer<T>(&mut self, wanted: impl Fn(&Packet) -> Option<T>) -> Result<T, Missing> {
        let deadline = Instant::now() + ANSWER_MAX;
        loop {
            let packet = self.next(deadline.saturating_duration_since(Instant::now()))?;
            match (wanted(&packet), packet) {
                (Some(found), _) => return Ok(found),
                (None, Packet::Disconnect { reason }) => {
                    return Err(Missing::Closed(format!("DISCONNECT {reason:#04x}")));
                }
                (None, packet) => self.aside.push_back(packet),
            }
        }
    }
}
