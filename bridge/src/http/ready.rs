//! `GET /api/ready`: whether this node takes part.

use super::Api;
use super::error::ApiError;
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use std::sync::Arc;

/// 200 when the node has recovered and knows a leader, else 503 with the reason.
pub(super) async fn show(State(api): State<Arc<Api>>) -> Result<Json<Value>, ApiError> {
    let leader = api.replica.leader();
    let reason = match (*api.stopping.borrow(), leader, *api.recovered.borrow()) {
        (true, ..) => Some(("the node is stopping", "ask another node")),
        (false, None, _) => {
            Some(("no leader is known", "a majority of the nodes has to be up and to reach each other"))
        }
        (false, Some(_), false) => Some(("the node still applies its log", "wait a moment")),
        (false, Some(_), true) => None,
    };
    match reason {
        Some((error, hint)) => Err(ApiError::unavailable(error, hint)),
        None => Ok(Json(json!({ "ready": true, "node": api.replica.node(), "leader": leader }))),
    }
}
