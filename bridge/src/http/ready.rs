//! `GET /api/ready`: whether this node takes part.

use super::Api;
use super::error::ApiError;
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long the leader may take to confirm that it leads.
const CONFIRMATION_LIMIT: Duration = Duration::from_millis(1500);

/// 200 when the node has recovered and a leader answers, else 503 with the reason.
///
/// The leader is asked, because a node that is cut off from the others goes on to name the one that
/// it followed last.
pub(super) async fn show(State(api): State<Arc<Api>>) -> Result<Json<Value>, ApiError> {
    let leads = timeout(CONFIRMATION_LIMIT, api.replica.linearizable()).await.is_ok_and(|read| read.is_ok());
    let leader = api.replica.leader().filter(|_| leads);
    let reason = match (*api.stopping.borrow(), leader, *api.recovered.borrow()) {
        (true, ..) => Some(("the node is stopping", "ask another node")),
        (false, None, _) => {
            Some(("no leader answers", "a majority of the nodes has to be up and to reach each other"))
        }
        (false, Some(_), false) => Some(("the node still applies its log", "wait a moment")),
        (false, Some(_), true) => None,
    };
    match reason {
        Some((error, hint)) => Err(ApiError::unavailable(error, hint)),
        None => Ok(Json(json!({ "ready": true, "node": api.replica.node(), "leader": leader }))),
    }
}
