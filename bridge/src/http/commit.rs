//! Brings a person's wish into the log, and waits until it is committed and applied here.

use super::Api;
use super::error::ApiError;
use crate::raft::Settled;
use gable_rules::InputKind;
use std::time::Duration;
use tokio::time::timeout;

/// How long a commit may take: several elections.
const PATIENCE: Duration = Duration::from_secs(10);

/// Commits an input; `hint` says what to do if the log refuses it.
pub(super) async fn commit(api: &Api, kind: InputKind, hint: &str) -> Result<(), ApiError> {
    match timeout(PATIENCE, api.replica.propose(kind)).await {
        Ok(Ok(committed)) => match committed.outcome {
            Settled::Applied | Settled::Duplicate => Ok(()),
            Settled::Refused(why) => Err(ApiError::bad_request(why, hint)),
        },
        Ok(Err(error)) => Err(ApiError::unavailable(error.to_string(), "try again, or ask another node")),
        Err(_) => Err(ApiError::unavailable(
            format!("not committed within {} s; it may still be", PATIENCE.as_secs()),
            "check with /api/status whether a majority of nodes is up",
        )),
    }
}
