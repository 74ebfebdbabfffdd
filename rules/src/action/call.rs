//! `action: light.turn_on` and its kin: a service called on entities.

use super::publish::PublishAction;
use super::{ActionKind, Failure};
use crate::reader::Reader;
use crate::text::{DataText, Text};
use gable_devices::yaml::{Fields, Node};
use gable_devices::{Context, Data, Entities, EntityId, is_template};
use std::collections::{BTreeMap, BTreeSet};

/// A service, the entities it is called on, and its data.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    service: Text,
    targets: Vec<Text>,
    data: BTreeMap<String, DataText>,
}

/// `homeassistant.turn_on` calls `turn_on` of whatever domain the entity has.
const ANY_DOMAIN: &str = "homeassistant";

/// Services as the files may name them. The entity itself says in the end whether it can.
const SERVICES: &[(&str, &[&str])] = &[
    ("light", &["turn_on", "turn_off", "toggle"]),
    ("switch", &["turn_on", "turn_off", "toggle"]),
    (
        "cover",
        &[
            "open_cover",
            "close_cover",
            "stop_cover",
            "toggle",
            "set_cover_position",
            "open_cover_tilt",
            "close_cover_tilt",
            "stop_cover_tilt",
            "toggle_cover_tilt",
            "set_cover_tilt_position",
        ],
    ),
    ("lock", &["lock", "unlock", "open"]),
    (ANY_DOMAIN, &["turn_on", "turn_off", "toggle"]),
];

/// A call of one run: what it says after its templates are rendered.
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
    let (key, node) = fields.get_any(&["action", "service"])?;
    let path = fields.path_of(key);
    let service = reader.text(node, &path)?;
    reader.not_yet(fields, &["response_variable", "service_template", "data_template"]);
    if service == Text::Plain("mqtt.publish".to_owned()) {
        let data = fields.require("data")?;
        let mut data = reader.fields(data, &fields.path_of("data"))?;
        let publish = PublishAction::read(reader, &mut data);
        reader.finish(data);
        return publish.map(ActionKind::Publish);
    }
    if let Text::Plain(service) = &service
        && !check_service(reader, node, &path, service)
    {
        fields.accept(&["data", "target", "entity_id"]);
        return None;
    }
    let problems_before = reader.problems.len();
    let mut data = read_data(reader, fields)?;
    let mut targets = read_targets(reader, fields, "entity_id");
    if let Some(node) = fields.get("target") {
        let mut target = reader.fields(node, &fields.path_of("target"))?;
        targets.extend(read_targets(reader, &mut target, "entity_id"));
        reader.not_yet(&mut target, &["area_id", "device_id", "floor_id", "label_id"]);
        reader.finish(target);
    }
    if let (Some(node), true) = (fields.get("data"), data.remove("entity_id").is_some()) {
        let mut inside = reader.fields(node, &fields.path_of("data"))?;
        targets.extend(read_targets(reader, &mut inside, "entity_id"));
    }
    // A service that a template names may be one that needs no entity.
    let is_known = matches!(service, Text::Plain(_));
    if is_known && targets.is_empty() && reader.problems.len() == problems_before {
        fields.fail("names no entity: expected `target: {entity_id: ...}`");
    }
    Some(ActionKind::Call(Call { service, targets, data }))
}

/// Reports a service that is not known here.
fn check_service(reader: &mut Reader, node: &Node, path: &str, service: &str) -> bool {
    let (domain, name) = service.split_once('.').unwrap_or((service, ""));
    let problem = node.problem(path, format!("unknown service `{service}`"));
    let problem = match services_of(domain) {
        Some(names) if names.contains(&name) => return true,
        Some(names) => problem.meant(name, names.iter().copied()),
        None => problem.meant(domain, SERVICES.iter().map(|(known, _)| *known).chain(["mqtt"])),
    };
    match problem.hint {
        // Other integrations bring services of their own.
        None => reader.unsupported(node, path, "service", service),
        Some(_) => reader.problems.push(problem),
    }
    false
}

fn services_of(domain: &str) -> Option<&'static [&'static str]> {
    SERVICES.iter().find(|(known, _)| *known == domain).map(|(_, names)| *names)
}

fn read_data(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<BTreeMap<String, DataText>> {
    let path = fields.path_of("data");
    let Some(node) = fields.get("data") else { return Some(BTreeMap::new()) };
    reader.keep(node.expect_map(&path))?;
    match DataText::read(reader, node, &path)? {
        DataText::Map(map) => Some(map),
        DataText::Plain(_) | DataText::Template(_) | DataText::List(_) => Some(BTreeMap::new()),
    }
}

fn read_targets(reader: &mut Reader, fields: &mut Fields<'_>, key: &'static str) -> Vec<Text> {
    let path = fields.path_of(key);
    let items = fields.get(key).map(|node| node.list_or_single()).unwrap_or_default();
    let mut targets = Vec::new();
    for item in items {
        match item.as_text() {
            Some(text) if is_template(text) => {
                targets.extend(reader.template(item, &path).map(Text::Template))
            }
            Some("all") => targets.push(Text::Plain("all".to_owned())),
            _ => {
                let ids = reader.entity_ids(item, &path);
                targets.extend(ids.into_iter().map(|id| Text::Plain(id.to_string())));
            }
        }
    }
    targets
}

impl Call {
    /// Renders the call for one run.
    pub(crate) fn render(&self, context: &Context, entities: &Entities) -> Result<Order, Failure> {
        let service = self.service.render(context).map_err(Failure::mistake)?;
        let (domain, name) = service
            .split_once('.')
            .ok_or_else(|| Failure::mistake(format!("`{service}` is not a service")))?;
        if services_of(domain).is_none() {
            return Err(Failure::mistake(format!("the service `{service}` is not supported yet")));
        }
        let is_of_domain = |id: &EntityId| match domain {
            ANY_DOMAIN => services_of(id.domain()).is_some_and(|names| names.contains(&name)),
            domain => id.domain() == domain,
        };
        let mut entity_ids = Vec::new();
        for target in &self.targets {
            let text = target.render(context).map_err(Failure::mistake)?;
            for word in text.split(',').map(|word| word.trim().trim_matches(['[', ']', '\'', '"'])) {
                match word {
                    "" => {}
                    "all" => {
                        let all = entities.iter().map(|entity| entity.id());
                        entity_ids.extend(all.filter(|id| is_of_domain(id)).cloned());
                    }
                    word => entity_ids.push(word.parse::<EntityId>().map_err(Failure::mistake)?),
                }
            }
        }
        let mut seen = BTreeSet::new();
        entity_ids.retain(|id| seen.insert(id.clone()));
        let (entity_ids, strangers) = entity_ids.into_iter().partition(is_of_domain);
        let data = self.data.iter().map(|(key, value)| Ok((key.clone(), value.render(context)?)));
        let data = data.collect::<Result<_, gable_devices::TemplateError>>();
        let data = data.map_err(Failure::mistake)?;
        Ok(Order { called: service.clone(), service: name.to_owned(), entity_ids, strangers, data })
    }
}
