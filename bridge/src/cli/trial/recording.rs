//! What a home has heard and sent, out of its history.

use crate::cli::client::{self, Client};
use crate::cli::events::Reader;
use gable_devices::{Publish, QoS, Timestamp};
use gable_rules::Message;
use gable_rules::replay::Command;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// A recording in the order of the log.
#[derive(Debug)]
pub(super) struct Recording {
    pub(super) messages: Vec<(Timestamp, Message)>,
    pub(super) commands: Vec<Command>,
    pub(super) time_zone: String,
    /// Of the runs so far, while they go on.
    runs: BTreeMap<String, String>,
}

impl Default for Recording {
    fn default() -> Recording {
        Recording {
            messages: Vec::new(),
            commands: Vec::new(),
            time_zone: "UTC".to_owned(),
            runs: BTreeMap::new(),
        }
    }
}

/// Reads the whole history of a node, or of the next one where it falls silent.
pub(super) async fn from_nodes(clients: Vec<Client>) -> Result<Recording, client::Error> {
    let mut reader = Reader::new(clients, Some("0".to_owned()), 0);
    let mut recording = Recording::default();
    loop {
        let page = reader.next(false).await?;
        if page.events.is_empty() {
            return Ok(recording);
        }
        page.events.iter().for_each(|event| recording.add(event));
    }
}

/// Reads a file of events, one a line.
pub(super) fn from_file(path: &Path) -> anyhow::Result<Recording> {
    from_text(&std::fs::read_to_string(path)?)
}

pub(super) fn from_text(text: &str) -> anyhow::Result<Recording> {
    let mut recording = Recording::default();
    for (n, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let event: Value = serde_json::from_str(line)
            .map_err(|error| anyhow::anyhow!("line {} is no recorded event: {error}", n + 1))?;
        match event["events"].as_array() {
            // The answer of `/api/history`.
            Some(events) => events.iter().for_each(|event| recording.add(event)),
            None => recording.add(&event),
        }
    }
    Ok(recording)
}

impl Recording {
    pub(super) fn begin(&self) -> Option<Timestamp> {
        self.messages.first().map(|(at, _)| *at)
    }

    pub(super) fn end(&self) -> Option<Timestamp> {
        let message = self.messages.last().map(|(at, _)| *at);
        message.max(self.commands.last().map(|command| command.at))
    }

    /// Takes over an event, if it says what was heard or sent.
    fn add(&mut self, event: &Value) {
        let Some(at) = event["at_ms"].as_i64().map(Timestamp) else { return };
        let text = |key: &str| event[key].as_str().map(str::to_owned);
        let topic = text("topic").unwrap_or_default();
        match (event["kind"].as_str(), event["effect"].as_str()) {
            (Some("message"), _) => {
                let message = Message {
                    topic,
                    payload: payload_of(event),
                    retain: event["retain"].as_bool().unwrap_or(false),
                    ..Message::default()
                };
                self.messages.push((at, message));
            }
            (_, Some("run_started")) => {
                self.runs.extend(text("run_id").zip(text("automation")));
            }
            (_, Some("run_ended")) => {
                self.runs.remove(event["run_id"].as_str().unwrap_or_default());
            }
            (_, Some("command_queued")) => {
                let mut payload = payload_of(event);
                normalize(&mut payload);
                let publish = Publish { topic, payload, qos: QoS::AtMostOnce, retain: false };
                let automation = text("run_id").and_then(|run_id| self.runs.get(&run_id)).cloned();
                let entity_id = event["entity_id"].as_str().and_then(|id| id.parse().ok());
                self.commands.push(Command { at, entity_id, publish, automation });
            }
            _ => {
                if let Some(zone) = event["time_zone"].as_str() {
                    zone.clone_into(&mut self.time_zone);
                }
            }
        }
    }
}

/// The bytes of a payload as the history shows it.
fn payload_of(event: &Value) -> Vec<u8> {
    match (event["raw"].as_str(), event["encoding"].as_str(), &event["payload"]) {
        (Some(raw), _, _) => raw.as_bytes().to_vec(),
        (None, Some("base64"), Value::String(text)) => from_base64(text),
        (None, _, Value::String(text)) => text.as_bytes().to_vec(),
        (None, _, other) => other.to_string().into_bytes(),
    }
}

/// Brings JSON into one form, so that spaces and the order of keys make no difference.
pub(super) fn normalize(payload: &mut Vec<u8>) {
    if let Ok(json @ (Value::Object(_) | Value::Array(_))) = serde_json::from_slice::<Value>(payload) {
        *payload = json.to_string().into_bytes();
    }
}

/// The reverse of what the history does; what is none ends the bytes.
fn from_base64(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let (mut bytes, mut bits, mut group) = (Vec::new(), 0, 0u32);
    for value in text.bytes().map_while(digit) {
        group = (group << 6 | u32::from(value)) & 0xffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((group >> bits & 0xff) as u8);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn payloads_are_the_bytes_that_were_heard() {
        let check = |event: Value, expected: &[u8]| assert_eq!(payload_of(&event), expected, "{event}");
        check(json!({"payload": "ON"}), b"ON");
        check(json!({"payload": 23.5, "raw": "23.50"}), b"23.50");
        check(json!({"payload": {"a": 1}}), br#"{"a":1}"#);
        check(json!({"payload": "/w==", "encoding": "base64"}), b"\xff");
        check(json!({"payload": "//79", "encoding": "base64"}), b"\xff\xfe\xfd");
        check(json!({"payload": "//79AA==", "encoding": "base64"}), b"\xff\xfe\xfd\x00");
    }
}
