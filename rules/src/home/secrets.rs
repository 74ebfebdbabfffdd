//! `!secret NAME`: looked up in `secrets.yaml`, in the file's folder and then upwards; and how the
//! values are kept out of everything that people are shown.

use super::files::{Files, SECRETS_FILE, folder_of};
use gable_devices::yaml::{self, Kind, Location, Node, Problem, did_you_mean};
use std::collections::{BTreeMap, BTreeSet};

/// Shorter values are not looked for in texts: they would be found everywhere. (What stands at the
/// place of a `!secret` is never quoted, however short.)
const LENGTH_MIN: usize = 4;

/// The home's secrets, by the file they stand in.
#[derive(Clone, Debug, Default)]
pub(super) struct Secrets {
    by_file: BTreeMap<String, BTreeMap<String, Node>>,
}

/// Values that nobody is shown, each with the name that stands for it, the longest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Redaction {
    values: Vec<(String, String)>,
    /// Where secrets are used: what stands there, however short, and its name.
    pub(super) places: BTreeMap<Location, (String, String)>,
}

impl Secrets {
    /// Reads all `secrets.yaml`.
    pub(super) fn read(files: &Files<'_>, names: &[&str]) -> (Secrets, Vec<Problem>) {
        let mut secrets = Secrets::default();
        let mut problems = Vec::new();
        for source in names.iter().filter_map(|name| files.get(name)) {
            match yaml::parse(&source.name, &source.text) {
                Ok(node) => {
                    let (found, wrong) = entries(&node);
                    secrets.by_file.insert(source.name.clone(), found);
                    problems.extend(wrong);
                }
                Err(problem) => {
                    let message = "can not be read as YAML; what stands here is a secret and is not shown";
                    problems.push(Problem { message: message.to_owned(), hint: None, ..problem });
                }
            }
        }
        (secrets, problems)
    }

    /// The secret's value for a file; otherwise what to say.
    pub(super) fn get(&self, name: &str, from: &str) -> Result<&Node, (String, Option<String>)> {
        let mut folder = folder_of(from);
        let mut searched = Vec::new();
        loop {
            let file =
                if folder.is_empty() { SECRETS_FILE.to_owned() } else { format!("{folder}/{SECRETS_FILE}") };
            if let Some(entries) = self.by_file.get(&file) {
                if let Some(node) = entries.get(name) {
                    return Ok(node);
                }
                searched.push(file);
            }
            if folder.is_empty() {
                break;
            }
            folder = folder_of(folder);
        }
        if searched.is_empty() {
            return Err((format!("there is no `{SECRETS_FILE}` that could hold the secret `{name}`"), None));
        }
        let known = searched.iter().filter_map(|file| self.by_file.get(file)).flat_map(BTreeMap::keys);
        let hint = did_you_mean(name, known.map(String::as_str)).map(str::to_owned);
        Err((format!("there is no secret `{name}` in {}", searched.join(", ")), hint))
    }

    /// What has to be kept out of texts.
    pub(super) fn redaction(&self) -> Redaction {
        let mut values = BTreeMap::new();
        for (name, node) in self.by_file.values().flatten() {
            collect(node, name, &mut values);
        }
        let mut values: Vec<(String, String)> = values.into_iter().collect();
        values.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
        Redaction { values, places: BTreeMap::new() }
    }
}

impl Redaction {
    /// The values that the files use, and their names.
    pub(super) fn used(&self) -> impl Iterator<Item = (String, String)> {
        let names: BTreeSet<&str> = self.places.values().map(|(_, name)| name.as_str()).collect();
        self.values.iter().filter(move |(_, name)| names.contains(name.as_str())).cloned()
    }

    /// The text with the names of secrets in place of their values.
    pub(crate) fn apply(&self, text: &mut String) {
        for (value, name) in &self.values {
            if text.contains(value.as_str()) {
                *text = text.replace(value.as_str(), &format!("<secret {name}>"));
            }
        }
    }

    /// The same for what is said about a place in the files.
    pub(super) fn apply_to(&self, problem: &mut Problem) {
        let here = problem.location.as_ref().and_then(|place| self.places.get(place));
        let Problem { message, hint, .. } = problem;
        for text in [Some(message), hint.as_mut()].into_iter().flatten() {
            if let Some((value, name)) = here.filter(|(value, _)| !value.is_empty()) {
                *text = text.replace(&format!("`{value}`"), &format!("`<secret {name}>`"));
            }
            self.apply(text);
        }
    }
}

fn entries(node: &Node) -> (BTreeMap<String, Node>, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut found = BTreeMap::new();
    match &node.kind {
        Kind::Map(entries) if node.tag.is_none() => {
            for (key, value) in entries {
                let wrong = value.unresolved_tags(&key.text);
                if wrong.is_empty() {
                    found.insert(key.text.clone(), value.clone());
                }
                problems.extend(wrong);
            }
        }
        Kind::Null => {}
        _ => problems.push(node.problem("", "expected a mapping of names to secrets")),
    }
    (found, problems)
}

fn collect(node: &Node, name: &str, values: &mut BTreeMap<String, String>) {
    match &node.kind {
        Kind::Text(text) => {
            // Texts are shown trimmed, and line by line.
            for line in text.lines().map(str::trim).filter(|line| line.len() >= LENGTH_MIN) {
                values.entry(line.to_owned()).or_insert_with(|| name.to_owned());
            }
        }
        Kind::Int(_) | Kind::Float(_) => {
            let text = node.text("").unwrap_or_default();
            if text.len() >= LENGTH_MIN {
                values.entry(text).or_insert_with(|| name.to_owned());
            }
        }
        Kind::List(items) => items.iter().for_each(|item| collect(item, name, values)),
        Kind::Map(entries) => entries.iter().for_each(|(_, node)| collect(node, name, values)),
        Kind::Null | Kind::Bool(_) => {}
    }
}
