//! Mosquitto alone, if it is installed: what a broker without a replicated log takes.

use super::make;
use crate::cli::local_cluster;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

const START_LIMIT: Duration = Duration::from_secs(5);

/// A running Mosquitto; it ends with this.
pub(super) struct Mosquitto {
    pub(super) address: SocketAddr,
    child: Child,
}

impl Mosquitto {
    /// Starts a broker that keeps nothing; none if the program is not there or does not run.
    pub(super) async fn start(folder: &Path) -> Option<Mosquitto> {
        make(folder).ok()?;
        let address = *local_cluster::free_addresses(1).ok()?.first()?;
        let config = folder.join("mosquitto.conf");
        let text = format!(
            "listener {} {}\nallow_anonymous true\nset_tcp_nodelay true\n",
            address.port(),
            address.ip()
        );
        std::fs::write(&config, text).ok()?;
        let child = Command::new("mosquitto")
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mosquitto = Mosquitto { address, child };
        let deadline = Instant::now() + START_LIMIT;
        while TcpStream::connect(address).await.is_err() {
            if Instant::now() >= deadline {
                return None;
            }
            sleep(Duration::from_millis(10)).await;
        }
        Some(mosquitto)
    }
}

impl Mosquitto {
    pub(super) fn process_id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
