//! From the short spelling of an announcement to the long one: abbreviated keys, the base topic `~`,
//! and what the entities of a device share.

use super::abbreviations::{of_device, of_entity, of_origin};
use crate::yaml::{Problem, did_you_mean};
use serde_json::Value as Json;

pub(super) type Object = serde_json::Map<String, Json>;

/// The key that holds the topic for which `~` stands in other topics.
const BASE: &str = "~";

/// What a device may say once for all its components.
const SHARED: [&str; 8] = [
    "availability",
    "availability_mode",
    "availability_template",
    "availability_topic",
    "command_topic",
    "payload_available",
    "payload_not_available",
    "state_topic",
];

/// What else may stand at the top of a device's announcement, and as in Home Assistant changes
/// nothing there: the components say their own.
const WITHOUT_EFFECT: [&str; 2] = ["encoding", "qos"];

/// A device's announcement with its keys in full.
#[derive(Clone, Debug)]
pub(super) struct DeviceForm {
    pub(super) components: Vec<(String, Json)>,
    /// What goes into each component that does not say it itself.
    shared: Object,
}

/// Expands an announcement of one entity.
pub(super) fn expand_entity_form(object: Object) -> Result<Object, Problem> {
    let mut object = expand_keys(object);
    expand_base(&mut object)?;
    check_device(&object)?;
    check_origin(&object)?;
    Ok(object)
}

/// Expands an announcement of a device, apart from its components.
pub(super) fn expand_device_form(object: Object) -> Result<DeviceForm, Problem> {
    let mut object = expand_keys(object);
    for key in ["device", "origin", "components"] {
        if !object.contains_key(key) {
            return Err(Problem::new("", format!("`{key}` is missing")));
        }
    }
    check_device(&object)?;
    check_origin(&object)?;
    let components = match object.remove("components") {
        Some(Json::Object(components)) => components.into_iter().collect(),
        _ => return Err(Problem::new("components", "expected an object with one entity under each key")),
    };
    let known = || SHARED.into_iter().chain(WITHOUT_EFFECT).chain(["device", "origin", "components"]);
    if let Some(key) = object.keys().find(|key| !known().any(|known| known == *key)) {
        let why = if key == BASE { "; inside a component it is" } else { "" };
        let mut problem = Problem::new("", format!("the key `{key}` is not allowed here{why}"));
        problem.hint = did_you_mean(key, known()).map(str::to_owned);
        return Err(problem);
    }
    object.retain(|key, _| !WITHOUT_EFFECT.contains(&key.as_str()));
    Ok(DeviceForm { components, shared: object })
}

/// Expands one component; none if it is withdrawn.
pub(super) fn expand_component(
    device: &DeviceForm,
    key: &str,
    component: Json,
) -> Result<Option<(String, Object)>, Problem> {
    let path = format!("components.{key}");
    let Json::Object(component) = component else {
        return Err(Problem::new(path, "expected an object"));
    };
    let mut component = expand_keys(component);
    let kind = match component.remove("platform") {
        Some(Json::String(kind)) => kind,
        Some(_) => return Err(Problem::new(path, "`platform` is not a text")),
        None => return Err(Problem::new(path, "`platform` is missing")),
    };
    if component.is_empty() {
        return Ok(None);
    }
    expand_base(&mut component).map_err(|problem| Problem { path: path.clone(), ..problem })?;
    if !component.contains_key("unique_id") {
        return Err(Problem::new(path, "`unique_id` is missing"));
    }
    for (key, value) in &device.shared {
        if !component.contains_key(key) {
            component.insert(key.clone(), value.clone());
        }
    }
    Ok(Some((kind, component)))
}

/// Replaces short keys, also inside `device`, `origin` and `availability`.
fn expand_keys(object: Object) -> Object {
    let mut object = rename(object, of_entity);
    if let Some(Json::Object(device)) = object.get_mut("device") {
        *device = rename(std::mem::take(device), of_device);
    }
    if let Some(Json::Object(origin)) = object.get_mut("origin") {
        *origin = rename(std::mem::take(origin), of_origin);
    }
    for topic in availability_topics(&mut object) {
        *topic = rename(std::mem::take(topic), of_entity);
    }
    object
}

fn rename(object: Object, long: impl Fn(&str) -> &str) -> Object {
    object.into_iter().map(|(key, value)| (long(&key).to_owned(), value)).collect()
}

fn availability_topics(object: &mut Object) -> Vec<&mut Object> {
    match object.get_mut("availability") {
        Some(Json::Object(topic)) => vec![topic],
        Some(Json::Array(topics)) => topics.iter_mut().filter_map(Json::as_object_mut).collect(),
        _ => Vec::new(),
    }
}

/// Puts the base topic where a topic begins or ends with `~`.
fn expand_base(object: &mut Object) -> Result<(), Problem> {
    let base = match object.remove(BASE) {
        None => return Ok(()),
        Some(Json::String(base)) => base,
        Some(_) => return Err(Problem::new("", "`~` is not a text")),
    };
    for (key, value) in object.iter_mut() {
        if key.ends_with("topic") {
            put_base(value, &base);
        }
    }
    for topic in availability_topics(object) {
        if let Some(topic) = topic.get_mut("topic") {
            put_base(topic, &base);
        }
    }
    Ok(())
}

fn put_base(value: &mut Json, base: &str) {
    if let Json::String(topic) = value {
        if let Some(rest) = topic.strip_prefix(BASE) {
            *topic = format!("{base}{rest}");
        }
        if let Some(rest) = topic.strip_suffix(BASE) {
            *topic = format!("{rest}{base}");
        }
    }
}

/// A device has to have something by which it is known again.
fn check_device(object: &Object) -> Result<(), Problem> {
    let device = match object.get("device") {
        None | Some(Json::Null) => return Ok(()),
        Some(Json::Object(device)) => device,
        Some(_) => return Err(Problem::new("device", "expected an object")),
    };
    let is_given = |key| match device.get(key) {
        None | Some(Json::Null) => false,
        Some(Json::Array(items)) => !items.is_empty(),
        Some(_) => true,
    };
    if is_given("identifiers") || is_given("connections") {
        return Ok(());
    }
    Err(Problem::new("device", "neither `identifiers` nor `connections` is given; one of them has to be"))
}

fn check_origin(object: &Object) -> Result<(), Problem> {
    match object.get("origin") {
        None | Some(Json::Null) => Ok(()),
        Some(Json::Object(origin)) if origin.get("name").is_some_and(Json::is_string) => Ok(()),
        Some(Json::Object(_)) => Err(Problem::new("origin", "`name` is missing")),
        Some(_) => Err(Problem::new("origin", "expected an object")),
    }
}
