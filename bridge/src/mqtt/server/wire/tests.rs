//! Packets against the specification: tables in `tests/*.txt`, written from it, line by line.
//!
//! A line is `level | packet | expected | why`. A packet is spelled in hexadecimal, with `*` for the
//! remaining length, `[` and `]` around properties for their length, `'text'` for a text with its
//! length before it and `"bytes"` for bare ones. Expected is a reason code (`81`), or what is read.

mod mutations;
mod round_trips;
mod summary;

use super::*;
use bytes::BytesMut;
use std::iter::Peekable;
use std::str::Chars;

const TABLES: &[(&str, &str)] = &[
    ("connect.txt", include_str!("tests/connect.txt")),
    ("publish.txt", include_str!("tests/publish.txt")),
    ("subscribe.txt", include_str!("tests/subscribe.txt")),
    ("acks.txt", include_str!("tests/acks.txt")),
    ("properties.txt", include_str!("tests/properties.txt")),
];

/// One line of a table.
struct Line {
    place: String,
    level: Level,
    packet: Vec<u8>,
    expected: String,
}

fn lines() -> Vec<Line> {
    let mut lines = Vec::new();
    for (table, text) in TABLES {
        for (number, line) in text.lines().enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let place = format!("{table}:{}", number + 1);
            let fields: Vec<&str> = line.split(" | ").map(str::trim).collect();
            let [level, packet, expected, why] = fields[..] else { panic!("{place}: not four fields") };
            assert!(!why.is_empty(), "{place}: no reason");
            let levels: &[Level] = match level {
                "31" => &[Level::V31],
                "311" => &[Level::V311],
                "5" => &[Level::V5],
                "3x" => &[Level::V31, Level::V311],
                "all" => &[Level::V31, Level::V311, Level::V5],
                _ => panic!("{place}: no level {level}"),
            };
            for level in levels {
                lines.push(Line {
                    place: place.clone(),
                    level: *level,
                    packet: spell(packet),
                    expected: expected.to_owned(),
                });
            }
        }
    }
    lines
}

/// Spells a packet; the remaining length is of everything behind its `*`.
fn spell(packet: &str) -> Vec<u8> {
    match packet.split_once('*') {
        Some((first, rest)) => {
            let (mut bytes, rest) = (spell_part(&mut first.chars().peekable()), spell(rest));
            bytes.extend(integer(rest.len()));
            bytes.extend(rest);
            bytes
        }
        None => spell_part(&mut packet.chars().peekable()),
    }
}

fn spell_part(chars: &mut Peekable<Chars<'_>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(c) = chars.next() {
        match c {
            ' ' => {}
            '[' => {
                let inside = spell_part(chars);
                bytes.extend(integer(inside.len()));
                bytes.extend(inside);
            }
            ']' => return bytes,
            '\'' | '"' => {
                let text: String = chars.by_ref().take_while(|it| *it != c).collect();
                if c == '\'' {
                    bytes.extend((text.len() as u16).to_be_bytes());
                }
                bytes.extend(text.as_bytes());
            }
            digit => {
                let digits: String = [digit, chars.next().unwrap_or(' ')].iter().collect();
                bytes.push(
                    u8::from_str_radix(&digits, 16).unwrap_or_else(|_| panic!("{digits}: not hexadecimal")),
                );
            }
        }
    }
    bytes
}

fn integer(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// Reads a packet as a connection would: a CONNECT as its first one, others after one.
fn read(level: Level, packet: &[u8]) -> Result<Option<Packet>, Refusal> {
    let mut framer = Framer::default();
    framer.set_packet_size_max(1_024 * 1_024);
    let mut buffer = BytesMut::from(packet);
    if packet.first().is_some_and(|byte| byte >> 4 == 1) {
        let Some(frame) = framer.next(&mut buffer)? else { return Ok(None) };
        let connect = decode_connect(frame).map_err(|refused| refused.refusal)?;
        return Ok(Some(Packet::Connect(Box::new(connect))));
    }
    framer.next(&mut BytesMut::from(&[0x10, 0x00][..]))?;
    let Some(frame) = framer.next(&mut buffer)? else { return Ok(None) };
    assert!(buffer.is_empty(), "more than one packet: {packet:02x?}");
    decode(level, frame).map(Some)
}

/// What a table would not show.
fn is_hidden(c: char) -> bool {
    c.is_control() || c == '\u{FEFF}'
}

#[test]
fn packets_are_read_or_refused_as_the_specification_says() {
    let lines = lines();
    let mut wrong = Vec::new();
    for line in &lines {
        let got = match read(line.level, &line.packet) {
            Ok(Some(packet)) => summary::packet(&packet).replace(is_hidden, "?"),
            Ok(None) => "more".to_owned(),
            Err(refusal) => format!("{:02X}", refusal.reason.value()),
        };
        if got != line.expected {
            wrong.push(format!(
                "{} at {:?}\n  expected {}\n  got      {got}",
                line.place, line.level, line.expected
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {} lines:\n{}", wrong.len(), lines.len(), wrong.join("\n"));
    assert!(lines.len() >= 150, "only {} lines", lines.len());
}

#[test]
fn refused_connects_are_answered_in_the_clients_language() {
    #[track_caller]
    fn check(packet: &str, expected: &[u8]) {
        let frame = Framer::default().next(&mut BytesMut::from(&spell(packet)[..])).unwrap().unwrap();
        let mut out = BytesMut::new();
        if let Some((encoder, answer)) = decode_connect(frame).unwrap_err().answer() {
            encoder.encode(&answer, &mut out).unwrap();
        }
        assert_eq!(out, expected, "{packet}");
    }
    // [MQTT-3.1.2-2] Unknown levels, among them a bridge's mark on level 4.
    check("10 * 'MQTT' 03 02 000A 'p'", &[0x20, 2, 0, 1]);
    check("10 * 'MQIsdp' 04 02 000A 'p'", &[0x20, 2, 0, 1]);
    check("10 * 'MQTT' 84 02 000A 'p'", &[0x20, 2, 0, 1]);
    check("10 * 'MQTT' 06 02 000A [] 'p'", &[0x20, 3, 0, 0x84, 0]);
    check("10 * 'MQTT' 85 02 000A [] 'p'", &[0x20, 3, 0, 0x84, 0]);
    // [MQTT-3.1.2-1] Another protocol gets nothing, nor does what is no CONNECT at all.
    check("10 * 'HTTP' 04 02 000A 'p'", &[]);
    check("10 * 'MQ", &[]);
    // [MQTT-3.1.3-8] of 3.1.1
    check("10 * 'MQTT' 04 00 000A ''", &[0x20, 2, 0, 2]);
    check("10 * 'MQIsdp' 03 02 000A ''", &[0x20, 2, 0, 2]);
    // [MQTT-3.1.4-1] What is malformed at an older level gets no CONNACK.
    check("10 * 'MQTT' 04 03 000A 'p'", &[]);
    check("10 * 'MQTT' 05 03 000A [] 'p'", &[0x20, 3, 0, 0x81, 0]);
}
