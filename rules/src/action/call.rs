//! `action: light.turn_on` and its kin: a service called on entities.
//!
//! Here a call is read and rendered; [`crate::service`] knows which services there are and what
//! they do.

use super::publish::PublishAction;
use super::target::{self, Chosen, Target};
use super::{ActionKind, Failure};
use crate::reader::Reader;
use crate::service;
use crate::text::{DataText, Text};
use gable_devices::yaml::{Fields, Kind, Node};
use gable_devices::{Context, Data, EntityId};
use std::collections::BTreeMap;

/// A service, whom it is called on, and its data.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    service: Text,
    target: Target,
    /// `data:` and, in older files, `data_template:`.
    data: Vec<DataText>,
    /// The variable that takes what the service gives back.
    answer_to: Option<String>,
}

/// A call of one run: what it says after its templates are rendered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Request {
    /// The service in full, as people know it.
    pub(crate) called: String,
    pub(crate) chosen: Chosen,
    pub(crate) data: BTreeMap<String, Data>,
    pub(crate) answer_to: Option<String>,
}

/// What devices are told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Order {
    /// The service in full, as people know it.
    pub(crate) called: String,
    /// The service without its domain.
    pub(crate) service: String,
    pub(crate) entity_ids: Vec<EntityId>,
    /// Named, yet of a domain that does not have the service.
    pub(crate) strangers: Vec<EntityId>,
    pub(crate) data: BTreeMap<String, Data>,
}

/// Reads an action with `action:` or `service:`.
pub(super) fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<ActionKind> {
    let (key, node) = fields.get_any(&["action", "service", "service_template"])?;
    let path = fields.path_of(key);
    let service = reader.text(node, &path)?;
    if service == Text::Plain("mqtt.publish".to_owned()) {
        return read_publish(reader, fields);
    }
    let domain = match &service {
        Text::Plain(service) => {
            if !service::check(reader, node, &path, service) {
                fields.accept(&["data", "data_template", "target", "response_variable"]);
                fields.accept(&target::KEYS);
                return None;
            }
            Some(service.split('.').next().unwrap_or_default())
        }
        Text::Template(_) => None,
    };
    let (mut target, mut data) = (Target::default(), Vec::new());
    target.add(reader, fields);
    if let Some(node) = fields.get("target") {
        match node.as_text() {
            // `target: "{{ ... }}"`, of which only the entities can be known.
            Some(_) => data.extend(DataText::read(reader, node, &fields.path_of("target"))),
            None => {
                let mut inside = reader.fields(node, &fields.path_of("target"))?;
                target.add(reader, &mut inside);
                reader.finish(inside);
            }
        }
    }
    // What a script is given are its variables, whatever their names.
    let takes_target = domain.is_none_or(service::takes_target);
    for key in ["data", "data_template"] {
        let path = fields.path_of(key);
        let Some(node) = fields.get(key) else { continue };
        data.push(read_data(reader, node, &path, takes_target.then_some(&mut target))?);
    }
    let is_named = target.is_named() || data.iter().any(|data| matches!(data, DataText::Template(_)));
    if !is_named && matches!(&service, Text::Plain(service) if service::wants_target(service)) {
        // Home Assistant loads it all the same.
        let message = "names no entity, so it does nothing but fail: expected `target: {entity_id: ...}`";
        reader.warnings.push(fields.node().problem(fields.path(), message));
    }
    let answer_to = read_answer(reader, fields, domain);
    Some(ActionKind::Call(Call { service, target, data, answer_to }))
}

/// `scene: scene.evening`, the short form of a call.
pub(super) fn read_scene(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<ActionKind> {
    let path = fields.path_of("scene");
    let node = fields.require("scene")?;
    let location = node.location.clone();
    let key = gable_devices::yaml::Key { text: "entity_id".to_owned(), location: location.clone() };
    let named = Node { kind: Kind::Map(vec![(key, node.clone())]), location, tag: None };
    let mut inside = reader.fields(&named, &path)?;
    let mut target = Target::default();
    target.add(reader, &mut inside);
    let service = Text::Plain("scene.turn_on".to_owned());
    Some(ActionKind::Call(Call { service, target, data: Vec::new(), answer_to: None }))
}

fn read_publish(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<ActionKind> {
    // Both at once are one mapping, in which the older form comes last and so wins.
    let key = if fields.has("data") || !fields.has("data_template") { "data" } else { "data_template" };
    let mut merged = fields.require(key)?.clone();
    if key == "data"
        && let Some(template) = fields.get("data_template")
    {
        let added = reader.keep(template.expect_map(&fields.path_of("data_template")))?;
        if let Kind::Map(entries) = &mut merged.kind {
            entries.retain(|(key, _)| !added.iter().any(|(other, _)| other.text == key.text));
            entries.extend(added.iter().cloned());
        }
    }
    let mut data = reader.fields(&merged, &fields.path_of(key))?;
    let publish = PublishAction::read(reader, &mut data);
    reader.finish(data);
    publish.map(ActionKind::Publish)
}

/// Only scripts give something back.
fn read_answer(reader: &mut Reader, fields: &mut Fields<'_>, domain: Option<&str>) -> Option<String> {
    if domain.is_none_or(|domain| domain == "script") {
        return fields.text("response_variable");
    }
    reader.not_yet(fields, &["response_variable"]);
    None
}

/// Reads the data; what it names as a target goes there, unless there is none to take it.
fn read_data(reader: &mut Reader, node: &Node, path: &str, target: Option<&mut Target>) -> Option<DataText> {
    if node.as_text().is_some_and(gable_devices::is_template) {
        return DataText::read(reader, node, path);
    }
    let entries = reader.keep(node.expect_map(path))?;
    let Some(target) = target else { return DataText::read(reader, node, path) };
    let (named, rest): (Vec<_>, Vec<_>) =
        entries.iter().cloned().partition(|(key, _)| target::KEYS.contains(&key.text.as_str()));
    let part = |entries| Node { kind: Kind::Map(entries), ..node.clone() };
    let named = part(named);
    let mut inside = reader.fields(&named, path)?;
    target.add(reader, &mut inside);
    reader.finish(inside);
    DataText::read(reader, &part(rest), path)
}

impl Call {
    /// Renders the call for one run.
    pub(crate) fn render(&self, context: &Context) -> Result<Request, Failure> {
        let wrong = |what: &str, error: &dyn std::fmt::Display| {
            Failure::refusal(format!("{what} can not be rendered: {error}"))
        };
        let called = self.service.render(context).map_err(|error| wrong("the service", &error))?;
        if !called.contains('.') {
            return Err(Failure::mistake(format!("`{called}` is not a service")));
        }
        let mut chosen = self.target.render(context)?;
        let mut data = BTreeMap::new();
        for part in &self.data {
            match part
                .render(context)
                .map_err(|error| wrong(&format!("the data of `{called}`"), &error))?
                .into_meaning()
            {
                Data::Map(map) => data.extend(map),
                Data::Null => {}
                _ => return Err(Failure::mistake(format!("the data of `{called}` is not a mapping"))),
            }
        }
        if service::takes_target(called.split('.').next().unwrap_or_default()) {
            chosen.take_from(&mut data)?;
        }
        Ok(Request { called, chosen, data, answer_to: self.answer_to.clone() })
    }
}

impl Request {
    /// The part of the service before the dot, and the one behind it.
    pub(crate) fn parts(&self) -> (&str, &str) {
        self.called.split_once('.').unwrap_or((&self.called, ""))
    }

    /// What it says, its target included, in one mapping.
    pub(crate) fn service_data(&self) -> BTreeMap<String, Data> {
        let mut data = self.data.clone();
        let ids: Vec<Data> = self.chosen.entity_ids.iter().map(|id| Data::Text(id.to_string())).collect();
        if self.chosen.is_all {
            data.insert("entity_id".to_owned(), "all".into());
        } else if !ids.is_empty() {
            data.insert("entity_id".to_owned(), Data::List(ids));
        }
        for (kind, place) in &self.chosen.places {
            let places = data.entry(kind.key().to_owned()).or_insert_with(|| Data::List(Vec::new()));
            if let Data::List(places) = places {
                places.push(Data::Text(place.clone()));
            }
        }
        data
    }

    /// A number of the data.
    pub(crate) fn number(&self, key: &str) -> Option<f64> {
        self.data.get(key).and_then(Data::to_number)
    }

    /// A boolean of the data, in Home Assistant's reading.
    pub(crate) fn boolean(&self, key: &str, default: bool) -> bool {
        match self.data.get(key) {
            None | Some(Data::Null) => default,
            Some(Data::Bool(bool)) => *bool,
            Some(other) => crate::condition::template::is_true(&crate::text::plain_text(other)),
        }
    }
}
