//! `GET /api/traces[/{run_id}]`: what runs did, the same on every node. `?automation=` shows those
//! of one automation only; the list is oldest first.

use super::Api;
use super::error::ApiError;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use gable_rules::RunId;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Asked {
    automation: Option<String>,
}

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    query: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    let Query(asked) =
        query.map_err(|rejection| ApiError::bad_request(rejection.body_text(), "?automation=ID"))?;
    let traces: Vec<Value> = api.replica.read(|state| match &asked.automation {
        Some(automation) => state.traces_of(automation).map(|trace| trace.summary_json()).collect(),
        None => state.traces().map(|trace| trace.summary_json()).collect(),
    });
    Ok(Json(json!({ "traces": traces })))
}

pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Path(run_id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let parsed = run_id.parse().map(RunId);
    let run_id = parsed.map_err(|error| ApiError::bad_request(error.to_string(), "e.g. 57:0"))?;
    let trace = api.replica.read(|state| state.trace(run_id).map(|trace| trace.to_json()));
    trace.map(Json).ok_or_else(|| {
        let hint = "GET /api/traces lists the runs that are kept; `trace: {stored_traces: N}` keeps more";
        ApiError::not_found(format!("no trace of run {run_id} is kept"), hint)
    })
}
