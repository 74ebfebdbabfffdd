//! `GET /api/automations`: which automations are in force, and what each is doing.

use super::Api;
use crate::calendar::iso8601;
use axum::Json;
use axum::extract::State;
use gable_rules::Readiness;
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) async fn list(State(api): State<Arc<Api>>) -> Json<Value> {
    let automations: Vec<Value> = api.replica.read(|state| {
        let waiting = |id: &str| state.runs().filter(|run| run.automation == id).count();
        state
            .automations()
            .map(|automation| {
                let quarantined = state.quarantine(automation).map(
                    |quarantine| json!({ "since": iso8601(quarantine.since), "reason": quarantine.reason }),
                );
                json!({
                    "id": automation,
                    "state": if state.readiness(automation) == Readiness::On { "on" } else { "off" },
                    "quarantined": quarantined,
                    "waiting_runs": waiting(automation),
                })
            })
            .collect()
    });
    Json(json!({ "automations": automations }))
}
