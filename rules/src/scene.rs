//! `scene:`: states of several entities under one name, and the services that bring an entity there.

use crate::reader::Reader;
use gable_devices::yaml::{Node, join};
use gable_devices::{Data, EntityId, Value, slugify};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The states that a scene asks for, by entity.
pub(crate) type Wanted = BTreeMap<EntityId, WantedState>;

/// What one entity shall be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct WantedState {
    pub(crate) state: String,
    pub(crate) attributes: BTreeMap<String, Data>,
}

/// One declared scene.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scene {
    pub(crate) entity_id: EntityId,
    pub(crate) attributes: BTreeMap<String, Data>,
    pub(crate) wanted: Wanted,
}

/// A service, and its data.
pub(crate) type Step = (&'static str, BTreeMap<String, Data>);

impl Scene {
    /// Reads one item of `scene:`.
    pub(crate) fn read(reader: &mut Reader, node: &Node, path: &str) -> Option<Scene> {
        let tags = node.unresolved_tags(path);
        if !tags.is_empty() {
            reader.problems.extend(tags);
            return None;
        }
        let mut fields = reader.fields(node, path)?;
        let name = fields.require_text("name");
        let id = fields.text("id");
        let icon = fields.text("icon");
        fields.accept(&["metadata"]);
        let wanted =
            fields.require("entities").map(|node| read_wanted(reader, node, &join(path, "entities")));
        let entity_id = format!("scene.{}", slugify(name.as_deref().unwrap_or_default()));
        let entity_id = entity_id.parse::<EntityId>().map_err(|error| fields.fail(error.to_string()));
        reader.finish(fields);
        let (name, wanted) = (name?, wanted?);
        let members = wanted.keys().map(|id| Data::Text(id.to_string())).collect();
        let mut attributes = BTreeMap::from([
            ("entity_id".to_owned(), Data::List(members)),
            ("friendly_name".to_owned(), Data::Text(name)),
        ]);
        attributes.extend(id.map(|id| ("id".to_owned(), Data::Text(id))));
        attributes.extend(icon.map(|icon| ("icon".to_owned(), Data::Text(icon))));
        Some(Scene { entity_id: entity_id.ok()?, attributes, wanted })
    }
}

fn read_wanted(reader: &mut Reader, node: &Node, path: &str) -> Wanted {
    let entries = reader.keep(node.expect_map(path)).unwrap_or_default();
    let mut wanted = Wanted::new();
    for (key, node) in entries {
        let path = join(path, &key.text);
        let entity_id = reader.entity_id_in(node, &path, &key.text);
        match to_wanted(&node.to_data()) {
            Some(state) => wanted.extend(entity_id.map(|entity_id| (entity_id, state))),
            None => reader.problems.push(node.problem(&path, "expected a state, or a mapping with `state:`")),
        }
    }
    wanted
}

/// What a scene says of one entity: a state, or a mapping of it and attributes.
pub(crate) fn to_wanted(data: &Data) -> Option<WantedState> {
    match data.meaning() {
        Data::Map(map) => {
            let mut attributes = map.clone();
            let state = to_state(&attributes.remove("state")?)?;
            Some(WantedState { state, attributes })
        }
        other => Some(WantedState { state: to_state(other)?, attributes: BTreeMap::new() }),
    }
}

fn to_state(data: &Data) -> Option<String> {
    match data {
        // YAML makes a boolean of a bare `on`.
        Data::Bool(true) => Some("on".to_owned()),
        Data::Bool(false) => Some("off".to_owned()),
        Data::Text(_) | Data::Int(_) | Data::Float(_) => Some(crate::text::plain_text(data)),
        Data::Null
        | Data::List(_)
        | Data::Tuple(_)
        | Data::Map(_)
        | Data::Time(_)
        | Data::LocalTime(..)
        | Data::Spelled(..) => None,
    }
}

/// What of a light a scene sets, apart from being on.
const LIGHT: [&str; 14] = [
    "brightness",
    "brightness_pct",
    "effect",
    "flash",
    "profile",
    "color_name",
    "color_temp",
    "color_temp_kelvin",
    "hs_color",
    "rgb_color",
    "rgbw_color",
    "rgbww_color",
    "xy_color",
    "white",
];

/// The attribute that holds a light's colour, by its colour mode.
const COLOR_MODES: [(&str, &str); 6] = [
    ("color_temp", "color_temp"),
    ("hs", "hs_color"),
    ("xy", "xy_color"),
    ("rgb", "rgb_color"),
    ("rgbw", "rgbw_color"),
    ("rgbww", "rgbww_color"),
];

/// The services that bring an entity of `domain` from `current` to what is wanted; none if it is
/// there already, or if there is no way.
pub(crate) fn steps(
    domain: &str,
    wanted: &WantedState,
    current: Option<&Value>,
    transition: Option<f64>,
) -> Result<Vec<Step>, String> {
    let has = |name: &str| {
        let current = current.and_then(|current| current.attributes.get(name));
        wanted.attributes.get(name).is_none_or(|data| current == Some(data))
    };
    let is_there = current.is_some_and(|current| current.state == wanted.state);
    let state = wanted.state.as_str();
    let alone = |service| vec![(service, BTreeMap::new())];
    let with = |service, key: &str, data: Data| vec![(service, BTreeMap::from([(key.to_owned(), data)]))];
    let unknown = || Err(format!("`{state}` is no state that a scene can bring it to"));
    Ok(match (domain, state) {
        ("light", "on") if is_there && LIGHT.iter().all(|name| has(name)) => Vec::new(),
        ("light", "on") => vec![("turn_on", light_data(wanted, transition))],
        ("light", "off") if !is_there => {
            let transition = transition.map(|seconds| ("transition".to_owned(), Data::Float(seconds)));
            vec![("turn_off", transition.into_iter().collect())]
        }
        ("fan", "on") => fan_steps(wanted, current, is_there),
        ("cover", _) if !has("current_position") || wanted.attributes.contains_key("position") => {
            let position = wanted.attributes.get("current_position").or(wanted.attributes.get("position"));
            with("set_cover_position", "position", position.cloned().unwrap_or_default())
        }
        ("climate", _) => climate_steps(wanted, is_there, has),
        _ if is_there => Vec::new(),
        ("switch" | "siren" | "humidifier" | "input_boolean" | "automation" | "script" | "group", "on") => {
            alone("turn_on")
        }
        (
            "switch" | "fan" | "siren" | "humidifier" | "input_boolean" | "automation" | "script" | "group",
            "off",
        ) => alone("turn_off"),
        ("cover", "open" | "opening") => alone("open_cover"),
        ("cover", "closed" | "closing") => alone("close_cover"),
        ("valve", "open" | "opening") => alone("open_valve"),
        ("valve", "closed" | "closing") => alone("close_valve"),
        ("lock", "locked" | "locking") => alone("lock"),
        ("lock", "unlocked" | "unlocking") => alone("unlock"),
        ("lock", "open" | "opening") => alone("open"),
        ("input_number" | "input_text" | "number" | "text" | "counter", _) => {
            with("set_value", "value", Data::Text(state.to_owned()))
        }
        ("input_select" | "select", _) => with("select_option", "option", Data::Text(state.to_owned())),
        ("input_datetime", _) => {
            let key = match (state.contains('-'), state.contains(':')) {
                (true, true) => "datetime",
                (true, false) => "date",
                (false, _) => "time",
            };
            with("set_datetime", key, Data::Text(state.to_owned()))
        }
        ("timer", "active") => {
            let duration = wanted.attributes.get("duration").cloned();
            vec![("start", duration.map(|data| ("duration".to_owned(), data)).into_iter().collect())]
        }
        ("timer", "paused") => alone("pause"),
        ("timer", "idle") => alone("cancel"),
        _ => return unknown(),
    })
}

fn light_data(wanted: &WantedState, transition: Option<f64>) -> BTreeMap<String, Data> {
    let mode = wanted.attributes.get("color_mode").and_then(Data::as_text);
    let of_mode = COLOR_MODES.iter().find(|(known, _)| Some(*known) == mode).map(|(_, name)| *name);
    let is_color = |name: &str| name.ends_with("_color") || name.starts_with("color_temp");
    let takes = |name: &&&str| of_mode.is_none_or(|of_mode| !is_color(name) || name.starts_with(of_mode));
    let given = LIGHT.iter().filter(takes).filter_map(|name| {
        let data = wanted.attributes.get(*name).filter(|data| **data != Data::Null)?;
        Some(((*name).to_owned(), data.clone()))
    });
    let mut data: BTreeMap<String, Data> = given.collect();
    let transition = wanted.attributes.get("transition").cloned().or(transition.map(Data::Float));
    data.extend(transition.map(|transition| ("transition".to_owned(), transition)));
    data
}

fn fan_steps(wanted: &WantedState, current: Option<&Value>, is_there: bool) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    if !is_there {
        steps.push(("turn_on", BTreeMap::new()));
    }
    let aspects = [
        ("percentage", "set_percentage"),
        ("preset_mode", "set_preset_mode"),
        ("oscillating", "oscillate"),
        ("direction", "set_direction"),
    ];
    for (name, service) in aspects {
        let Some(data) = wanted.attributes.get(name).filter(|data| **data != Data::Null) else { continue };
        if current.and_then(|current| current.attributes.get(name)) != Some(data) {
            steps.push((service, BTreeMap::from([(name.to_owned(), data.clone())])));
        }
    }
    steps
}

fn climate_steps(wanted: &WantedState, is_there: bool, has: impl Fn(&str) -> bool) -> Vec<Step> {
    let one = |key: &str, data: &Data| BTreeMap::from([(key.to_owned(), data.clone())]);
    let mut steps: Vec<Step> = Vec::new();
    if !is_there {
        steps.push(("set_hvac_mode", one("hvac_mode", &Data::Text(wanted.state.clone()))));
    }
    let temperatures = ["temperature", "target_temp_high", "target_temp_low"];
    let given = |name: &&str| wanted.attributes.get(*name).is_some_and(|data| *data != Data::Null);
    if temperatures.iter().any(|name| given(name) && !has(name)) {
        let data = temperatures
            .iter()
            .filter(|name| given(name))
            .filter_map(|name| Some(((*name).to_owned(), wanted.attributes.get(*name)?.clone())));
        steps.push(("set_temperature", data.collect()));
    }
    let aspects = [
        ("preset_mode", "set_preset_mode"),
        ("swing_mode", "set_swing_mode"),
        ("fan_mode", "set_fan_mode"),
        ("humidity", "set_humidity"),
    ];
    for (name, service) in aspects {
        if given(&name) && !has(name) {
            steps.extend(wanted.attributes.get(name).map(|data| (service, one(name, data))));
        }
    }
    steps
}
