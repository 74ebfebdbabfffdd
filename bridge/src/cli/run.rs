//! `gable run`: one node of a cluster.

use super::failure::{Exit, Failure};
use crate::node::{self, Node};
use crate::{http, mqtt, raft, store, telemetry};
use gable_broker_config::Settings;
use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// A stop that takes longer is cut short; the log is safe at any moment.
const STOP_LIMIT: Duration = Duration::from_secs(3);

const EXAMPLES: &str = "\
Examples:
  gable run --config /etc/gable/gable.toml
  gable run --config node1.toml --set http.listen=127.0.0.1:7181 --set log.level=debug
  GABLE_CLUSTER__KEY_FILE=/run/secrets/cluster gable run --config node1.toml

Settings are taken from flags, then GABLE_* variables, then the file, then defaults.
SIGTERM and SIGINT stop the node after it has handed leadership over; SIGHUP puts this node's
files of the home into force and reads the MQTT certificates anew.
Exit codes: 0 stopped as asked, 2 wrong settings, 3 could not start, 4 must not go on.";

/// Run one node of a cluster.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The settings file (TOML)
    #[arg(long, short, value_name = "FILE", env = "GABLE_CONFIG")]
    config: Option<PathBuf>,
    /// Set one key, e.g. `log.level=debug`; repeat it for more
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    set: Vec<(String, String)>,
    /// Stop when standard input closes, so that the node does not outlive the program that started it
    #[arg(long, hide = true)]
    until_stdin_closes: bool,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE, for example log.level=debug")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}

pub(super) fn run(args: Args) -> Result<ExitCode, Failure> {
    let settings = Settings::load(args.config.as_deref(), &args.set).map_err(|error| {
        let hint = "mend it there; every key is explained in broker-config/config/default.toml";
        Failure::new(Exit::Usage, error, hint)
    })?;
    telemetry::start(&settings.log).map_err(|error| {
        Failure::new(Exit::Usage, error, "use `info`, `debug` or e.g. `info,gable::mqtt=debug`")
    })?;
    super::on_runtime(live(settings, args.until_stdin_closes))
}

async fn live(settings: Settings, until_stdin_closes: bool) -> Result<ExitCode, Failure> {
    let listen = |kind| {
        signal(kind)
            .map_err(|error| Failure::new(Exit::Start, error, "signals must be available to the process"))
    };
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let mut hang_up = listen(SignalKind::hangup())?;
    let stop = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = stdin_closed(), if until_stdin_closes => {}
        }
    };
    tokio::pin!(stop);
    let node = tokio::select! {
        started = Node::start(settings) => started.map_err(start_failure)?,
        () = &mut stop => return Ok(ExitCode::SUCCESS),
    };
    let mut is_ready = false;
    loop {
        tokio::select! {
            () = &mut stop => break,
            reason = node.fatal() => {
                let failure = Failure::new(
                    Exit::Fatal,
                    anyhow::anyhow!("node {} stopped: {reason}", node.id()),
                    "a supervisor should start it again; if that does not help, look at the disk and the lines above",
                );
                failure.report();
                // The store may be stuck in a failing disk, so nothing is waited for.
                std::process::exit(Exit::Fatal as i32);
            }
            Some(()) = hang_up.recv() => node.reload(),
            () = node.ready(), if !is_ready => {
                is_ready = true;
                let at = node.addresses();
                super::tell(&format!("gable: node {} is ready: http://{}  mqtt {}  peers {}\n", node.id(), at.http, at.mqtt, at.peers));
            }
        }
    }
    if tokio::time::timeout(STOP_LIMIT, node.stop()).await.is_err() {
        tracing::warn!("the stop was cut short; what was committed is safe");
    }
    Ok(ExitCode::SUCCESS)
}

/// Waits until standard input is closed, which happens when the parent dies, however it dies.
async fn stdin_closed() {
    let (close, closed) = tokio::sync::oneshot::channel();
    // A thread of its own, because a read of standard input can not be cancelled.
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        let mut buffer = [0; 64];
        while !matches!(stdin.read(&mut buffer), Ok(0) | Err(_)) {}
        // An error means that the node stops already.
        let _ = close.send(());
    });
    let _ = closed.await;
}

/// What to do about a node that does not start.
fn start_failure(error: node::Error) -> Failure {
    let (exit, hint) = match &error {
        node::Error::Address(_) => (
            Exit::Usage,
            "choose an address for address.floating that no machine has, outside of what DHCP gives out",
        ),
        node::Error::Http(http::Error::Listen { .. }) => (
            Exit::Start,
            "stop the other program, or choose another address with --set http.listen=127.0.0.1:PORT",
        ),
        node::Error::Replica(raft::Error::Listen { .. }) => (
            Exit::Start,
            "stop the other program, or choose another address with --set cluster.listen=HOST:PORT",
        ),
        node::Error::Store(store::Error::OtherOwner { .. }) => {
            (Exit::Start, "check node.id, cluster.name and node.data_dir")
        }
        node::Error::Store(_) => {
            (Exit::Start, "check the folder's rights and its disk; one node uses it at a time")
        }
        node::Error::Cluster(_) => (Exit::Usage, "mend the section [cluster]"),
        node::Error::Replica(_) => (Exit::Start, "check the section [cluster] and the data folder"),
        node::Error::Mqtt(mqtt::Error::Embedded(_)) => (
            Exit::Start,
            "stop the other broker, or choose another address with --set mqtt.embedded.listen=127.0.0.1:PORT",
        ),
        node::Error::Mqtt(mqtt::Error::Server(_)) => (
            Exit::Start,
            "check the section [mqtt.server]; another address is --set mqtt.server.listen=127.0.0.1:PORT",
        ),
    };
    Failure::new(exit, error, hint)
}
