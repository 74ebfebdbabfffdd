//! Where people are, and whether firmware is late.

use super::{commands, payloads};

#[test]
fn trackers_are_home_away_or_somewhere() {
    let section = "device_tracker: {name: x, state_topic: s, payload_home: here, source_type: bluetooth_le}";
    let check = payloads::check;
    check(section, "s here", "device_tracker.x home");
    check(section, "s not_home", "device_tracker.x not_home");
    check(section, "s Office", "device_tracker.x Office");
    check(section, "s None", "device_tracker.x unknown");
}

/// As Zigbee2MQTT announces the firmware of a device.
const ZIGBEE2MQTT: &str = r#"
update:
  name: x
  command_topic: z/bridge/request/device/ota_update/update
  payload_install: '{"id": "0x01"}'
  state_topic: z/bulb
  value_template: '{"latest_version":"{{ value_json[''update''][''latest_version''] }}","installed_version":"{{ value_json[''update''][''installed_version''] }}","update_percentage":{{ value_json[''update''].get(''progress'', ''null'') }}}'
"#;

#[test]
fn firmware_is_late_or_not() {
    let check = payloads::check;
    check(
        ZIGBEE2MQTT,
        r#"z/bulb {"update":{"installed_version":16777220,"latest_version":16777221,"state":"available"}}"#,
        r#"update.x on installed_version="16777220" latest_version="16777221" update_percentage=null"#,
    );
    check(
        ZIGBEE2MQTT,
        r#"z/bulb {"update":{"installed_version":2,"latest_version":2,"progress":50}}"#,
        r#"update.x off installed_version="2" latest_version="2" update_percentage=50"#,
    );
    let two = "update: {name: x, state_topic: s, latest_version_topic: l}";
    check(two, "s 1.9.0", "update.x unknown\nupdate.x installed_version=\"1.9.0\"");
    let both =
        "update: {name: x, state_topic: s, latest_version_topic: s, latest_version_template: '1.10.0'}";
    check(both, "s 1.9.0", r#"update.x on installed_version="1.9.0" latest_version="1.10.0""#);
    check(both, "s 1.11.0", r#"update.x off installed_version="1.11.0" latest_version="1.10.0""#);
}

#[test]
fn firmware_is_installed_once() {
    commands::check(
        ZIGBEE2MQTT,
        "",
        "install",
        r#"z/bridge/request/device/ota_update/update {"id": "0x01"}; once"#,
    );
    commands::check(
        "update: {name: x, state_topic: s}",
        "",
        "install",
        "! update.x can not do `install`: its declaration has no `command_topic`",
    );
}
