//! What commands become.

use super::*;
use crate::{Expectation, Publish, QoS};

/// Encodes `service {data}` and compares: the publishes, then what is expected or assumed.
#[track_caller]
pub(super) fn check(section: &str, current: &str, call: &str, expected: &str) {
    let (service, data) = call.split_once(' ').unwrap_or((call, "{}"));
    let Data::Map(data) = Data::from(serde_json::from_str::<serde_json::Value>(data).unwrap()) else {
        panic!()
    };
    let mut words = current.split(' ').filter(|word| !word.is_empty());
    let value = words.next().map(|state| {
        let attributes = words.filter_map(|word| word.split_once('=')).map(|(name, json)| {
            (name.to_owned(), serde_json::from_str::<serde_json::Value>(json).unwrap().into())
        });
        Value { state: state.to_owned(), attributes: attributes.collect() }
    });
    let entities = entities(section);
    let encoded = entities.iter().next().unwrap().encode(service, &data, value.as_ref());
    let shown = match encoded {
        Ok(encoded) => show_encoded(&encoded),
        Err(error) => format!("! {error}"),
    };
    assert_eq!(shown, expected, "{call}");
}

fn show_encoded(encoded: &Encoded) -> String {
    let show_publish = |publish: &Publish| {
        let qos = match publish.qos {
            QoS::AtMostOnce => "",
            QoS::AtLeastOnce => " qos1",
            QoS::ExactlyOnce => " qos2",
        };
        let retain = if publish.retain { " retain" } else { "" };
        format!("{} {}{qos}{retain}", publish.topic, String::from_utf8_lossy(&publish.payload))
    };
    let mut parts: Vec<String> = encoded.publishes.iter().map(show_publish).collect();
    match &encoded.expect {
        Expectation::None => {}
        Expectation::State(states) => parts.push(format!("expects {}", states.join("/"))),
        Expectation::Attribute { name, value, .. } => {
            parts.push(format!("expects {name}={}", value.to_json()))
        }
    }
    if let Some(report) = &encoded.assume {
        let event = Event { entity_id: id("x.assumed"), report: report.clone() };
        parts.push(show(&Ok(event)).replace("x.assumed", "assumes"));
    }
    if !encoded.repeatable {
        parts.push("once".to_owned());
    }
    parts.join("; ")
}

const SWITCH: &str = "switch: {name: x, command_topic: c, state_topic: s}";

#[test]
fn switches_switch() {
    check(SWITCH, "", "turn_on", "c ON; expects on");
    check(SWITCH, "on", "turn_off", "c OFF; expects off");
    check(SWITCH, "", "toggle", "c ON; expects on");
    check(SWITCH, "off", "toggle", "c ON; expects on");
    check(SWITCH, "on", "toggle", "c OFF; expects off");
    check("switch: {name: x, command_topic: c, payload_on: 1}", "", "turn_on", "c 1; assumes on");
    check(
        "switch: {name: x, command_topic: c, state_topic: s, qos: 1, retain: true, optimistic: true}",
        "",
        "turn_on",
        "c ON qos1 retain; expects on; assumes on",
    );
    check(
        r#"switch: {name: Pump, command_topic: c, state_topic: s, command_template: '{"{{ name }}":"{{ value }}"}'}"#,
        "",
        "turn_on",
        r#"c {"Pump":"ON"}; expects on"#,
    );
}

#[test]
fn mistakes_in_calls_are_named() {
    check(SWITCH, "", "turn_onn", "! switch.x has no service `turn_onn` (did you mean `turn_on`?)");
    check(SWITCH, "", "lock", "! switch.x has no service `lock`");
    check(SWITCH, "", r#"turn_on {"brightness":1}"#, "! switch.x: `brightness` of `turn_on` is unknown");
    check("sensor: {name: x, state_topic: s}", "", "turn_on", "! sensor.x has no service `turn_on`");
    check(
        JSON_LIGHT,
        "",
        r#"turn_on {"brigthness":1}"#,
        "! light.x: `brigthness` of `turn_on` is unknown (did you mean `brightness`?)",
    );
    check(
        JSON_LIGHT,
        "",
        r#"turn_on {"brightness":"high"}"#,
        "! light.x: `brightness` of `turn_on` is not a number",
    );
    check(
        JSON_LIGHT,
        "",
        r#"turn_on {"brightness_pct":101}"#,
        "! light.x: `brightness_pct` of `turn_on` is not between 0 and 100",
    );
    check(
        "switch: {name: x, command_topic: c, command_template: '{{ value.a.b }}'}",
        "",
        "turn_on",
        "! switch.x: the command template failed",
    );
}

const JSON_LIGHT: &str = "light: {name: x, schema: json, brightness: true, command_topic: c, state_topic: s}";

#[test]
fn json_lights_get_home_assistants_objects() {
    check(JSON_LIGHT, "", "turn_on", r#"c {"state":"ON"}; expects on"#);
    check(
        JSON_LIGHT,
        "",
        r#"turn_on {"brightness":100}"#,
        r#"c {"state":"ON","brightness":100}; expects brightness=100"#,
    );
    check(
        JSON_LIGHT,
        "",
        r#"turn_on {"brightness_pct":50,"transition":2}"#,
        r#"c {"state":"ON","transition":2.0,"brightness":128}; expects brightness=128"#,
    );
    check(
        JSON_LIGHT,
        "on brightness=128",
        r#"turn_on {"brightness_step_pct":10}"#,
        r#"c {"state":"ON","brightness":154}; expects brightness=154"#,
    );
    check(
        JSON_LIGHT,
        "on brightness=10",
        r#"turn_on {"brightness_step":-50}"#,
        r#"c {"state":"OFF"}; expects off"#,
    );
    check(JSON_LIGHT, "off", r#"turn_on {"brightness":0}"#, r#"c {"state":"OFF"}; expects off"#);
    check(
        JSON_LIGHT,
        "",
        r#"turn_off {"transition":1}"#,
        r#"c {"state":"OFF","transition":1.0}; expects off"#,
    );
    check(JSON_LIGHT, "on", "toggle", r#"c {"state":"OFF"}; expects off"#);
    check(JSON_LIGHT, "", "toggle", r#"c {"state":"ON"}; expects on"#);
    check(
        "light: {name: x, schema: json, brightness: true, command_topic: c}",
        "",
        r#"turn_on {"brightness":"40"}"#,
        r#"c {"state":"ON","brightness":40}; assumes on brightness=40"#,
    );
    check(
        "light: {name: x, schema: json, supported_color_modes: [color_temp], effect: true, brightness_scale: 254,
         command_topic: c, state_topic: s}",
        "",
        r#"turn_on {"brightness":255,"color_temp_kelvin":2500,"effect":"blink"}"#,
        r#"c {"state":"ON","brightness":254,"color_temp":400,"effect":"blink"}; expects brightness=255"#,
    );
    check(
        "light: {name: x, schema: json, command_topic: c, state_topic: s}",
        "",
        r#"turn_on {"brightness":100,"color_temp":300,"effect":"blink","rgb_color":[1,2,3]}"#,
        r#"c {"state":"ON"}; expects on"#,
    );
}

#[test]
fn lights_with_topics_send_in_the_order_declared() {
    let light = |more: &str| {
        format!(
            "light: {{name: x, command_topic: c, state_topic: s, brightness_command_topic: b, \
             brightness_state_topic: bs, brightness_scale: 100{more}}}"
        )
    };
    let bright = r#"turn_on {"brightness":128}"#;
    check(&light(""), "", bright, "b 50; c ON; expects brightness=128");
    check(&light(", on_command_type: first"), "", bright, "c ON; b 50; expects brightness=128");
    check(&light(", on_command_type: brightness"), "", bright, "b 50; expects brightness=128");
    check(&light(", on_command_type: brightness"), "", "turn_on", "b 100; expects brightness=255");
    check(&light(", on_command_type: brightness"), "", "turn_off", "c OFF; expects off");
    check(&light(""), "", r#"turn_on {"brightness":1}"#, "b 1; c ON; expects brightness=1");
    check(&light(""), "", "turn_on", "c ON; expects on");
    check("light: {name: x, command_topic: c, state_topic: s}", "", bright, "c ON; expects on");
}

const COVER: &str =
    "cover: {name: x, command_topic: c, state_topic: s, set_position_topic: p, position_topic: ps}";

#[test]
fn covers_move() {
    check(COVER, "", "open_cover", "c OPEN; expects open/opening");
    check(COVER, "", "close_cover", "c CLOSE; expects closed/closing");
    check(COVER, "", "stop_cover", "c STOP; once");
    check(COVER, "closed", "toggle", "c OPEN; expects open/opening");
    check(COVER, "open", "toggle", "c CLOSE; expects closed/closing");
    check(COVER, "opening", "toggle", "c STOP; once");
    check(COVER, "", r#"set_cover_position {"position":"40"}"#, "p 40; expects current_position=40");
    check(COVER, "", "set_cover_position", "! cover.x: `position` of `set_cover_position` is missing");
    check(
        COVER,
        "",
        r#"set_cover_position {"position":120}"#,
        "! cover.x: `position` of `set_cover_position` is not between 0 and 100",
    );
    check(
        "cover: {name: x, command_topic: c, state_topic: s, payload_stop: null}",
        "closing",
        "toggle",
        "c OPEN; expects open/opening",
    );
    check(
        "cover: {name: x, command_topic: c, state_topic: s, payload_stop:}",
        "",
        "stop_cover",
        "! cover.x can not do `stop_cover`: its declaration has no `payload_stop`",
    );
    check(
        "cover: {name: x, command_topic: c, state_topic: s}",
        "",
        r#"set_cover_position {"position":1}"#,
        "! cover.x can not do `set_cover_position`: its declaration has no `set_position_topic`",
    );
    check("cover: {name: x, command_topic: c}", "", "open_cover", "c OPEN; assumes open");
    check(
        "cover: {name: x, position_topic: ps, set_position_topic: p, position_open: 0, position_closed: 200,
         set_position_template: '{{ value }}/{{ position }}'}",
        "",
        r#"set_cover_position {"position":25}"#,
        "p 150/25; expects current_position=25",
    );
}

#[test]
fn locks_lock() {
    let lock = "lock: {name: x, command_topic: c, state_topic: s, payload_open: OPEN}";
    check(lock, "", "lock", "c LOCK; expects locked/locking");
    check(lock, "", "unlock", "c UNLOCK; expects unlocked/unlocking");
    check(lock, "", "open", "c OPEN; once");
    check(
        "lock: {name: x, command_topic: c, command_template: '{{ value }}:{{ code }}'}",
        "",
        r#"lock {"code":"1234"}"#,
        "c LOCK:1234; assumes locked",
    );
    check(
        "lock: {name: x, command_topic: c}",
        "",
        "open",
        "! lock.x can not do `open`: its declaration has no `payload_open`",
    );
}

#[test]
fn expectations_are_met_by_the_state_and_near_numbers() {
    let value = |state: &str, brightness: i64| Value {
        state: state.to_owned(),
        attributes: BTreeMap::from([("brightness".to_owned(), Data::Int(brightness))]),
    };
    let on = Expectation::State(vec!["on".to_owned()]);
    assert!(on.is_met(&value("on", 1)) && !on.is_met(&value("off", 1)));
    let bright = Expectation::Attribute {
        name: "brightness".to_owned(),
        value: Data::Int(128),
        tolerance: 3,
        states: vec!["on".to_owned()],
    };
    assert!(bright.is_met(&value("on", 128)) && bright.is_met(&value("on", 126)));
    assert!(!bright.is_met(&value("on", 120)) && !bright.is_met(&value("off", 128)));
    assert!(!bright.is_met(&Value { state: "on".to_owned(), ..Value::default() }));
    assert!(!Expectation::None.is_met(&value("on", 1)));
}
