//! `GET /api/history`: what was committed, oldest first, the same on every node. `GET /api/events`
//! is the same for those who follow.
//!
//! A page's `next` is the cursor of the page behind it, also while that page is still empty: so a
//! reader that keeps asking sees each event once, and may go on at another node. `wait` holds an
//! answer back until there is something to tell.

mod event;

use super::Api;
use super::error::ApiError;
use crate::store::history::{Filter, Page, Position};
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 1_000;
const WAIT_MAX: Duration = Duration::from_secs(60);
const FOLLOW_WAIT_S: u64 = 20;
/// How many events are looked through at most for the `last` ones.
const SCAN_MAX: usize = 20_000;

const SHAPE: &str = "?after=CURSOR&limit=N&kind=messages|all&wait=SECONDS, or ?last=N instead of after; a cursor is an answer's `next`";

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Asked {
    after: Option<Cursor>,
    limit: Option<usize>,
    kind: Option<Kind>,
    /// Seconds to wait for an event if there is none.
    wait: Option<u64>,
    /// The newest so many events, in place of a cursor.
    last: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Messages,
    /// Also effects, and other inputs such as a node that was missed.
    All,
}

/// A place in the history as users hold it: the `index` of a message, or the position of any row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
enum Cursor {
    Index(u64),
    Position(Position),
}

impl TryFrom<String> for Cursor {
    type Error = String;

    fn try_from(text: String) -> Result<Cursor, String> {
        let index = text.parse().map(Cursor::Index);
        index.or_else(|_| text.parse().map(Cursor::Position)).map_err(|_| format!("`{text}` is not a cursor"))
    }
}

impl Cursor {
    fn to_position(self) -> Position {
        match self {
            Cursor::Index(index) => Position::after_index(index),
            Cursor::Position(position) => position,
        }
    }

    fn to_json(self) -> Value {
        match self {
            Cursor::Index(index) => index.into(),
            Cursor::Position(position) => position.to_string().into(),
        }
    }
}

/// Answers at once, by default with messages only.
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    query: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    read(&api, query, Kind::Messages, 0).await
}

/// The same for those who follow: by default everything, and it waits for something to tell.
pub(super) async fn follow(
    State(api): State<Arc<Api>>,
    query: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    read(&api, query, Kind::All, FOLLOW_WAIT_S).await
}

async fn read(
    api: &Api,
    query: Result<Query<Asked>, QueryRejection>,
    kind: Kind,
    wait_s: u64,
) -> Result<Json<Value>, ApiError> {
    let Query(asked) = query.map_err(|rejection| ApiError::bad_request(rejection.body_text(), SHAPE))?;
    // A page may hold less than was asked for; `next` leads on.
    let limit = asked.limit.unwrap_or(LIMIT_DEFAULT).clamp(1, LIMIT_MAX);
    let kind = asked.kind.unwrap_or(kind);
    let filter = match kind {
        Kind::Messages => Filter::Messages,
        Kind::All => Filter::Everything,
    };
    let after = asked.after.unwrap_or(Cursor::Index(0));
    if let Some(last) = asked.last {
        let page = newest(api, last.clamp(1, LIMIT_MAX), filter).await?;
        return Ok(Json(show(api, &page, Cursor::Position(page.next), kind)));
    }
    let wait = Duration::from_secs(asked.wait.unwrap_or(wait_s)).min(WAIT_MAX);
    let page = page_or_wait(api, after.to_position(), limit, filter, wait).await?;
    Ok(Json(show(api, &page, after, kind)))
}

fn show(api: &Api, page: &Page, after: Cursor, kind: Kind) -> Value {
    let next = match (page.rows.last(), kind) {
        (None, _) => after,
        (Some(row), Kind::Messages) => Cursor::Index(row.position.index()),
        (Some(row), Kind::All) => Cursor::Position(row.position),
    };
    json!({
        "events": page.rows.iter().map(|row| event::to_json(row)).collect::<Vec<_>>(),
        "next": next.to_json(),
        "now_ms": api.replica.home_time().0,
        // Older events that this node still fetches from a peer come before what it will show next.
        "complete": !page.stops_at_gap,
    })
}

async fn page_or_wait(
    api: &Api,
    after: Position,
    limit: usize,
    filter: Filter,
    wait: Duration,
) -> Result<Arc<Page>, ApiError> {
    let mut applied = api.replica.applied();
    let mut stopping = api.stopping.clone();
    let deadline = tokio::time::Instant::now() + wait;
    loop {
        applied.mark_unchanged();
        let page = page(api, after, limit, filter).await?;
        if !page.rows.is_empty() {
            return Ok(page);
        }
        tokio::select! {
            changed = applied.changed() => if changed.is_err() { return Ok(page) },
            _ = stopping.wait_for(|stopping| *stopping) => return Ok(page),
            () = tokio::time::sleep_until(deadline) => return Ok(page),
        }
    }
}

/// Reads a page off the runtime's threads, as it may wait for the disk.
pub(super) async fn page(
    api: &Api,
    after: Position,
    limit: usize,
    filter: Filter,
) -> Result<Arc<Page>, ApiError> {
    let cache = api.cache.clone();
    let read = tokio::task::spawn_blocking(move || cache.page(after, limit, filter));
    match read.await {
        Ok(page) => page.map_err(|error| {
            ApiError::unavailable(error.to_string(), "ask another node, and look at this one's log")
        }),
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

/// Returns the newest `count` rows: goes back from the end by log entries until there are enough.
async fn newest(api: &Api, count: usize, filter: Filter) -> Result<Page, ApiError> {
    let end = api.replica.history().recorded().0;
    let mut back = count as u64;
    loop {
        let start = end.saturating_sub(back);
        let mut found = Page { rows: Vec::new(), next: Position::before(start), stops_at_gap: false };
        loop {
            let part = page(api, found.next, LIMIT_MAX, filter).await?;
            if part.rows.is_empty() || found.rows.len() > SCAN_MAX {
                break;
            }
            found.next = part.next;
            found.stops_at_gap = part.stops_at_gap;
            found.rows.extend(part.rows.iter().cloned());
        }
        if found.rows.len() >= count || start == 0 {
            found.rows = found.rows.split_off(found.rows.len().saturating_sub(count));
            return Ok(found);
        }
        back = back.saturating_mul(4);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let cursor = Cursor::try_from(text.to_owned()).ok();
        assert_eq!(cursor.map(|cursor| cursor.to_json().to_string()).as_deref(), expected, "{text}");
    }

    #[test]
    fn cursors_are_given_back_as_they_came() {
        check("0", Some("0"));
        check("3735552", Some("3735552"));
        check("57:65537", Some("\"57:65537\""));
        check("57:", None);
        check("-1", None);
        check("x", None);
    }
}
