//! A Mosquitto of our own on a loopback port.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub(super) struct Mosquitto {
    program: String,
    folder: TempDir,
    port: u16,
    child: Option<Child>,
}

impl Mosquitto {
    /// Starts a broker with persistent sessions. Without Mosquitto on this machine the test is
    /// passed over, except in CI, where it fails.
    pub(super) fn start() -> Option<Mosquitto> {
        let Some(program) = find() else {
            assert!(std::env::var_os("CI").is_none(), "mosquitto is needed: install it");
            eprintln!("SKIPPED: mosquitto is not installed, so this test shows nothing");
            return None;
        };
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut broker = Mosquitto { program, folder: TempDir::new().unwrap(), port, child: None };
        broker.resume();
        Some(broker)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Ends the broker; what it had saved stays.
    pub(super) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Its default signal would be SIGKILL, before which it saves nothing.
            let _ = Command::new("kill").arg(child.id().to_string()).status();
            let _ = child.wait();
        }
    }

    /// Ends the broker and takes everything it knew.
    pub(super) fn forget(&mut self) {
        self.stop();
        let _ = std::fs::remove_file(self.folder.path().join("mosquitto.db"));
    }

    /// Starts the broker again on the same port.
    pub(super) fn resume(&mut self) {
        let file = self.folder.path().join("mosquitto.conf");
        let text = format!(
            "listener {} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location {}/\n\
             autosave_on_changes true\nautosave_interval 1\nmax_queued_messages 0\nuser root\n",
            self.port,
            self.folder.path().display()
        );
        std::fs::write(&file, text).unwrap();
        let child = Command::new(&self.program)
            .arg("-c")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto can be started");
        self.child = Some(child);
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < deadline, "mosquitto does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn find() -> Option<String> {
    let path = std::env::var("PATH").unwrap_or_default();
    let folders = path.split(':').chain(["/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin"]);
    let programs = folders.map(|folder| format!("{folder}/mosquitto"));
    programs.into_iter().find(|program| std::path::Path::new(program).is_file())
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.stop();
    }
}
