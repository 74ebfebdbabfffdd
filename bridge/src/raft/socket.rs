//! The sockets below the transport: tokio's, or the simulated network's.

#[cfg(not(feature = "simulation"))]
pub(super) use tokio::net::{TcpListener, TcpStream};
#[cfg(feature = "simulation")]
pub(super) use turmoil::net::{TcpListener, TcpStream};

#[cfg(not(feature = "simulation"))]
pub(super) use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
#[cfg(feature = "simulation")]
pub(super) use turmoil::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::types::Runtime;
use openraft::AsyncRuntime;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::timeout;

/// A background task of a replica.
pub(crate) type Task = <Runtime as AsyncRuntime>::JoinHandle<()>;

/// Starts a task below the runtime that openraft uses, so that under simulation it inherits the
/// node's seed.
pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Task {
    Runtime::spawn(future)
}

/// Opens a connection without Nagle's delay, or fails after `limit`.
pub(super) async fn connect(address: &str, limit: Duration) -> io::Result<TcpStream> {
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no connection in time");
    let stream = timeout(limit, TcpStream::connect(address)).await.map_err(late)??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Opens the peer listener.
pub(super) async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}
