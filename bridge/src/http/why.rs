//! `GET /api/why/{entity_id}`: what changed an entity last, and the run that wanted it so.

use super::Api;
use super::error::ApiError;
use axum::Json;
use axum::extract::{Path, State};
use gable_devices::EntityId;
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Path(entity_id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let entity_id: EntityId = entity_id.parse().map_err(|error: gable_devices::EntityIdError| {
        ApiError::bad_request(error.to_string(), "e.g. light.hall_bulb")
    })?;
    let answer = api.replica.read(|state| {
        let entity = state.entity(&entity_id)?;
        let run = entity.change.run_id.and_then(|run_id| state.trace(run_id));
        let tale = run.map(ToString::to_string).unwrap_or_default();
        Some(json!({
            "entity_id": entity_id.as_str(),
            "state": entity.state(),
            "change": entity.change.to_json(),
            "run": run.map(|run| run.to_json()),
            "text": format!("{entity_id} is `{}`\n{}{tale}", entity.state(), entity.change),
        }))
    });
    answer.map(Json).ok_or_else(|| {
        let hint = "GET /api/states lists them; the home's files declare them";
        ApiError::not_found(format!("no entity {entity_id}"), hint)
    })
}
