//! Stands between the clients and rumqttd, and passes every byte on without delay.
//!
//! rumqttd leaves Nagle's algorithm on: it holds a small packet back until the one before it is
//! acknowledged by the receiver's system, which takes its time, 40 ms on Linux and more on small
//! devices. An acknowledgement followed by a command is exactly such a pair. rumqttd lets nobody at
//! its sockets, so this relay takes its packets, acknowledges them at once, and sends them on over
//! sockets of its own.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, warn};

/// Bytes on their way in each direction of a connection. When they are there and the receiver takes
/// none, the sender waits.
const BUFFER_BYTES: usize = 8 << 10;

/// How long a client may take to say its first word.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// How long rumqttd may take to listen.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// How long rumqttd may take to end a connection that its client has left.
const FAREWELL_MAX: Duration = Duration::from_secs(5);

/// Takes clients from `listener` for ever, and connects each to the broker.
pub(super) async fn run(listener: TcpListener, broker: SocketAddr) -> std::convert::Infallible {
    loop {
        match listener.accept().await {
            Ok((client, address)) => {
                tokio::spawn(async move {
                    if let Err(error) = pass(client, broker).await {
                        debug!(%address, %error, "an MQTT client's connection broke");
                    }
                });
            }
            Err(error) => {
                // Out of file handles, most likely: trying again at once would only spin.
                warn!(%error, "cannot accept an MQTT client's connection");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Passes both directions on until one of the two ends.
async fn pass(client: TcpStream, broker: SocketAddr) -> io::Result<()> {
    // rumqttd logs an error for a client that only looks whether somebody listens.
    let speaks = timeout(SILENCE_MAX, client.peek(&mut [0])).await;
    if !matches!(speaks, Ok(Ok(1..))) {
        return Ok(());
    }
    let broker = connect(broker).await?;
    client.set_nodelay(true)?;
    broker.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_broker, to_broker) = broker.into_split();
    let down = copy(from_broker, to_client, acknowledge);
    tokio::pin!(down);
    tokio::select! {
        biased;
        ended = &mut down => return ended,
        // A closed connection and a broken one are the same to the broker: no DISCONNECT was heard.
        _ = copy(from_client, to_broker, |_| Ok(())) => {}
    }
    // A socket that closes with bytes unread resets its connection, and the client's last words
    // would be lost, a DISCONNECT perhaps that keeps its will from being told.
    timeout(FAREWELL_MAX, down).await.unwrap_or(Ok(()))
}

/// Passes one direction on to its end. A receiver that is gone does not keep it from the end.
async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    arrived: impl Fn(&TcpStream) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut is_heard = true;
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return if is_heard { to.shutdown().await } else { Ok(()) };
        }
        arrived(from.as_ref())?;
        is_heard = is_heard && to.write_all(&buffer[..length]).await.is_ok();
    }
}

/// Tells the sender's system now that its bytes have arrived. The system forgets this wish with the
/// next packet, so it is told each time.
fn acknowledge(stream: &TcpStream) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    stream.set_quickack(true)?;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = stream;
    Ok(())
}

/// Connects to rumqttd, which may begin to listen a moment later than the relay.
async fn connect(broker: SocketAddr) -> io::Result<TcpStream> {
    let deadline = Instant::now() + CONNECT_MAX;
    loop {
        match TcpStream::connect(broker).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && Instant::now() < deadline => {
                sleep(Duration::from_millis(2)).await;
            }
            connected => return connected,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A broker that answers with `answer` to what it hears, and closes.
    async fn broker(answer: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut heard = [0; 5];
            stream.read_exact(&mut heard).await.unwrap();
            assert_eq!(&heard, b"hello");
            stream.write_all(answer).await.unwrap();
        });
        address
    }

    async fn client_of(broker: SocketAddr) -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(run(listener, broker));
        TcpStream::connect(address).await.unwrap()
    }

    #[tokio::test]
    async fn what_the_broker_said_before_it_closed_arrives() {
        static ANSWER: [u8; 3 * BUFFER_BYTES] = [7; 3 * BUFFER_BYTES];
        let mut client = client_of(broker(&ANSWER).await).await;
        client.write_all(b"hello").await.unwrap();
        let mut heard = Vec::new();
        timeout(Duration::from_secs(10), client.read_to_end(&mut heard)).await.unwrap().unwrap();
        assert!(heard == ANSWER, "{} bytes arrived", heard.len());
    }

    #[tokio::test]
    async fn the_broker_sees_that_a_client_left() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = client_of(listener.local_addr().unwrap()).await;
        client.write_all(b"hello").await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        drop(client);
        let mut heard = Vec::new();
        timeout(Duration::from_secs(10), stream.read_to_end(&mut heard)).await.unwrap().unwrap();
        assert_eq!(heard, b"hello");
    }
}
