//! `POST /api/automations/{automation}/release`: lets an automation fire again that the storm guard
//! has set apart. The answer comes after commit.

use super::Api;
use super::error::ApiError;
use crate::raft::Settled;
use axum::Json;
use axum::extract::{Path, State};
use gable_rules::InputKind;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// How long a commit may take: several elections.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn release(
    State(api): State<Arc<Api>>,
    Path(automation): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let hint = "GET /api/automations shows which are quarantined";
    if api.replica.read(|state| state.quarantine(&automation).is_none()) {
        return Err(ApiError::not_found(format!("{automation} is not quarantined"), hint));
    }
    let proposed = api.replica.propose(InputKind::Release { automation: automation.clone() });
    match tokio::time::timeout(PATIENCE, proposed).await {
        Ok(Ok(committed)) => match committed.outcome {
            Settled::Applied | Settled::Duplicate => Ok(Json(json!({ "released": automation }))),
            Settled::Refused(why) => Err(ApiError::bad_request(why, hint)),
        },
        Ok(Err(error)) => Err(ApiError::unavailable(error.to_string(), "try again, or ask another node")),
        Err(_) => Err(ApiError::unavailable(
            format!("not committed within {} s; it may still be", PATIENCE.as_secs()),
            "check with /api/status whether a majority of nodes is up",
        )),
    }
}
