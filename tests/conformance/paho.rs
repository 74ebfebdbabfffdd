//! Paho's interoperability tests, one Python process each.

use super::bench::{Case, Job};
use gable_tests::node::Node;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One test asks for a shorter keep alive than the client's.
const SETTINGS: &str = "max_keep_alive_s = 60\n";

/// Runs one test of a module against a broker.
const RUN: &str = include_str!("paho_run.py");

/// How many tests share a node: they clean up after themselves.
const TESTS_PER_NODE: usize = 4;

/// The tests of both levels.
pub(crate) fn jobs(folder: &Path) -> Vec<Job> {
    let folder = folder.join("interoperability");
    let mut jobs = Vec::new();
    for (module, level) in [("client_test", 4), ("client_test5", 5)] {
        let path = folder.join(format!("{module}.py"));
        let source =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let tests = source.lines().filter_map(|line| line.strip_prefix("    def test")?.split_once('('));
        let cases = tests.map(|(test, _)| {
            let (folder, test) = (folder.clone(), format!("test{test}"));
            Case {
                name: format!("paho v{level} {test}"),
                run: Box::new(move |node| run(&folder, module, &test, node.expect("the job has settings"))),
            }
        });
        let mut cases = cases.collect::<Vec<_>>().into_iter();
        loop {
            let cases: Vec<Case> = cases.by_ref().take(TESTS_PER_NODE).collect();
            let Some(first) = cases.first() else { break };
            jobs.push(Job { title: format!("{} ..", first.name), settings: Some(SETTINGS), prepare, cases });
        }
    }
    jobs
}

/// The suite wants a topic that nobody may subscribe to.
fn prepare(node: &Node) {
    let grant = |filter: &str, denies: bool| json!({ "filter": filter, "rights": if denies { "subscribe" } else { "all" }, "denies": denies });
    let grants =
        json!({ "grants": [grant("#", false), grant("$SYS/#", false), grant("test/nosubscribe", true)] });
    let url = format!("http://{}/api/roles/anonymous", node.addresses.http);
    ureq::put(url).send_json(grants).expect("the node takes a role");
}

fn run(folder: &PathBuf, module: &str, test: &str, node: &Node) -> Result<(), String> {
    let broker = node.addresses.mqtt;
    let output = Command::new("python3")
        .args(["-B", "-c", RUN])
        .arg(folder)
        .args([module, test, &broker.ip().to_string(), &broker.port().to_string()])
        .output()
        .map_err(|error| format!("python3: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(errors.lines().rev().find(|line| line.contains("Error")).unwrap_or("it failed").to_owned())
}
