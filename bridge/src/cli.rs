//! The command line: what `gable` can be told, and who does it.
//!
//! Only this module and what lies below it prints. Each command is one file with its arguments and
//! one function; errors come back as [`failure::Failure`] and are told in one place.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command's answer goes to stdout")]

mod acl;
mod bench;
mod certificate;
mod check;
mod client;
mod clients;
mod demo;
mod events;
mod failure;
mod local_cluster;
mod palette;
mod release;
mod run;
mod simulate;
mod status;
mod timeline;
mod trace;
mod trial;
mod user;
mod why;
mod why_not;

use clap::{Parser, Subcommand};
use failure::Failure;
use std::io::Write;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

const EXAMPLES: &str = "\
Examples:
  gable demo                                    see a home survive: three nodes, one is killed
  gable check home.yaml                         find mistakes before a node does
  gable run --config node1.toml                 run one node of a cluster
  gable run --config node1.toml --set log.level=debug
  gable status --url http://127.0.0.1:7180      ask the cluster how it is
  gable events --follow                         watch what happens in the home
  gable why light.hall                          what changed it, and which run wanted that
  gable why-not motion_light                    which condition kept it from running
  gable try home.yaml --from http://127.0.0.1:7180 --since 2h
  gable user add hall_plug                      let a device use the MQTT server
  gable certificate server gable.local          let clients come with TLS
  gable simulate --broker 127.0.0.1:1883        simulated sensors and bulbs over MQTT
  gable bench --quick                           what three nodes do on this machine

Exit codes:
  0  done
  1  the answer is no: mistakes in files, a node that is not ready, something lost
  2  wrong flags or settings
  3  the node could not start (a port in use, a data folder of another node)
  4  the node stopped because going on would be wrong; a supervisor should start it again
  5  nobody answered at the address";

/// A home-automation bridge over MQTT that does not die with a box.
///
/// Several small nodes keep one ordered, replicated log of the home: entity values, half-run
/// automations, timers and promised commands survive the loss of any minority of them.
#[derive(Debug, Parser)]
#[command(name = "gable", version, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Args),
    Run(run::Args),
    Simulate(simulate::Args),
    Check(check::Args),
    Status(status::Args),
    Events(events::Args),
    Why(why::Args),
    WhyNot(why_not::Args),
    Trace(trace::Args),
    Release(release::Args),
    Try(trial::Args),
    Clients(clients::Args),
    User(user::Args),
    Acl(acl::Args),
    Certificate(certificate::Args),
    Bench(bench::Args),
}

/// Does what the command line says and tells how it went.
pub fn run(cli: Cli) -> ExitCode {
    let result = match cli.command {
        Command::Demo(args) => on_runtime(demo::run(args)),
        Command::Run(args) => run::run(args),
        Command::Simulate(args) => on_runtime(simulate::run(args)),
        Command::Check(args) => check::run(args),
        Command::Status(args) => on_runtime(status::run(args)),
        Command::Events(args) => on_runtime(events::run(args)),
        Command::Why(args) => on_runtime(why::run(args)),
        Command::WhyNot(args) => on_runtime(why_not::run(args)),
        Command::Trace(args) => on_runtime(trace::run(args)),
        Command::Release(args) => on_runtime(release::run(args)),
        Command::Try(args) => on_runtime(trial::run(args)),
        Command::Clients(args) => on_runtime(clients::run(args)),
        Command::User(args) => on_runtime(user::run(args)),
        Command::Acl(args) => on_runtime(acl::run(args)),
        Command::Certificate(args) => certificate::run(args),
        Command::Bench(args) => bench::run(args),
    };
    match result {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

/// Runs a command that waits for the network.
fn on_runtime<F>(command: F) -> Result<ExitCode, Failure>
where
    F: Future<Output = Result<ExitCode, Failure>>,
{
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(
            |error| {
                Failure::new(
                    failure::Exit::Start,
                    error,
                    "check the limits on threads and open files (`ulimit -a`)",
                )
            },
        )?;
    let result = runtime.block_on(command);
    // A blocking read of a terminal or a lookup of a name must not keep the command from ending.
    runtime.shutdown_background();
    result
}

/// Prints a command's answer. `println!` would panic when the reader has gone (`gable status | head`).
fn tell(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// Waits until the process is asked to stop.
async fn stop_signal() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
