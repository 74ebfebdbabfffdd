//! Real clients at real sockets: what gets in, what does not, and who is held up by whom.

mod authority;
mod client;
mod limits;
mod transports;
mod trust;

use super::*;
use std::sync::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// Longer than anything takes here; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Listeners that run, and what is known of them.
struct House {
    addresses: Vec<(Transport, SocketAddr)>,
    certificates: Option<Certificates>,
    status: StatusHandle,
    stop: watch::Sender<bool>,
    running: JoinHandle<()>,
    /// What was accepted, as far as it can be shown.
    guests: Arc<Mutex<Vec<String>>>,
}

/// Listens on ports of the system's choice.
fn settings() -> Server {
    Server { listen: vec![any_port()], ..Server::default() }
}

fn any_port() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

impl House {
    /// Serves echo: a client is known as soon as it has said something.
    async fn open(settings: &Server) -> House {
        House::open_with(settings, |_| {}).await
    }

    async fn open_with(settings: &Server, change: impl FnOnce(&mut Listeners)) -> House {
        let mut listeners = Listeners::bind(settings).await.unwrap();
        change(&mut listeners);
        let (stop, stopped) = watch::channel(false);
        let (addresses, certificates) = (listeners.addresses().collect(), listeners.certificates());
        let (status, guests) = (listeners.watch(), Arc::<Mutex<Vec<String>>>::default());
        let running = tokio::spawn(listeners.run(stopped, {
            let guests = Arc::clone(&guests);
            move |accepted: Accepted| {
                let Accepted { transport, identity, may_be_anonymous, .. } = &accepted;
                guests.lock().unwrap().push(format!("{transport:?} {identity:?} {may_be_anonymous}"));
                echo(accepted)
            }
        }));
        House { addresses, certificates, status, stop, running, guests }
    }

    fn address(&self) -> SocketAddr {
        self.addresses[0].1
    }

    fn guests(&self) -> Vec<String> {
        self.guests.lock().unwrap().clone()
    }

    /// Waits for what the listeners' tasks count a moment after a client can see it.
    async fn wait_for(&self, is_reached: impl Fn(&Status) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_reached(&self.status.status()) {
            assert!(Instant::now() < deadline, "it stays at {:?}", self.status.status());
            sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Sends back what comes, and ends with it; panics if it is told to.
async fn echo(accepted: Accepted) {
    let mut stream = accepted.stream;
    let mut bytes = vec![0; 32 << 10];
    while let Ok(length @ 1..) = stream.read(&mut bytes).await {
        if !accepted.claim.settle() {
            return;
        }
        assert_ne!(&bytes[..length], b"panic", "told to");
        if stream.write_all(&bytes[..length]).await.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
    let _ = stream.shutdown().await;
}

/// Connects, and has a word sent back, which settles the connection's place.
async fn known(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    assert!(is_echoed(&mut stream).await, "{address} does not answer");
    stream
}

/// Whether the other side still sends a word back.
async fn is_echoed(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> bool {
    let talk = async {
        stream.write_all(b"word").await?;
        stream.flush().await?;
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).await?;
        io::Result::Ok(answer)
    };
    timeout(PATIENCE, talk).await.unwrap().is_ok_and(|answer| &answer == b"word")
}

/// Waits until the other side has closed.
async fn is_closed(stream: &mut (impl AsyncRead + Unpin)) {
    let mut rest = Vec::new();
    // A reset is an end as well.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap();
}
