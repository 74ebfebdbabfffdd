//! Mosquitto's packet sequences: bytes that are sent, and bytes that have to come back.
//!
//! A packet is written as words: two hexadecimal digits for each byte, `rN` and `vN` for a variable byte
//! integer, `mN`, `sN`, `kN`, `HN` for two bytes, `iN` for one, `LN` for four, and text in `'quotes'`.

use super::bench::{Case, Job};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

/// The suite compares the properties of CONNACK with those of its own broker.
const SETTINGS: &str = "max_topic_aliases = 10\nmax_packet_bytes = 2000000\nreceive_maximum = 20\n";

/// How long an answer may take, and how long none has to come.
const PATIENCE: Duration = Duration::from_secs(2);

/// All sequences of a checkout, one job for each of its groups and levels.
pub(crate) fn jobs(folder: &Path) -> Vec<Job> {
    let data = folder.join("test/broker/data");
    let entries = std::fs::read_dir(&data).unwrap_or_else(|error| panic!("{}: {error}", data.display()));
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let mut jobs = BTreeMap::<String, Vec<Case>>::new();
    for path in files {
        let text = std::fs::read_to_string(&path).expect("the file can be read");
        let groups: Vec<Value> = serde_json::from_str(&text).expect("the file holds groups");
        for group in groups.iter().filter(|group| group["disable"] != true) {
            for test in group["tests"].as_array().into_iter().flatten() {
                let sequence = Sequence::new(group, test);
                let words: Vec<&str> = sequence.title.split_whitespace().collect();
                let name = format!("mosquitto v{} {}", sequence.level, words.join(" "));
                let title =
                    format!("mosquitto v{} {}", sequence.level, group["group"].as_str().unwrap_or(""));
                let run = move |node: Option<&gable_tests::node::Node>| {
                    sequence.play(node.expect("the job has settings").addresses.mqtt)
                };
                jobs.entry(title).or_default().push(Case { name, run: Box::new(run) });
            }
        }
    }
    let to_job = |(title, cases)| Job { title, settings: Some(SETTINGS), prepare: |_| {}, cases };
    jobs.into_iter().map(to_job).collect()
}

struct Sequence {
    level: u64,
    title: String,
    /// Whether it begins with a CONNECT that is not written out.
    connects: bool,
    /// Whether the broker has to close the connection.
    ends: bool,
    messages: Vec<Value>,
}

impl Sequence {
    fn new(group: &Value, test: &Value) -> Sequence {
        let of = |key: &str| Some(&test[key]).filter(|it| !it.is_null()).unwrap_or(&group[key]);
        let is_true = |key: &str| of(key).as_bool().unwrap_or(true);
        let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
        Sequence {
            level: of("ver").as_u64().unwrap_or(4),
            title: format!("{} {}", text(&group["group"]), text(&test["name"])),
            connects: is_true("connect"),
            ends: is_true("expect_disconnect"),
            messages: test["msgs"].as_array().cloned().unwrap_or_default(),
        }
    }

    fn play(&self, broker: SocketAddr) -> Result<(), String> {
        let mut stream = open(broker)?;
        if self.connects {
            let client_id = self.title.replace(['+', '$', '#', '/'], "_");
            write(&mut stream, &connect(&client_id, self.level))?;
            let head = read(&mut stream, 2)?;
            let rest = read(&mut stream, usize::from(head[1]))?;
            if head[0] != 0x20 || rest.get(1) != Some(&0) {
                return Err("the client was not let in".to_owned());
            }
        }
        for message in &self.messages {
            match message["type"].as_str() {
                Some("send") => write(&mut stream, &packet(message["payload"].as_str().unwrap_or("")))?,
                Some("recv") => {
                    let expected = packet(message["payload"].as_str().unwrap_or(""));
                    let found = read(&mut stream, expected.len())?;
                    if found != expected {
                        return Err(format!("expected {}, got {}", hex(&expected), hex(&found)));
                    }
                }
                Some("external_publish") => publish(broker, message)?,
                other => return Err(format!("the suite has a step that is not known: {other:?}")),
            }
        }
        if self.ends { expect_end(&mut stream) } else { expect_answer(&mut stream) }
    }
}

fn open(broker: SocketAddr) -> Result<TcpStream, String> {
    let stream = TcpStream::connect(broker).map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(|error| error.to_string())?;
    Ok(stream)
}

/// A write to a connection that is closed meanwhile shows when it is read.
fn write(stream: &mut TcpStream, bytes: &[u8]) -> Result<(), String> {
    match stream.write_all(bytes) {
        Err(error) if !matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
            Err(error.to_string())
        }
        _ => Ok(()),
    }
}

/// Reads so many bytes, or as many as come before the end.
fn read(stream: &mut TcpStream, length: usize) -> Result<Vec<u8>, String> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match stream.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => return Err(format!("after {}: {error}", hex(&bytes[..filled]))),
        }
    }
    bytes.truncate(filled.max(usize::from(length == 2) * 2));
    Ok(bytes)
}

/// The broker may say why before it closes.
fn expect_end(stream: &mut TcpStream) -> Result<(), String> {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(()),
        Err(_) => Err("the connection is still open".to_owned()),
    }
}

fn expect_answer(stream: &mut TcpStream) -> Result<(), String> {
    write(stream, &[0xC0, 0])?;
    match read(stream, 2)?.as_slice() {
        [0xD0, 0] => Ok(()),
        other => Err(format!("expected a PINGRESP, got {}", hex(other))),
    }
}

/// Another client publishes.
fn publish(broker: SocketAddr, message: &Value) -> Result<(), String> {
    let mut stream = open(broker)?;
    write(&mut stream, &connect("helper", 4))?;
    read(&mut stream, 4)?;
    let (topic, payload) =
        (message["topic"].as_str().unwrap_or(""), message["payload"].as_str().unwrap_or(""));
    let qos = message["qos"].as_u64().unwrap_or(0) as u8;
    let mut body = text(topic);
    if qos > 0 {
        body.extend([0, 1]);
    }
    body.extend(payload.as_bytes());
    write(&mut stream, &frame(0x30 | qos << 1 | u8::from(message["retain"] == true), &body))?;
    if qos > 0 {
        read(&mut stream, 4)?;
    }
    if qos == 2 {
        write(&mut stream, &[0x62, 2, 0, 1])?;
        read(&mut stream, 4)?;
    }
    write(&mut stream, &[0xE0, 0])
}

fn connect(client_id: &str, level: u64) -> Vec<u8> {
    let (name, number) = if level == 3 { ("MQIsdp", 3) } else { ("MQTT", level as u8) };
    let mut body = text(name);
    body.extend([number, 2, 0, 60]);
    if level == 5 {
        body.push(0);
    }
    body.extend(text(client_id));
    frame(0x10, &body)
}

fn frame(first_byte: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first_byte];
    bytes.extend(integer(body.len() as u64));
    bytes.extend(body);
    bytes
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = (text.len() as u16).to_be_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes
}

/// A variable byte integer (MQTT 5, section 1.5.5).
fn integer(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = (value % 128) as u8;
        value /= 128;
        bytes.push(if value > 0 { byte | 0x80 } else { byte });
        if value == 0 {
            return bytes;
        }
    }
}

fn packet(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        if first == '\'' {
            // A quote ends where a word does.
            let inner = &rest[1..];
            let end = inner.find("' ").unwrap_or(inner.len().saturating_sub(1));
            bytes.extend(&inner.as_bytes()[..end]);
            rest = inner[end..].trim_start_matches('\'').trim_start();
            continue;
        }
        let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
        let number = || word[1..].parse::<u64>().unwrap_or_else(|_| panic!("`{word}` in `{text}`"));
        match first {
            'r' | 'v' => bytes.extend(integer(number())),
            'm' | 's' | 'k' | 'H' => bytes.extend((number() as u16).to_be_bytes()),
            'i' => bytes.push(number() as u8),
            'L' => bytes.extend((number() as u32).to_be_bytes()),
            _ => {
                let pairs = word.as_bytes().chunks(2).map(|pair| String::from_utf8_lossy(pair).into_owned());
                bytes.extend(
                    pairs.map(|pair| u8::from_str_radix(&pair, 16).expect("a byte in hexadecimal digits")),
                );
            }
        }
        rest = after.trim_start();
    }
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(24).map(|byte| format!("{byte:02x}")).collect()
}
