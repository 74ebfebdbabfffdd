//! What declarations become, and what is said about broken ones.

use super::*;

#[track_caller]
fn check(section: &str, ids: &[&str], problems: &[&str]) {
    let (entities, found) = read(section);
    assert_eq!(entities.iter().map(|entity| entity.id().as_str()).collect::<Vec<_>>(), ids, "{section}");
    assert_eq!(found, problems, "{section}");
}

#[test]
fn all_three_spellings_are_read() {
    let ids = ["light.a", "sensor.b"];
    check("light: {name: a, command_topic: c}\nsensor: {name: b, state_topic: s}", &ids, &[]);
    check("light: [{name: a, command_topic: c}]\nsensor: [{name: b, state_topic: s}]", &ids, &[]);
    check("- light: {name: a, command_topic: c}\n- sensor: [{name: b, state_topic: s}]", &ids, &[]);
    check("", &[], &[]);
    check("light:", &[], &[]);
    check("5", &[], &["home.yaml:1:1: mqtt: expected a mapping, found an integer"]);
}

#[test]
fn ids_come_from_the_wish_or_the_name() {
    check("light: {name: Hall Bulb, command_topic: c}", &["light.hall_bulb"], &[]);
    check("light: {name: x, object_id: Wish, command_topic: c}", &["light.wish"], &[]);
    check("light: {name: x, object_id: y, default_entity_id: light.z, command_topic: c}", &["light.z"], &[]);
    check("light: {name: Bulb, device: {name: Hall}, command_topic: c}", &["light.hall_bulb"], &[]);
    check("light: {name:, device: {name: Hall}, command_topic: c}", &["light.hall"], &[]);
    check(
        "sensor: {device_class: temperature, device: {name: Hall}, state_topic: s}",
        &["sensor.hall_temperature"],
        &[],
    );
    check("light: {command_topic: c}", &["light.mqtt_lightentity"], &[]);
    check(
        "light: [{name: a, command_topic: c}, {name: a, command_topic: c}, {name: a, command_topic: c}]",
        &["light.a", "light.a_2", "light.a_3"],
        &[],
    );
    check(
        "light: {name: x, default_entity_id: switch.x, command_topic: c}",
        &[],
        &["home.yaml:1:8: mqtt.light: `default_entity_id: switch.x` does not begin with `light.`"],
    );
}

#[test]
fn a_broken_declaration_leaves_the_others_alone() {
    check(
        "light:\n  - {name: a, comand_topic: c}\n  - {name: b, command_topic: c}\n",
        &["light.b"],
        &[
            "home.yaml:2:5: mqtt.light[0]: `command_topic` is missing",
            "home.yaml:2:15: mqtt.light[0]: unknown key `comand_topic` (did you mean `command_topic`?)",
        ],
    );
    check(
        "- sensor: {name: a, state_topic: a/#/b}\n- sensor: {name: b, state_topic: s}\n",
        &["sensor.b"],
        &[
            "home.yaml:1:34: mqtt[0].sensor.state_topic: `a/#/b` is not usable as a topic: `#` stands alone in the last level only",
        ],
    );
}

#[test]
fn every_slip_is_told_with_its_place() {
    let problem = |section: &str, expected: &str| check(section, &[], &[expected]);
    problem(
        "sensr: {name: a, state_topic: s}",
        "home.yaml:1:1: mqtt: `sensr` is no kind of entity (did you mean `sensor`?)",
    );
    problem("vacuum: {name: a}", "home.yaml:1:1: mqtt: entities of the kind `vacuum` are not supported");
    problem("light: 5", "home.yaml:1:8: mqtt.light: expected a mapping, found an integer");
    problem(
        "switch: {name: a, command_topic: c, qos: 3}",
        "home.yaml:1:9: mqtt.switch: `qos: 3` is not 0, 1 or 2",
    );
    problem(
        "cover: {name: a, command_topic: c, state_topic: s, qos: high}",
        "home.yaml:1:57: mqtt.cover.qos: expected an integer, found a text",
    );
    problem(
        "switch: {name: a, command_topic: c/+}",
        "home.yaml:1:34: mqtt.switch.command_topic: `c/+` is not usable as a topic: a topic takes no wildcard",
    );
    problem(
        "sensor: {name: a, state_topic: s, value_template: '{{ value'}",
        "home.yaml:1:51: mqtt.sensor.value_template: template line 1: unexpected end of input, expected end of variable block",
    );
    problem(
        "sensor: {name: a, state_topic: !secret s}",
        "home.yaml:1:32: mqtt.sensor.state_topic: expected a text, and the tag `!secret` is not supported here",
    );
    problem(
        "light: {name: a, command_topic: c, schema: jsn}",
        "home.yaml:1:44: mqtt.light.schema: `jsn` is not one of basic, default, json, template (did you mean `json`?)",
    );
    problem(
        "cover: {name: a, command_topic: c, set_position_topic: p}",
        "home.yaml:1:8: mqtt.cover: `set_position_topic` needs a `position_topic` beside it",
    );
    problem(
        "sensor: {name: a, state_topic: s, availability: [{payload_available: x}]}",
        "home.yaml:1:50: mqtt.sensor.availability[0]: `topic` is missing",
    );
    problem(
        "sensor: {name: a, state_topic: s, availability_topic: x, availability: {topic: y}}",
        "home.yaml:1:72: mqtt.sensor.availability: stands beside `availability_topic`; one of them is enough",
    );
    problem(
        "sensor: {name: a, state_topic: s, expire_after: soon}",
        "home.yaml:1:49: mqtt.sensor.expire_after: `soon` is not a duration: expected `HH:MM`, `HH:MM:SS`, or seconds",
    );
    problem(
        "sensor: {name: a, state_topic: s, encoding: latin-1}",
        "home.yaml:1:9: mqtt.sensor: the encoding `latin-1` is not supported, only utf-8 is",
    );
    check(
        "sensor: [{name: a, state_topic: s, unique_id: u}, {name: b, state_topic: s, unique_id: u}]",
        &["sensor.a"],
        &["home.yaml:1:51: mqtt.sensor[1]: the unique_id `u` is taken by another sensor"],
    );
}

#[test]
fn declarations_give_attributes_and_times() {
    let entities = entities(
        "binary_sensor: {name: Motion, device: {name: Hall, identifiers: [a]}, state_topic: s, off_delay: 5,
                         expire_after: 60, device_class: motion, unique_id: u1, force_update: true}
sensor: {name: Temp, state_topic: s, unit_of_measurement: °C, state_class: measurement, icon: mdi:x,
         suggested_display_precision: 1, enabled_by_default: false, entity_category: diagnostic}
switch: {name: S, command_topic: c}
light: {name: L, schema: json, supported_color_modes: [xy, color_temp], command_topic: c, state_topic: s}",
    );
    let motion = entities.get(&id("binary_sensor.hall_motion")).unwrap();
    assert_eq!(motion.off_delay(), Some(Millis(5000)));
    assert_eq!(motion.expire_after(), Some(Millis(60_000)));
    assert_eq!((motion.unique_id(), motion.force_update()), (Some("u1"), true));
    assert_eq!(motion.device().and_then(|device| device.get("name")), Some(&Data::from("Hall")));
    let show = |name: &str| {
        let attributes = entities.get(&id(name)).unwrap().static_attributes();
        Data::Map(attributes).to_json().to_string()
    };
    assert_eq!(
        show("binary_sensor.hall_motion"),
        r#"{"device_class":"motion","friendly_name":"Hall Motion"}"#
    );
    assert_eq!(
        show("sensor.temp"),
        r#"{"friendly_name":"Temp","icon":"mdi:x","state_class":"measurement","unit_of_measurement":"°C"}"#
    );
    assert_eq!(show("switch.s"), r#"{"assumed_state":true,"friendly_name":"S"}"#);
    assert_eq!(show("light.l"), r#"{"friendly_name":"L","supported_color_modes":["xy","color_temp"]}"#);
    assert_eq!(entities.len(), 4);
    assert!(entities.get(&id("light.other")).is_none());
}

#[test]
fn several_files_make_one_home() {
    let first = yaml::parse("a.yaml", "sensor: {name: x, state_topic: s}").unwrap();
    let second = yaml::parse("b.yaml", "sensor: [{name: x, state_topic: s}, {name: y}]").unwrap();
    let (entities, problems) = Entities::from_nodes([&first, &second]);
    assert_eq!(
        entities.iter().map(|entity| entity.id().as_str()).collect::<Vec<_>>(),
        ["sensor.x", "sensor.x_2"]
    );
    assert_eq!(problems[0].to_string(), "b.yaml:1:37: mqtt.sensor[1]: `state_topic` is missing");
}

#[test]
fn a_file_full_of_mistakes_is_read_in_bounded_time() {
    let (entities, problems) =
        read(&format!("light: [{}]", "{comand_topic: c, brigthness_scale: 3},".repeat(3000)));
    assert_eq!((entities.len(), problems.len()), (0, 2002));
    assert_eq!(
        problems[2001],
        "home.yaml:1:26022: mqtt.light: too many problems; from here on nothing is read"
    );
}
