//! Motion turns the bulb on: from `mosquitto_pub` to `mosquitto_sub` through a replicated log.

use gable_tests::broker::{self, Subscriber};
use gable_tests::cluster::{Brokers, Cluster};
use gable_tests::node::PATIENCE;
use gable_tests::{has_peer, wait};
use std::time::Duration;

pub(super) const HOME: &str = r#"
mqtt:
  - binary_sensor:
      name: Hall motion
      default_entity_id: binary_sensor.hall_motion
      state_topic: zigbee2mqtt/hall_motion
      value_template: "{{ value_json.occupancy }}"
      payload_on: true
      payload_off: false
      device_class: motion
  - light:
      name: Hall bulb
      default_entity_id: light.hall_bulb
      state_topic: zigbee2mqtt/hall_bulb
      state_value_template: "{{ value_json.state }}"
      command_topic: zigbee2mqtt/hall_bulb/set

automation:
  - id: hall_light
    triggers:
      - trigger: state
        entity_id: binary_sensor.hall_motion
        to: "on"
    actions:
      - action: light.turn_on
        target:
          entity_id: light.hall_bulb
"#;

const MOTION: &str = r#"{"battery":97,"illuminance":12,"linkquality":84,"occupancy":true,"voltage":3000}"#;

#[track_caller]
fn check(kind: Brokers, speak_at: usize, listen_at: usize) {
    if !has_peer("mosquitto") {
        return;
    }
    let cluster = Cluster::start(3, kind, HOME);
    let mqtt = cluster.mqtt();
    let bulb = Subscriber::start(mqtt[listen_at], "zigbee2mqtt/hall_bulb/set");

    broker::publish(mqtt[speak_at], "zigbee2mqtt/hall_motion", MOTION);

    let line = bulb.wait_for_line(PATIENCE, |line| line.starts_with("zigbee2mqtt/hall_bulb/set "));
    assert_eq!(line, "zigbee2mqtt/hall_bulb/set ON");
    for node in &cluster.nodes {
        node.wait_for_state("binary_sensor.hall_motion", "on");
    }

    // The bulb answers, and the command is settled: nothing waits in the outbox any more.
    broker::publish(mqtt[listen_at], "zigbee2mqtt/hall_bulb", r#"{"state":"ON","brightness":254}"#);
    wait::until("the command to be confirmed", Duration::from_secs(10), || {
        let status = cluster.nodes[speak_at].get("/api/status")?;
        let light = cluster.nodes[speak_at].state("light.hall_bulb")?;
        match (light.as_str(), status["outbox"].as_u64()) {
            ("on", Some(0)) => Ok(()),
            _ => Err(format!("light {light}, {status}")),
        }
    });
    let history = cluster.equal_history();
    let motions: Vec<_> =
        history.iter().filter(|event| event["topic"] == "zigbee2mqtt/hall_motion").collect();
    assert_eq!(motions.len(), 1, "{history:#?}");
    assert_eq!(motions[0]["payload"]["occupancy"], true, "{motions:#?}");
}

#[test]
fn motion_heard_at_one_mosquitto_reaches_the_bulb_at_another() {
    check(Brokers::MosquittoEach, 0, 1);
}

#[test]
fn motion_reaches_the_bulb_over_one_shared_mosquitto() {
    check(Brokers::MosquittoShared, 0, 2);
}

#[test]
fn motion_heard_at_one_embedded_broker_reaches_the_bulb_at_another() {
    check(Brokers::Embedded, 2, 0);
}
