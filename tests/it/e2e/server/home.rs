//! The home's automations with Gable itself as the broker of its devices.

use crate::e2e::motion;
use gable_tests::cluster::Cluster;
use gable_tests::mqtt::{Client, Hello};
use gable_tests::node::PATIENCE;
use gable_tests::wait;

/// What a home of motion and bulb has besides.
const PORCH_FOLLOWS: &str = r#"
  - id: porch_follows
    triggers:
      - trigger: state
        entity_id: binary_sensor.hall_motion
        to: "on"
    actions:
      - action: light.turn_on
        target: {entity_id: light.porch_bulb}
        data: {brightness_pct: 50}
"#;

/// A device in the short spelling in which devices speak. It sleeps at times: what is to be done comes
/// at QoS 1, so that it waits in the device's session.
const PORCH: &str = r#"{
    "dev": {"ids": "0x0017880104e45517", "name": "Porch bulb", "mf": "Nobody"},
    "o": {"name": "test"},
    "cmps": {"light": {"p": "light", "name": null, "uniq_id": "porch_1", "schema": "json", "brightness": true, "qos": 1,
                       "stat_t": "z2m/porch", "cmd_t": "z2m/porch/set"}}
}"#;

fn motion(occupancy: bool) -> String {
    format!(r#"{{"battery":97,"illuminance":12,"linkquality":84,"occupancy":{occupancy}}}"#)
}

/// The bulb does what it is told and says so.
#[track_caller]
fn obey(bulb: &mut Client) {
    let message = bulb.wait_for(PATIENCE, |message| message.topic == "zigbee2mqtt/hall_bulb/set");
    assert_eq!((message.text().as_str(), message.retain), ("ON", false));
    bulb.publish("zigbee2mqtt/hall_bulb", r#"{"state":"ON","brightness":254}"#, 1, false);
}

#[track_caller]
fn wait_until_settled(cluster: &Cluster) {
    for node in cluster.nodes.iter().filter(|node| node.is_running()) {
        node.wait_for_state("light.hall_bulb", "on");
        wait::until("the commands to be confirmed", PATIENCE, || {
            let status = node.get("/api/status")?;
            (status["outbox"] == 0).then_some(()).ok_or_else(|| status.to_string())
        });
    }
}

#[test]
fn motion_at_one_node_reaches_bulbs_at_others_whoever_dies() {
    let mut cluster = Cluster::serve("", &[motion::HOME, PORCH_FOLLOWS].concat());
    let mqtt = cluster.mqtt();
    let a = cluster.leader();
    let (b, c) = ((a + 1) % 3, (a + 2) % 3);
    let mut sensor = Client::connect(mqtt[b], &Hello::new("sensor"));
    let mut bulb = Client::connect(mqtt[c], &Hello::new("bulb"));
    bulb.subscribe("zigbee2mqtt/hall_bulb/set", 1);

    eprintln!("phase: the porch bulb announces itself");
    let porch = Hello::lasting("porch");
    let mut device = Client::connect(mqtt[a], &porch);
    device.subscribe("z2m/porch/set", 1);
    device.publish("homeassistant/device/porch_1/config", PORCH, 1, true);
    for node in &cluster.nodes {
        node.wait_for_state("light.porch_bulb", "unknown");
    }

    eprintln!("phase: motion");
    sensor.publish("zigbee2mqtt/hall_motion", motion(true), 0, false);
    obey(&mut bulb);
    let command = device.wait_for(PATIENCE, |message| message.topic == "z2m/porch/set");
    assert_eq!(command.text(), r#"{"state":"ON","brightness":128}"#);
    device.publish("z2m/porch", command.text(), 1, false);
    wait_until_settled(&cluster);

    eprintln!("phase: the leader dies, and with it the porch bulb's node; motion again");
    sensor.publish("zigbee2mqtt/hall_motion", motion(false), 1, false);
    bulb.publish("zigbee2mqtt/hall_bulb", r#"{"state":"OFF"}"#, 1, false);
    device.publish("z2m/porch", r#"{"state":"OFF"}"#, 1, false);
    cluster.nodes[b].wait_for_state("light.porch_bulb", "off");
    cluster.nodes[a].kill();
    sensor.publish("zigbee2mqtt/hall_motion", motion(true), 1, false);
    obey(&mut bulb);
    let mut device = Client::connect(mqtt[b], &porch);
    assert!(device.session_present, "its session is at every node");
    let command = device.wait_for(PATIENCE, |message| message.topic == "z2m/porch/set");
    assert_eq!(command.text(), r#"{"state":"ON","brightness":128}"#);
    device.publish("z2m/porch", command.text(), 1, false);
    wait_until_settled(&cluster);

    cluster.nodes[a].start();
    cluster.nodes[a].wait_until_ready();
    wait_until_settled(&cluster);
    let history = cluster.equal_history();
    let motions = history.iter().filter(|event| event["topic"] == "zigbee2mqtt/hall_motion").count();
    assert_eq!(motions, 3, "each motion once: {history:#?}");
}
