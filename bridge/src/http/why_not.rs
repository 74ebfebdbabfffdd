//! `GET /api/why-not/{automation}`: why an automation does not run: how it stands, and the last time
//! that a trigger of it fired and no run began.

use super::Api;
use super::error::ApiError;
use axum::Json;
use axum::extract::{Path, State};
use gable_rules::{Readiness, State as Home};
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Path(automation): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let answer = api.replica.read(|state| answer(state, &automation));
    answer.map(Json).ok_or_else(|| {
        let hint = "GET /api/automations lists them by their ids";
        ApiError::not_found(format!("no automation {automation}"), hint)
    })
}

fn answer(state: &Home, automation: &str) -> Option<Value> {
    let (word, text) = match state.readiness(automation) {
        Readiness::Unknown => return None,
        Readiness::On => ("on", "it is on".to_owned()),
        Readiness::Off => ("off", "it is turned off".to_owned()),
        Readiness::Quarantined(quarantine) => {
            let text =
                format!("it is quarantined: {}; `gable release {automation}` ends that", quarantine.reason);
            ("quarantined", text)
        }
        Readiness::Broken => ("broken", "it is broken: `gable check` shows where".to_owned()),
        Readiness::Unsupported => {
            ("unsupported", "it holds something that Gable does not run: `gable check` shows what".to_owned())
        }
    };
    let miss = state.miss(automation);
    let last_run = state.traces_of(automation).next_back();
    let missed = miss.map_or("no trigger of it fired without a run\n".to_owned(), ToString::to_string);
    let ran = match last_run {
        Some(run) => format!("its last run is {}, for {}\n", run.run_id, run.trigger),
        None => "no run of it is kept\n".to_owned(),
    };
    Some(json!({
        "automation": automation,
        "state": word,
        "miss": miss.map(|miss| miss.to_json()),
        "last_run": last_run.map(|run| run.summary_json()),
        "text": format!("{automation}: {text}\n{missed}{ran}"),
    }))
}
