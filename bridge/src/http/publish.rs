//! `POST /api/publish`: puts a message into the log.
//!
//! The message counts as heard by this node, as if a client had published it to the broker: it
//! changes entities, fires triggers and stands in the history of every node. The answer comes after
//! commit, with the message's `index` in the history. The message is not handed to any broker: what is there to be
//! heard by MQTT clients is the broker's own promise, and this API only makes promises that the log
//! can keep. To reach a device, let an automation call `mqtt.publish` or a service.

use super::Api;
use super::error::ApiError;
use super::history;
use crate::raft::{ProposeError, Settled};
use crate::store::history::{Filter, Kind, Position, Row};
use axum::Json;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use bytes::Bytes;
use gable_devices::QoS;
use gable_rules::{InputKind, LogIndex, Message};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// A body may be this large, which is the default limit of a packet from the broker as well.
pub(super) const BODY_BYTES_MAX: usize = 4 << 20;
/// MQTT's limit on a topic (MQTT 3.1.1, section 1.5.3).
const TOPIC_BYTES_MAX: usize = 65_535;
/// How long a commit may take: several elections.
const PATIENCE: Duration = Duration::from_secs(10);

/// The most messages of one log entry that are looked through.
const ENTRY_INPUTS_MAX: usize = 1_000;

const SHAPE: &str =
    r#"send {"topic": "a/b", "payload": "text or JSON"}, with "qos" (0-2) and "retain" if they matter"#;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    topic: String,
    /// A text is taken as it is, anything else as its JSON.
    payload: Value,
    #[serde(default)]
    qos: u8,
    #[serde(default)]
    retain: bool,
}

pub(super) async fn publish(
    State(api): State<Arc<Api>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, ApiError> {
    let body = body.map_err(|rejection| {
        ApiError::new(
            rejection.status(),
            rejection.body_text(),
            format!("a body has at most {BODY_BYTES_MAX} bytes"),
        )
    })?;
    let message = parse(&body)?;
    let proposed =
        tokio::time::timeout(PATIENCE, api.replica.propose(InputKind::Message(message.clone()))).await;
    let committed = match proposed {
        Ok(Ok(committed)) => committed,
        Ok(Err(error @ ProposeError::TooLarge { .. })) => {
            return Err(ApiError::bad_request(error.to_string(), SHAPE));
        }
        Ok(Err(error)) => {
            return Err(ApiError::unavailable(error.to_string(), "try again, or ask another node"));
        }
        Err(_) => {
            return Err(ApiError::unavailable(
                format!("not committed within {} s; it may still be", PATIENCE.as_secs()),
                "check with /api/status whether a majority of nodes is up, and with /api/history for the message",
            ));
        }
    };
    match committed.outcome {
        Settled::Applied | Settled::Duplicate => {
            let index = index_in_history(&api, committed.index, &message).await?;
            Ok(Json(json!({ "index": index, "log_index": committed.index })))
        }
        Settled::Refused(why) => Err(ApiError::bad_request(why, SHAPE)),
    }
}

/// Finds the message in its log entry, which may carry many. None if a snapshot that holds it was
/// taken over, and its history has yet to be fetched.
async fn index_in_history(
    api: &Api,
    log_index: LogIndex,
    message: &Message,
) -> Result<Option<u64>, ApiError> {
    let page = history::page(api, Position::before(log_index.0), ENTRY_INPUTS_MAX, Filter::Messages).await?;
    let is_ours = |row: &&Arc<Row>| {
        row.position.log_index == log_index.0
            && row.node == api.replica.node()
            && matches!(&row.kind, Kind::Message(found) if found == message)
    };
    Ok(page.rows.iter().find(is_ours).map(|row| row.position.index()))
}

fn parse(body: &[u8]) -> Result<Message, ApiError> {
    let wrong = |why: String| ApiError::bad_request(why, SHAPE);
    let request: Request = serde_json::from_slice(body).map_err(|error| wrong(error.to_string()))?;
    let topic = request.topic;
    if topic.is_empty() || topic.len() > TOPIC_BYTES_MAX || topic.contains(['+', '#', '\0']) {
        return Err(wrong(format!("`{topic}` is not a topic: it must not be empty nor contain + or #")));
    }
    let qos = match request.qos {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        2 => QoS::ExactlyOnce,
        other => return Err(wrong(format!("qos is {other}, expected 0, 1 or 2"))),
    };
    let payload = match request.payload {
        Value::String(text) => text.into_bytes(),
        other => other.to_string().into_bytes(),
    };
    Ok(Message { topic, payload, qos, retain: request.retain, ..Message::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, expected: Option<(&str, &str)>) {
        let message = parse(body.as_bytes()).ok();
        let found = message.map(|message| (message.topic, String::from_utf8(message.payload).unwrap()));
        assert_eq!(found, expected.map(|(topic, payload)| (topic.to_owned(), payload.to_owned())), "{body}");
    }

    #[test]
    fn messages_are_taken_as_text_or_json_and_bad_ones_refused() {
        check(r#"{"topic":"a/b","payload":"ON"}"#, Some(("a/b", "ON")));
        check(r#"{"topic":"a/b","payload":{"n":1}}"#, Some(("a/b", r#"{"n":1}"#)));
        check(r#"{"topic":"a/b","payload":21.5,"qos":1,"retain":true}"#, Some(("a/b", "21.5")));
        check(r#"{"topic":"a/+","payload":"x"}"#, None);
        check(r#"{"topic":"","payload":"x"}"#, None);
        check(r#"{"topic":"a","payload":"x","qos":3}"#, None);
        check(r#"{"topic":"a","payload":"x","quos":1}"#, None);
        check(r#"{"topic":"a"}"#, None);
        check("topic=a", None);
    }
}
