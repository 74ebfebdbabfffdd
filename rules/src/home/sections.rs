//! What stands in the files, by section: for the readers of each.

use super::{Missing, Problem, Severity};
use gable_devices::yaml::{self, Key, Kind, Location, Node, join};
use gable_devices::{is_other_platform, slugify};
use std::collections::BTreeMap;

/// The sections of all files: those of a file before those of its packages, files in their order.
#[derive(Debug, Default)]
pub(crate) struct Sections {
    /// What stands under `mqtt:`, once for each file and package.
    pub(crate) mqtt: Vec<Node>,
    /// Each automation, and the way to it.
    pub(crate) automations: Vec<(Node, String)>,
    pub(crate) scripts: Vec<Declared>,
    pub(crate) scenes: Vec<(Node, String)>,
    /// `input_boolean` and its kin, `counter`, `timer`.
    pub(crate) helpers: Vec<Declared>,
    pub(crate) groups: Vec<Declared>,
    /// `areas` and `labels`.
    pub(crate) areas: Vec<Declared>,
    pub(crate) rest_commands: Vec<Declared>,
    /// What stands under `homeassistant:`; of packages only what customizes entities.
    pub(crate) homeassistant: Vec<(Node, String)>,
    /// Where Home Assistant is, under `home_assistant:`.
    pub(crate) home_assistant: Vec<(Node, String)>,
    /// The items under `notify:` and `template:`.
    pub(crate) notify: Vec<(Node, String)>,
    pub(crate) templates: Vec<(Node, String)>,
    /// Gable's own settings of a home, under `gable:`.
    pub(crate) gable: Vec<(Node, String)>,
    /// The sections that Gable does not run: where the first stands, and how many there are.
    others: BTreeMap<String, (Location, usize)>,
    /// The kinds of entity that Gable does not run: where the first stands, and how many there are.
    platforms: BTreeMap<String, (Location, usize)>,
    /// Where each object id of a domain stands.
    taken: BTreeMap<(String, String), Location>,
    pub(super) instances: Instances,
    pub(super) problems: Vec<Problem>,
}

/// Something that is declared under a name of its own: `timer: {door: {...}}`.
#[derive(Clone, Debug)]
pub(crate) struct Declared {
    pub(crate) domain: String,
    pub(crate) object_id: String,
    /// What is said about it; nothing for `door:` alone.
    pub(crate) node: Node,
    pub(crate) path: String,
}

/// Sections whose entries are declared by name.
const NAMED: [&str; 13] = [
    "script",
    "input_boolean",
    "input_number",
    "input_select",
    "input_text",
    "input_button",
    "input_datetime",
    "counter",
    "timer",
    "group",
    "rest_command",
    "areas",
    "labels",
];
/// Sections that hold items.
const ITEMS: [&str; 5] = ["automation", "scene", "notify", "template", "gable"];

/// Sections whose names are known here and whose content is not run: told like those of other
/// integrations, and checked for names that stand twice.
const NOT_RUN: [&str; 2] = ["rest_command", "template"];

/// The automations and scripts that a blueprint made, by their place: where they use it, and its file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Instances(pub(super) BTreeMap<Location, (Location, String)>);

impl Instances {
    /// Points a problem that lies in a blueprint at the automation that uses it.
    pub(crate) fn relocate(&self, node: &Node, problem: &mut yaml::Problem) {
        let Some((usage, file)) = self.0.get(&node.location) else { return };
        if let Some(place) = problem.location.as_ref().filter(|place| *place.file == **file) {
            problem.message = format!("{} (at {place}, in the blueprint)", problem.message);
            problem.location = Some(usage.clone());
        }
    }
}

impl Sections {
    /// Takes a mapping of sections. `path` is the way to it: empty for a file.
    pub(super) fn take(&mut self, entries: Vec<(Key, Node)>, path: &str) {
        for (key, value) in entries {
            // `automation NAME:`, of which a file may have several.
            let domain = key.text.split(' ').next().unwrap_or_default().to_owned();
            let path = join(path, &key.text);
            if value.tag.is_some() {
                // Without its path: what the whole section says is not known.
                self.problems.extend(value.unresolved_tags("").into_iter().take(1).map(Problem::error));
                continue;
            }
            if NOT_RUN.contains(&domain.as_str()) {
                self.count_other(&domain, &key);
            }
            match domain.as_str() {
                "mqtt" => self.take_mqtt(value),
                "homeassistant" => self.homeassistant.push((value, path)),
                "home_assistant" => self.home_assistant.push((value, path)),
                domain if NAMED.contains(&domain) => self.take_named(domain, value, &path),
                domain if ITEMS.contains(&domain) => self.take_items(domain, value, &path),
                _ => self.count_other(&key.text, &key),
            }
        }
    }

    /// Takes entities; those of kinds that Gable does not run are put aside and counted.
    fn take_mqtt(&mut self, mut value: Node) {
        let mut put_aside = |node: &mut Node| {
            let Kind::Map(entries) = &mut node.kind else { return };
            for (key, node) in entries.extract_if(.., |(key, _)| is_other_platform(&key.text)) {
                let count = node.list_or_single().len();
                self.platforms.entry(key.text).or_insert((key.location, 0)).1 += count;
            }
        };
        match &mut value.kind {
            Kind::List(items) => items.iter_mut().for_each(put_aside),
            _ => put_aside(&mut value),
        }
        self.mqtt.push(value);
    }

    /// Takes the items of a section: a list, or a single one.
    pub(super) fn take_items(&mut self, domain: &str, value: Node, path: &str) {
        let items = match domain {
            "automation" => &mut self.automations,
            "scene" => &mut self.scenes,
            "notify" => &mut self.notify,
            "template" => &mut self.templates,
            _ => &mut self.gable,
        };
        flatten(value, path.to_owned(), items);
    }

    /// Takes what a section declares by name.
    pub(super) fn take_named(&mut self, domain: &str, value: Node, path: &str) {
        let entries = match value.kind {
            Kind::Map(entries) => entries,
            Kind::Null => return,
            _ => {
                let message = format!("expected a mapping of names, as in `{domain}: {{my_name: ...}}`");
                return self.problems.push(Problem::error(value.problem(path, message)));
            }
        };
        for (key, node) in entries {
            let path = join(path, &key.text);
            let identity = (domain.to_owned(), key.text.clone());
            if let Some(first) = self.taken.get(&identity) {
                let message = format!("`{domain}.{}` is declared already at {first}", key.text);
                let location = Some(key.location.clone());
                let what = yaml::Problem { location, path, message, hint: None };
                self.problems.push(Problem::error(what));
                continue;
            }
            self.taken.insert(identity, key.location.clone());
            if slugify(&key.text) != key.text {
                let message = "a name consists of small letters, digits and `_`";
                let hint = Some(slugify(&key.text)).filter(|slug| !slug.is_empty());
                let (location, message) = (Some(key.location), message.to_owned());
                self.problems.push(Problem::error(yaml::Problem { location, path, message, hint }));
                continue;
            }
            let declared = Declared { domain: domain.to_owned(), object_id: key.text, node, path };
            match domain {
                "script" => self.scripts.push(declared),
                "group" => self.groups.push(declared),
                "rest_command" => self.rest_commands.push(declared),
                "areas" | "labels" => self.areas.push(declared),
                _ => self.helpers.push(declared),
            }
        }
    }

    /// Takes the packages of a file, after the file's own sections, as Home Assistant merges them.
    pub(super) fn take_packages(&mut self, homeassistant_before: usize) {
        let mut packages = Vec::new();
        for (node, path) in self.homeassistant.iter_mut().skip(homeassistant_before) {
            let Kind::Map(entries) = &mut node.kind else { continue };
            let Some(n) = entries.iter().position(|(key, _)| key.text == "packages") else { continue };
            packages.push((entries.remove(n).1, join(path, "packages")));
        }
        for (node, path) in packages {
            // `!include_dir_named` gives names; a list of packages without names is one of Home
            // Assistant's older forms.
            match node.kind {
                _ if node.tag.is_some() => {
                    self.problems.extend(node.unresolved_tags("").into_iter().take(1).map(Problem::error));
                }
                Kind::Map(entries) => {
                    for (key, package) in entries {
                        self.take_package(package, &join(&path, &key.text));
                    }
                }
                Kind::List(items) => {
                    for (n, package) in items.into_iter().enumerate() {
                        self.take_package(package, &format!("{path}[{n}]"));
                    }
                }
                Kind::Null => {}
                _ => {
                    let message = "expected packages by name, as in `packages: !include_dir_named packages`";
                    self.problems.push(Problem::error(node.problem(&path, message)));
                }
            }
        }
    }

    fn take_package(&mut self, package: Node, path: &str) {
        let before = self.homeassistant.len();
        match package.kind {
            _ if package.tag.is_some() => {
                self.problems.extend(package.unresolved_tags(path).into_iter().take(1).map(Problem::error));
            }
            Kind::Map(entries) => self.take(entries, path),
            Kind::Null => {}
            _ => {
                let message = "a package is a mapping of sections such as `automation:`";
                self.problems.push(Problem::error(package.problem(path, message)));
            }
        }
        for (node, path) in self.homeassistant.iter_mut().skip(before) {
            let Kind::Map(entries) = &mut node.kind else { continue };
            for (key, node) in entries.extract_if(.., |(key, _)| !key.text.starts_with("customize")) {
                let message = format!("`{}` counts only outside of packages, as in Home Assistant", key.text);
                self.problems.push(Problem::with(Severity::Warning, node.problem(path, message)));
            }
        }
    }

    fn count_other(&mut self, name: &str, key: &Key) {
        self.others.entry(name.to_owned()).or_insert_with(|| (key.location.clone(), 0)).1 += 1;
    }

    /// Says once for each section of another integration that it is not run here, or that it looks
    /// like a slip.
    pub(super) fn tell_of_others(&mut self) {
        let known = ["mqtt", "homeassistant", "home_assistant"].into_iter().chain(NAMED).chain(ITEMS);
        let known: Vec<&str> = known.collect();
        for (name, (location, count)) in std::mem::take(&mut self.others) {
            let what = yaml::Problem {
                location: Some(location),
                path: String::new(),
                message: String::new(),
                hint: None,
            };
            let meant = (!KNOWN_ELSEWHERE.contains(&name.as_str()) && !NOT_RUN.contains(&name.as_str()))
                .then(|| yaml::did_you_mean(&name, known.iter().copied()))
                .flatten();
            self.problems.push(match meant {
                Some(meant) => Problem::error(yaml::Problem {
                    message: format!("unknown section `{name}`"),
                    hint: Some(meant.to_owned()),
                    ..what
                }),
                None => left_alone("section", name, what.location, count),
            });
        }
        for (name, (location, count)) in std::mem::take(&mut self.platforms) {
            self.problems.push(left_alone("platform", name, Some(location), count));
        }
    }
}

fn left_alone(what: &'static str, word: String, location: Option<Location>, count: usize) -> Problem {
    let times = if count == 1 { String::new() } else { format!(" ({count} times)") };
    let message = format!("the {what} `{word}` is not run by Gable{times}");
    let problem = yaml::Problem { location, path: String::new(), message, hint: None };
    Problem { missing: Some(Missing { what, word, count }), ..Problem::with(Severity::Info, problem) }
}

/// Puts the items of a list, and of lists in it, in their order: `!include_dir_list` makes lists of
/// lists of files that hold lists.
fn flatten(value: Node, path: String, items: &mut Vec<(Node, String)>) {
    match value.kind {
        Kind::Null if value.tag.is_none() => {}
        Kind::List(list) if value.tag.is_none() => {
            for (n, item) in list.into_iter().enumerate() {
                flatten(item, format!("{path}[{n}]"), items);
            }
        }
        _ => items.push((value, path)),
    }
}

/// Sections of Home Assistant whose names resemble those that Gable runs.
const KNOWN_ELSEWHERE: [&str; 6] = ["scenes", "time", "tts", "image", "tile", "sensor"];
