//! Paho's interoperability tests, one Python process each.

use super::Checked;
use gable_tests::node::Node;
use serde_json::json;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

/// One test asks for a shorter keep alive than the client's.
pub(crate) const SETTINGS: &str = "max_keep_alive_s = 60\n";

/// Runs one test of a module against a broker.
const RUN: &str = include_str!("paho_run.py");

/// The suite wants a topic that nobody may subscribe to.
pub(crate) fn prepare(node: &Node) {
    let grant = |filter: &str, denies: bool| json!({ "filter": filter, "rights": if denies { "subscribe" } else { "all" }, "denies": denies });
    let grants =
        json!({ "grants": [grant("#", false), grant("$SYS/#", false), grant("test/nosubscribe", true)] });
    let url = format!("http://{}/api/roles/anonymous", node.addresses.http);
    ureq::put(url).send_json(grants).expect("the node takes a role");
}

/// Runs the tests of both levels.
pub(crate) fn run(folder: &Path, broker: SocketAddr) -> Vec<Checked> {
    let folder = folder.join("interoperability");
    let mut checked = Vec::new();
    for (module, level) in [("client_test", 4), ("client_test5", 5)] {
        let path = folder.join(format!("{module}.py"));
        let source =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let tests = source.lines().filter_map(|line| line.strip_prefix("    def test")?.split_once('('));
        for (test, _) in tests {
            let test = format!("test{test}");
            let output = Command::new("python3")
                .args(["-B", "-c", RUN])
                .arg(&folder)
                .args([module, &test, &broker.ip().to_string(), &broker.port().to_string()])
                .output()
                .expect("python3 can be run");
            let errors = String::from_utf8_lossy(&output.stderr);
            let last = errors.lines().rev().find(|line| line.contains("Error")).unwrap_or("it failed");
            let difference = (!output.status.success()).then(|| last.to_owned());
            checked.push(Checked { name: format!("paho v{level} {test}"), difference });
        }
    }
    checked
}
