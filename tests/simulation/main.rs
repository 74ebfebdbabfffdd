//! The seeded simulation: three real nodes in one thread, on a network, disks and clocks that fail.
//!
//! Real are the replica with openraft, transport, proposer and timers, the store and the history
//! on redb, the rules, and in half of the runs the MQTT server. Simulated are the network (turmoil),
//! the disks (`Lossy`), the clocks and the devices: MQTT clients of the server, or else behind a
//! modelled broker with a modelled client in front of it. One seed gives faults and workload;
//! then all faults stop and the cluster has to heal. The invariants are in `invariant/`, one file
//! each, and for each a planted fault shows that it notices.
//!
//! Every seed runs in a process of its own: only then is a replay exact, because some libraries
//! keep random state per thread. `cargo test -p gable-tests --features simulation` runs the whole
//! suite; behind `--`, `--seeds A..B` runs other seeds, `--seed N` replays one, and `--edge attach`
//! or `--edge server` says for all of them how devices reach the nodes.

mod arguments;
mod campaign;
mod client;
mod clients;
mod console;
mod devices;
mod dice;
mod dispatch;
mod driver;
mod faults;
mod inspection;
mod invariant;
mod node;
mod plant;
mod run;
mod single;
mod suite;
mod trace;
mod world;

use arguments::{Arguments, Job};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(problem) => {
            console::complain(&problem);
            return ExitCode::from(2);
        }
    };
    let passed = match &arguments.job {
        Job::One(seed) => single::run(*seed, &arguments),
        Job::Seeds(seeds) => campaign::run(seeds.clone(), arguments.edge, arguments.jobs),
        Job::Suite(selection) => suite::run(selection, arguments.jobs),
        Job::List(selection) => suite::list(selection),
    };
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
