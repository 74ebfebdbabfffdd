//! What people ask a running home: why, why not, what did it do, what would other files have done.

use gable_tests::broker;
use gable_tests::cluster::{Brokers, Cluster};
use gable_tests::node::{Node, PATIENCE};
use gable_tests::{has_peer, programs, wait};
use serde_json::Value as Json;
use std::process::Command;

const HOME: &str = r#"
mqtt:
  - binary_sensor:
      name: Hall motion
      default_entity_id: binary_sensor.hall_motion
      state_topic: hall/motion
  - light:
      name: Hall bulb
      default_entity_id: light.hall_bulb
      state_topic: hall/bulb
      command_topic: hall/bulb/set

input_boolean:
  away: {}

automation:
  - id: hall_light
    triggers:
      - trigger: state
        entity_id: binary_sensor.hall_motion
        to: "on"
    conditions:
      - condition: state
        entity_id: input_boolean.away
        state: "off"
    actions:
      - action: light.turn_on
        target: {entity_id: light.hall_bulb}
  - id: go_away
    triggers:
      - {trigger: mqtt, topic: home/away}
    actions:
      - action: input_boolean.turn_on
        target: {entity_id: input_boolean.away}
  - id: ping
    mode: parallel
    max: 1000
    triggers:
      - {trigger: mqtt, topic: loop/ping}
    actions:
      - action: mqtt.publish
        data: {topic: loop/pong}
  - id: pong
    mode: parallel
    max: 1000
    triggers:
      - {trigger: mqtt, topic: loop/pong}
    actions:
      - action: mqtt.publish
        data: {topic: loop/ping}
"#;

/// What `gable` prints when it asks `node`.
#[track_caller]
fn ask(node: &Node, words: &[&str]) -> String {
    let url = format!("http://{}", node.addresses.http);
    let output = Command::new(programs().join("gable"))
        .args(words)
        .args(["--url", &url])
        .output()
        .expect("gable is built");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{words:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

#[test]
fn every_node_tells_why_also_when_one_has_died() {
    if !has_peer("mosquitto") {
        return;
    }
    let mut cluster = Cluster::start(3, Brokers::MosquittoShared, HOME);
    let mqtt = cluster.mqtt()[0];
    broker::publish(mqtt, "hall/motion", "ON");
    cluster.nodes[0].wait_for_state("binary_sensor.hall_motion", "on");
    broker::publish(mqtt, "hall/bulb", "ON");
    cluster.nodes[0].wait_for_state("light.hall_bulb", "on");
    broker::publish(mqtt, "hall/motion", "OFF");
    cluster.nodes[0].wait_for_state("binary_sensor.hall_motion", "off");
    broker::publish(mqtt, "home/away", "");
    cluster.nodes[0].wait_for_state("input_boolean.away", "on");
    broker::publish(mqtt, "hall/motion", "ON");
    cluster.nodes[0].wait_for_state("binary_sensor.hall_motion", "on");
    cluster.wait_until_equal();

    let questions: [(&[&str], &[&str]); 3] = [
        (&["why", "light.hall_bulb"], &["hall/bulb", "hall_light", "binary_sensor.hall_motion"]),
        (&["why-not", "hall_light"], &["input_boolean.away", "on"]),
        (&["trace", "hall_light"], &["binary_sensor.hall_motion", "input_boolean.away", "light.turn_on"]),
    ];
    let answers: Vec<String> =
        questions.iter().map(|(question, _)| ask(&cluster.nodes[0], question)).collect();
    for (answer, (question, words)) in answers.iter().zip(questions) {
        for word in words {
            assert!(answer.contains(word), "{question:?}: expected `{word}` in:\n{answer}");
        }
    }
    let leader = cluster.leader();
    cluster.nodes[leader].kill();
    for node in cluster.nodes.iter().filter(|node| node.is_running()) {
        for (answer, (question, _)) in answers.iter().zip(questions) {
            assert_eq!(&ask(node, question), answer, "{question:?}");
            let json: Json = serde_json::from_str(&ask(node, &[question, &["--json"]].concat()))
                .expect("with --json it is JSON");
            assert!(json.is_object() || json.is_array(), "{json}");
        }
    }
}

#[test]
fn a_loop_of_two_automations_is_set_apart_and_released() {
    let cluster = Cluster::start(1, Brokers::Embedded, HOME);
    let node = &cluster.nodes[0];
    broker::publish(node.addresses.mqtt, "loop/ping", "");
    let apart = wait::until("one of the two to be set apart", PATIENCE, || {
        let answer = node.get("/api/automations")?;
        let automations = answer["automations"].as_array().or(answer.as_array()).cloned().unwrap_or_default();
        let found = automations.iter().find(|automation| !automation["quarantined"].is_null());
        found.and_then(|found| found["id"].as_str()).map(str::to_owned).ok_or_else(|| answer.to_string())
    });
    assert!(["ping", "pong"].contains(&apart.as_str()), "{apart}");
    let why = ask(node, &["why-not", &apart]);
    assert!(why.contains("quarantine"), "{why}");
    node.wait_for_state(&format!("automation.{apart}"), "off");

    ask(node, &["release", &apart]);
    node.wait_for_state(&format!("automation.{apart}"), "on");
}

#[test]
fn changed_files_are_tried_on_what_was_heard() {
    let cluster = Cluster::start(1, Brokers::Embedded, HOME);
    let node = &cluster.nodes[0];
    broker::publish(node.addresses.mqtt, "hall/motion", "ON");
    node.wait_for_state("binary_sensor.hall_motion", "on");

    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let from = format!("http://{}", node.addresses.http);
    let tried = |home: &str| -> Json {
        let file = folder.path().join("changed.yaml");
        std::fs::write(&file, home).expect("the temporary folder can be written");
        let output = Command::new(programs().join("gable"))
            .arg("try")
            .arg(&file)
            .args(["--from", &from, "--since", "1h", "--json"])
            .output()
            .expect("gable is built");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_str(&said).expect("with --json it is JSON")
    };
    assert_eq!(tried(HOME)["differences"], serde_json::json!([]), "the files in force differ in nothing");

    let changed = tried(&HOME.replace("light.turn_on", "light.turn_off"));
    let differences = changed["differences"].as_array().expect("a list");
    assert_eq!(differences.len(), 1, "{changed}");
    assert_eq!(differences[0]["difference"], "payload", "{changed}");
    assert_eq!(differences[0]["was"]["automation"], "hall_light", "{changed}");
    assert!(differences[0]["would"].to_string().contains("OFF"), "{changed}");
}
