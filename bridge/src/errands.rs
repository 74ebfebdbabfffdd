//! Performs the home's errands: HTTP calls for notifications, and to Home Assistant.
//!
//! Only the leader does, starting from the rows, so a new leader begins where the last one ended.
//! What comes of a call goes into the log, and the rules decide whether it is made again. A leader
//! that dies between a call and its entry leaves the next one to make it once more.
//!
//! The client is `ureq` on tokio's blocking threads: calls are few and short, and it brings HTTPS by
//! rustls without a second asynchronous HTTP stack.

use crate::raft::Replica;
use futures_util::stream::{FuturesUnordered, StreamExt};
use gable_rules::{ErrandId, ErrandOutcome, HttpRequest, InputKind};
use std::collections::BTreeSet;
use std::time::Duration;
use tracing::debug;
use ureq::Agent;

/// How many calls are made at a time; the others wait for these.
const AT_ONCE_MAX: usize = 8;
/// How long one call may take, with all its redirections.
const CALL_LIMIT: Duration = Duration::from_secs(15);

/// Performs errands until the replica stops.
pub(crate) async fn run(replica: Replica) {
    let mut leading = replica.leading();
    let mut applied = replica.applied();
    let agent = new_agent();
    let mut under_way: BTreeSet<ErrandId> = BTreeSet::new();
    let mut calls = FuturesUnordered::new();
    while leading.wait_for(|leading| *leading).await.is_ok() {
        applied.mark_unchanged();
        let room = AT_ONCE_MAX.saturating_sub(under_way.len());
        for (errand_id, attempt, request) in replica.read(|state| state.due_errands(room, &under_way)) {
            under_way.insert(errand_id);
            let (agent, replica) = (agent.clone(), replica.clone());
            calls.push(async move {
                let call = tokio::task::spawn_blocking(move || perform(&agent, request));
                let broken_off = |_| ErrandOutcome::Failed { text: "the call was broken off".to_owned() };
                let outcome = call.await.unwrap_or_else(broken_off);
                debug!(%errand_id, attempt, ?outcome, "an errand was tried");
                (errand_id, replica.propose(InputKind::ErrandDone { errand_id, attempt, outcome }).await)
            });
        }
        tokio::select! {
            biased;
            Some((errand_id, answer)) = calls.next(), if !calls.is_empty() => {
                under_way.remove(&errand_id);
                if answer.is_err() {
                    return;
                }
            }
            changed = applied.changed() => if changed.is_err() { return },
            changed = leading.changed() => if changed.is_err() { return },
        }
    }
}

fn new_agent() -> Agent {
    Agent::config_builder().timeout_global(Some(CALL_LIMIT)).http_status_as_error(false).build().into()
}

/// Makes one call. What goes wrong is told without address and headers, which may hold secrets.
fn perform(agent: &Agent, request: HttpRequest) -> ErrandOutcome {
    let mut builder = ureq::http::Request::builder().method(request.method).uri(&request.url);
    for (name, value) in &request.headers {
        builder = builder.header(name, value);
    }
    let answer = if request.body.is_empty() {
        builder.body(()).map(|request| agent.run(request))
    } else {
        builder.body(request.body).map(|request| agent.run(request))
    };
    match answer {
        // It would be the same the next time.
        Err(_) => ErrandOutcome::Refused { status: 0 },
        Ok(Ok(response)) => judge(response.status().as_u16()),
        Ok(Err(error)) => ErrandOutcome::Failed { text: describe(&error) },
    }
}

/// Whether an answer is a success, a no, or worth another attempt.
fn judge(status: u16) -> ErrandOutcome {
    match status {
        200..=299 => ErrandOutcome::Done { status },
        408 | 425 | 429 | 500..=599 => {
            ErrandOutcome::Failed { text: format!("the server answered {status}") }
        }
        _ => ErrandOutcome::Refused { status },
    }
}

fn describe(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => "no answer in time".to_owned(),
        ureq::Error::HostNotFound => "the host was not found".to_owned(),
        ureq::Error::ConnectionFailed => "no connection".to_owned(),
        ureq::Error::Io(error) => error.kind().to_string(),
        _ => "the call could not be made".to_owned(),
    }
}

#[cfg(test)]
mod tests;
