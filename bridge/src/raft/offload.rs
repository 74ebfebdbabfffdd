//! Work that keeps a processor or a disk busy, beside the asynchronous tasks.

use std::io;

/// Runs `work` on a thread of its own.
#[cfg(not(feature = "simulation"))]
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)
}

/// Runs `work` in place: a simulation has one thread.
#[cfg(feature = "simulation")]
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    Ok(work())
}
