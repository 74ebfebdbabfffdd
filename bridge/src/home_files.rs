//! Collects the files that make a home: those named, and everything that they refer to.
//!
//! What an include means is the core's affair (`gable_rules::references`); here the files are only
//! found and read, inside the folders that were named and nowhere else.

use gable_rules::{Reference, SourceFile, references};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::{Component, Path, PathBuf};

/// Most files of a home. A home with more is refused whole, so that no node runs a part of it.
const FILES_MAX: usize = 4000;
/// Longest text of all files together, in bytes: they travel through the log as one entry.
const BYTES_MAX: u64 = 8 << 20;
/// Deepest folder that is looked into.
const FOLDERS_DEEP_MAX: usize = 16;
/// The file with which Home Assistant's folder begins.
const BEGINNING: &str = "configuration.yaml";

/// Why the home's files can not be used as they are.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot read the home's file {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("the home's file {path} is not UTF-8 text")]
    NotText { path: PathBuf },
    #[error("the home's file {path} has a name that is not UTF-8 text")]
    NotName { path: PathBuf },
    #[error("the home's file {path} is a link that leads out of the home's folder")]
    Outside { path: PathBuf },
    #[error("the home has more than {FILES_MAX} files")]
    TooMany,
    #[error("the home's files are larger than {} MB together, at {path}", BYTES_MAX >> 20)]
    TooLarge { path: PathBuf },
    #[error("folders stand deeper than {FOLDERS_DEEP_MAX} in one another at {path}")]
    TooDeep { path: PathBuf },
    #[error("no YAML file stands in the folder {path}")]
    Empty { path: PathBuf },
}

/// The files of a home.
#[derive(Debug)]
pub(crate) struct Collected {
    /// What the files' names are relative to.
    pub(crate) folder: PathBuf,
    /// Those named first, in their order; then what they refer to.
    pub(crate) files: Vec<SourceFile>,
}

/// Collects files again and again; what a file refers to is read anew only when it has changed.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    known: BTreeMap<String, ([u8; 32], BTreeSet<Reference>)>,
}

/// The reading of one home.
struct Reading<'c> {
    known: &'c mut BTreeMap<String, ([u8; 32], BTreeSet<Reference>)>,
    folder: PathBuf,
    /// The real folders out of which nothing may lead.
    allowed: Vec<PathBuf>,
    files: Vec<SourceFile>,
    taken: BTreeSet<String>,
    bytes: u64,
}

impl Collector {
    /// Collects what these files and folders make. A folder begins with its `configuration.yaml`;
    /// without one, all its YAML files are the home.
    pub(crate) fn collect(&mut self, paths: &[PathBuf]) -> Result<Collected, Error> {
        let mut beginnings = Vec::new();
        let mut folders = Vec::new();
        for path in paths {
            let real = |folder: &Path| {
                let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
                folder.canonicalize().map_err(|source| Error::Read { path: path.clone(), source })
            };
            if path.is_dir() {
                let folder = real(path)?;
                beginnings.extend(beginnings_of(&folder)?);
                folders.push(folder);
            } else {
                let folder = real(path.parent().unwrap_or(Path::new("")))?;
                beginnings.push(folder.join(path.file_name().unwrap_or_default()));
                folders.push(folder);
            }
        }
        let folder = common(&folders);
        let known = &mut self.known;
        let mut reading =
            Reading { known, folder, allowed: folders, files: Vec::new(), taken: BTreeSet::new(), bytes: 0 };
        reading.read(&beginnings)?;
        let Reading { folder, files, taken, .. } = reading;
        self.known.retain(|name, _| taken.contains(name));
        Ok(Collected { folder, files })
    }
}

impl Reading<'_> {
    fn read(&mut self, beginnings: &[PathBuf]) -> Result<(), Error> {
        let mut open = VecDeque::new();
        for path in beginnings {
            let name = self.name(path)?;
            // A file that was named may be a link; what it refers to may not lead out.
            open.extend(self.take(name, path.clone())?);
        }
        while let Some(reference) = open.pop_front() {
            let names = match reference {
                Reference::File(name) | Reference::Secrets(name) | Reference::Blueprint(name) => vec![name],
                Reference::Folder(name) => {
                    let folder = self.folder.join(&name);
                    let mut paths = Vec::new();
                    if folder.is_dir() {
                        self.expect_inside(&folder)?;
                        yaml_below(&folder, 0, &["yaml"], &mut paths)?;
                    }
                    paths.iter().map(|path| self.name(path)).collect::<Result<_, _>>()?
                }
            };
            for name in names {
                let path = self.folder.join(&name);
                // What does not exist is told with file and line, where the home is compiled.
                if !self.taken.contains(&name) && path.is_file() {
                    self.expect_inside(&path)?;
                    open.extend(self.take(name, path)?);
                }
            }
        }
        Ok(())
    }

    /// Takes a file, and gives what it refers to.
    fn take(&mut self, name: String, path: PathBuf) -> Result<BTreeSet<Reference>, Error> {
        if !self.taken.insert(name.clone()) {
            return Ok(BTreeSet::new());
        }
        if self.taken.len() > FILES_MAX {
            return Err(Error::TooMany);
        }
        let unreadable = |source| Error::Read { path: path.clone(), source };
        self.bytes = self.bytes.saturating_add(std::fs::metadata(&path).map_err(unreadable)?.len());
        if self.bytes > BYTES_MAX {
            return Err(Error::TooLarge { path });
        }
        let bytes = std::fs::read(&path).map_err(unreadable)?;
        let text = String::from_utf8(bytes).map_err(|_| Error::NotText { path: path.clone() })?;
        let source = SourceFile { name, text };
        let refers = self.references(&source);
        self.files.push(source);
        Ok(refers)
    }

    fn references(&mut self, source: &SourceFile) -> BTreeSet<Reference> {
        let hash: [u8; 32] = Sha256::digest(source.text.as_bytes()).into();
        match self.known.get(&source.name) {
            Some((known, found)) if *known == hash => found.clone(),
            _ => {
                let found = references(source);
                self.known.insert(source.name.clone(), (hash, found.clone()));
                found
            }
        }
    }

    /// The name of a file inside the home's folder, with `/` on every system.
    fn name(&self, path: &Path) -> Result<String, Error> {
        let inside = path.strip_prefix(&self.folder).unwrap_or(path);
        let parts = inside.components().filter_map(|component| match component {
            Component::Normal(part) => Some(part.to_str()),
            _ => None,
        });
        let parts: Option<Vec<&str>> = parts.collect();
        Ok(parts.ok_or_else(|| Error::NotName { path: path.to_owned() })?.join("/"))
    }

    fn expect_inside(&self, path: &Path) -> Result<(), Error> {
        let real = path.canonicalize().map_err(|source| Error::Read { path: path.to_owned(), source })?;
        let is_inside = self.allowed.iter().any(|folder| real.starts_with(folder));
        if is_inside { Ok(()) } else { Err(Error::Outside { path: path.to_owned() }) }
    }
}

/// Whether a folder is one that Home Assistant would run.
pub(crate) fn has_beginning(folder: &Path) -> bool {
    folder.join(BEGINNING).is_file()
}

/// All YAML files of a folder and below it, files before folders, without hidden ones.
pub(crate) fn yaml_files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut paths = Vec::new();
    yaml_below(folder, 0, &["yaml", "yml"], &mut paths)?;
    paths.retain(|path| path.file_name().is_none_or(|name| name != "secrets.yaml"));
    if paths.is_empty() {
        return Err(Error::Empty { path: folder.to_owned() });
    }
    Ok(paths)
}

fn beginnings_of(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    if has_beginning(folder) { Ok(vec![folder.join(BEGINNING)]) } else { yaml_files(folder) }
}

fn yaml_below(folder: &Path, depth: usize, endings: &[&str], paths: &mut Vec<PathBuf>) -> Result<(), Error> {
    if depth > FOLDERS_DEEP_MAX {
        return Err(Error::TooDeep { path: folder.to_owned() });
    }
    let unreadable = |source| Error::Read { path: folder.to_owned(), source };
    let mut folders = Vec::new();
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if is_hidden {
            continue;
        }
        if path.is_dir() {
            folders.push(path);
        } else if path.extension().is_some_and(|ending| endings.iter().any(|wanted| ending == *wanted)) {
            files.push(path);
        }
        if files.len() + folders.len() + paths.len() > FILES_MAX {
            return Err(Error::TooMany);
        }
    }
    files.sort();
    folders.sort();
    paths.append(&mut files);
    folders.iter().try_for_each(|folder| yaml_below(folder, depth + 1, endings, paths))
}

/// The innermost folder in which all these stand.
fn common(folders: &[PathBuf]) -> PathBuf {
    let Some((first, others)) = folders.split_first() else { return PathBuf::new() };
    let mut common = first.clone();
    while !others.iter().all(|folder| folder.starts_with(&common)) {
        if !common.pop() {
            break;
        }
    }
    common
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A folder with these files, and what is collected from `paths` in it.
    #[track_caller]
    fn check(files: &[(&str, &str)], paths: &[&str], expected: Result<&[&str], &str>) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        check_in(folder.path(), paths, expected);
    }

    #[track_caller]
    fn check_in(folder: &Path, paths: &[&str], expected: Result<&[&str], &str>) {
        let paths: Vec<PathBuf> = paths.iter().map(|path| folder.join(path)).collect();
        match (Collector::default().collect(&paths), expected) {
            (Ok(collected), Ok(expected)) => {
                let names: Vec<&str> = collected.files.iter().map(|file| file.name.as_str()).collect();
                assert_eq!(names, expected);
            }
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{error}"),
            (found, expected) => panic!("{found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn a_home_is_what_its_beginning_refers_to() {
        let files = [
            (
                "configuration.yaml",
                "automation: !include auto/a.yaml\nhomeassistant:\n  packages: !include_dir_named packages\n",
            ),
            (
                "auto/a.yaml",
                "- alias: !secret name\n- use_blueprint: {path: own/x.yaml}\n- !include gone.yaml\n",
            ),
            ("auto/unused.yaml", ""),
            ("secrets.yaml", "name: x"),
            ("esphome/secrets.yaml", "name: x"),
            ("packages/b.yaml", ""),
            ("packages/a/c.yaml", ""),
            ("packages/.hidden.yaml", ""),
            ("blueprints/automation/own/x.yaml", ""),
        ];
        let all = [
            "configuration.yaml",
            "auto/a.yaml",
            "packages/b.yaml",
            "packages/a/c.yaml",
            "secrets.yaml",
            "blueprints/automation/own/x.yaml",
        ];
        check(&files, &["."], Ok(&all));
        check(&files, &["configuration.yaml"], Ok(&all));
    }

    #[test]
    fn without_a_beginning_every_file_counts() {
        let files = [("b.yml", ""), ("a.yaml", ""), ("c/d.yaml", ""), ("notes.txt", "")];
        check(&files, &[""], Ok(&["a.yaml", "b.yml", "c/d.yaml"]));
        check(&files, &["b.yml", "a.yaml"], Ok(&["b.yml", "a.yaml"]));
        check(&files, &["c/d.yaml", "a.yaml"], Ok(&["c/d.yaml", "a.yaml"]));
        check(&files, &["gone.yaml"], Err("gone.yaml"));
        check(&[("x.txt", "")], &[""], Err("no YAML file"));
    }

    #[test]
    fn what_is_too_much_is_named() {
        let large = "#".repeat(5 << 20);
        check(&[("a.yaml", &large), ("b.yaml", &large)], &["."], Err("larger than 8 MB together, at"));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_out_of_the_folder_is_refused() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("x.yaml"), "").unwrap();
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("a.yaml"), "automation: !include x.yaml").unwrap();
        std::os::unix::fs::symlink(outside.path().join("x.yaml"), home.path().join("x.yaml")).unwrap();
        check_in(home.path(), &["a.yaml"], Err("leads out of the home's folder"));
    }
}
