//! `GET /api/states[/{entity_id}]`: entities in the shape of Home Assistant's REST API.

use super::error::ApiError;
use super::{Api, linearize};
use crate::calendar::iso8601;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use gable_devices::{EntityId, World};
use gable_rules::State as Home;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// What the answer that holds all entities is kept under; no entity id looks so.
const ALL: &str = "*";

/// How fresh an answer has to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Consistency {
    /// What this node knows, without asking anybody.
    #[default]
    Local,
    /// Everything that was committed before the request; it needs a majority.
    Linearizable,
}

/// The query of a read.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Reading {
    consistency: Consistency,
}

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    query: Result<Query<Reading>, QueryRejection>,
) -> Result<Response, ApiError> {
    prepare(&api, query).await?;
    Ok(answer(&api, ALL, |state| {
        let world = state.world();
        world.entity_ids(None).iter().filter_map(|entity_id| to_json(state, &world, entity_id)).collect()
    }))
}

pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Path(entity_id): Path<String>,
    query: Result<Query<Reading>, QueryRejection>,
) -> Result<Response, ApiError> {
    prepare(&api, query).await?;
    let entity_id: EntityId = entity_id.parse().map_err(|error: gable_devices::EntityIdError| {
        ApiError::bad_request(error.to_string(), "e.g. light.hall_bulb")
    })?;
    let is_known = api.replica.read(|state| state.world().entity(entity_id.as_str()).is_some());
    if !is_known {
        let hint = "GET /api/states lists them; the home's files declare them";
        return Err(ApiError::not_found(format!("no entity {entity_id}"), hint));
    }
    Ok(answer(&api, entity_id.as_str(), |state| {
        to_json(state, &state.world(), entity_id.as_str()).unwrap_or_default()
    }))
}

/// Answers from the cache, or from the state. The answer is kept for the log index that the state
/// has at this moment: nothing is applied while it is read.
fn answer(api: &Api, query: &str, make: impl FnOnce(&Home) -> Value) -> Response {
    let body = api
        .replica
        .read(|state| api.cache.answer(query, state.index(), || make(state).to_string().into_bytes()));
    ([(CONTENT_TYPE, "application/json")], Bytes::from_owner(body)).into_response()
}

async fn prepare(api: &Api, query: Result<Query<Reading>, QueryRejection>) -> Result<(), ApiError> {
    let Query(reading) = query.map_err(|rejection| {
        ApiError::bad_request(rejection.body_text(), "?consistency=local or ?consistency=linearizable")
    })?;
    match reading.consistency {
        Consistency::Local => Ok(()),
        Consistency::Linearizable => linearize(api).await,
    }
}

/// An entity as templates see it, and when it was last heard.
fn to_json(home: &Home, world: &impl World, entity_id: &str) -> Option<Value> {
    let seen = world.entity(entity_id)?;
    let row = entity_id.parse().ok().and_then(|entity_id| home.entity(&entity_id));
    let attributes: Map<String, Value> =
        seen.attributes.iter().map(|(name, value)| (name.clone(), value.to_json())).collect();
    Some(json!({
        "entity_id": entity_id,
        "state": seen.state,
        "attributes": attributes,
        "last_changed": iso8601(seen.last_changed),
        "last_updated": iso8601(seen.last_updated),
        "last_reported": iso8601(row.map_or(seen.last_updated, |row| row.last_heard)),
    }))
}
