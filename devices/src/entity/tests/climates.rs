//! Thermostats: what they say and what they are told.

use super::{commands, payloads};

/// As Zigbee2MQTT announces a radiator valve.
const ZIGBEE2MQTT: &str = r#"
climate:
  name: x
  action_template: "{% set values = {None:None,'idle':'idle','heat':'heating'} %}{{ values[value_json[\"running_state\"]] }}"
  action_topic: z/r
  current_temperature_template: '{{ value_json["local_temperature"] }}'
  current_temperature_topic: z/r
  min_temp: "5"
  max_temp: "30"
  mode_command_template: "{% set values = { 'auto':'schedule','heat':'manual','off':'pause'} %}{\"operating_mode\": \"{{ values[value] if value in values.keys() else 'pause' }}\"}"
  mode_command_topic: z/r/set
  mode_state_template: "{% set values = {'schedule':'auto','manual':'heat','pause':'off'} %}{% set value = value_json.operating_mode %}{{ values[value] if value in values.keys() else 'off' }}"
  mode_state_topic: z/r
  modes: ["off", heat, auto]
  preset_mode_command_topic: z/r/set/preset
  preset_mode_state_topic: z/r
  preset_mode_value_template: '{{ value_json["preset"] }}'
  preset_modes: [schedule, boost]
  temp_step: 0.5
  temperature_command_topic: z/r/set/occupied_heating_setpoint
  temperature_state_template: '{{ value_json["occupied_heating_setpoint"] }}'
  temperature_state_topic: z/r
  temperature_unit: C
"#;

/// As ESPHome announces an air conditioner.
const ESPHOME: &str = "
climate: {name: x, mode_command_topic: e/mode/command, mode_state_topic: e/mode/state, modes: [heat_cool, 'off'],
          temperature_low_command_topic: e/low/command, temperature_low_state_topic: e/low/state,
          temperature_high_command_topic: e/high/command, temperature_high_state_topic: e/high/state,
          fan_mode_command_topic: e/fan/command, fan_mode_state_topic: e/fan/state, fan_modes: [low, high],
          swing_mode_command_topic: e/swing/command, swing_modes: ['off', vertical],
          target_humidity_command_topic: e/humidity/command, target_humidity_state_topic: e/humidity/state}
";

#[test]
fn thermostats_say_their_mode_and_temperatures() {
    let check = payloads::check;
    check(
        ZIGBEE2MQTT,
        r#"z/r {"local_temperature":20.5,"occupied_heating_setpoint":21,"operating_mode":"manual","preset":"boost","running_state":"heat"}"#,
        r#"climate.x heat current_temperature=20.5 hvac_action="heating" preset_mode="boost" temperature=21"#,
    );
    check(
        ZIGBEE2MQTT,
        r#"z/r {"local_temperature":null,"occupied_heating_setpoint":21,"operating_mode":"pause","preset":"none","running_state":"idle"}"#,
        r#"climate.x off current_temperature=null hvac_action="idle" preset_mode="none" temperature=21"#,
    );
    check(
        ZIGBEE2MQTT,
        r#"z/r {"local_temperature":"cold","operating_mode":"schedule","preset":"party","running_state":"idle"}"#,
        "! climate.x: the payload on z/r gives `party`, expected schedule or boost\n\
         ! climate.x: the payload on z/r gives `cold`, expected a number\n\
         climate.x auto hvac_action=\"idle\"",
    );
    check(ESPHOME, "e/mode/state heat_cool", "climate.x heat_cool");
    check(
        ESPHOME,
        "e/mode/state dry",
        "! climate.x: the payload on e/mode/state gives `dry`, expected `heat_cool` or `off`",
    );
    check(ESPHOME, "e/low/state 19.5", "climate.x target_temp_low=19.5");
    check(ESPHOME, "e/high/state 24.0", "climate.x target_temp_high=24");
    check(ESPHOME, "e/humidity/state 50", "climate.x humidity=50");
    check(ESPHOME, "e/fan/state high", r#"climate.x fan_mode="high""#);
}

#[test]
fn thermostats_are_told_modes_and_temperatures() {
    let check = commands::check;
    check(
        ZIGBEE2MQTT,
        "",
        r#"set_hvac_mode {"hvac_mode":"heat"}"#,
        r#"z/r/set {"operating_mode": "manual"}; expects heat"#,
    );
    check(
        ZIGBEE2MQTT,
        "",
        r#"set_temperature {"temperature":"21.5"}"#,
        "z/r/set/occupied_heating_setpoint 21.5; expects temperature=21.5",
    );
    check(
        ZIGBEE2MQTT,
        "",
        r#"set_temperature {"temperature":20,"hvac_mode":"auto"}"#,
        r#"z/r/set {"operating_mode": "schedule"}; z/r/set/occupied_heating_setpoint 20; expects temperature=20"#,
    );
    check(
        ZIGBEE2MQTT,
        "",
        r#"set_temperature {"temperature":31}"#,
        "! climate.x: `temperature` of `set_temperature` is not between 5 and 30",
    );
    check(ZIGBEE2MQTT, "", "set_temperature", "! climate.x: `temperature` of `set_temperature` is missing");
    check(
        ESPHOME,
        "",
        r#"set_temperature {"target_temp_low":19,"target_temp_high":24}"#,
        "e/low/command 19; e/high/command 24; expects target_temp_high=24",
    );
    check(
        ESPHOME,
        "",
        r#"set_temperature {"temperature":20}"#,
        "! climate.x can not do `set_temperature`: its declaration has no `temperature_command_topic`",
    );
}

#[test]
fn thermostats_turn_on_and_off_by_their_mode() {
    let check = commands::check;
    check(ZIGBEE2MQTT, "", "turn_off", r#"z/r/set {"operating_mode": "pause"}; expects off"#);
    check(ZIGBEE2MQTT, "off", "turn_on", r#"z/r/set {"operating_mode": "manual"}; expects heat"#);
    check(ESPHOME, "off", "toggle", "e/mode/command heat_cool; expects heat_cool");
    check(ESPHOME, "heat_cool", "toggle", "e/mode/command off; expects off");
    check(
        "climate: {name: x, power_command_topic: p, mode_command_topic: m, payload_on: 1, payload_off: 0}",
        "",
        "turn_on",
        "p 1",
    );
}

#[test]
fn thermostats_are_told_presets_fans_swings_and_humidity() {
    let check = commands::check;
    check(
        ZIGBEE2MQTT,
        "",
        r#"set_preset_mode {"preset_mode":"boost"}"#,
        r#"z/r/set/preset boost; expects preset_mode="boost""#,
    );
    check(
        ZIGBEE2MQTT,
        "",
        r#"set_preset_mode {"preset_mode":"none"}"#,
        r#"z/r/set/preset none; expects preset_mode="none""#,
    );
    check(
        ESPHOME,
        "",
        r#"set_fan_mode {"fan_mode":"medium"}"#,
        "! climate.x: `fan_mode` of `set_fan_mode` `medium` is not one of low, high",
    );
    check(ESPHOME, "", r#"set_fan_mode {"fan_mode":"low"}"#, r#"e/fan/command low; expects fan_mode="low""#);
    check(
        ESPHOME,
        "",
        r#"set_swing_mode {"swing_mode":"vertical"}"#,
        r#"e/swing/command vertical; assumes swing_mode="vertical""#,
    );
    check(ESPHOME, "", r#"set_humidity {"humidity":45}"#, "e/humidity/command 45; expects humidity=45");
    check(
        ESPHOME,
        "",
        r#"set_humidity {"humidity":10}"#,
        "! climate.x: `humidity` of `set_humidity` is not between 30 and 99",
    );
}
