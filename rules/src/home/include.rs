//! `!include` and its kin: the tree that the files make together.
//!
//! What can not be resolved keeps its tag, so that every reader refuses it, and is explained once
//! at the end ([`Tags::explain`]): so only the automation around it is out of use.

use super::files::{self, Files};
use super::secrets::Secrets;
use super::{Problem, Severity};
use gable_devices::yaml::{self, DEPTH_MAX, Key, Kind, Location, Node};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Most memory, in about bytes, that the files may take after their includes are expanded. What
/// would come after that is left out and reported.
const WEIGHT_MAX: usize = 96 << 20;
/// What looking for a file or a secret costs of it, so that looking is bounded as well.
const SEARCH_WEIGHT: usize = 4096;
/// Most tags that are explained; the readers of further ones say that they are not supported.
const EXPLAINED_MAX: usize = 2000;
/// How many files may include one another in a row.
const FILES_DEEP_MAX: usize = 16;

/// What is wrong with tags, by their place.
#[derive(Clone, Debug, Default)]
pub(super) struct Tags(BTreeMap<Location, Vec<yaml::Problem>>);

/// Expands includes and secrets.
#[derive(Debug)]
pub(super) struct Resolver<'s> {
    files: Files<'s>,
    secrets: Secrets,
    parsed: BTreeMap<&'s str, Option<Node>>,
    /// The files whose content is being expanded, outermost first.
    open: Vec<String>,
    weight_left: usize,
    /// Where secrets are used, and what stands there as text.
    pub(super) secret_places: BTreeMap<Location, (String, String)>,
    pub(super) tags: Tags,
    pub(super) problems: Vec<Problem>,
}

/// Why a tag can not be resolved, and what was perhaps meant.
type Refusal = (String, Option<String>);

impl Tags {
    /// Remembers what is wrong with the tag at `place`; the problem may lie elsewhere.
    pub(super) fn add(&mut self, place: &Location, problem: yaml::Problem) {
        if self.0.len() < EXPLAINED_MAX {
            self.0.entry(place.clone()).or_default().push(problem);
        }
    }

    /// Puts what is known about a tag in place of what its reader could say, and adds what no
    /// reader met.
    pub(super) fn explain(&self, problems: &mut Vec<Problem>) {
        let mut told = BTreeSet::new();
        let mut explained = Vec::with_capacity(problems.len());
        for problem in problems.drain(..) {
            let place =
                problem.what.location.as_ref().filter(|_| problem.what.message.contains("the tag `!"));
            match place.and_then(|place| self.0.get_key_value(place)) {
                Some((place, known)) => {
                    if told.insert((place, problem.automation.clone())) {
                        explained.extend(known.iter().map(|known| {
                            let paths = [&known.path, &problem.what.path];
                            let path = paths.into_iter().find(|path| !path.is_empty());
                            let path = path.cloned().unwrap_or_default();
                            Problem { what: yaml::Problem { path, ..known.clone() }, ..problem.clone() }
                        }));
                    }
                }
                None => explained.push(problem),
            }
        }
        let met: BTreeSet<&Location> = told.iter().map(|(place, _)| *place).collect();
        let unmet = self.0.iter().filter(|(place, _)| !met.contains(place));
        explained.extend(unmet.flat_map(|(_, known)| known).cloned().map(Problem::error));
        *problems = explained;
    }
}

impl<'s> Resolver<'s> {
    pub(super) fn new(files: Files<'s>, secrets: Secrets) -> Resolver<'s> {
        Resolver {
            files,
            secrets,
            parsed: BTreeMap::new(),
            open: Vec::new(),
            weight_left: WEIGHT_MAX,
            secret_places: BTreeMap::new(),
            tags: Tags::default(),
            problems: Vec::new(),
        }
    }

    /// A file's tree without expanding anything in it; `None` if it is not YAML, which is reported once.
    pub(super) fn parsed(&mut self, name: &str) -> Option<&Node> {
        let source = self.files.get(name)?;
        let key = source.name.as_str();
        if !self.parsed.contains_key(key) {
            let node = yaml::parse(key, &source.text);
            let node = node.map_err(|problem| self.problems.push(Problem::error(problem))).ok();
            self.parsed.insert(key, node);
        }
        self.parsed.get(key)?.as_ref()
    }

    /// A file's tree with all that it includes.
    pub(super) fn load(&mut self, name: &str) -> Option<Node> {
        let node = self.parsed(name)?.clone();
        self.weight_left = self.weight_left.saturating_sub(node.weight());
        self.open.push(name.to_owned());
        let node = self.resolve(node, 0);
        self.open.pop();
        Some(node)
    }

    /// Takes memory out of the budget that all expansions share; `false` if it is used up.
    pub(super) fn take_weight(&mut self, weight: usize) -> bool {
        let left = self.weight_left.checked_sub(weight);
        self.weight_left = left.unwrap_or(self.weight_left);
        left.is_some()
    }

    /// The YAML files in a folder.
    pub(super) fn below(&self, folder: &str) -> Vec<&'s str> {
        self.files.below(folder)
    }

    /// The file that was probably meant by `name`.
    pub(super) fn like(&self, name: &str) -> Option<&'s str> {
        self.files.like(name)
    }

    /// Expands a tree that stands `depth` levels deep.
    fn resolve(&mut self, node: Node, depth: usize) -> Node {
        if node.tag.is_some() {
            return self.resolve_tag(node, depth);
        }
        let kind = match node.kind {
            Kind::List(items) => {
                Kind::List(items.into_iter().map(|item| self.resolve(item, depth + 1)).collect())
            }
            Kind::Map(entries) => {
                let entries = entries.into_iter();
                Kind::Map(entries.map(|(key, node)| (key, self.resolve(node, depth + 1))).collect())
            }
            kind => kind,
        };
        Node { kind, ..node }
    }

    fn resolve_tag(&mut self, node: Node, depth: usize) -> Node {
        let tag = node.tag.clone().unwrap_or_default();
        let result = match (&*tag, &node.kind) {
            ("!secret", Kind::Text(name)) => self.secret(name, &node.location),
            ("!include", Kind::Text(target)) => self.include(target, &node.location, depth),
            ("!include_dir_list", Kind::Text(target)) => {
                self.folder(target, &node.location, depth).map(|parts| list(parts, &node.location))
            }
            ("!include_dir_named", Kind::Text(target)) => {
                self.folder(target, &node.location, depth).map(|parts| named(parts, &node.location))
            }
            ("!include_dir_merge_list", Kind::Text(target)) => self
                .folder(target, &node.location, depth)
                .map(|parts| self.merged_list(parts, &node.location)),
            ("!include_dir_merge_named", Kind::Text(target)) => self
                .folder(target, &node.location, depth)
                .map(|parts| self.merged_named(parts, &node.location)),
            ("!env_var", _) => Err((
                "`!env_var` differs between nodes, which all have to read the same home; use `!secret`"
                    .into(),
                None,
            )),
            ("!input", _) => Err(("`!input` is for blueprints, and this is none".to_owned(), None)),
            // Not ours: the reader of this place says what it thinks.
            _ => return node,
        };
        match result {
            Ok(resolved) => resolved,
            Err((message, hint)) => {
                let location = Some(node.location.clone());
                let what = yaml::Problem { location, path: String::new(), message, hint };
                self.tags.add(&node.location, what);
                node
            }
        }
    }

    fn secret(&mut self, name: &str, place: &Location) -> Result<Node, Refusal> {
        if !self.take_weight(SEARCH_WEIGHT) {
            return Err(too_large());
        }
        let value = self.secrets.get(name, &place.file)?.clone();
        if !self.take_weight(value.weight()) {
            return Err(too_large());
        }
        let mut value = value;
        // Where a secret stands is no secret, but a problem should point at the place of its use.
        move_to(&mut value, place);
        let shown = value.text("").unwrap_or_default();
        self.secret_places.insert(place.clone(), (shown, name.to_owned()));
        Ok(value)
    }

    fn include(&mut self, target: &str, place: &Location, depth: usize) -> Result<Node, Refusal> {
        let name =
            files::follow(&place.file, target).map_err(|error| (format!("`{target}` {error}"), None))?;
        if files::last_part(&name) == files::SECRETS_FILE {
            return Err((format!("`{name}` is for `!secret NAME`, it is not included"), None));
        }
        if self.files.get(&name).is_none() {
            if !self.take_weight(SEARCH_WEIGHT) {
                return Err(too_large());
            }
            let hint = self.files.like(&name).map(str::to_owned);
            return Err((format!("there is no file `{name}` in the home's folder"), hint));
        }
        self.expand(&name, depth)
    }

    /// The content of a file that another one includes.
    fn expand(&mut self, name: &str, depth: usize) -> Result<Node, Refusal> {
        if self.open.iter().any(|open| open == name) {
            let way = self.open.iter().skip_while(|open| *open != name).map(String::as_str);
            let way: Vec<&str> = way.chain([name]).collect();
            return Err((format!("files include one another in a circle: {}", way.join(" -> ")), None));
        }
        if self.open.len() > FILES_DEEP_MAX {
            return Err((format!("more than {FILES_DEEP_MAX} files include one another in a row"), None));
        }
        let Some(node) = self.parsed(name) else {
            return Err((format!("`{name}` can not be read"), None));
        };
        if depth + node.depth() > DEPTH_MAX {
            let message = format!("with `{name}` lists and mappings are nested deeper than {DEPTH_MAX}");
            return Err((message, None));
        }
        let (node, weight) = (node.clone(), node.weight());
        if !self.take_weight(weight) {
            return Err(too_large());
        }
        self.open.push(name.to_owned());
        let node = self.resolve(node, depth);
        self.open.pop();
        Ok(node)
    }

    fn folder(
        &mut self,
        target: &str,
        place: &Location,
        depth: usize,
    ) -> Result<Vec<(String, Node)>, Refusal> {
        let folder =
            files::follow(&place.file, target).map_err(|error| (format!("`{target}` {error}"), None))?;
        if !self.take_weight(SEARCH_WEIGHT) {
            return Err(too_large());
        }
        let names = self.files.below(&folder);
        if names.is_empty() {
            let what = yaml::Problem {
                location: Some(place.clone()),
                path: String::new(),
                message: format!("no YAML file stands in the folder `{folder}`"),
                hint: None,
            };
            self.problems.push(Problem::with(Severity::Warning, what));
        }
        let mut parts = Vec::new();
        for name in names {
            match self.expand(name, depth + 1) {
                Ok(node) => parts.push((name.to_owned(), node)),
                // One file that is not YAML takes no other with it, and was reported already.
                Err(_) if self.parsed(name).is_none() => {}
                Err((message, hint)) => {
                    let what =
                        yaml::Problem { location: Some(place.clone()), path: String::new(), message, hint };
                    self.problems.push(Problem::error(what));
                }
            }
        }
        Ok(parts)
    }

    fn merged_list(&mut self, parts: Vec<(String, Node)>, place: &Location) -> Node {
        let mut all = Vec::new();
        for (name, node) in parts {
            match node.kind {
                Kind::List(items) if node.tag.is_none() => all.extend(items),
                _ => self.left_out(&name, &node, "list"),
            }
        }
        Node { kind: Kind::List(all), location: place.clone(), tag: None }
    }

    fn merged_named(&mut self, parts: Vec<(String, Node)>, place: &Location) -> Node {
        let mut all: Vec<(Key, Node)> = Vec::new();
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        for (name, node) in parts {
            let Kind::Map(entries) = (if node.tag.is_none() { node.kind.clone() } else { Kind::Null }) else {
                self.left_out(&name, &node, "mapping");
                continue;
            };
            for (key, node) in entries {
                match places.get(&key.text).and_then(|n| all.get_mut(*n)) {
                    Some(entry) => {
                        let what = yaml::Problem {
                            location: Some(key.location.clone()),
                            path: String::new(),
                            message: format!(
                                "`{}` stands at {} already; as in Home Assistant this one is taken",
                                key.text, entry.0.location
                            ),
                            hint: None,
                        };
                        self.problems.push(Problem::with(Severity::Warning, what));
                        *entry = (key, node);
                    }
                    None => {
                        places.insert(key.text.clone(), all.len());
                        all.push((key, node));
                    }
                }
            }
        }
        Node { kind: Kind::Map(all), location: place.clone(), tag: None }
    }

    fn left_out(&mut self, name: &str, node: &Node, wanted: &str) {
        if node.is_null() {
            return;
        }
        let message =
            format!("`{name}` is no {wanted}, so this include leaves it out, as Home Assistant does");
        self.problems.push(Problem::with(Severity::Warning, node.problem("", message)));
    }
}

fn too_large() -> Refusal {
    (format!("the home takes more than {} MB after its includes are expanded", WEIGHT_MAX >> 20), None)
}

fn move_to(node: &mut Node, place: &Location) {
    node.location = place.clone();
    match &mut node.kind {
        Kind::List(items) => items.iter_mut().for_each(|item| move_to(item, place)),
        Kind::Map(entries) => {
            for (key, node) in entries {
                key.location = place.clone();
                move_to(node, place);
            }
        }
        Kind::Null | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::Text(_) => {}
    }
}

fn list(parts: Vec<(String, Node)>, place: &Location) -> Node {
    let items = parts.into_iter().map(|(_, node)| node).filter(|node| !node.is_null());
    Node { kind: Kind::List(items.collect()), location: place.clone(), tag: None }
}

/// By the file's name without its ending; an empty file is an empty mapping.
fn named(parts: Vec<(String, Node)>, place: &Location) -> Node {
    let mut entries: BTreeMap<String, (Key, Node)> = BTreeMap::new();
    for (name, mut node) in parts {
        let stem = files::last_part(&name).trim_end_matches(".yaml").to_owned();
        if node.is_null() {
            node.kind = Kind::Map(Vec::new());
        }
        let file: Arc<str> = name.into();
        let key = Key { text: stem.clone(), location: Location { file, line: 1, column: 1 } };
        entries.insert(stem, (key, node));
    }
    Node { kind: Kind::Map(entries.into_values().collect()), location: place.clone(), tag: None }
}
