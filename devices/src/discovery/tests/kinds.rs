//! Each kind of entity as devices announce it: in both forms, with short keys and a base topic, with
//! availability, and under the id that Home Assistant gives it.

use super::*;
use crate::{Entities, Report};

/// One kind: its own keys (the common ones are added), messages, and what they say.
struct Case {
    kind: &'static str,
    keys: Value,
    /// `topic payload`, and what it becomes.
    heard: &'static [(&'static str, &'static str)],
}

fn cases() -> Vec<Case> {
    [sensors_and_lights(), movers(), settings(), others()].into_iter().flatten().collect()
}

fn case(kind: &'static str, keys: Value, heard: &'static [(&'static str, &'static str)]) -> Case {
    Case { kind, keys, heard }
}

fn sensors_and_lights() -> Vec<Case> {
    vec![
        case(
            "binary_sensor",
            json!({"stat_t": "~/state", "val_tpl": "{{ value_json.o }}", "pl_on": true, "pl_off": false, "off_dly": 3,
                   "dev_cla": "motion", "exp_aft": 60}),
            &[("z/state {\"o\":true}", "on"), ("z/state {\"o\":false}", "off"), ("z/state {}", "")],
        ),
        case(
            "sensor",
            json!({"stat_t": "~/state", "val_tpl": "{{ value_json.t | round(1) }}", "unit_of_meas": "°C",
                   "stat_cla": "measurement", "json_attr_t": "~/more", "exp_aft": 60}),
            &[("z/state {\"t\":21.44}", "21.4"), ("z/more {\"a\":1}", "described a=1")],
        ),
        case(
            "light",
            json!({"cmd_t": "~/set", "stat_t": "~/state", "stat_val_tpl": "{{ value_json.s }}", "bri_cmd_t": "~/bri",
                   "bri_stat_t": "~/state", "bri_val_tpl": "{{ value_json.b }}", "bri_scl": 100}),
            &[("z/state {\"s\":\"ON\",\"b\":50}", "on brightness=128")],
        ),
        case(
            "light",
            json!({"schema": "json", "cmd_t": "~/set", "stat_t": "~/state", "sup_clrm": ["brightness"], "bri_scl": 254}),
            &[("z/state {\"state\":\"ON\",\"brightness\":254}", "on brightness=255")],
        ),
        case(
            "switch",
            json!({"cmd_t": "~/set", "stat_t": "~/state", "stat_on": "1", "stat_off": "0"}),
            &[("z/state 1", "on"), ("z/state 0", "off")],
        ),
    ]
}

fn movers() -> Vec<Case> {
    vec![
        case(
            "cover",
            json!({"cmd_t": "~/set", "pos_t": "~/state", "pos_tpl": "{{ value_json.p }}", "set_pos_t": "~/set/pos",
                   "tilt_status_t": "~/tilt", "tilt_cmd_t": "~/set/tilt"}),
            &[("z/state {\"p\":40}", "open current_position=40"), ("z/tilt 30", "current_tilt_position=30")],
        ),
        case(
            "lock",
            json!({"cmd_t": "~/set", "stat_t": "~/state", "stat_locked": "L", "stat_unlocked": "U"}),
            &[("z/state L", "locked"), ("z/state U", "unlocked")],
        ),
        case(
            "fan",
            json!({"cmd_t": "~/set", "stat_t": "~/state", "pct_cmd_t": "~/pct", "pct_stat_t": "~/speed",
                   "spd_rng_max": 4, "pr_mode_cmd_t": "~/mode", "pr_modes": ["auto"]}),
            &[("z/state ON", "on"), ("z/speed 2", "percentage=50")],
        ),
    ]
}

fn settings() -> Vec<Case> {
    vec![
        case(
            "number",
            json!({"cmd_t": "~/set", "stat_t": "~/state", "min": 1, "max": 5}),
            &[("z/state 3", "3")],
        ),
        case(
            "select",
            json!({"cmd_t": "~/set", "stat_t": "~/state", "ops": ["a", "b"]}),
            &[("z/state b", "b")],
        ),
        case("button", json!({"cmd_t": "~/set", "pl_prs": "GO"}), &[]),
        case("text", json!({"cmd_t": "~/set", "stat_t": "~/state"}), &[("z/state hello", "hello")]),
        case(
            "siren",
            json!({"cmd_t": "~/set", "stat_t": "~/state", "av_tones": ["bell"], "sup_dur": true}),
            &[("z/state {\"state\":\"ON\",\"tone\":\"bell\"}", "on tone=\"bell\"")],
        ),
    ]
}

fn others() -> Vec<Case> {
    vec![
        case(
            "valve",
            json!({"cmd_t": "~/set", "stat_t": "~/state"}),
            &[("z/state open", "open"), ("z/state closed", "closed")],
        ),
        case(
            "climate",
            json!({"mode_cmd_t": "~/mode", "mode_stat_t": "~/state", "modes": ["off", "heat"], "temp_cmd_t": "~/temp",
                   "temp_stat_t": "~/target", "curr_temp_t": "~/now"}),
            &[
                ("z/state heat", "heat"),
                ("z/target 21.5", "temperature=21.5"),
                ("z/now 19.25", "current_temperature=19.2"),
            ],
        ),
        case("scene", json!({"cmd_t": "~/set", "pl_on": "GO"}), &[]),
        case(
            "event",
            json!({"stat_t": "~/state", "evt_typ": ["press", "hold"]}),
            &[("z/state {\"event_type\":\"press\"}", "<now> event_type=\"press\"")],
        ),
        case(
            "update",
            json!({"stat_t": "~/state", "cmd_t": "~/set", "pl_inst": "GO"}),
            &[(
                "z/state {\"installed_version\":\"1\",\"latest_version\":\"2\"}",
                "on installed_version=\"1\" latest_version=\"2\"",
            )],
        ),
        case(
            "device_tracker",
            json!({"stat_t": "~/state", "src_type": "router"}),
            &[("z/state home", "home"), ("z/state not_home", "not_home")],
        ),
        case("notify", json!({"cmd_t": "~/set"}), &[]),
    ]
}

fn show(report: &Report) -> String {
    let all = |first: &str, attributes: &BTreeMap<String, crate::Data>| {
        let attributes = attributes.iter().map(|(name, data)| format!("{name}={}", data.to_json()));
        let first = Some(first.to_owned()).filter(|first| !first.is_empty());
        first.into_iter().chain(attributes).collect::<Vec<_>>().join(" ")
    };
    match report {
        Report::Update { state, attributes } => all(state.as_deref().unwrap_or_default(), attributes),
        Report::Described { attributes } => all("described", attributes),
        Report::Happened { attributes } => all("<now>", attributes),
        Report::Unknown => "unknown".to_owned(),
        Report::Available { source, online } => format!("available[{source}]={online}"),
    }
}

/// Takes what is announced, and returns it with the ids it was given.
#[track_caller]
fn take(topic: &str, payload: &Value) -> (Entities, Vec<String>) {
    let mut entities = Entities::default();
    let announcement = announce(topic, payload).unwrap_or_else(|error| panic!("{error}"));
    let mut ids = Vec::new();
    for part in announcement.parts {
        let entity = part.entity.unwrap_or_else(|error| panic!("{error}"));
        ids.push(entities.announce(entity, None).unwrap().entity_id.to_string());
    }
    (entities, ids)
}

fn heard(entities: &Entities, message: &str) -> String {
    let (topic, payload) = message.split_once(' ').unwrap();
    let events = entities.decode(topic, payload.as_bytes(), |_| None);
    let shown = events.iter().map(|event| match event {
        Ok(event) => show(&event.report),
        Err(error) => format!("! {error}"),
    });
    shown.collect::<Vec<_>>().join("; ")
}

fn with(mut keys: Value, more: Value) -> Value {
    let (Value::Object(object), Value::Object(more)) = (&mut keys, more) else { panic!() };
    object.extend(more);
    keys
}

#[test]
fn each_kind_announces_itself_alone() {
    for Case { kind, keys, heard: messages } in cases() {
        let common = json!({
            "~": "z", "name": "Thing", "uniq_id": "u", "dev": {"ids": "1", "name": "Hall", "mf": "x"},
            "avty": [{"t": "~/avty", "pl_avail": "yes", "pl_not_avail": "no"}, {"t": "bridge", "val_tpl": "{{ value_json.s }}"}],
            "avty_mode": "all", "o": {"name": "test"}, "ent_cat": "diagnostic", "en": true, "qos": 1,
        });
        let topic = format!("homeassistant/{kind}/node/u/config");
        let (entities, ids) = take(&topic, &with(keys, common));
        assert_eq!(ids, [format!("{kind}.hall_thing")]);
        let entity = entities.iter().next().unwrap();
        assert_eq!((entity.name(), entity.unique_id()), ("Hall Thing", Some("u")), "{kind}");
        for (message, expected) in messages {
            assert_eq!(heard(&entities, message), *expected, "{kind}: {message}");
        }
        assert_eq!(heard(&entities, "z/avty yes"), "available[0]=true", "{kind}");
        assert_eq!(heard(&entities, "bridge {\"s\":\"offline\"}"), "available[1]=false", "{kind}");
        assert_eq!(entity.expire_after().is_some(), kind.ends_with("sensor"), "{kind}");
        assert_eq!(entity.off_delay().is_some(), kind == "binary_sensor", "{kind}");
    }
}

#[test]
fn each_kind_stands_in_a_devices_announcement() {
    for Case { kind, keys, heard: messages } in cases() {
        let component = with(keys, json!({"~": "z", "p": kind, "name": null, "unique_id": "u"}));
        let device = json!({
            "dev": {"ids": ["1"], "name": "Hall"}, "o": {"name": "test", "sw": "1"}, "avty_t": "z/avty",
            "cmps": {"one": component, "gone": {"p": kind}},
        });
        let (entities, ids) = take("homeassistant/device/1/config", &device);
        assert_eq!(ids, [format!("{kind}.hall")]);
        for (message, expected) in messages {
            assert_eq!(heard(&entities, message), *expected, "{kind}: {message}");
        }
        assert_eq!(heard(&entities, "z/avty online"), "available[0]=true", "{kind}");
    }
}

#[test]
fn names_and_ids_are_those_of_home_assistant() {
    let check = |kind: &str, keys: Value, expected: (&str, &str)| {
        let keys =
            with(json!({"stat_t": "s", "cmd_t": "c", "mode_cmd_t": "m", "evt_typ": ["a"], "ops": []}), keys);
        let (entities, ids) = take(&format!("homeassistant/{kind}/u/config"), &keys);
        let name = entities.iter().next().unwrap().name().to_owned();
        assert_eq!((ids[0].as_str(), name.as_str()), expected, "{keys}");
    };
    let hall = || json!({"ids": "1", "name": "Hall"});
    check("sensor", json!({"dev": hall(), "dev_cla": "pm25"}), ("sensor.hall_pm2_5", "Hall PM2.5"));
    check(
        "sensor",
        json!({"dev": hall(), "dev_cla": "carbon_dioxide"}),
        ("sensor.hall_carbon_dioxide", "Hall Carbon dioxide"),
    );
    check(
        "sensor",
        json!({"dev": hall(), "dev_cla": "enum"}),
        ("sensor.hall_mqtt_sensor", "Hall MQTT Sensor"),
    );
    check("binary_sensor", json!({"dev_cla": "battery_charging"}), ("binary_sensor.charging", "Charging"));
    check(
        "switch",
        json!({"dev": hall(), "dev_cla": "outlet"}),
        ("switch.hall_mqtt_switch", "Hall MQTT Switch"),
    );
    check("light", json!({"dev": hall()}), ("light.hall_mqtt_lightentity", "Hall MQTT LightEntity"));
    check("light", json!({"schema": "json"}), ("light.mqtt_json_light", "MQTT JSON Light"));
    check("climate", json!({}), ("climate.mqtt_hvac", "MQTT HVAC"));
    check("button", json!({"dev": hall(), "dev_cla": "restart"}), ("button.hall_restart", "Hall Restart"));
    check("lock", json!({"dev": hall(), "name": null}), ("lock.hall", "Hall"));
    check("lock", json!({"dev": {"ids": "1"}, "name": "Door"}), ("lock.door", "Door"));
    // A name that begins with the device's is not shortened.
    check("lock", json!({"dev": hall(), "name": "Hall Door"}), ("lock.hall_hall_door", "Hall Hall Door"));
    check(
        "lock",
        json!({"dev": hall(), "name": "Door", "obj_id": "Front Door"}),
        ("lock.front_door", "Hall Door"),
    );
    check("lock", json!({"name": "Tür à côté"}), ("lock.tur_a_cote", "Tür à côté"));
}

#[test]
fn ids_that_are_taken_are_numbered() {
    let mut entities = Entities::default();
    let mut add = |unique_id: &str, name: &str| {
        let payload = json!({"name": name, "stat_t": "s", "uniq_id": unique_id});
        let part = announce("homeassistant/sensor/x/config", &payload).unwrap().parts.remove(0);
        let announced = entities.announce(part.entity.unwrap(), None);
        announced.map(|announced| announced.entity_id.to_string()).map_err(|conflict| conflict.to_string())
    };
    assert_eq!(add("a", "Hall"), Ok("sensor.hall".to_owned()));
    assert_eq!(add("b", "Hall"), Ok("sensor.hall_2".to_owned()));
    assert_eq!(add("c", "hall!"), Ok("sensor.hall_3".to_owned()));
    assert_eq!(add("b", "Other"), Err("the unique_id `b` is taken by sensor.hall_2".to_owned()));
}
