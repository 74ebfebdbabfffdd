//! `GET /api/clients`: who is connected to which node over MQTT, and whose session waits.

use super::Api;
use crate::calendar::iso8601;
use axum::Json;
use axum::extract::State;
use gable_rules::broker::Client;
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) async fn list(State(api): State<Arc<Api>>) -> Json<Value> {
    let clients = api.replica.read(|state| {
        state.broker().clients().map(|(client_id, client)| show(client_id, client)).collect::<Vec<_>>()
    });
    Json(json!({ "clients": clients }))
}

fn show(client_id: &str, client: &Client) -> Value {
    let connection = client.connection();
    let session = client.session().map(|session| {
        json!({
            "expiry_interval_s": session.expiry_interval(),
            "subscriptions": session.subscriptions().map(|(filter, _)| filter).collect::<Vec<_>>(),
            "waiting": session.queue_len(),
        })
    });
    json!({
        "client_id": client_id,
        "username": client.username(),
        // Null for a client that is away.
        "node": connection.map(|connection| connection.id.node),
        "since": connection.map(|connection| iso8601(connection.since)),
        "protocol_version": connection.map(|connection| connection.protocol_version),
        // Null for one that ends with its connection.
        "session": session,
    })
}
