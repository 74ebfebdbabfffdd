//! Who may do what with MQTT: users, roles and their grants.
//!
//! - `GET /api/access`: users and roles. Hashes of passwords are not shown.
//! - `PUT /api/users/{name}`: adds a user or changes what the body names, of `password_hash`, `roles`,
//!   `client_id` and `grants`; null takes a password or client id away.
//! - `DELETE /api/users/{name}`, `PUT /api/roles/{name}` (`grants`), `DELETE /api/roles/{name}`.
//! - `GET /api/access/explain?topic=T[&user=U][&client_id=C]`: what decides about reading, writing and
//!   subscribing.
//!
//! Changes are answered after commit.

use super::Api;
use super::commit::commit;
use super::error::ApiError;
use crate::mqtt::server::password;
use axum::Json;
use axum::extract::{Path, Query, State};
use gable_devices::topic;
use gable_rules::InputKind;
use gable_rules::broker::{Access, AccessChange, Decision, Grant, Right, User, Who};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

const HINT: &str = "GET /api/access shows users and roles";

/// What is changed of a user; what is absent stays.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct UserChange {
    #[serde(deserialize_with = "present")]
    password_hash: Option<Option<String>>,
    roles: Option<BTreeSet<String>>,
    #[serde(deserialize_with = "present")]
    client_id: Option<Option<String>>,
    grants: Option<Vec<ShownGrant>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RoleChange {
    grants: Vec<ShownGrant>,
}

/// A grant as people write it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShownGrant {
    filter: String,
    rights: String,
    #[serde(default)]
    denies: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    topic: String,
    user: Option<String>,
    #[serde(default)]
    client_id: String,
}

/// Tells null from absent.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

pub(super) async fn list(State(api): State<Arc<Api>>) -> Json<Value> {
    api.replica.read(|state| {
        let access = state.broker().access();
        let users = access.users().map(|(name, user)| show_user(name, user));
        let roles = access.roles().into_iter().map(|name| {
            json!({
                "name": name,
                "is_changed": access.is_changed(name),
                "grants": show_grants(&access.role(name).unwrap_or_default()),
            })
        });
        Json(json!({ "users": users.collect::<Vec<_>>(), "roles": roles.collect::<Vec<_>>() }))
    })
}

pub(super) async fn put_user(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    Json(change): Json<UserChange>,
) -> Result<Json<Value>, ApiError> {
    super::linearize(&api).await?;
    let known = api.replica.read(|state| state.broker().access().user(&name).cloned());
    let mut user = known.unwrap_or_default();
    if let Some(hash) = change.password_hash {
        if hash.as_ref().is_some_and(|hash| !password::is_hash(hash)) {
            return Err(ApiError::bad_request(
                "password_hash is no argon2id hash",
                "`gable user passwd NAME` makes one",
            ));
        }
        user.password = hash;
    }
    user.roles = change.roles.unwrap_or(user.roles);
    user.client_id = change.client_id.unwrap_or(user.client_id);
    if let Some(grants) = change.grants {
        user.grants = to_grants(grants)?;
    }
    let shown = show_user(&name, &user);
    commit(&api, InputKind::Access(AccessChange::SetUser { name, user }), HINT).await?;
    Ok(Json(shown))
}

pub(super) async fn delete_user(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let removed = json!({ "removed": name });
    commit(&api, InputKind::Access(AccessChange::RemoveUser { name }), HINT).await?;
    Ok(Json(removed))
}

pub(super) async fn put_role(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    Json(change): Json<RoleChange>,
) -> Result<Json<Value>, ApiError> {
    let grants = to_grants(change.grants)?;
    let shown = json!({ "name": name, "grants": show_grants(&grants) });
    commit(&api, InputKind::Access(AccessChange::SetRole { name, grants }), HINT).await?;
    Ok(Json(shown))
}

pub(super) async fn delete_role(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let removed = json!({ "removed": name });
    commit(&api, InputKind::Access(AccessChange::RemoveRole { name }), HINT).await?;
    Ok(Json(removed))
}

pub(super) async fn explain(
    State(api): State<Arc<Api>>,
    Query(question): Query<Question>,
) -> Result<Json<Value>, ApiError> {
    let Question { topic, user, client_id } = &question;
    topic::check_filter(topic).map_err(|why| {
        ApiError::bad_request(format!("`{topic}` is no topic: {why}"), "topic=home/hall/light")
    })?;
    let who = Who { username: user.as_deref(), client_id };
    let is_filter = topic.contains(['+', '#']);
    api.replica.read(|state| {
        let access = state.broker().access();
        if let Some(name) = user.as_deref().filter(|name| access.user(name).is_none()) {
            return Err(ApiError::not_found(format!("there is no user `{name}`"), HINT));
        }
        let rights: &[(&str, Right)] =
            &[("read", Right::Read), ("write", Right::Write), ("subscribe", Right::Subscribe)];
        // Nothing is published to a filter, and messages come from topics.
        let rights = rights.iter().filter(|(_, right)| !is_filter || *right == Right::Subscribe);
        let decisions = rights.map(|(name, right)| show_decision(name, access, who, *right, topic));
        Ok(Json(json!({
            "user": user,
            "client_id": client_id,
            "topic": topic,
            "decisions": decisions.collect::<Vec<_>>(),
        })))
    })
}

fn show_decision(name: &str, access: &Access, who: Who<'_>, right: Right, topic: &str) -> Value {
    let Decision { is_allowed, by } = access.decide(who, right, topic);
    let by = by.map(|(role, grant)| json!({ "role": role, "grant": show_grants(&[grant])[0] }));
    json!({ "right": name, "allowed": is_allowed, "by": by })
}

fn show_user(name: &str, user: &User) -> Value {
    json!({
        "name": name,
        "roles": user.roles,
        "client_id": user.client_id,
        "has_password": user.password.is_some(),
        "grants": show_grants(&user.grants),
    })
}

fn show_grants(grants: &[Grant]) -> Vec<Value> {
    let show = |grant: &Grant| json!({ "filter": grant.filter, "rights": grant.rights.to_string(), "denies": grant.denies });
    grants.iter().map(show).collect()
}

fn to_grants(grants: Vec<ShownGrant>) -> Result<Vec<Grant>, ApiError> {
    let grant = |shown: ShownGrant| {
        let rights = shown.rights.parse();
        let rights = rights.map_err(|error: gable_rules::broker::RightError| {
            ApiError::bad_request(error.to_string(), "\"rights\": \"read,write\"")
        })?;
        Ok(Grant { filter: shown.filter, rights, denies: shown.denies })
    };
    grants.into_iter().map(grant).collect()
}
