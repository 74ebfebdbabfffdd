//! The home's files by name: which folder a name stands in, and where an include leads.
//!
//! Names are paths relative to the home's folder, with `/`. Nothing leads out of that folder.

use crate::SourceFile;
use gable_devices::yaml::did_you_mean;
use std::collections::BTreeMap;
use std::ops::Bound;

/// The name under which secrets stand, in any folder.
pub(super) const SECRETS_FILE: &str = "secrets.yaml";

/// Why a path leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PathError {
    #[error("leads out of the home's folder, or is absolute; write it relative to this file")]
    Outside,
    #[error("names nothing")]
    Empty,
}

/// The files by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Files<'s> {
    by_name: BTreeMap<&'s str, &'s SourceFile>,
}

impl<'s> Files<'s> {
    pub(super) fn new(sources: &'s [SourceFile]) -> Files<'s> {
        Files { by_name: sources.iter().map(|source| (source.name.as_str(), source)).collect() }
    }

    pub(super) fn get(&self, name: &str) -> Option<&'s SourceFile> {
        self.by_name.get(name).copied()
    }

    /// The YAML files in a folder and below it, as a `!include_dir_...` takes them: those of a folder
    /// before those of its subfolders, each in the order of their names; no secrets, nothing hidden.
    pub(super) fn below(&self, folder: &str) -> Vec<&'s str> {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let from = (Bound::Included(prefix.as_str()), Bound::Unbounded);
        let names = self.by_name.range::<str, _>(from).map(|(name, _)| *name);
        let mut names: Vec<&str> = names
            .take_while(|name| name.starts_with(&prefix))
            .filter(|name| is_part_of_folder(&name[prefix.len()..]))
            .collect();
        names.sort_by_cached_key(|name| order(&name[prefix.len()..]));
        names
    }

    /// The file that was probably meant by `name`.
    pub(super) fn like(&self, name: &str) -> Option<&'s str> {
        did_you_mean(name, self.by_name.keys().copied())
    }
}

/// Whether a `!include_dir_...` of a folder takes the file of this name inside the folder.
fn is_part_of_folder(name: &str) -> bool {
    let hidden = name.split('/').any(|part| part.starts_with('.'));
    name.ends_with(".yaml") && !hidden && last_part(name) != SECRETS_FILE
}

/// Sorts files before folders: each folder is marked on the way.
fn order(name: &str) -> Vec<(bool, String)> {
    let folders = name.matches('/').count();
    name.split('/').enumerate().map(|(n, part)| (n < folders, part.to_owned())).collect()
}

/// The name without its folders.
pub(super) fn last_part(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |(_, last)| last)
}

/// The folder of a file: empty for one that stands in the home's folder itself.
pub(super) fn folder_of(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Where `target`, written in the file `from`, leads.
pub(super) fn follow(from: &str, target: &str) -> Result<String, PathError> {
    if target.trim().is_empty() {
        return Err(PathError::Empty);
    }
    if target.starts_with(['/', '\\']) || target.contains('\0') {
        return Err(PathError::Outside);
    }
    let folder = folder_of(from);
    let mut parts: Vec<&str> = if folder.is_empty() { Vec::new() } else { folder.split('/').collect() };
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => match parts.pop() {
                None | Some("" | "..") => return Err(PathError::Outside),
                Some(_) => {}
            },
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_follow(from: &str, target: &str, expected: Result<&str, PathError>) {
        assert_eq!(follow(from, target), expected.map(str::to_owned), "{from} -> {target}");
    }

    #[test]
    fn paths_are_relative_to_their_file_and_stay_inside() {
        check_follow("configuration.yaml", "automations.yaml", Ok("automations.yaml"));
        check_follow("configuration.yaml", "./packages/", Ok("packages"));
        check_follow("packages/hall.yaml", "lights.yaml", Ok("packages/lights.yaml"));
        check_follow("packages/hall.yaml", "../shared/x.yaml", Ok("shared/x.yaml"));
        check_follow("packages/hall.yaml", "..", Ok(""));
        check_follow("configuration.yaml", "../x.yaml", Err(PathError::Outside));
        check_follow("packages/hall.yaml", "../../x.yaml", Err(PathError::Outside));
        check_follow("../a/hall.yaml", "../../x.yaml", Err(PathError::Outside));
        check_follow("configuration.yaml", "/etc/passwd", Err(PathError::Outside));
        check_follow("configuration.yaml", "", Err(PathError::Empty));
    }

    #[test]
    fn a_folder_holds_its_yaml_files_in_a_fixed_order() {
        let names =
            ["p/z.yaml", "p/a/k.yaml", "p/.x.yaml", "p/secrets.yaml", "p/b.yml", "p/b.yaml", "pp.yaml"];
        let sources: Vec<SourceFile> =
            names.iter().map(|name| SourceFile { name: (*name).into(), text: String::new() }).collect();
        let files = Files::new(&sources);
        assert_eq!(files.below("p"), ["p/b.yaml", "p/z.yaml", "p/a/k.yaml"]);
        assert_eq!(files.below(""), ["pp.yaml", "p/b.yaml", "p/z.yaml", "p/a/k.yaml"]);
        assert_eq!(files.below("none"), [""; 0]);
        assert_eq!(files.like("p/zz.yaml"), Some("p/z.yaml"));
    }
}
