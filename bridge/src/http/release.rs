//! `POST /api/automations/{automation}/release`: lets an automation fire again that the storm guard
//! has set apart. The answer comes after commit.

use super::Api;
use super::commit::commit;
use super::error::ApiError;
use axum::Json;
use axum::extract::{Path, State};
use gable_rules::InputKind;
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) async fn release(
    State(api): State<Arc<Api>>,
    Path(automation): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let hint = "GET /api/automations shows which are quarantined";
    if api.replica.read(|state| state.quarantine(&automation).is_none()) {
        return Err(ApiError::not_found(format!("{automation} is not quarantined"), hint));
    }
    commit(&api, InputKind::Release { automation: automation.clone() }, hint).await?;
    Ok(Json(json!({ "released": automation })))
}
