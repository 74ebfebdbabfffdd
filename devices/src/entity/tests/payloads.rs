//! What payloads say.

use super::*;

/// Decodes `topic payload` and compares the events, one a line.
#[track_caller]
pub(super) fn check(section: &str, message: &str, expected: &str) {
    check_after(section, None, message, expected);
}

#[track_caller]
pub(super) fn check_after(section: &str, current: Option<&Value>, message: &str, expected: &str) {
    let (topic, payload) = message.split_once(' ').unwrap_or((message, ""));
    let results = entities(section).decode(topic, payload.as_bytes(), |_| current);
    let shown: Vec<String> = results.iter().map(show).collect();
    assert_eq!(shown.join("\n"), expected, "{message}");
}

const Z2M_MOTION: &str = "
binary_sensor:
  - name: Hall motion
    state_topic: zigbee2mqtt/hall_motion
    value_template: '{{ value_json.occupancy }}'
    payload_on: true
    payload_off: false
    device_class: motion
sensor:
  - name: Hall battery
    state_topic: zigbee2mqtt/hall_motion
    value_template: '{{ value_json.battery }}'
    unit_of_measurement: '%'
  - name: Hall lux
    state_topic: zigbee2mqtt/hall_motion
    value_template: '{{ value_json[\"illuminance\"] }}'
    device_class: illuminance
";

#[test]
fn one_zigbee2mqtt_message_serves_all_its_entities() {
    check(
        Z2M_MOTION,
        r#"zigbee2mqtt/hall_motion {"battery":97,"illuminance":12,"linkquality":80,"occupancy":true}"#,
        "binary_sensor.hall_motion on\nsensor.hall_battery 97\nsensor.hall_lux 12",
    );
}

#[test]
fn a_partial_update_says_nothing_of_what_it_lacks() {
    check(Z2M_MOTION, r#"zigbee2mqtt/hall_motion {"occupancy":false}"#, "binary_sensor.hall_motion off");
    check(Z2M_MOTION, r#"zigbee2mqtt/hall_motion {"linkquality":80}"#, "");
    check(Z2M_MOTION, "zigbee2mqtt/hall_motion", "");
}

#[test]
fn null_is_unknown() {
    check(
        Z2M_MOTION,
        r#"zigbee2mqtt/hall_motion {"battery":null,"occupancy":null}"#,
        "binary_sensor.hall_motion unknown\nsensor.hall_battery unknown",
    );
}

#[test]
fn what_can_not_be_read_is_an_error_with_its_topic() {
    check(
        Z2M_MOTION,
        r#"zigbee2mqtt/hall_motion {"occupancy":"#,
        "! binary_sensor.hall_motion: the payload on zigbee2mqtt/hall_motion is not JSON\n\
         ! sensor.hall_battery: the payload on zigbee2mqtt/hall_motion is not JSON\n\
         ! sensor.hall_lux: the payload on zigbee2mqtt/hall_motion is not JSON",
    );
    check(
        Z2M_MOTION,
        r#"zigbee2mqtt/hall_motion {"occupancy":"maybe","battery":"low"}"#,
        "! binary_sensor.hall_motion: the payload on zigbee2mqtt/hall_motion gives `maybe`, expected `True` or `False`\n\
         ! sensor.hall_battery: the payload on zigbee2mqtt/hall_motion gives `low`, expected a number",
    );
    let results = entities("sensor: {name: x, state_topic: t}").decode("t", b"\xff\xfe", |_| None);
    assert_eq!(show(&results[0]), "! sensor.x: the payload on t is not UTF-8 text");
}

#[test]
fn sensors_take_text_numbers_and_options() {
    check("sensor: {name: x, state_topic: t}", "t hello world", "sensor.x hello world");
    check("sensor: {name: x, state_topic: t}", "t None", "sensor.x unknown");
    check("sensor: {name: x, state_topic: t, unit_of_measurement: W}", "t 1.50", "sensor.x 1.50");
    check("sensor: {name: x, state_topic: t, unit_of_measurement: W}", "t None", "sensor.x unknown");
    check(
        "sensor: {name: x, state_topic: t, state_class: measurement}",
        "t nan",
        "! sensor.x: the payload on t gives `nan`, expected a number",
    );
    check(
        "sensor: {name: x, state_topic: t, device_class: timestamp}",
        "t 2025-01-01",
        "sensor.x 2025-01-01",
    );
    check(
        "sensor: {name: x, state_topic: t, device_class: enum, options: [a, b]}",
        "t c",
        "! sensor.x: the payload on t gives `c`, expected a or b",
    );
    let long = format!("t {}", "x".repeat(256));
    check(
        "sensor: {name: x, state_topic: t}",
        &long,
        "! sensor.x: the payload on t gives a state longer than 255 characters",
    );
    check("sensor: {name: x, state_topic: t}", &long[..257], &format!("sensor.x {}", "x".repeat(255)));
}

const TASMOTA: &str = "
switch:
  name: Outlet
  state_topic: stat/outlet/RESULT
  value_template: '{{ value_json.POWER }}'
  command_topic: cmnd/outlet/POWER
  availability_topic: tele/outlet/LWT
  payload_available: Online
  payload_not_available: Offline
light:
  name: Lamp
  command_topic: cmnd/lamp/POWER
  state_topic: tele/lamp/STATE
  state_value_template: '{{value_json.POWER}}'
  brightness_command_topic: cmnd/lamp/Dimmer
  brightness_state_topic: tele/lamp/STATE
  brightness_value_template: '{{value_json.Dimmer}}'
  brightness_scale: 100
  on_command_type: brightness
sensor:
  name: Energy
  state_topic: tele/outlet/SENSOR
  value_template: \"{{ value_json['ENERGY'].Power }}\"
  unit_of_measurement: W
";

#[test]
fn tasmota_speaks() {
    check(TASMOTA, r#"stat/outlet/RESULT {"POWER":"ON"}"#, "switch.outlet on");
    check(TASMOTA, r#"stat/outlet/RESULT {"Dimmer":5}"#, "");
    check(TASMOTA, "tele/outlet/LWT Online", "switch.outlet available[0]=true");
    check(TASMOTA, "tele/outlet/LWT Offline", "switch.outlet available[0]=false");
    check(TASMOTA, "tele/outlet/LWT Perhaps", "");
    check(
        TASMOTA,
        r#"tele/lamp/STATE {"Time":"2025-01-01T00:00:00","POWER":"ON","Dimmer":24,"Wifi":{"RSSI":80}}"#,
        "light.lamp on brightness=61",
    );
    check(TASMOTA, r#"tele/lamp/STATE {"POWER":"OFF","Dimmer":0}"#, "light.lamp off");
    check(TASMOTA, r#"tele/outlet/SENSOR {"ENERGY":{"Power":12.5,"Total":3}}"#, "sensor.energy 12.5");
    check(TASMOTA, r#"tele/outlet/SENSOR {"AM2301":{"Temperature":20}}"#, "");
}

#[test]
fn esphome_speaks() {
    let section = "
binary_sensor: {name: Presence, state_topic: hall/binary_sensor/presence/state, availability_topic: hall/status}
light: {name: Strip, schema: json, brightness: true, command_topic: hall/light/strip/command,
        state_topic: hall/light/strip/state}
cover: {name: Blind, command_topic: hall/cover/blind/command, state_topic: hall/cover/blind/state,
        position_topic: hall/cover/blind/position/state, set_position_topic: hall/cover/blind/position/command}
";
    check(section, "hall/binary_sensor/presence/state ON", "binary_sensor.presence on");
    check(section, "hall/status offline", "binary_sensor.presence available[0]=false");
    check(
        section,
        r#"hall/light/strip/state {"state":"ON","color_mode":"brightness","brightness":200}"#,
        r#"light.strip on brightness=200 color_mode="brightness""#,
    );
    check(section, "hall/cover/blind/state opening", "cover.blind opening");
    check(section, "hall/cover/blind/position/state 40", "cover.blind current_position=40");
    check(
        section,
        "hall/cover/blind/position/state far",
        "! cover.blind: the payload on hall/cover/blind/position/state gives `far`, expected a number",
    );
}

#[test]
fn json_lights_report_what_they_are() {
    let section = "light: {name: Bulb, schema: json, command_topic: z/bulb/set, state_topic: z/bulb,
                   supported_color_modes: [color_temp], brightness_scale: 254, effect: true}";
    check(
        section,
        r#"z/bulb {"brightness":127,"color_mode":"color_temp","color_temp":400,"state":"ON"}"#,
        r#"light.bulb on brightness=128 color_mode="color_temp" color_temp=400 color_temp_kelvin=2500 hs_color=[28.874,72.522] rgb_color=[255,159,70] xy_color=[0.546,0.389]"#,
    );
    check(section, r#"z/bulb {"brightness":127,"state":"OFF"}"#, "light.bulb off brightness=128");
    check(section, r#"z/bulb {"state":"ON","brightness":0}"#, "light.bulb on");
    check(section, r#"z/bulb {"linkquality":50}"#, "");
    check(section, r#"z/bulb {"state":null}"#, "light.bulb unknown");
    check(
        section,
        r#"z/bulb {"state":"on"}"#,
        "! light.bulb: the payload on z/bulb gives `\"on\"`, expected `ON` or `OFF`",
    );
    check(section, "z/bulb ON", "! light.bulb: the payload on z/bulb is not JSON");
    check(section, "z/bulb [1]", "! light.bulb: the payload on z/bulb is not a JSON object");
}

#[test]
fn covers_know_their_states_and_positions() {
    let plain = "cover: {name: Door, command_topic: c, state_topic: s}";
    let value = |state: &str| Value { state: state.to_owned(), attributes: BTreeMap::new() };
    check(plain, "s closing", "cover.door closing");
    check_after(plain, Some(&value("closing")), "s stopped", "cover.door closed");
    check_after(plain, Some(&value("opening")), "s stopped", "cover.door open");
    check(plain, "s stopped", "cover.door open");
    check(plain, "s None", "cover.door unknown");
    check(
        plain,
        "s ajar",
        "! cover.door: the payload on s gives `ajar`, expected `open` or `opening` or `closed` or `closing` or `stopped`",
    );
    let position =
        "cover: {name: Blind, command_topic: c, position_topic: p, position_open: 0, position_closed: 100}";
    check(position, "p 100", "cover.blind closed current_position=0");
    check(position, "p 25", "cover.blind open current_position=75");
    check(position, "p 500", "cover.blind closed current_position=0");
    let both =
        "cover: {name: Blind, command_topic: c, state_topic: t, value_template: '{{ value_json.state }}',
                position_topic: t, position_template: '{{ value_json.position }}', state_stopped: STOP}";
    check(both, r#"t {"position":0,"state":"STOP"}"#, "cover.blind closed current_position=0");
    check(both, r#"t {"position":7,"state":"STOP"}"#, "cover.blind open current_position=7");
    check(both, r#"t {"position":7}"#, "cover.blind current_position=7");
}

#[test]
fn locks_and_switches_use_their_own_words() {
    let lock =
        "lock: {name: Front, command_topic: c, state_topic: t, value_template: '{{ value_json.lock_state }}',
                state_locked: locked, state_unlocked: unlocked, state_jammed: not_fully_locked}";
    check(lock, r#"t {"lock_state":"locked"}"#, "lock.front locked");
    check(lock, r#"t {"lock_state":"not_fully_locked"}"#, "lock.front jammed");
    check(lock, r#"t {"lock_state":null}"#, "lock.front unknown");
    let switch = "switch: {name: Pump, command_topic: c, state_topic: s, payload_on: 1, payload_off: 0,
                  state_on: running, state_off: halted}";
    check(switch, "s running", "switch.pump on");
    check(switch, "s 1", "! switch.pump: the payload on s gives `1`, expected `running` or `halted`");
}

#[test]
fn attributes_come_from_their_topic() {
    let section =
        "sensor: {name: x, state_topic: t, value_template: '{{ value_json.v }}', json_attributes_topic: t}";
    check(
        section,
        r#"t {"v":5,"icon":"no","more":{"a":[1]}}"#,
        "sensor.x 5\nsensor.x described: more={\"a\":[1]} v=5",
    );
    let templated = "sensor: {name: x, state_topic: s, json_attributes_topic: t,
                     json_attributes_template: '{{ value_json.inner | to_json }}'}";
    check(templated, r#"t {"inner":{"a":1}}"#, "sensor.x described: a=1");
    check(templated, r#"t {"inner":5}"#, "! sensor.x: the payload on t is not a JSON object");
}

#[test]
fn wildcards_are_allowed_where_states_are_heard() {
    let section = "sensor: {name: Tag, state_topic: +/+/BTtoMQTT/A1, value_template: '{{ value_json.tempc | is_defined }}'}";
    check(section, r#"home/gw/BTtoMQTT/A1 {"tempc":20.5}"#, "sensor.tag 20.5");
    check(section, r#"home/gw/BTtoMQTT/A1 {"rssi":-70}"#, "");
    check(section, "home/gw/BTtoMQTT/B2 x", "");
    assert_eq!(entities(section).topic_filters().minimal().iter().next().unwrap(), "+/+/BTtoMQTT/A1");
}

#[test]
fn availability_weighs_its_topics() {
    let section = |mode: &str| {
        format!(
            "sensor: {{name: x, state_topic: t, availability_mode: {mode}, availability: [
               {{topic: bridge, value_template: '{{{{ value_json.state }}}}'}}, {{topic: own}}]}}"
        )
    };
    check(&section("all"), r#"bridge {"state":"online"}"#, "sensor.x available[0]=true");
    check(&section("all"), "own offline", "sensor.x available[1]=false");
    check(&section("latest"), "own offline", "sensor.x available[0]=false");
    let met = |mode: &str, heard: &[(u16, bool)]| {
        let entities = entities(&section(mode));
        entities.get(&id("sensor.x")).unwrap().is_available(&heard.iter().copied().collect())
    };
    assert!(!met("all", &[]) && !met("all", &[(0, true)]) && met("all", &[(0, true), (1, true)]));
    assert!(!met("any", &[(0, false)]) && met("any", &[(0, false), (1, true)]));
    assert!(!met("latest", &[]) && met("latest", &[(0, true)]));
    let free = entities("sensor: {name: x, state_topic: t}");
    assert!(free.get(&id("sensor.x")).unwrap().is_available(&BTreeMap::new()));
}

#[test]
fn availability_and_state_in_one_message_come_in_this_order() {
    let section = "sensor: {name: x, state_topic: t, availability_topic: t, payload_available: 5}";
    check(section, "t 5", "sensor.x available[0]=true\nsensor.x 5");
}

#[test]
fn arbitrary_bytes_never_panic() {
    let section = format!(
        "{Z2M_MOTION}
light: [{{name: a, schema: json, brightness: true, command_topic: c, state_topic: zigbee2mqtt/hall_motion}},
        {{name: b, command_topic: c, state_topic: zigbee2mqtt/hall_motion,
          brightness_state_topic: zigbee2mqtt/hall_motion, brightness_command_topic: d}}]
cover: {{name: c, command_topic: c, state_topic: zigbee2mqtt/hall_motion, position_topic: zigbee2mqtt/hall_motion}}
lock: {{name: d, command_topic: c, state_topic: zigbee2mqtt/hall_motion, json_attributes_topic: zigbee2mqtt/hall_motion}}
"
    );
    let entities = entities(&section);
    let pieces: [&[u8]; 16] = [
        b"{",
        b"}",
        b"\"state\"",
        b":",
        b"ON",
        b"\"ON\"",
        b",",
        b"1e999",
        b"-0",
        b"[",
        b"null",
        b"\xff",
        b"\"brightness\"",
        b"nan",
        b"inf",
        b" ",
    ];
    let mut seed: u64 = 11;
    for _ in 0..3000 {
        let mut payload = Vec::new();
        for _ in 0..8 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            payload.extend_from_slice(pieces[(seed >> 60) as usize]);
        }
        entities.decode("zigbee2mqtt/hall_motion", &payload, |_| None);
    }
    let deep = "[".repeat(100_000);
    entities.decode("zigbee2mqtt/hall_motion", deep.as_bytes(), |_| None);
}
