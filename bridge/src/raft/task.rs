//! Background tasks below the runtime that openraft uses.

use super::types::Runtime;
use openraft::AsyncRuntime;
use std::future::Future;

/// A background task of a replica.
pub(super) type Task = <Runtime as AsyncRuntime>::JoinHandle<()>;

/// Starts a task below the runtime that openraft uses, so that under simulation it inherits the
/// node's seed.
pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Task {
    Runtime::spawn(future)
}
