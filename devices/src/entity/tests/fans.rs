//! Fans: what they say and what they are told.

use super::{commands, payloads};

/// As Zigbee2MQTT announces a fan of several speeds.
const ZIGBEE2MQTT: &str = r#"
fan: {name: x, command_topic: z/fan/set/fan_state, state_topic: z/fan,
      state_value_template: '{{ value_json.fan_state }}',
      percentage_command_topic: z/fan/set/speed, percentage_state_topic: z/fan,
      percentage_value_template: '{{ value_json.speed | default("None") }}', speed_range_min: 1, speed_range_max: 5,
      preset_mode_command_topic: z/fan/set/fan_mode, preset_mode_state_topic: z/fan,
      preset_mode_value_template: '{{ value_json.fan_mode if value_json.fan_mode in ["smart", "auto"] else "None" | default("None") }}',
      preset_modes: [smart, auto]}
"#;

/// As ESPHome announces one.
const ESPHOME: &str = "
fan: {name: x, command_topic: e/command, state_topic: e/state,
      oscillation_command_topic: e/oscillation/command, oscillation_state_topic: e/oscillation/state,
      direction_command_topic: e/direction/command, direction_state_topic: e/direction/state,
      percentage_command_topic: e/speed/command, percentage_state_topic: e/speed/state, speed_range_max: 3}
";

/// As Tasmota's `FanSpeed` is declared by hand.
const TASMOTA: &str = "
fan: {name: x, command_topic: cmnd/fan/FanSpeed, payload_on: 1, payload_off: 0, state_topic: stat/fan/RESULT,
      state_value_template: '{{ 1 if value_json.FanSpeed > 0 else 0 }}',
      percentage_command_topic: cmnd/fan/FanSpeed, percentage_state_topic: stat/fan/RESULT,
      percentage_value_template: '{{ value_json.FanSpeed }}', speed_range_min: 1, speed_range_max: 3}
";

#[test]
fn fans_say_their_speeds_in_percent() {
    let check = payloads::check;
    check(
        ZIGBEE2MQTT,
        r#"z/fan {"fan_mode":"auto","fan_state":"ON","speed":3}"#,
        r#"fan.x on percentage=60 preset_mode="auto""#,
    );
    check(
        ZIGBEE2MQTT,
        r#"z/fan {"fan_mode":"low","fan_state":"OFF"}"#,
        "fan.x off percentage=null preset_mode=null",
    );
    check(
        ZIGBEE2MQTT,
        r#"z/fan {"fan_state":"ON","speed":6}"#,
        "! fan.x: the payload on z/fan gives `6`, expected a speed from 0 to 5\nfan.x on preset_mode=null",
    );
    check(TASMOTA, r#"stat/fan/RESULT {"FanSpeed":2}"#, "fan.x on percentage=66");
    check(TASMOTA, r#"stat/fan/RESULT {"FanSpeed":0}"#, "fan.x off percentage=0");
    check(TASMOTA, r#"stat/fan/RESULT {"POWER":"ON"}"#, "");
    check(ESPHOME, "e/speed/state 3", "fan.x percentage=100");
    check(
        ESPHOME,
        "e/speed/state fast",
        "! fan.x: the payload on e/speed/state gives `fast`, expected a number",
    );
}

#[test]
fn fans_swing_and_turn() {
    let check = payloads::check;
    check(ESPHOME, "e/oscillation/state oscillate_on", "fan.x oscillating=true");
    check(ESPHOME, "e/oscillation/state oscillate_off", "fan.x oscillating=false");
    check(
        ESPHOME,
        "e/oscillation/state 1",
        "! fan.x: the payload on e/oscillation/state gives `1`, expected `oscillate_on` or `oscillate_off`",
    );
    check(ESPHOME, "e/direction/state reverse", r#"fan.x direction="reverse""#);
    check(ESPHOME, "e/state OFF", "fan.x off");
    check(ESPHOME, "e/state None", "fan.x unknown");
}

#[test]
fn fans_are_told_their_own_speeds() {
    let check = commands::check;
    let pct = |percent: u32| format!(r#"set_percentage {{"percentage":{percent}}}"#);
    check(TASMOTA, "", &pct(66), "cmnd/fan/FanSpeed 2; expects percentage=66");
    check(TASMOTA, "", &pct(1), "cmnd/fan/FanSpeed 1; expects percentage=1");
    check(TASMOTA, "", &pct(0), "cmnd/fan/FanSpeed 0; expects percentage=0");
    check(ZIGBEE2MQTT, "", &pct(100), "z/fan/set/speed 5; expects percentage=100");
    check(TASMOTA, "on percentage=33", "increase_speed", "cmnd/fan/FanSpeed 2; expects percentage=66");
    check(TASMOTA, "on percentage=66", "decrease_speed", "cmnd/fan/FanSpeed 1; expects percentage=33");
    check(TASMOTA, "on percentage=100", "increase_speed", "cmnd/fan/FanSpeed 3; expects percentage=100");
    check(TASMOTA, "", "decrease_speed", "cmnd/fan/FanSpeed 0; expects percentage=0");
    check(
        ZIGBEE2MQTT,
        "on percentage=40",
        r#"increase_speed {"percentage_step":15}"#,
        "z/fan/set/speed 3; expects percentage=55",
    );
    check(TASMOTA, "", "set_percentage", "! fan.x: `percentage` of `set_percentage` is missing");
    check(TASMOTA, "", &pct(101), "! fan.x: `percentage` of `set_percentage` is not between 0 and 100");
}

#[test]
fn fans_turn_on_with_a_speed_or_a_preset() {
    let check = commands::check;
    check(ZIGBEE2MQTT, "", "turn_on", "z/fan/set/fan_state ON; expects on");
    check(
        ZIGBEE2MQTT,
        "",
        r#"turn_on {"percentage":"50"}"#,
        "z/fan/set/fan_state ON; z/fan/set/speed 3; expects percentage=50",
    );
    check(
        ZIGBEE2MQTT,
        "",
        r#"turn_on {"preset_mode":"smart"}"#,
        r#"z/fan/set/fan_state ON; z/fan/set/fan_mode smart; expects preset_mode="smart""#,
    );
    check(ZIGBEE2MQTT, "on", "toggle", "z/fan/set/fan_state OFF; expects off");
    check(ZIGBEE2MQTT, "", "toggle", "z/fan/set/fan_state ON; expects on");
    check(
        ZIGBEE2MQTT,
        "",
        r#"set_preset_mode {"preset_mode":"smrt"}"#,
        "! fan.x: `preset_mode` of `set_preset_mode` `smrt` is not one of smart, auto (did you mean `smart`?)",
    );
    check(
        "fan: {name: x, command_topic: c, preset_mode_command_topic: p, preset_modes: [eco]}",
        "",
        r#"turn_on {"preset_mode":"eco"}"#,
        r#"c ON; p eco; assumes on preset_mode="eco""#,
    );
}

#[test]
fn fans_are_told_to_swing_and_turn() {
    let check = commands::check;
    check(
        ESPHOME,
        "",
        r#"oscillate {"oscillating":true}"#,
        "e/oscillation/command oscillate_on; expects oscillating=true",
    );
    check(
        ESPHOME,
        "",
        r#"oscillate {"oscillating":"off"}"#,
        "e/oscillation/command oscillate_off; expects oscillating=false",
    );
    check(
        ESPHOME,
        "",
        r#"set_direction {"direction":"reverse"}"#,
        r#"e/direction/command reverse; expects direction="reverse""#,
    );
    check(
        ESPHOME,
        "",
        r#"set_direction {"direction":"up"}"#,
        "! fan.x: `direction` of `set_direction` `up` is not one of forward, reverse",
    );
    check(
        TASMOTA,
        "",
        r#"oscillate {"oscillating":true}"#,
        "! fan.x can not do `oscillate`: its declaration has no `oscillation_command_topic`",
    );
}
