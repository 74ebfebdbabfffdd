//! The three spellings of an `mqtt:` section, and the entities in it.

use super::{Domain, Entity};
use crate::discovery;
use crate::yaml::{Fields, Key, Node, Problem, join};
use crate::{EntityId, topic};
use std::collections::{BTreeMap, BTreeSet};

/// Entities under the names that Home Assistant has and this project does not decode.
const OTHER_PLATFORMS: [&str; 10] = [
    "alarm_control_panel",
    "camera",
    "date",
    "device_automation",
    "humidifier",
    "image",
    "lawn_mower",
    "tag",
    "time",
    "vacuum",
];

/// Whether Home Assistant has entities of this kind over MQTT and this project has not.
pub fn is_other_platform(name: &str) -> bool {
    OTHER_PLATFORMS.contains(&name)
}

/// Most problems that are told. A file with more is not a home, and every problem costs a search for
/// what was meant; the rest is not read.
const PROBLEMS_MAX: usize = 2000;

/// Reads what stands under `mqtt:` in each file.
pub(super) fn read<'n>(sections: impl IntoIterator<Item = &'n Node>) -> Sections {
    let mut reading = Reading::default();
    for section in sections {
        let is_list = section.as_list().is_some();
        for (n, item) in section.list_or_single().iter().enumerate() {
            let path = if is_list { format!("mqtt[{n}]") } else { "mqtt".to_owned() };
            match item.expect_map(&path) {
                Ok(entries) => entries.iter().for_each(|(key, node)| match key.text.as_str() {
                    "discovery" => reading.discovery(&path, node),
                    "discovery_prefix" => reading.discovery_prefix(&path, node),
                    _ => reading.platform(&path, key, node),
                }),
                Err(problem) => reading.problems.push(problem),
            }
        }
    }
    let prefix = reading.prefix.unwrap_or_else(|| discovery::PREFIX.to_owned());
    let discovery_prefix = (!reading.is_discovery_off).then_some(prefix);
    Sections { entities: reading.entities, discovery_prefix, problems: reading.problems }
}

/// What the sections say.
pub(super) struct Sections {
    pub(super) entities: BTreeMap<EntityId, Entity>,
    /// Under which topics entities announce themselves; none if they shall not.
    pub(super) discovery_prefix: Option<String>,
    pub(super) problems: Vec<Problem>,
}

#[derive(Default)]
struct Reading {
    entities: BTreeMap<EntityId, Entity>,
    unique_ids: BTreeSet<(Domain, String)>,
    /// The number that the next entity which wishes for a taken id tries first.
    next_number: BTreeMap<EntityId, usize>,
    prefix: Option<String>,
    is_discovery_off: bool,
    problems: Vec<Problem>,
}

impl Reading {
    /// `discovery: false` keeps entities from announcing themselves.
    fn discovery(&mut self, path: &str, node: &Node) {
        match node.boolean(&join(path, "discovery")) {
            Ok(is_on) => self.is_discovery_off = !is_on,
            Err(problem) => self.problems.push(problem),
        }
    }

    fn discovery_prefix(&mut self, path: &str, node: &Node) {
        let path = join(path, "discovery_prefix");
        match node.text(&path) {
            Ok(prefix) => match topic::check_topic(&prefix) {
                Ok(()) if !prefix.ends_with('/') => self.prefix = Some(prefix),
                Ok(()) => self.problems.push(node.problem(&path, "it ends with `/`; leave that away")),
                Err(why) => {
                    let message = format!("`{prefix}` is not usable as a topic: {why}");
                    self.problems.push(node.problem(&path, message));
                }
            },
            Err(problem) => self.problems.push(problem),
        }
    }

    /// Reads what stands under a platform's name: one declaration or a list of them.
    fn platform(&mut self, path: &str, key: &Key, node: &Node) {
        let Some(domain) = Domain::from_name(&key.text) else {
            let message = if is_other_platform(&key.text) {
                format!("entities of the kind `{}` are not supported", key.text)
            } else {
                format!("`{}` is no kind of entity", key.text)
            };
            let names = Domain::ALL.iter().map(|domain| domain.name());
            let location = Some(key.location.clone());
            let problem = Problem { location, path: path.to_owned(), message, hint: None };
            return self.problems.push(problem.meant(&key.text, names));
        };
        let path = join(path, &key.text);
        let is_list = node.as_list().is_some();
        for (n, declaration) in node.list_or_single().iter().enumerate() {
            if self.problems.len() >= PROBLEMS_MAX {
                return self
                    .problems
                    .push(declaration.problem(&path, "too many problems; from here on nothing is read"));
            }
            let path = if is_list { format!("{path}[{n}]") } else { path.clone() };
            match Fields::new(declaration, path) {
                Ok(fields) => self.declaration(domain, fields),
                Err(problem) => self.problems.push(problem),
            }
        }
    }

    fn declaration(&mut self, domain: Domain, fields: Fields<'_>) {
        let (path, node) = (fields.path().to_owned(), fields.node());
        let mut entity = match Entity::read(domain, fields) {
            Ok(entity) => entity,
            Err(problems) => return self.problems.extend(problems),
        };
        if let Some(identity) = entity.identity() {
            if self.unique_ids.contains(&identity) {
                let text = format!("the unique_id `{}` is taken by another {}", identity.1, domain.name());
                return self.problems.push(node.problem(&path, text));
            }
            self.unique_ids.insert(identity);
        }
        match self.free_id(&entity.id) {
            Some(id) => {
                entity.id = id.clone();
                self.entities.insert(id, entity);
            }
            None => {
                self.problems.push(node.problem(&path, format!("no id like `{}` is free", entity.id)));
            }
        }
    }

    /// The id wished for, or the first free one of `..._2`, `..._3`, as Home Assistant numbers them.
    fn free_id(&mut self, wanted: &EntityId) -> Option<EntityId> {
        if !self.entities.contains_key(wanted) {
            return Some(wanted.clone());
        }
        let next = self.next_number.entry(wanted.clone()).or_insert(2);
        loop {
            let id: EntityId = format!("{wanted}_{next}").parse().ok()?;
            *next += 1;
            if !self.entities.contains_key(&id) {
                return Some(id);
            }
        }
    }
}
