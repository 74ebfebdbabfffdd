//! Sirens and valves: what they say and what they are told.

use super::{commands, payloads};

const SIREN: &str = "siren: {name: x, command_topic: c, state_topic: s, available_tones: [fire, burglar]}";

/// As Zigbee2MQTT announces a siren.
const ZIGBEE2MQTT: &str = r#"
siren:
  name: x
  available_tones: [emergency]
  command_off_template: '{"warning": {"mode": "stop"}}'
  command_template: '{"warning": {"mode": "{{ tone | default(''emergency'') }}", "level": "{% if volume_level is defined %}{% if volume_level | float <= 0.5 %}medium{% else %}very_high{% endif %}{% else %}medium{% endif %}", "duration": {{ duration | default(10) }}}}'
  command_topic: z/siren/set
  optimistic: true
"#;

#[test]
fn sirens_say_words_or_objects() {
    let check = payloads::check;
    check(SIREN, "s ON", "siren.x on");
    check(SIREN, "s None", "siren.x unknown");
    check(
        SIREN,
        r#"s {"state":"ON","tone":"fire","duration":10,"volume_level":0.5,"more":1}"#,
        r#"siren.x on duration=10 tone="fire" volume_level=0.5"#,
    );
    check(SIREN, r#"s {"tone":"burglar"}"#, r#"siren.x tone="burglar""#);
    check(SIREN, "s loud", "! siren.x: the payload on s gives `loud`, expected `ON` or `OFF`");
    check(SIREN, r#"s {"state":"loud"}"#, "! siren.x: the payload on s gives `loud`, expected `ON` or `OFF`");
}

#[test]
fn sirens_are_told_by_objects() {
    let check = commands::check;
    check(SIREN, "", "turn_on", r#"c {"state":"ON"}; expects on"#);
    check(
        SIREN,
        "",
        r#"turn_on {"tone":"fire","duration":"5","volume_level":0.5}"#,
        r#"c {"state":"ON","tone":"fire","duration":5,"volume_level":0.5}; expects on"#,
    );
    check(SIREN, "on", "toggle", r#"c {"state":"OFF"}; expects off"#);
    check(
        SIREN,
        "",
        r#"turn_on {"tone":"flute"}"#,
        "! siren.x: `tone` of `turn_on` `flute` is not one of fire, burglar",
    );
    check(
        "siren: {name: x, command_topic: c, state_topic: s, support_duration: false}",
        "",
        r#"turn_on {"duration":5,"tone":"fire"}"#,
        r#"c {"state":"ON"}; expects on"#,
    );
    check(
        ZIGBEE2MQTT,
        "",
        r#"turn_on {"volume_level":1,"duration":3}"#,
        r#"z/siren/set {"warning": {"mode": "emergency", "level": "very_high", "duration": 3}}; assumes on duration=3 volume_level=1.0"#,
    );
    check(ZIGBEE2MQTT, "on", "turn_off", r#"z/siren/set {"warning": {"mode": "stop"}}; assumes off"#);
}

const VALVE: &str = "valve: {name: x, command_topic: c, state_topic: s, payload_stop: STOP}";
const POSITION: &str = "valve: {name: x, command_topic: c, state_topic: s, reports_position: true}";

#[test]
fn valves_say_states_or_positions() {
    let check = payloads::check;
    check(VALVE, "s open", "valve.x open");
    check(VALVE, r#"s {"state":"closing"}"#, "valve.x closing");
    check(VALVE, "s None", "valve.x unknown");
    check(
        VALVE,
        "s ajar",
        "! valve.x: the payload on s gives `ajar`, expected `open` or `opening` or `closed` or `closing`",
    );
    check(POSITION, "s 40", "valve.x open current_position=40");
    check(POSITION, "s 0", "valve.x closed current_position=0");
    check(POSITION, "s opening", "valve.x opening");
    check(POSITION, r#"s {"position":20,"state":"closing"}"#, "valve.x closing current_position=20");
    check(POSITION, "s None", "valve.x unknown\nvalve.x current_position=null");
    check(POSITION, "s half", "! valve.x: the payload on s gives `half`, expected a number");
}

#[test]
fn valves_move() {
    let check = commands::check;
    check(VALVE, "", "open_valve", "c OPEN; expects open/opening");
    check(VALVE, "", "close_valve", "c CLOSE; expects closed/closing");
    check(VALVE, "", "stop_valve", "c STOP; once");
    check(VALVE, "closing", "toggle", "c STOP; once");
    check(VALVE, "closed", "toggle", "c OPEN; expects open/opening");
    check(VALVE, "open", "toggle", "c CLOSE; expects closed/closing");
    check(
        VALVE,
        "",
        r#"set_valve_position {"position":5}"#,
        "! valve.x can not do `set_valve_position`: its declaration has no `reports_position: true`",
    );
    check(POSITION, "", r#"set_valve_position {"position":30}"#, "c 30; expects current_position=30");
    check(POSITION, "", "open_valve", "c 100; expects current_position=100");
    check(
        POSITION,
        "",
        "stop_valve",
        "! valve.x can not do `stop_valve`: its declaration has no `payload_stop`",
    );
    check(
        "valve: {name: x, command_topic: c, reports_position: true, position_open: 64}",
        "",
        "open_valve",
        "c 64; assumes open current_position=100",
    );
}
