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

/// Has a connection break when the system at its other end has not answered for about `silence`:
/// neither to a question, asked when nothing was heard for half of it, nor to what it was sent.
#[cfg(not(feature = "simulation"))]
pub(crate) fn end_after_silence(stream: &TcpStream, silence: Duration) -> io::Result<()> {
    const PROBES: u32 = 3;
    let (idle, second) = (silence / 2, Duration::from_secs(1));
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(idle.max(second))
        .with_interval((idle / PROBES).max(second))
        .with_retries(PROBES);
    let socket = socket2::SockRef::from(stream);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(silence))?;
    Ok(())
}

/// The simulated network tells at once.
#[cfg(feature = "simulation")]
pub(crate) fn end_after_silence(_: &TcpStream, _: Duration) -> io::Result<()> {
    Ok(())
}

/// Opens a listener.
pub(crate) async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}
