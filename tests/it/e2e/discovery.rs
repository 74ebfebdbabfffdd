//! Devices announce themselves over a real broker: no `mqtt:` section says what there is.

use gable_tests::broker::{self, Subscriber};
use gable_tests::cluster::{Brokers, Cluster};
use gable_tests::node::PATIENCE;
use gable_tests::{has_peer, wait};

const HOME: &str = r#"
input_boolean:
  guests: {}

automation:
  - id: hall_light
    triggers:
      - trigger: state
        entity_id: binary_sensor.hall_motion
        to: "on"
    actions:
      - action: light.turn_on
        target: {entity_id: light.hall_bulb}
        data: {brightness_pct: 50}
"#;

/// One device with two entities, in the short spelling in which devices speak.
const BULB: &str = r#"{
    "dev": {"ids": "0x0017880104e45517", "name": "Hall bulb", "mf": "Nobody"},
    "o": {"name": "test"},
    "cmps": {
        "light": {"p": "light", "name": null, "uniq_id": "bulb_1", "schema": "json", "brightness": true,
                  "stat_t": "z2m/hall_bulb", "cmd_t": "z2m/hall_bulb/set"},
        "link": {"p": "sensor", "name": "Link", "uniq_id": "bulb_1_link", "stat_t": "z2m/hall_bulb",
                 "val_tpl": "{{ value_json.linkquality }}"}
    }
}"#;

const MOTION: &str = r#"{
    "~": "z2m/hall_motion", "name": "Motion", "object_id": "hall_motion", "uniq_id": "motion_1", "dev_cla": "motion",
    "stat_t": "~", "val_tpl": "{{ value_json.occupancy }}", "pl_on": true, "pl_off": false,
    "avty": [{"t": "~/availability", "val_tpl": "{{ value_json.state }}"}]
}"#;

#[test]
fn announced_devices_take_part_and_outlive_nodes() {
    if !has_peer("mosquitto") {
        return;
    }
    let mut cluster = Cluster::start(3, Brokers::MosquittoShared, HOME);
    let mqtt = cluster.mqtt()[0];
    broker::publish_retained(mqtt, "homeassistant/device/bulb_1/config", BULB);
    broker::publish_retained(mqtt, "homeassistant/binary_sensor/motion_1/config", MOTION);
    broker::publish_retained(mqtt, "z2m/hall_motion/availability", r#"{"state":"online"}"#);
    for node in &cluster.nodes {
        node.wait_for_state("light.hall_bulb", "unknown");
        node.wait_for_state("sensor.hall_bulb_link", "unknown");
        node.wait_for_state("binary_sensor.hall_motion", "unknown");
    }

    let leader = cluster.leader();
    cluster.nodes[leader].kill();
    let survivor = cluster.follower();
    let bulb = Subscriber::start(mqtt, "z2m/hall_bulb/set");
    broker::publish(mqtt, "z2m/hall_motion", r#"{"occupancy":true}"#);
    let line = bulb.wait_for_line(PATIENCE, |line| line.starts_with("z2m/hall_bulb/set "));
    assert_eq!(line, r#"z2m/hall_bulb/set {"state":"ON","brightness":128}"#);
    broker::publish(mqtt, "z2m/hall_bulb", r#"{"state":"ON","brightness":128,"linkquality":77}"#);
    cluster.nodes[survivor].wait_for_state("light.hall_bulb", "on");
    cluster.nodes[survivor].wait_for_state("sensor.hall_bulb_link", "77");

    broker::publish_retained(mqtt, "homeassistant/device/bulb_1/config", "");
    cluster.nodes[leader].start();
    cluster.nodes[leader].wait_until_ready();
    for node in &cluster.nodes {
        wait::until("the bulb to be gone", PATIENCE, || match node.state("light.hall_bulb") {
            Err(error) if error.contains("404") => Ok(()),
            other => Err(format!("{other:?}")),
        });
        node.wait_for_state("binary_sensor.hall_motion", "on");
    }
    cluster.wait_until_equal();
}
