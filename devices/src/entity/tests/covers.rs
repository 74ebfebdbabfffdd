//! The slats of covers.

use super::{commands, payloads};

const BLIND: &str =
    "cover: {name: x, command_topic: c, state_topic: s, tilt_command_topic: t, tilt_status_topic: ts}";

/// As a blind that counts backwards, and is told by a template.
const BACKWARDS: &str = "cover: {name: x, tilt_command_topic: t, tilt_status_topic: ts, tilt_status_template: '{{ value_json.tilt }}',
    tilt_min: 180, tilt_max: 0, tilt_opened_value: 0, tilt_closed_value: 180,
    tilt_command_template: '{{ tilt_position }}/{{ tilt_min }}/{{ value }}', payload_stop_tilt: null}";

#[test]
fn slats_report_how_far_they_are_open() {
    let check = payloads::check;
    check(BLIND, "ts 30", "cover.x current_tilt_position=30");
    check(BLIND, "ts 101", "! cover.x: the payload on ts gives `101`, expected a tilt from 0 to 100");
    check(BLIND, "ts flat", "! cover.x: the payload on ts gives `flat`, expected a number");
    check(BACKWARDS, r#"ts {"tilt":45}"#, "cover.x current_tilt_position=75");
    check(BACKWARDS, r#"ts {"battery":45}"#, "");
}

#[test]
fn slats_are_told() {
    let check = commands::check;
    check(BLIND, "", "open_cover_tilt", "t 100; expects current_tilt_position=100");
    check(BLIND, "", "close_cover_tilt", "t 0; expects current_tilt_position=0");
    check(BLIND, "", "stop_cover_tilt", "t STOP; once");
    check(
        BLIND,
        "open current_tilt_position=0",
        "toggle_cover_tilt",
        "t 100; expects current_tilt_position=100",
    );
    check(BLIND, "open current_tilt_position=5", "toggle_cover_tilt", "t 0; expects current_tilt_position=0");
    let set = r#"set_cover_tilt_position {"tilt_position":30}"#;
    check(BLIND, "", set, "t 30; expects current_tilt_position=30");
    check(BACKWARDS, "", set, "t 30/180/126; expects current_tilt_position=30");
    check(
        BACKWARDS,
        "",
        "stop_cover_tilt",
        "! cover.x can not do `stop_cover_tilt`: its declaration has no `payload_stop_tilt`",
    );
    check(
        "cover: {name: x, command_topic: c, tilt_command_topic: t}",
        "",
        "close_cover_tilt",
        "t 0; assumes current_tilt_position=0",
    );
    check(
        "cover: {name: x, command_topic: c}",
        "",
        set,
        "! cover.x can not do `set_cover_tilt_position`: its declaration has no `tilt_command_topic`",
    );
}
