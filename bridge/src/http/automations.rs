//! `GET /api/automations`: which automations are in force, and what each is doing.

use super::Api;
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) async fn list(State(api): State<Arc<Api>>) -> Json<Value> {
    let automations: Vec<Value> = api.replica.read(|state| {
        let waiting = |id: &str| state.runs().filter(|run| run.automation == id).count();
        state
            .automations()
            .map(|automation| json!({ "id": automation, "waiting_runs": waiting(automation) }))
            .collect()
    });
    Json(json!({ "automations": automations }))
}
