//! Public conformance suites of MQTT against Gable, from checkouts that the caller names:
//!
//! ```text
//! cargo test -p gable-tests --test conformance -- --mosquitto DIR --mosquitto-scripts DIR --paho DIR
//! ```
//!
//! `--mosquitto` is a checkout of Eclipse Mosquitto 2.1 (its raw packet sequences in
//! `test/broker/data`), `--mosquitto-scripts` one of Mosquitto 2.0 (its Python scripts in
//! `test/broker`), `--paho` one of Eclipse `paho.mqtt.testing`. The latter two need Python 3.
//! `--only TEXT` takes the cases whose names contain it, `--json FILE` writes what came of each, and
//! `--nodes N` says how many nodes run at a time.
//!
//! What may differ is in `allowed.txt`, with its reason; anything else that differs is a failure, and so
//! is a line there whose case differs no more.

#![allow(clippy::print_stdout, reason = "this program's answer goes to stdout")]

mod allowed;
mod bench;
mod paho;
mod report;
mod scripts;
mod sequences;

use bench::Job;
use std::path::PathBuf;
use std::process::ExitCode;

/// How many nodes run at a time: they wait for disks and for silence more than they reckon.
const NODES: usize = 6;

/// How one check of a suite went.
#[derive(Clone, Debug)]
pub(crate) struct Checked {
    /// `suite level name`.
    pub(crate) name: String,
    /// What differs, if anything does.
    pub(crate) difference: Option<String>,
}

#[derive(Debug, Default)]
struct Arguments {
    mosquitto: Option<PathBuf>,
    scripts: Option<PathBuf>,
    paho: Option<PathBuf>,
    only: Option<String>,
    json: Option<PathBuf>,
    nodes: Option<usize>,
}

impl Arguments {
    fn read() -> Arguments {
        let mut read = Arguments::default();
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--mosquitto" => read.mosquitto = arguments.next().map(PathBuf::from),
                "--mosquitto-scripts" => read.scripts = arguments.next().map(PathBuf::from),
                "--paho" => read.paho = arguments.next().map(PathBuf::from),
                "--only" => read.only = arguments.next(),
                "--json" => read.json = arguments.next().map(PathBuf::from),
                "--nodes" => read.nodes = arguments.next().and_then(|number| number.parse().ok()),
                // What the test runner of a whole workspace passes on.
                _ => {}
            }
        }
        read
    }

    /// The suites that run, by the first words of their cases' names.
    fn suites(&self) -> Vec<&'static str> {
        let suites = [("mosquitto", &self.mosquitto), ("scripts", &self.scripts), ("paho", &self.paho)];
        suites.into_iter().filter(|(_, folder)| folder.is_some()).map(|(suite, _)| suite).collect()
    }

    /// Everything that is to be run, what takes longest first.
    fn jobs(&self) -> Vec<Job> {
        let mut jobs = Vec::new();
        jobs.extend(self.paho.iter().flat_map(|folder| paho::jobs(folder)));
        jobs.extend(self.scripts.iter().flat_map(|folder| scripts::jobs(folder)));
        jobs.extend(self.mosquitto.iter().flat_map(|folder| sequences::jobs(folder)));
        jobs.retain_mut(|job| job.keep(self.only.as_deref()));
        jobs
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::read();
    let suites = arguments.suites();
    if suites.is_empty() {
        println!(
            "conformance: name checkouts of the suites with --mosquitto DIR, --mosquitto-scripts DIR, --paho DIR"
        );
        return ExitCode::SUCCESS;
    }
    let allowed = match allowed::read() {
        Ok(allowed) => allowed,
        Err(why) => {
            println!("conformance: allowed.txt: {why}");
            return ExitCode::FAILURE;
        }
    };
    let checked = bench::run(arguments.jobs(), arguments.nodes.unwrap_or(NODES).max(1));
    if let Some(file) = &arguments.json
        && let Err(error) = std::fs::write(file, format!("{:#}\n", report::to_json(&checked, &allowed)))
    {
        println!("conformance: {}: {error}", file.display());
        return ExitCode::FAILURE;
    }
    let is_whole = arguments.only.is_none();
    let complaints = allowed.complaints(&checked, is_whole.then_some(&suites));
    report::print(&checked, &allowed, &complaints);
    if complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
