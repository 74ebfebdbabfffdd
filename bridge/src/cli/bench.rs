//! `gable bench`: what nodes do on this machine, as tables: a cluster of three, and Gable as the broker.
//!
//! It measures and compares with the numbers we want to reach; it never fails because something was
//! slow, only if something was lost. All nodes run on this one machine and share its disk and its
//! processors with the load, so the absolute numbers are lower than on three machines.

mod broker;
mod clients;
mod failover;
mod footprint;
mod latency;
mod machine;
mod mosquitto;
mod pauses;
mod process;
mod replicas;
mod samples;
mod table;
mod throughput;

use super::failure::{Exit, Failure};
use super::palette::Palette;
use anyhow::Context;
use machine::Machine;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use table::Table;
use tempfile::TempDir;

const EXAMPLES: &str = "\
Examples:
  gable bench                          everything; takes some minutes
  gable bench --quick                  a first look in about a minute
  gable bench --only latency,failover  parts of it
  gable bench --only broker            Gable as the broker, beside Mosquitto if it is installed
  gable bench --dir /mnt/sd --json     on another disk, for programs

Exit codes: 0 measured, 1 something was lost, 3 a node could not start.";

/// Measure throughput, latency, failover and footprint of three nodes on this machine
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Measure for a shorter time: rough numbers
    #[arg(long)]
    quick: bool,
    /// Which parts to measure; all of them if not given
    #[arg(long, value_name = "PART,...", value_delimiter = ',')]
    only: Vec<Part>,
    /// How often each measurement is repeated; kills of the leader are at least five (quick: two)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    repeats: Option<u32>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Where the nodes keep their data meanwhile; the system's temporary folder if not given
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Committed events a second with 1 to 256 in flight
    Throughput,
    /// From a published motion to the received command
    Latency,
    /// The silence after the leader was killed
    Failover,
    /// Memory, bytes written, restart, size of the program
    Footprint,
    /// Gable as the broker beside Mosquitto: latency, throughput, connections, memory
    Broker,
}

/// What all parts need to know.
struct Bench {
    /// Removed at the end.
    home: TempDir,
    machine: Machine,
    repeats: u32,
    kills: u32,
    /// How long one repeat of one load lasts.
    span: Duration,
    is_quick: bool,
}

/// A measured part, and how much was lost meanwhile.
struct Measured {
    tables: Vec<Table>,
    lost: u64,
}

pub(super) fn run(args: Args) -> Result<ExitCode, Failure> {
    let bench = Bench::prepare(&args)?;
    let (mut tables, mut lost) = (Vec::new(), 0);
    let palette = Palette::for_stdout();
    if !args.json {
        println!("{}", bench.machine.shown());
    }
    for part in [Part::Throughput, Part::Latency, Part::Failover, Part::Footprint, Part::Broker] {
        if !args.only.is_empty() && !args.only.contains(&part) {
            continue;
        }
        let measured = bench.measure(part)?;
        lost += measured.lost;
        for table in measured.tables {
            if args.json {
                tables.push(table.to_json());
            } else {
                println!("{}", table.shown(palette));
            }
        }
    }
    if args.json {
        println!("{:#}", json!({ "machine": bench.machine.to_json(), "tables": tables, "lost": lost }));
    }
    Ok(if lost == 0 { ExitCode::SUCCESS } else { ExitCode::from(Exit::No as u8) })
}

impl Bench {
    fn prepare(args: &Args) -> Result<Bench, Failure> {
        let folder = args.dir.clone().unwrap_or_else(std::env::temp_dir);
        let home = tempfile::Builder::new().prefix("gable-bench-").tempdir_in(&folder);
        let home = home.with_context(|| format!("cannot make a folder in {}", folder.display()));
        let home =
            home.map_err(|error| Failure::new(Exit::Start, error, "choose a folder that exists with --dir"))?;
        let is_quick = args.quick;
        let probe = Duration::from_secs(if is_quick { 1 } else { 3 });
        progress("measures the disk".to_owned());
        let machine = Machine::examine(home.path(), probe)?;
        let usual = |quick, full| if is_quick { quick } else { full };
        Ok(Bench {
            home,
            machine,
            repeats: args.repeats.unwrap_or(usual(1, 3)),
            kills: args.repeats.unwrap_or(0).max(usual(2, 5)),
            span: Duration::from_secs(usual(1, 4).into()),
            is_quick,
        })
    }

    fn measure(&self, part: Part) -> Result<Measured, Failure> {
        match part {
            Part::Throughput => Ok(vec![throughput::measure(self)?].into()),
            Part::Latency => on_runtime(latency::measure(self)),
            Part::Failover => on_runtime(failover::measure(self)),
            Part::Footprint => on_runtime(footprint::measure(self)),
            Part::Broker => on_runtime(broker::measure(self)),
        }
    }

    /// Makes a folder below the one of this run.
    fn folder(&self, name: &str) -> Result<PathBuf, Failure> {
        let folder = self.home.path().join(name);
        make(&folder)
            .map_err(|error| Failure::new(Exit::Start, error, "choose another folder with --dir"))?;
        Ok(folder)
    }
}

impl From<Vec<Table>> for Measured {
    fn from(tables: Vec<Table>) -> Measured {
        Measured { tables, lost: 0 }
    }
}

fn make(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))
}

/// Runs a part whose nodes are processes of their own.
fn on_runtime<T>(part: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.context("cannot start threads")?.block_on(part)
}

/// Tells what is going on, beside the results.
fn progress(text: String) {
    eprintln!("bench: {text}");
}
