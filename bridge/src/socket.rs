//! The sockets below the transport and the broker: tokio's, or the simulated network's.

#[cfg(not(feature = "simulation"))]
pub(crate) use tokio::net::{TcpListener, TcpStream};
#[cfg(feature = "simulation")]
pub(crate) use turmoil::net::{TcpListener, TcpStream};

#[cfg(not(feature = "simulation"))]
pub(crate) use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
#[cfg(feature = "simulation")]
pub(crate) use turmoil::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::timeout;

/// Opens a connection without Nagle's delay, or fails after `limit`.
pub(crate) async fn connect(address: &str, limit: Duration) -> io::Result<TcpStream> {
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no connection in time");
    let stream = timeout(limit, TcpStream::connect(address)).await.map_err(late)??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Opens a listener.
pub(crate) async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}
