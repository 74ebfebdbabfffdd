//! What a file refers to: what else belongs to the home, and which file is its beginning.

use super::files::{self, SECRETS_FILE, folder_of};
use crate::SourceFile;
use gable_devices::yaml::{self, Kind, Node};
use std::collections::BTreeSet;

/// Something that a file refers to. Names are relative to the home's folder, with `/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reference {
    /// `!include`
    File(String),
    /// `!include_dir_...`: the `*.yaml` in a folder and below it.
    Folder(String),
    /// `!secret`: the `secrets.yaml` of the file's folder, or the next one upwards.
    Secrets(String),
    /// `use_blueprint`: one of these files.
    Blueprint(String),
}

/// Reads what a file refers to, so that whoever collects a home's files finds them all. A file that
/// is not YAML refers to nothing, and a path that leads out of the home's folder is none.
pub fn references(source: &SourceFile) -> BTreeSet<Reference> {
    match yaml::parse(&source.name, &source.text) {
        Ok(node) => of_node(&source.name, &node),
        Err(_) => BTreeSet::new(),
    }
}

pub(super) fn of_node(file: &str, node: &Node) -> BTreeSet<Reference> {
    let mut found = BTreeSet::new();
    collect(file, node, &mut found);
    found
}

/// Where a blueprint of this path stands, by the domain that uses it.
pub(super) fn blueprint_file(domain: &str, path: &str) -> Option<String> {
    files::follow(&format!("blueprints/{domain}/x"), path).ok()
}

fn collect(file: &str, node: &Node, found: &mut BTreeSet<Reference>) {
    if let (Some(tag), Kind::Text(target)) = (node.tag.as_deref(), &node.kind) {
        let target = files::follow(file, target);
        match (tag, target) {
            ("!secret", _) => {
                let mut folder = folder_of(file);
                while !folder.is_empty() {
                    found.insert(Reference::Secrets(format!("{folder}/{SECRETS_FILE}")));
                    folder = folder_of(folder);
                }
                found.insert(Reference::Secrets(SECRETS_FILE.to_owned()));
            }
            ("!include", Ok(name)) => {
                found.insert(Reference::File(name));
            }
            (tag, Ok(folder)) if tag.starts_with("!include_dir_") => {
                found.insert(Reference::Folder(folder));
            }
            _ => {}
        }
    }
    match &node.kind {
        Kind::List(items) => items.iter().for_each(|item| collect(file, item, found)),
        Kind::Map(entries) => {
            for (key, node) in entries {
                if key.text == "use_blueprint"
                    && let Some(path) = node.get("path").and_then(Node::as_text)
                {
                    let names = ["automation", "script"].map(|domain| blueprint_file(domain, path));
                    found.extend(names.into_iter().flatten().map(Reference::Blueprint));
                }
                collect(file, node, found);
            }
        }
        Kind::Null | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::Text(_) => {}
    }
}
