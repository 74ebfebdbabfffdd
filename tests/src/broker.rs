//! A real Mosquitto, and its command line clients.

use crate::{find, ports, wait};
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use tempfile::TempDir;

/// A Mosquitto process of our own. It keeps sessions in memory: the tests kill nodes, not brokers.
pub struct Mosquitto {
    child: Child,
    pub address: SocketAddr,
    folder: TempDir,
}

impl Mosquitto {
    /// Starts a broker and waits until it accepts connections.
    pub fn start() -> Mosquitto {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let address = ports::free();
        let child = spawn(&folder, address);
        let broker = Mosquitto { child, address, folder };
        broker.wait_until_up();
        broker
    }

    /// Kills the broker hard.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again on the same port and folder.
    pub fn restart(&mut self) {
        self.kill();
        self.child = spawn(&self.folder, self.address);
        self.wait_until_up();
    }

    fn wait_until_up(&self) {
        let connect = || TcpStream::connect(self.address).map(drop).map_err(|error| error.to_string());
        wait::until("Mosquitto to listen", Duration::from_secs(10), connect);
    }
}

fn spawn(folder: &TempDir, address: SocketAddr) -> Child {
    let file = folder.path().join("mosquitto.conf");
    let text = format!(
        "listener {} {}\nallow_anonymous true\nmax_queued_messages 0\nuser root\n",
        address.port(),
        address.ip(),
    );
    fs::write(&file, text).expect("the temporary folder can be written");
    let program = find("mosquitto").expect("the caller asked whether Mosquitto is installed");
    Command::new(program)
        .arg("-c")
        .arg(&file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("Mosquitto can be started")
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Publishes one message with `mosquitto_pub`, QoS 1.
#[track_caller]
pub fn publish(broker: SocketAddr, topic: &str, payload: &str) {
    publish_with(broker, &["-q", "1", "-t", topic, "-m", payload]);
}

/// Like [`publish`], and the broker keeps it.
#[track_caller]
pub fn publish_retained(broker: SocketAddr, topic: &str, payload: &str) {
    publish_with(broker, &["-q", "1", "-r", "-t", topic, "-m", payload]);
}

#[track_caller]
fn publish_with(broker: SocketAddr, arguments: &[&str]) {
    let status =
        client("mosquitto_pub", broker).args(arguments).status().expect("mosquitto_pub can be started");
    assert!(status.success(), "mosquitto_pub to {broker} failed: {status}");
}

fn client(program: &str, broker: SocketAddr) -> Command {
    let mut command = Command::new(find(program).expect("Mosquitto's clients come with it"));
    command.args(["-h", &broker.ip().to_string(), "-p", &broker.port().to_string()]);
    command
}

/// A running `mosquitto_sub`: each message is one `topic payload` line.
pub struct Subscriber {
    child: Child,
    lines: Receiver<String>,
}

impl Subscriber {
    /// Subscribes and waits until the subscription is in place.
    pub fn start(broker: SocketAddr, filter: &str) -> Subscriber {
        // A retained message on a topic of our own shows that the subscriptions are in place: the
        // broker sends it after them.
        let sentinel = format!("subscriber/{}", ports::free().port());
        let kept = client("mosquitto_pub", broker).args(["-r", "-t", &sentinel, "-m", "ready"]).status();
        assert!(kept.is_ok_and(|status| status.success()), "mosquitto_pub to {broker} failed");
        let mut child = client("mosquitto_sub", broker)
            .args(["-q", "1", "-v", "-t", filter, "-t", &sentinel])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto_sub can be started");
        let output = BufReader::new(child.stdout.take().expect("the output is piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            // The thread ends with the process, whose output closes.
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let subscriber = Subscriber { child, lines };
        subscriber.wait_for_line(Duration::from_secs(10), |line| line == format!("{sentinel} ready"));
        subscriber
    }

    /// Waits for a message whose line satisfies `wanted`, and returns it.
    #[track_caller]
    pub fn wait_for_line(&self, deadline: Duration, wanted: impl Fn(&str) -> bool) -> String {
        let started = std::time::Instant::now();
        let mut heard = Vec::new();
        loop {
            let left = deadline.saturating_sub(started.elapsed());
            match self.lines.recv_timeout(left) {
                Ok(line) if wanted(&line) => return line,
                Ok(line) => heard.push(line),
                Err(error) => panic!("no such line within {deadline:?} ({error}); heard {heard:#?}"),
            }
        }
    }

    /// Every line heard so far that was not taken yet.
    pub fn drain(&self) -> Vec<String> {
        self.lines.try_iter().collect()
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
