//! Home Assistant's MQTT discovery: devices announce their entities by retained messages.
//!
//! Two forms: one entity at `<prefix>/<component>/[<node_id>/]<object_id>/config`, or a device with
//! all its entities at `<prefix>/device/[<node_id>/]<object_id>/config`. An empty payload withdraws
//! what a topic announced. This reads messages only; who announced what is the caller's to remember.

mod abbreviations;
mod expand;

use crate::Entity;
use crate::platform::Domain;
use crate::yaml::{Fields, Kind, Location, Node, Problem};
use expand::{Object, expand_component, expand_device_form, expand_entity_form};
use serde_json::Value as Json;

/// Where announcements are unless the home says otherwise.
pub const PREFIX: &str = "homeassistant";

/// The longest announcement that is read; a device with hundreds of entities stays far below.
pub const PAYLOAD_MAX: usize = 1 << 20;

/// What one message announces: all that its topic stands for from now on.
#[derive(Clone, Debug, Default)]
pub struct Announcement {
    /// None of them withdraws what the topic announced before.
    pub parts: Vec<Part>,
}

/// One entity of an announcement.
#[derive(Clone, Debug)]
pub struct Part {
    /// Which one it is on its topic: the key in the device's `components`; empty in the entity form.
    pub key: String,
    /// Its id is the one that it wishes for.
    pub entity: Result<Entity, DiscoveryError>,
}

/// Why an announcement, or one entity of it, can not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{topic}: {fault}")]
pub struct DiscoveryError {
    pub topic: String,
    pub fault: DiscoveryFault,
}

/// What is wrong with an announcement, in words that follow its topic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryFault {
    #[error(
        "is not a discovery topic: expected <component>/[<node_id>/]<object_id>/config behind the prefix"
    )]
    Topic,
    #[error("the payload is larger than {} kB", PAYLOAD_MAX >> 10)]
    TooLong,
    #[error("the payload is not UTF-8 text")]
    NotText,
    #[error("the payload is not JSON: {0}")]
    NotJson(String),
    #[error("the payload is not a JSON object")]
    NotObject,
    #[error("entities of the kind `{0}` are not supported")]
    Component(String),
    /// What is wrong with a key, and where; the first problem of perhaps several.
    #[error("{0}")]
    Key(Problem),
}

/// The topic filters on which announcements arrive.
pub fn filters(prefix: &str) -> [String; 2] {
    [format!("{prefix}/+/+/config"), format!("{prefix}/+/+/+/config")]
}

/// Whether a message on `topic` is an announcement.
pub fn is_announcement(prefix: &str, topic: &str) -> bool {
    component_of(prefix, topic).is_some()
}

fn component_of<'t>(prefix: &str, topic: &'t str) -> Option<&'t str> {
    let rest = topic.strip_prefix(prefix)?.strip_prefix('/')?.strip_suffix("/config")?;
    let (component, ids) = rest.split_once('/')?;
    let mut levels = ids.split('/');
    let is_level = |level: Option<&str>| level.is_some_and(|level| !level.is_empty());
    let is_sound = !component.is_empty() && is_level(levels.next());
    let (second, third) = (levels.next(), levels.next());
    (is_sound && (second.is_none() || is_level(second)) && third.is_none()).then_some(component)
}

/// Reads one announcement. An error concerns the whole message; what is wrong with one component of
/// a device stands in its part.
///
/// ```
/// use gable_devices::discovery;
///
/// let payload = br#"{"name": "Door", "stat_t": "door", "dev_cla": "door"}"#;
/// let announcement =
///     discovery::read("homeassistant", "homeassistant/binary_sensor/door/config", payload).unwrap();
/// let door = announcement.parts[0].entity.as_ref().unwrap();
/// assert_eq!(door.id().as_str(), "binary_sensor.door");
/// ```
pub fn read(prefix: &str, topic: &str, payload: &[u8]) -> Result<Announcement, DiscoveryError> {
    let fail = |fault| DiscoveryError { topic: topic.to_owned(), fault };
    let component = component_of(prefix, topic).ok_or_else(|| fail(DiscoveryFault::Topic))?;
    if payload.len() > PAYLOAD_MAX {
        return Err(fail(DiscoveryFault::TooLong));
    }
    let text = std::str::from_utf8(payload).map_err(|_| fail(DiscoveryFault::NotText))?;
    if text.trim().is_empty() {
        return Ok(Announcement::default());
    }
    let json =
        serde_json::from_str(text).map_err(|error| fail(DiscoveryFault::NotJson(error.to_string())))?;
    let Json::Object(object) = json else { return Err(fail(DiscoveryFault::NotObject)) };
    let parts = match component {
        "device" => read_device(topic, object).map_err(fail)?,
        component => read_single(topic, component, object).map_err(fail)?,
    };
    Ok(Announcement { parts })
}

fn read_single(topic: &str, component: &str, object: Object) -> Result<Vec<Part>, DiscoveryFault> {
    let object = expand_entity_form(object).map_err(DiscoveryFault::Key)?;
    // An announcement that is about to move to the device form says only this.
    if object.get("migrate_discovery").is_some_and(|migrates| *migrates == Json::Bool(true)) {
        return Ok(Vec::new());
    }
    let entity = read_entity(topic, component, "", object)?;
    Ok(vec![Part { key: String::new(), entity: Ok(entity) }])
}

fn read_device(topic: &str, object: Object) -> Result<Vec<Part>, DiscoveryFault> {
    if object.get("migrate_discovery").is_some_and(|migrates| *migrates == Json::Bool(true)) {
        return Ok(Vec::new());
    }
    let device = expand_device_form(object).map_err(DiscoveryFault::Key)?;
    let mut parts = Vec::new();
    for (key, component) in device.components.clone() {
        let entity = match expand_component(&device, &key, component) {
            // Nothing but its kind: it is no longer there.
            Ok(None) => continue,
            Ok(Some((kind, component))) => read_entity(topic, &kind, &key, component),
            Err(problem) => Err(DiscoveryFault::Key(problem)),
        };
        let entity = entity.map_err(|fault| DiscoveryError { topic: topic.to_owned(), fault });
        parts.push(Part { key, entity });
    }
    Ok(parts)
}

fn read_entity(topic: &str, kind: &str, key: &str, object: Object) -> Result<Entity, DiscoveryFault> {
    let domain = Domain::from_name(kind).ok_or_else(|| DiscoveryFault::Component(kind.to_owned()))?;
    let location = Location { file: topic.into(), line: 1, column: 1 };
    let node = to_node(Json::Object(object), &location);
    let path = if key.is_empty() { String::new() } else { format!("components.{key}") };
    let fields = Fields::new(&node, path).map_err(DiscoveryFault::Key)?.pass_over_unknown(true);
    Entity::read(domain, fields).map_err(|problems| {
        let first = problems.into_iter().next();
        // The topic stands before it, and a message has no lines.
        let first = first.unwrap_or_else(|| Problem::new("", "it can not be used"));
        DiscoveryFault::Key(Problem { location: None, ..first })
    })
}

/// The same tree as a file would give.
fn to_node(json: Json, location: &Location) -> Node {
    let kind = match json {
        Json::Null => Kind::Null,
        Json::Bool(bool) => Kind::Bool(bool),
        Json::Number(number) => match number.as_i64() {
            Some(int) => Kind::Int(int),
            None => number.as_f64().map_or(Kind::Null, Kind::Float),
        },
        Json::String(text) => Kind::Text(text),
        Json::Array(items) => Kind::List(items.into_iter().map(|item| to_node(item, location)).collect()),
        Json::Object(object) => {
            let entry = |(text, json)| {
                let key = crate::yaml::Key { text, location: location.clone() };
                (key, to_node(json, location))
            };
            Kind::Map(object.into_iter().map(entry).collect())
        }
    };
    Node { kind, location: location.clone(), tag: None }
}

#[cfg(test)]
mod tests;
