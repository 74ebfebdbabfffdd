//! What a person does wrong: each mistake ends in a clear message and never in a panic.

use gable_tests::cluster::{Brokers, Cluster};
use gable_tests::node::{Node, PATIENCE};
use gable_tests::{ports, programs, wait};
use std::fs;
use std::net::TcpListener;
use std::process::{Command, Output};

const HOME: &str =
    "mqtt:\n  - switch:\n      name: Outlet\n      command_topic: outlet/set\n      state_topic: outlet\n";

/// Runs `gable check` over one file with this text.
fn gable_check(text: &str) -> Output {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("home.yaml");
    fs::write(&file, text).expect("the temporary folder can be written");
    Command::new(programs().join("gable")).arg("check").arg(&file).output().expect("gable is built")
}

/// Expects `gable check` to refuse the text and to say all of `words`.
#[track_caller]
fn check_refuses(text: &str, words: &[&str]) {
    let output = gable_check(text);
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    for word in words {
        assert!(said.contains(word), "expected `{word}` in:\n{said}");
    }
}

#[test]
fn malformed_yaml_is_refused_with_its_place() {
    check_refuses("automation:\n  - id: a\n    triggers: [\n", &["home.yaml:"]);
    check_refuses("mqtt:\n\t- light: {}\n", &["home.yaml:2"]);
}

#[test]
fn a_wrong_type_is_refused_with_its_place() {
    check_refuses("automation:\n  - id: a\n    triggers: 5\n    actions: []\n", &["home.yaml:3:"]);
}

#[test]
fn a_misspelt_key_gets_a_hint() {
    let text =
        "mqtt:\n  - light:\n      name: Bulb\n      comand_topic: bulb/set\n      command_topic: bulb/set\n";
    check_refuses(text, &["home.yaml:4:", "comand_topic", "did you mean", "command_topic"]);
}

#[test]
fn an_unknown_entity_in_an_automation_is_named() {
    let text = format!(
        "{HOME}automation:\n  - id: a\n    triggers:\n      - trigger: state\n        \
         entity_id: switch.outlett\n    actions: []\n"
    );
    let output = gable_check(&text);
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("switch.outlett") && said.contains("switch.outlet"), "{said}");
    assert!(said.contains("home.yaml:"), "{said}");
}

/// Starts one node, expects it to end with an error, and to say all of `words`.
#[track_caller]
fn check_ends(node: &mut Node, words: &[&str]) {
    node.start();
    let (code, log) = node.wait_until_ended();
    assert_ne!(code, Some(0), "{log}");
    assert!(!log.contains("panicked"), "{log}");
    for word in words {
        assert!(log.contains(word), "expected `{word}` in:\n{log}");
    }
}

#[test]
fn a_port_in_use_is_named() {
    let mut cluster = Cluster::prepare(1, Brokers::Embedded, HOME);
    let node = &mut cluster.nodes[0];
    for address in [node.addresses.http, node.addresses.peer, node.addresses.mqtt] {
        let taken = TcpListener::bind(address).expect("the address was free");
        check_ends(node, &[&address.to_string()]);
        drop(taken);
    }
}

#[test]
fn a_data_folder_of_another_node_is_refused() {
    let mut cluster = Cluster::start(1, Brokers::Embedded, HOME);
    let node = &mut cluster.nodes[0];
    node.terminate();
    let text = fs::read_to_string(node.config()).expect("the settings were written");
    fs::write(node.config(), text.replace("id = 1", "id = 2")).expect("the settings can be written");
    check_ends(node, &["data", "node 1"]);
}

#[test]
fn unknown_settings_are_refused() {
    let mut cluster = Cluster::prepare(1, Brokers::Embedded, HOME);
    let node = &mut cluster.nodes[0];
    let text = fs::read_to_string(node.config()).expect("the settings were written");
    fs::write(node.config(), text.replace("data_dir", "data_dri")).expect("the settings can be written");
    check_ends(node, &["data_dri", "data_dir"]);
}

#[test]
fn a_broker_that_is_down_at_the_start_is_waited_for() {
    let nowhere = ports::free();
    let mut cluster = Cluster::prepare(1, Brokers::Embedded, HOME);
    let node = &mut cluster.nodes[0];
    let text = fs::read_to_string(node.config()).expect("the settings were written");
    let attach = format!("host = \"{}\"\nport = {}\nmode = \"attach\"", nowhere.ip(), nowhere.port());
    fs::write(node.config(), text.replace("mode = \"embedded\"", &attach))
        .expect("the settings can be written");
    node.start();
    node.wait_until_ready();
    wait::until_true("the log to name the broker", PATIENCE, || {
        node.log_end().contains(&nowhere.to_string())
    });
    assert_eq!(node.get("/api/status").expect("the node answers")["mqtt"]["link_up"], false);
}

#[test]
fn a_broken_automation_is_shown_while_the_others_run() {
    let home = format!("{HOME}automation:\n  - id: broken\n    triggers: 5\n    actions: []\n");
    let cluster = Cluster::start(1, Brokers::Embedded, &home);
    let problems = cluster.nodes[0].get("/api/problems").expect("the node answers").to_string();
    assert!(problems.contains("home.yaml") && problems.contains("broken"), "{problems}");
}
