//! `GET /api/problems`: what is wrong in the home's files in force.

use super::Api;
use axum::Json;
use axum::extract::State;
use gable_rules::Problem;
use serde_json::{Value, json};
use std::sync::Arc;

/// Shows every problem with its place; the automations that they do not concern run.
pub(super) async fn list(State(api): State<Arc<Api>>) -> Json<Value> {
    let problems: Vec<Value> = api.replica.read(|state| state.problems().iter().map(to_json).collect());
    Json(json!({ "problems": problems }))
}

/// One problem: where it is, what is wrong, what was perhaps meant.
pub(crate) fn to_json(problem: &Problem) -> Value {
    let what = &problem.what;
    let place = what.location.as_ref();
    json!({
        "severity": problem.severity.to_string(),
        "automation": problem.automation,
        "file": place.map(|place| place.file.to_string()),
        "line": place.map(|place| place.line),
        "column": place.map(|place| place.column),
        "path": what.path,
        "message": what.message,
        "hint": what.hint,
    })
}
