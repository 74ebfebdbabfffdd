//! The packets of MQTT 3.1.1 and 5 that a client sends and gets.

use super::bytes::{Rest, packet, push_length, push_text};

/// What a CONNECT says.
#[derive(Clone, Debug)]
pub struct Hello {
    pub client_id: String,
    /// 4 is MQTT 3.1.1.
    pub level: u8,
    pub clean_start: bool,
    /// In seconds; MQTT 5 only.
    pub session_expiry: u32,
    /// In seconds; 0 stands for ever.
    pub keep_alive: u16,
    pub will: Option<LastWill>,
    /// User name and password.
    pub login: Option<(String, String)>,
}

/// What is published when the client is lost.
#[derive(Clone, Debug)]
pub struct LastWill {
    pub topic: String,
    pub payload: String,
    pub qos: u8,
    pub retain: bool,
    /// In seconds; MQTT 5 only.
    pub delay: u32,
}

impl Hello {
    /// A client of MQTT 5 whose session ends with its connection.
    pub fn new(client_id: &str) -> Hello {
        Hello {
            client_id: client_id.to_owned(),
            level: 5,
            clean_start: true,
            session_expiry: 0,
            keep_alive: 60,
            will: None,
            login: None,
        }
    }

    /// A client of MQTT 5 that goes on where it was, for five minutes.
    pub fn lasting(client_id: &str) -> Hello {
        Hello { clean_start: false, session_expiry: 300, ..Hello::new(client_id) }
    }

    /// With a retained will at QoS 1.
    pub fn with_will(self, topic: &str, payload: &str) -> Hello {
        let (topic, payload) = (topic.to_owned(), payload.to_owned());
        Hello { will: Some(LastWill { topic, payload, qos: 1, retain: true, delay: 0 }), ..self }
    }

    /// With a user name and a password.
    pub fn of_user(self, name: &str, password: &str) -> Hello {
        Hello { login: Some((name.to_owned(), password.to_owned())), ..self }
    }
}

/// A PUBLISH to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Publish<'a> {
    pub topic: &'a str,
    pub payload: &'a [u8],
    pub qos: u8,
    pub retain: bool,
    pub dup: bool,
    pub packet_id: Option<u16>,
}

/// A PUBLISH that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub topic: String,
    pub payload: Vec<u8>,
    pub qos: u8,
    pub retain: bool,
    pub dup: bool,
    pub packet_id: Option<u16>,
}

impl Message {
    /// The payload as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }
}

/// The acknowledgements; the numbers are their packet types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    Puback = 4,
    Pubrec = 5,
    Pubrel = 6,
    Pubcomp = 7,
}

/// A packet from the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    Connack { session_present: bool, reason: u8 },
    Publish(Message),
    Ack { ack: Ack, packet_id: u16, reason: u8 },
    Suback { packet_id: u16, reasons: Vec<u8> },
    Pingresp,
    Disconnect { reason: u8 },
}

/// A PINGREQ.
pub const PINGREQ: [u8; 2] = [0xc0, 0];

/// A DISCONNECT that discards the will.
pub const DISCONNECT: [u8; 2] = [0xe0, 0];

/// A CONNECT.
pub fn connect(hello: &Hello) -> Vec<u8> {
    let mut body = Vec::new();
    push_text(&mut body, b"MQTT");
    body.push(hello.level);
    let will = hello.will.as_ref();
    let will_flags = will.map_or(0, |will| 0x04 | will.qos << 3 | u8::from(will.retain) << 5);
    let login_flags = if hello.login.is_some() { 0xc0 } else { 0 };
    body.push(u8::from(hello.clean_start) << 1 | will_flags | login_flags);
    body.extend_from_slice(&hello.keep_alive.to_be_bytes());
    if hello.level == 5 {
        body.extend_from_slice(&[5, 0x11]);
        body.extend_from_slice(&hello.session_expiry.to_be_bytes());
    }
    push_text(&mut body, hello.client_id.as_bytes());
    if let Some(will) = will {
        if hello.level == 5 {
            body.extend_from_slice(&[5, 0x18]);
            body.extend_from_slice(&will.delay.to_be_bytes());
        }
        push_text(&mut body, will.topic.as_bytes());
        push_text(&mut body, will.payload.as_bytes());
    }
    if let Some((name, password)) = &hello.login {
        push_text(&mut body, name.as_bytes());
        push_text(&mut body, password.as_bytes());
    }
    packet(0x10, &body)
}

/// A PUBLISH.
pub fn publish(publish: &Publish<'_>, level: u8) -> Vec<u8> {
    let mut body = Vec::new();
    push_text(&mut body, publish.topic.as_bytes());
    if let Some(packet_id) = publish.packet_id {
        body.extend_from_slice(&packet_id.to_be_bytes());
    }
    if level == 5 {
        push_length(&mut body, 0);
    }
    body.extend_from_slice(publish.payload);
    let flags = u8::from(publish.dup) << 3 | publish.qos << 1 | u8::from(publish.retain);
    packet(0x30 | flags, &body)
}

/// A PUBACK, PUBREC, PUBREL or PUBCOMP.
pub fn ack(ack: Ack, packet_id: u16) -> Vec<u8> {
    let flags = if ack == Ack::Pubrel { 2 } else { 0 };
    packet((ack as u8) << 4 | flags, &packet_id.to_be_bytes())
}

/// A SUBSCRIBE with one filter.
pub fn subscribe(packet_id: u16, filter: &str, qos: u8, level: u8) -> Vec<u8> {
    let mut body = packet_id.to_be_bytes().to_vec();
    if level == 5 {
        push_length(&mut body, 0);
    }
    push_text(&mut body, filter.as_bytes());
    body.push(qos);
    packet(0x82, &body)
}

/// Takes the first packet, if it is there whole.
pub fn take(input: &mut Vec<u8>, level: u8) -> Result<Option<Packet>, String> {
    let mut rest = Rest(input);
    let Ok(first) = rest.byte() else { return Ok(None) };
    let Ok(length) = rest.length() else {
        return if input.len() < 5 { Ok(None) } else { Err("no length".to_owned()) };
    };
    let head = input.len() - rest.0.len();
    let Ok(body) = rest.take(length) else { return Ok(None) };
    let packet = read(first, Rest(body), level)?;
    input.drain(..head + length);
    Ok(Some(packet))
}

fn read(first: u8, mut rest: Rest<'_>, level: u8) -> Result<Packet, String> {
    match first >> 4 {
        2 => {
            let session_present = rest.byte()? == 1;
            Ok(Packet::Connack { session_present, reason: rest.byte()? })
        }
        3 => {
            let qos = first >> 1 & 3;
            let topic = rest.text()?;
            let packet_id = if qos > 0 { Some(rest.number()?) } else { None };
            if level == 5 {
                rest.skip_properties()?;
            }
            Ok(Packet::Publish(Message {
                topic,
                payload: rest.0.to_vec(),
                qos,
                retain: first & 1 == 1,
                dup: first & 8 == 8,
                packet_id,
            }))
        }
        kind @ 4..=7 => {
            let ack = [Ack::Puback, Ack::Pubrec, Ack::Pubrel, Ack::Pubcomp][usize::from(kind - 4)];
            let packet_id = rest.number()?;
            Ok(Packet::Ack { ack, packet_id, reason: rest.byte().unwrap_or(0) })
        }
        9 => {
            let packet_id = rest.number()?;
            if level == 5 {
                rest.skip_properties()?;
            }
            Ok(Packet::Suback { packet_id, reasons: rest.0.to_vec() })
        }
        13 => Ok(Packet::Pingresp),
        14 => Ok(Packet::Disconnect { reason: rest.byte().unwrap_or(0) }),
        kind => Err(format!("a server does not send packets of type {kind}")),
    }
}
