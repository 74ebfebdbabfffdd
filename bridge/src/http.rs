//! The HTTP API: what a node knows, as JSON.
//!
//! One file per resource under `http/`, one `.route` line each here. Reads are served by the node
//! that is asked; nothing is cached beyond what the replica itself keeps.

mod access;
mod automations;
mod clients;
mod commit;
pub(crate) mod error;
mod guard;
mod hide;
pub(crate) mod history;
mod payload;
pub(crate) mod problems;
mod publish;
mod ready;
mod release;
mod states;
mod status;
mod traces;
mod why;
mod why_not;

use crate::mqtt::StatusHandle;
use crate::raft::Replica;
use crate::store::ReadCache;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post, put};
use axum::{Router, middleware};
use error::ApiError;
use gable_broker_config::Settings;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Why the API can not be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot listen for HTTP on {address}: is the port in use, or the address not this machine's?")]
    Listen {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
}

/// What the handlers may use.
pub(crate) struct Api {
    pub(crate) replica: Replica,
    pub(crate) cache: Arc<ReadCache>,
    pub(crate) mqtt: StatusHandle,
    /// Whether devices reach this node under the cluster's address or name.
    pub(crate) holds_address: watch::Receiver<bool>,
    pub(crate) settings: Settings,
    /// Whether this node has applied what it had applied before it stopped.
    pub(crate) recovered: watch::Receiver<bool>,
    /// Becomes true when the node stops: a request that waits for news then ends.
    pub(crate) stopping: watch::Receiver<bool>,
}

/// Takes the address, before anything depends on it.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })
}

/// Serves the API until the node stops.
pub(crate) async fn serve(listener: TcpListener, api: Arc<Api>) -> io::Result<()> {
    let mut stopping = api.stopping.clone();
    let stop = async move {
        // An error means that the node is gone, which is as good.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    };
    axum::serve(listener, router(api)).with_graceful_shutdown(stop).await
}

fn router(api: Arc<Api>) -> Router {
    let token = api.settings.http.token.as_ref().map(|token| token.expose());
    let guard = guard::Guard::new(token);
    Router::new()
        .route("/api/ready", get(ready::show))
        .route("/api/status", get(status::show))
        .route("/api/states", get(states::list))
        .route("/api/states/{entity_id}", get(states::show))
        .route("/api/history", get(history::list))
        .route("/api/events", get(history::follow))
        .route("/api/automations", get(automations::list))
        .route("/api/automations/{automation}/release", post(release::release))
        .route("/api/traces", get(traces::list))
        .route("/api/traces/{run_id}", get(traces::show))
        .route("/api/why/{entity_id}", get(why::show))
        .route("/api/why-not/{automation}", get(why_not::show))
        .route("/api/problems", get(problems::list))
        .route("/api/publish", post(publish::publish))
        .route("/api/clients", get(clients::list))
        .route("/api/access", get(access::list))
        .route("/api/access/explain", get(access::explain))
        .route("/api/users/{name}", put(access::put_user).delete(access::delete_user))
        .route("/api/roles/{name}", put(access::put_role).delete(access::delete_role))
        .fallback(unknown_route)
        .method_not_allowed_fallback(unknown_method)
        .layer(DefaultBodyLimit::max(publish::BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(api.clone(), hide::hide))
        .layer(middleware::from_fn_with_state(guard, guard::guard))
        .with_state(api)
}

async fn unknown_route(uri: axum::http::Uri) -> ApiError {
    ApiError::not_found(
        format!("there is no {}", uri.path()),
        "GET /api/ready, /api/status, /api/states, /api/history, /api/events, /api/automations, /api/problems, /api/traces, /api/why/ENTITY, /api/why-not/AUTOMATION, /api/clients, /api/access, /api/access/explain; POST /api/publish, /api/automations/ID/release; PUT and DELETE /api/users/NAME, /api/roles/NAME",
    )
}

async fn unknown_method(method: axum::http::Method, uri: axum::http::Uri) -> ApiError {
    ApiError::new(
        axum::http::StatusCode::METHOD_NOT_ALLOWED,
        format!("{} does not take {method}", uri.path()),
        "GET reads; only /api/publish and /api/automations/ID/release take POST, /api/users/NAME and /api/roles/NAME take PUT and DELETE",
    )
}

/// Waits until a local read sees everything that was committed before.
async fn linearize(api: &Api) -> Result<(), ApiError> {
    let outcome = api.replica.linearizable().await;
    outcome.map(drop).map_err(|error| {
        ApiError::unavailable(
            error.to_string(),
            "?consistency=local reads what this node has, perhaps behind",
        )
    })
}
