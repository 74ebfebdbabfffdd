//! Settings and pulses: numbers, selects, texts, buttons, scenes, notifiers, events.

use super::{commands, payloads};

const NUMBER: &str = r#"number: {name: x, command_topic: z/r/set/remote_temperature, state_topic: z/r, min: 0, max: 35,
    step: 0.2, value_template: '{{ value_json["remote_temperature"] }}', unit_of_measurement: °C}"#;

#[test]
fn numbers_are_whole_or_have_a_point() {
    let check = payloads::check;
    check(NUMBER, r#"z/r {"remote_temperature":21}"#, "number.x 21");
    check(NUMBER, r#"z/r {"remote_temperature":21.5}"#, "number.x 21.5");
    check(NUMBER, r#"z/r {"remote_temperature":21.0}"#, "number.x 21.0");
    check(NUMBER, r#"z/r {"remote_temperature":null}"#, "number.x unknown");
    check(NUMBER, r#"z/r {"linkquality":3}"#, "");
    check(
        NUMBER,
        r#"z/r {"remote_temperature":36}"#,
        "! number.x: the payload on z/r gives `36`, expected a number from 0 to 35",
    );
    check(
        NUMBER,
        r#"z/r {"remote_temperature":"warm"}"#,
        "! number.x: the payload on z/r gives `warm`, expected a number",
    );
    check("number: {name: x, command_topic: c, state_topic: s, min: -5}", "s -3", "number.x -3.0");
}

#[test]
fn numbers_are_set_within_bounds() {
    let check = commands::check;
    check(NUMBER, "", r#"set_value {"value":21.5}"#, "z/r/set/remote_temperature 21.5; expects 21.5");
    check(NUMBER, "", r#"set_value {"value":"21.0"}"#, "z/r/set/remote_temperature 21; expects 21/21.0");
    check(
        NUMBER,
        "",
        r#"set_value {"value":40}"#,
        "! number.x: `value` of `set_value` is not between 0 and 35",
    );
    check(NUMBER, "", "set_value", "! number.x: `value` of `set_value` is missing");
    check(
        r#"number: {name: x, command_topic: c, command_template: '{"level": {{ value }}}'}"#,
        "",
        r#"set_value {"value":7}"#,
        r#"c {"level": 7}; assumes 7"#,
    );
}

const SELECT: &str = r#"select: {name: x, command_topic: z/r/set/operating_mode, state_topic: z/r,
    options: [schedule, manual, pause], value_template: '{{ value_json["operating_mode"] }}'}"#;

#[test]
fn selects_are_one_of_their_options() {
    let check = payloads::check;
    check(SELECT, r#"z/r {"operating_mode":"manual"}"#, "select.x manual");
    check(SELECT, r#"z/r {"operating_mode":null}"#, "select.x unknown");
    check(
        SELECT,
        r#"z/r {"operating_mode":"party"}"#,
        "! select.x: the payload on z/r gives `party`, expected schedule or manual or pause",
    );
}

#[test]
fn selects_go_round() {
    let check = |current: &str, call: &str, option: &str| {
        let expected = format!("z/r/set/operating_mode {option}; expects {option}");
        commands::check(SELECT, current, call, &expected);
    };
    check("", r#"select_option {"option":"pause"}"#, "pause");
    check("manual", "select_next", "pause");
    check("pause", "select_next", "schedule");
    check("pause", r#"select_next {"cycle":false}"#, "pause");
    check("schedule", "select_previous", "pause");
    check("schedule", r#"select_previous {"cycle":"no"}"#, "schedule");
    check("pause", "select_first", "schedule");
    check("", "select_last", "pause");
    commands::check(
        SELECT,
        "",
        r#"select_option {"option":"manuel"}"#,
        "! select.x: `option` of `select_option` `manuel` is not one of schedule, manual, pause (did you mean `manual`?)",
    );
}

#[test]
fn texts_have_a_length() {
    let text = "text: {name: x, command_topic: c, state_topic: s, min: 2, max: 5}";
    payloads::check(text, "s hello", "text.x hello");
    payloads::check(
        text,
        "s h",
        "! text.x: the payload on s gives `h`, expected a text of 2 to 5 characters",
    );
    commands::check(text, "", r#"set_value {"value":"hi"}"#, "c hi; expects hi");
    commands::check(text, "", r#"set_value {"value":12}"#, "c 12; expects 12");
    commands::check(
        text,
        "",
        r#"set_value {"value":"too long"}"#,
        "! text.x: `value` of `set_value` is not 2 to 5 characters long",
    );
}

#[test]
fn pulses_are_sent_once_and_counted_by_their_instant() {
    let check = commands::check;
    check("button: {name: x, command_topic: c}", "", "press", "c PRESS; assumes <now>; once");
    check(
        r#"button: {name: x, command_topic: c, payload_press: adapt, command_template: '{"set":"{{ value }}"}'}"#,
        "",
        "press",
        r#"c {"set":"adapt"}; assumes <now>; once"#,
    );
    check(
        r#"scene: {name: x, command_topic: z/group/set, payload_on: '{"scene_recall": 1}'}"#,
        "",
        r#"turn_on {"transition":2}"#,
        r#"c {"scene_recall": 1}; assumes <now>; once"#.replacen('c', "z/group/set", 1).as_str(),
    );
    check(
        "notify: {name: x, command_topic: c, command_template: '>> {{ value }}'}",
        "",
        r#"send_message {"message":"Washing is done","title":"Home"}"#,
        "c >> Washing is done; assumes <now>; once",
    );
    check(
        "notify: {name: x, command_topic: c}",
        "",
        "send_message",
        "! notify.x: `message` of `send_message` is missing",
    );
}

#[test]
fn events_happen() {
    let section = "event: {name: x, state_topic: z/remote, event_types: [toggle, hold],
        value_template: '{{ {\"event_type\": value_json.action} | to_json }}'}";
    payloads::check(section, r#"z/remote {"action":"toggle"}"#, r#"event.x <now> event_type="toggle""#);
    payloads::check(
        section,
        r#"z/remote {"action":"wave"}"#,
        "! event.x: the payload on z/remote gives `wave`, expected an `event_type` out of toggle, hold",
    );
    let plain = "event: {name: x, state_topic: t, event_types: [press], device_class: button}";
    payloads::check(
        plain,
        r#"t {"event_type":"press","count":2}"#,
        r#"event.x <now> count=2 event_type="press""#,
    );
    payloads::check(plain, "t None", "");
    payloads::check(plain, "t {}", "");
    payloads::check(plain, "t press", "! event.x: the payload on t is not JSON");
    payloads::check(plain, "t 5", "! event.x: the payload on t is not a JSON object");
}
