//! Announcements in both forms, short and long, sound and broken; and those of the field, where they
//! are at hand.

mod kinds;

use super::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

fn announce(topic: &str, payload: &Value) -> Result<Announcement, DiscoveryError> {
    read(PREFIX, topic, payload.to_string().as_bytes())
}

/// The ids that an announcement wishes for, or the first thing that is wrong with it.
fn ids(topic: &str, payload: &Value) -> Result<Vec<String>, String> {
    let announcement = announce(topic, payload).map_err(|error| error.fault.to_string())?;
    let id = |part: Part| part.entity.map(|entity| entity.id().to_string());
    announcement.parts.into_iter().map(id).collect::<Result<_, _>>().map_err(|error| error.fault.to_string())
}

#[test]
fn topics_are_told_apart() {
    let check = |topic, expected| assert_eq!(is_announcement(PREFIX, topic), expected, "{topic}");
    check("homeassistant/light/hall/config", true);
    check("homeassistant/light/node/hall/config", true);
    check("homeassistant/device/hall/config", true);
    check("homeassistant/light/config", false);
    check("homeassistant/light/a/b/c/config", false);
    check("homeassistant/light//hall/config", false);
    check("homeassistant/status", false);
    check("other/light/hall/config", false);
}

#[test]
fn ids_are_derived_as_in_home_assistant() {
    let topic = "homeassistant/switch/node/object/config";
    let check = |payload: Value, expected: &str| {
        assert_eq!(ids(topic, &payload), Ok(vec![expected.to_owned()]), "{payload}");
    };
    check(json!({"name": "Big Fan", "cmd_t": "x"}), "switch.big_fan");
    check(json!({"name": "Fan", "cmd_t": "x", "obj_id": "my_fan"}), "switch.my_fan");
    check(json!({"name": "Fan", "cmd_t": "x", "default_entity_id": "switch.other"}), "switch.other");
    let device = json!({"identifiers": ["1"], "name": "Hall"});
    check(json!({"name": "Fan", "uniq_id": "u", "cmd_t": "x", "dev": device}), "switch.hall_fan");
}

#[test]
fn short_and_long_spelling_mean_the_same() {
    let long = json!({
        "name": "Motion", "unique_id": "m", "state_topic": "z2m/hall/state", "value_template": "{{ value_json.o }}",
        "payload_on": true, "payload_off": false, "device_class": "motion",
        "availability": [{"topic": "z2m/bridge"}], "device": {"identifiers": ["1"], "name": "Hall"},
    });
    let short = json!({
        "~": "z2m", "name": "Motion", "uniq_id": "m", "stat_t": "~/hall/state", "val_tpl": "{{ value_json.o }}",
        "pl_on": true, "pl_off": false, "dev_cla": "motion",
        "avty": [{"t": "~/bridge"}], "dev": {"ids": ["1"], "name": "Hall"},
    });
    let topic = "homeassistant/binary_sensor/hall/config";
    let entity = |payload| announce(topic, payload).unwrap().parts.remove(0).entity.unwrap();
    assert_eq!(format!("{:?}", entity(&long)), format!("{:?}", entity(&short)));
}

#[test]
fn devices_announce_all_their_entities_at_once() {
    let topic = "homeassistant/device/0x1/config";
    let device = json!({
        "dev": {"ids": ["0x1"], "name": "Plug"}, "o": {"name": "test"}, "qos": 1, "state_topic": "plug",
        "cmps": {
            "relay": {"p": "switch", "unique_id": "r", "name": "Relay", "command_topic": "plug/set"},
            "power": {"p": "sensor", "unique_id": "p", "name": "Power", "unit_of_measurement": "W"},
            "gone": {"p": "sensor"},
        },
    });
    assert_eq!(ids(topic, &device), Ok(vec!["sensor.plug_power".into(), "switch.plug_relay".into()]));
    assert!(announce(topic, &json!("")).is_err());
    assert!(read(PREFIX, topic, b"").unwrap().parts.is_empty(), "an empty payload withdraws");
}

#[test]
fn what_is_wrong_is_named() {
    let check = |topic: &str, payload: &str, expected: &str| {
        let error = read(PREFIX, topic, payload.as_bytes()).unwrap_err().fault.to_string();
        assert!(error.contains(expected), "{payload}: {error}");
    };
    let topic = "homeassistant/switch/x/config";
    check(topic, "{", "not JSON");
    check(topic, "[]", "not a JSON object");
    check(topic, "{}", "`command_topic` is missing");
    check("homeassistant/toaster/x/config", "{}", "`toaster` are not supported");
    check("homeassistant/switch/config", "{}", "not a discovery topic");
    check(topic, &format!("{{\"name\":\"{}\"}}", "x".repeat(PAYLOAD_MAX)), "larger than");
    let base =
        r#"{"~":"x","dev":{"ids":["1"]},"o":{"name":"t"},"cmps":{"a":{"p":"switch","cmd_t":"~/set"}}}"#;
    check("homeassistant/device/x/config", base, "`~` is not allowed");
}

#[test]
fn announcements_of_the_field_are_understood() {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus");
    #[expect(clippy::disallowed_methods, reason = "a test may look for its data")]
    let folder = std::env::var("GABLE_CORPUS").map_or_else(|_| beside(), PathBuf::from);
    let (mut taken, mut refused) = (BTreeMap::<String, u32>::new(), BTreeMap::<String, u32>::new());
    for file in ["zigbee2mqtt", "shellies-discovery", "theengs-gateway", "otgw-firmware", "rtl_433"] {
        #[expect(clippy::disallowed_methods, reason = "a test may look for its data")]
        let Ok(text) = std::fs::read_to_string(folder.join(format!("{file}.jsonl"))) else {
            println!("skipped: no corpus at ../../shared/corpus, and GABLE_CORPUS names none");
            return;
        };
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        for line in lines.filter(|line| line["kind"] == "discovery") {
            let topic = line["topic"].as_str().unwrap();
            let payload = line["payload"].as_str().unwrap();
            let Some(component) = component_of(PREFIX, topic) else { continue };
            match read(PREFIX, topic, payload.as_bytes()) {
                Ok(_) => *taken.entry(component.to_owned()).or_default() += 1,
                Err(error) => match error.fault {
                    DiscoveryFault::Component(_) => {}
                    fault => *refused.entry(format!("{component}: {fault}")).or_default() += 1,
                },
            }
        }
    }
    let (all, bad): (u32, u32) = (taken.values().sum(), refused.values().sum());
    println!("understood {all}: {taken:?}\nrefused {bad}: {refused:#?}");
    assert!(all > 300, "only {all} were understood");
    assert!(bad * 20 < all, "{bad} were refused: {refused:#?}");
}
