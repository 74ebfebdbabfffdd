//! The three spellings of an `mqtt:` section, and the entities in it.

use super::{Declared, Domain, Entity, Platform};
use crate::EntityId;
use crate::yaml::{Fields, Key, Node, Problem, join};
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

/// Most problems that are told. A file with more is not a home, and every problem costs a search for
/// what was meant; the rest is not read.
const PROBLEMS_MAX: usize = 2000;

/// Reads what stands under `mqtt:` in each file.
pub(super) fn read<'n>(
    sections: impl IntoIterator<Item = &'n Node>,
) -> (BTreeMap<EntityId, Entity>, Vec<Problem>) {
    let mut reading = Reading::default();
    for section in sections {
        let is_list = section.as_list().is_some();
        for (n, item) in section.list_or_single().iter().enumerate() {
            let path = if is_list { format!("mqtt[{n}]") } else { "mqtt".to_owned() };
            match item.expect_map(&path) {
                Ok(entries) => entries.iter().for_each(|(key, node)| reading.platform(&path, key, node)),
                Err(problem) => reading.problems.push(problem),
            }
        }
    }
    (reading.entities, reading.problems)
}

#[derive(Default)]
struct Reading {
    entities: BTreeMap<EntityId, Entity>,
    unique_ids: BTreeSet<(Domain, String)>,
    /// The number that the next entity which wishes for a taken id tries first.
    next_number: BTreeMap<EntityId, usize>,
    problems: Vec<Problem>,
}

impl Reading {
    /// Reads what stands under a platform's name: one declaration or a list of them.
    fn platform(&mut self, path: &str, key: &Key, node: &Node) {
        let Some(domain) = Domain::from_name(&key.text) else {
            let message = if OTHER_PLATFORMS.contains(&key.text.as_str()) {
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

    fn declaration(&mut self, domain: Domain, mut fields: Fields<'_>) {
        let declared = Declared::read(domain, &mut fields);
        let platform = Platform::read(domain, &mut fields);
        if let Some(unique_id) = declared.as_ref().and_then(|declared| declared.unique_id.clone())
            && self.unique_ids.contains(&(domain, unique_id.clone()))
        {
            fields.fail(format!("the unique_id `{unique_id}` is taken by another {}", domain.name()));
        }
        let path = fields.path().to_owned();
        let problems = fields.finish();
        if let (Some(declared), Some(platform)) = (declared, platform)
            && problems.is_empty()
        {
            if let Some(unique_id) = &declared.unique_id {
                self.unique_ids.insert((domain, unique_id.clone()));
            }
            match self.free_id(&declared.wanted_id) {
                Some(id) => {
                    self.entities.insert(id.clone(), Entity { id, declared, platform });
                }
                None => self
                    .problems
                    .push(Problem::new(path, format!("no id like `{}` is free", declared.wanted_id))),
            }
        }
        self.problems.extend(problems);
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
