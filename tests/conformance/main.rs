//! Public conformance suites of MQTT against one node, from checkouts that the caller names:
//!
//! ```text
//! cargo test -p gable-tests --test conformance -- --mosquitto DIR --paho DIR
//! ```
//!
//! `--mosquitto` is a checkout of Eclipse Mosquitto 2.1 (its raw packet sequences in
//! `test/broker/data`), `--paho` one of Eclipse `paho.mqtt.testing`, which needs Python 3. What may
//! differ is in `allowed.txt`, line by line with its reason; anything else that differs is a failure, and
//! so is a line there that differs no more.

#![allow(clippy::print_stdout, reason = "this program's answer goes to stdout")]

mod paho;
mod sequences;

use gable_tests::node::Node;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;

/// Reasons by the names of what may differ.
const ALLOWED: &str = include_str!("allowed.txt");

/// How one check of a suite went.
pub(crate) struct Checked {
    /// `suite level name`.
    pub(crate) name: String,
    /// What differs, if anything does.
    pub(crate) difference: Option<String>,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (mut mosquitto, mut paho) = (None, None);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--mosquitto" => mosquitto = arguments.next().map(PathBuf::from),
            "--paho" => paho = arguments.next().map(PathBuf::from),
            // What the test runner of a whole workspace passes on.
            _ => {}
        }
    }
    if mosquitto.is_none() && paho.is_none() {
        println!("conformance: name checkouts of the suites with --mosquitto DIR, --paho DIR");
        return ExitCode::SUCCESS;
    }
    let mut checked = Vec::new();
    if let Some(folder) = mosquitto {
        let node = start(sequences::SETTINGS);
        checked.extend(sequences::run(&folder, node.addresses.mqtt));
    }
    if let Some(folder) = paho {
        let node = start(paho::SETTINGS);
        paho::prepare(&node);
        checked.extend(paho::run(&folder, node.addresses.mqtt));
    }
    report(&checked)
}

/// Starts one node that is the broker.
fn start(settings: &str) -> Node {
    let mut node = Node::new(1, None);
    let addresses = node.addresses;
    let text = format!(
        "[node]\nid = 1\ndata_dir = \"data\"\n[cluster]\nkey = \"a key for tests on the loopback only\"\n\
         listen = \"{peer}\"\npeers = [{{ id = 1, address = \"{peer}\" }}]\n[http]\nlisten = \"{http}\"\n\
         [home]\nfiles = [\"home.yaml\"]\n[mqtt.server]\nlisten = [\"{mqtt}\"]\n{settings}",
        peer = addresses.peer,
        http = addresses.http,
        mqtt = addresses.mqtt,
    );
    std::fs::write(node.config(), text).expect("the node's folder can be written");
    std::fs::write(node.home(), "").expect("the node's folder can be written");
    node.start();
    node.wait_until_ready();
    gable_tests::wait::until("the broker to serve", gable_tests::node::PATIENCE, || {
        match node.get("/api/status")? {
            status if status["mqtt"]["link_up"] == true => Ok(()),
            status => Err(status.to_string()),
        }
    });
    node
}

fn report(checked: &[Checked]) -> ExitCode {
    let allowed: BTreeMap<&str, &str> = ALLOWED
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_once(" | ").unwrap_or((line, "")))
        .collect();
    let mut groups: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let (mut surprises, mut differing) = (Vec::new(), BTreeSet::new());
    for one in checked {
        let group = one.name.splitn(3, ' ').take(2).collect::<Vec<_>>().join(" ");
        let (passed, all) = groups.entry(group).or_default();
        *all += 1;
        match &one.difference {
            None => *passed += 1,
            Some(difference) => {
                differing.insert(one.name.as_str());
                if !allowed.contains_key(one.name.as_str()) {
                    surprises.push(format!("{}\n    {difference}", one.name));
                }
            }
        }
    }
    // Several checks may have one name: then one that differs is enough.
    let ran: BTreeSet<&str> = checked.iter().map(|one| one.name.as_str()).collect();
    let stale = allowed.keys().filter(|name| ran.contains(**name) && !differing.contains(**name));
    let stale: Vec<_> =
        stale.map(|name| format!("{name}\n    differs no more: take it off the list")).collect();
    println!("\n{:<24}{:>8}{:>8}{:>10}", "suite", "passed", "of", "allowed");
    for (group, (passed, all)) in &groups {
        println!("{group:<24}{passed:>8}{all:>8}{:>10}", all - passed);
    }
    for surprise in surprises.iter().chain(&stale) {
        println!("\n{surprise}");
    }
    if surprises.is_empty() && stale.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
