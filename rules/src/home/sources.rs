//! From files to sections: which files are the home's beginning, what they include, and what kind
//! of file each is.

use super::Problem;
use super::blueprint::Blueprints;
use super::files::{Files, SECRETS_FILE, last_part};
use super::include::{Resolver, Tags};
use super::references::{self, Reference};
use super::secrets::{Redaction, Secrets};
use super::sections::Sections;
use crate::SourceFile;
use gable_devices::yaml::{Key, Kind, Node};
use std::collections::{BTreeMap, BTreeSet};

/// What the files say, before anybody reads it.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) sections: Sections,
    pub(super) blueprints: Blueprints,
    pub(super) tags: Tags,
    pub(super) redaction: Redaction,
}

/// What kind of file this is, by what stands in it.
enum Shape {
    Sections(Vec<(Key, Node)>),
    Automations(Node),
    Scenes(Node),
    /// One script; it bears the file's name.
    Script(Node),
    Scripts(Node),
    Blueprint,
    Nothing,
    Unknown(Node),
}

/// The keys of an automation, in both spellings.
const AUTOMATION_KEYS: [&str; 19] = [
    "id",
    "alias",
    "description",
    "mode",
    "max",
    "max_exceeded",
    "initial_state",
    "on_missed",
    "on_missed_within",
    "trace",
    "variables",
    "trigger_variables",
    "trigger",
    "triggers",
    "condition",
    "conditions",
    "action",
    "actions",
    "use_blueprint",
];
const SCRIPT_KEYS: [&str; 11] = [
    "alias",
    "description",
    "icon",
    "mode",
    "max",
    "max_exceeded",
    "sequence",
    "fields",
    "variables",
    "trace",
    "use_blueprint",
];

/// Reads the files.
pub(super) fn read(sources: &[SourceFile]) -> Loaded {
    let mut names: Vec<&str> = Vec::new();
    let mut seen = BTreeSet::new();
    names.extend(sources.iter().map(|source| source.name.as_str()).filter(|name| seen.insert(*name)));
    let files = Files::new(sources);
    let (secret_names, names): (Vec<&str>, Vec<&str>) =
        names.into_iter().partition(|name| last_part(name) == SECRETS_FILE);
    let (secrets, wrong) = Secrets::read(&files, &secret_names);
    let redaction = secrets.redaction();
    let mut resolver = Resolver::new(files, secrets);
    resolver.problems.extend(wrong.into_iter().map(Problem::error));
    let mut loaded = Loaded { redaction, ..Loaded::default() };
    for name in beginnings(&mut resolver, &names) {
        let before = loaded.sections.homeassistant.len();
        match shape(&mut resolver, name) {
            Shape::Sections(entries) => {
                loaded.sections.take(entries, "");
                loaded.sections.take_packages(before);
            }
            Shape::Automations(node) => loaded.sections.take_items("automation", node, "automation"),
            Shape::Scenes(node) => loaded.sections.take_items("scene", node, "scene"),
            Shape::Scripts(node) => loaded.sections.take_named("script", node, "script"),
            Shape::Script(node) => {
                let stem = last_part(name).trim_end_matches(".yaml").trim_end_matches(".yml");
                let key = Key { text: gable_devices::slugify(stem), location: node.location.clone() };
                let location = node.location.clone();
                let named = Node { kind: Kind::Map(vec![(key, node)]), location, tag: None };
                loaded.sections.take_named("script", named, "script");
            }
            Shape::Blueprint => loaded.blueprints.add(&mut resolver, name),
            Shape::Nothing => {}
            Shape::Unknown(node) => {
                let message = "expected sections such as `mqtt:`, or a list of automations";
                let problem = node.unresolved_tags("").into_iter().next();
                let problem = problem.unwrap_or_else(|| node.problem("", message));
                loaded.sections.problems.push(Problem::error(problem));
            }
        }
    }
    loaded.blueprints.instantiate(&mut resolver, &mut loaded.sections);
    loaded.sections.tell_of_others();
    loaded.sections.problems.append(&mut resolver.problems);
    loaded.redaction.places = resolver.secret_places;
    loaded.tags = resolver.tags;
    loaded
}

/// The files that nothing includes, in their order. Files that include one another in a circle have
/// no beginning; the first of them is taken, so that the circle is found and told.
fn beginnings<'n>(resolver: &mut Resolver<'_>, names: &[&'n str]) -> Vec<&'n str> {
    let mut leads_to: BTreeMap<&str, BTreeSet<&'n str>> = BTreeMap::new();
    let position: BTreeMap<&str, &'n str> = names.iter().map(|name| (*name, *name)).collect();
    for name in names {
        let Some(node) = resolver.parsed(name) else { continue };
        let mut targets = BTreeSet::new();
        for reference in references::of_node(name, node) {
            match reference {
                Reference::File(target) => targets.extend(position.get(target.as_str()).copied()),
                Reference::Folder(folder) => targets.extend(
                    resolver.below(&folder).into_iter().filter_map(|target| position.get(target).copied()),
                ),
                Reference::Secrets(_) | Reference::Blueprint(_) => {}
            }
        }
        leads_to.insert(name, targets);
    }
    let included: BTreeSet<&str> = leads_to.values().flatten().copied().collect();
    let mut reached: BTreeSet<&str> = BTreeSet::new();
    let mut found = Vec::new();
    let is_beginning = |name: &&&'n str| !included.contains(**name);
    for name in names.iter().filter(is_beginning).chain(names) {
        let mut open = vec![*name];
        if !reached.contains(name) {
            found.push(*name);
        }
        while let Some(name) = open.pop() {
            if reached.insert(name) {
                open.extend(leads_to.get(name).into_iter().flatten().copied());
            }
        }
    }
    found
}

fn shape(resolver: &mut Resolver<'_>, name: &str) -> Shape {
    let is_blueprint = resolver.parsed(name).is_some_and(is_blueprint);
    if is_blueprint || name.starts_with("blueprints/") {
        return Shape::Blueprint;
    }
    let Some(node) = resolver.load(name) else { return Shape::Nothing };
    let has = |node: &Node, key: &str| node.get(key).is_some();
    match &node.kind {
        _ if node.tag.is_some() => Shape::Unknown(node),
        Kind::Null => Shape::Nothing,
        Kind::List(items) => {
            let is_scene = |item: &Node| has(item, "entities") && has(item, "name");
            if !items.is_empty() && items.iter().all(is_scene) {
                Shape::Scenes(node)
            } else {
                Shape::Automations(node)
            }
        }
        Kind::Map(entries) => {
            let all = |keys: &[&str]| entries.iter().all(|(key, _)| keys.contains(&key.text.as_str()));
            let is_any = |keys: &[&str]| keys.iter().any(|key| has(&node, key));
            if all(&AUTOMATION_KEYS) && is_any(&["trigger", "triggers", "use_blueprint"]) {
                Shape::Automations(node)
            } else if all(&SCRIPT_KEYS) && is_any(&["sequence"]) {
                Shape::Script(node)
            } else if !entries.is_empty() && entries.iter().all(|(_, entry)| has(entry, "sequence")) {
                Shape::Scripts(node)
            } else {
                match node.kind {
                    Kind::Map(entries) => Shape::Sections(entries),
                    _ => Shape::Nothing,
                }
            }
        }
        _ => Shape::Unknown(node),
    }
}

fn is_blueprint(node: &Node) -> bool {
    node.get("blueprint").is_some_and(|about| about.as_map().is_some())
}

#[cfg(test)]
mod tests;
