//! Keeps secrets out of all answers: whatever a handler says passes here on its way out.
//!
//! What is secret the home's files say ([`gable_rules::Confidential`]). Answers that hold nothing of
//! it, nearly all, pass as they are.

use super::Api;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::CONTENT_LENGTH;
use axum::middleware::Next;
use axum::response::Response;
use gable_rules::Confidential;
use serde_json::Value;
use std::sync::Arc;

/// Answers a request without what nobody is shown.
pub(super) async fn hide(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let (mut parts, body) = next.run(request).await.into_parts();
    // Answers are made whole before they are sent, so that this only joins what is in memory.
    let Ok(bytes) = to_bytes(body, usize::MAX).await else {
        return Response::from_parts(parts, Body::empty());
    };
    let confidential = api.replica.read(|state| state.confidential().clone());
    let Some(shown) = std::str::from_utf8(&bytes).ok().and_then(|text| without_secrets(&confidential, text))
    else {
        return Response::from_parts(parts, Body::from(bytes));
    };
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(shown))
}

/// The answer with names in place of secrets; none if it holds none.
fn without_secrets(confidential: &Confidential, text: &str) -> Option<String> {
    if !confidential.may_be_in(text) {
        return None;
    }
    Some(match serde_json::from_str::<Value>(text) {
        Ok(mut json) => {
            confidential.hide_in(&mut json);
            json.to_string()
        }
        Err(_) => confidential.hide(text).into_owned(),
    })
}
