//! Reading a mapping's keys into types, while collecting everything that is wrong with it.

use super::{Key, Kind, Node, Problem, join};
use crate::{Millis, duration};

/// A mapping being read. Asking for a key makes it known; [`Fields::finish`] reports the keys that
/// nobody asked for, each with the known key it resembles.
#[derive(Debug)]
pub struct Fields<'n> {
    node: &'n Node,
    path: String,
    entries: &'n [(Key, Node)],
    known: Vec<&'static str>,
    problems: Vec<Problem>,
    passes_over_unknown: bool,
}

impl<'n> Fields<'n> {
    /// Begins to read a mapping; anything else is a problem.
    pub fn new(node: &'n Node, path: impl Into<String>) -> Result<Fields<'n>, Problem> {
        let path = path.into();
        let entries = node.expect_map(&path)?;
        let (known, problems) = (Vec::new(), Vec::new());
        Ok(Fields { node, path, entries, known, problems, passes_over_unknown: false })
    }

    /// Lets keys be that nobody asks for, here and in the mappings inside.
    pub fn pass_over_unknown(mut self, passes_over: bool) -> Fields<'n> {
        self.passes_over_unknown = passes_over;
        self
    }

    /// Whether keys that nobody asks for are let be.
    pub fn passes_over_unknown(&self) -> bool {
        self.passes_over_unknown
    }

    /// The mapping itself.
    pub fn node(&self) -> &'n Node {
        self.node
    }

    /// The way to this mapping.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The way to one of its keys.
    pub fn path_of(&self, key: &str) -> String {
        join(&self.path, key)
    }

    /// The value of `key` as it stands; `key:` with nothing behind it counts as absent.
    pub fn get(&mut self, key: &'static str) -> Option<&'n Node> {
        self.known.push(key);
        self.entries.iter().find(|(name, _)| name.text == key).map(|(_, node)| node).filter(|n| !n.is_null())
    }

    /// The value of `key`, also when that is nothing.
    pub fn get_or_null(&mut self, key: &'static str) -> Option<&'n Node> {
        self.known.push(key);
        self.entries.iter().find(|(name, _)| name.text == key).map(|(_, node)| node)
    }

    /// The first of several spellings of one key, with the spelling found; two at once are a
    /// problem.
    pub fn get_any(&mut self, keys: &[&'static str]) -> Option<(&'static str, &'n Node)> {
        let mut found = None;
        for key in keys {
            if let Some(node) = self.get(key) {
                match found {
                    None => found = Some((*key, node)),
                    Some((first, _)) => {
                        self.report(node.problem(
                            &self.path_of(key),
                            format!("stands beside `{first}`, which means the same"),
                        ));
                    }
                }
            }
        }
        found
    }

    /// Makes keys known that are taken and not acted on.
    pub fn accept(&mut self, keys: &[&'static str]) {
        self.known.extend_from_slice(keys);
    }

    /// Whether the mapping has `key`; does not make it known.
    pub fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|(name, _)| name.text == key)
    }

    /// Adds a problem, once: two readers of one key see the same mistake.
    pub fn report(&mut self, problem: Problem) {
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// Adds a problem that points at the whole mapping.
    pub fn fail(&mut self, message: impl Into<String>) {
        self.report(self.node.problem(&self.path, message));
    }

    /// Takes the value out of a result, or its problem in.
    pub fn keep<T>(&mut self, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.report(problem)).ok()
    }

    /// Reads the value of `key` by `read`, which gets the node and the way to it.
    pub fn read<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&'n Node, &str) -> Result<T, Problem>,
    ) -> Option<T> {
        let node = self.get(key)?;
        let result = read(node, &self.path_of(key));
        self.keep(result)
    }

    /// A text, in Home Assistant's `cv.string` reading.
    pub fn text(&mut self, key: &'static str) -> Option<String> {
        self.read(key, Node::text)
    }

    /// A text that must be there.
    pub fn require_text(&mut self, key: &'static str) -> Option<String> {
        self.require(key)?;
        self.text(key)
    }

    /// The value of a key that must be there.
    pub fn require(&mut self, key: &'static str) -> Option<&'n Node> {
        let node = self.get(key);
        if node.is_none() {
            self.fail(format!("`{key}` is missing"));
        }
        node
    }

    /// A boolean.
    pub fn boolean(&mut self, key: &'static str) -> Option<bool> {
        self.read(key, Node::boolean)
    }

    /// An integer.
    pub fn integer(&mut self, key: &'static str) -> Option<i64> {
        self.read(key, Node::integer)
    }

    /// A finite number.
    pub fn number(&mut self, key: &'static str) -> Option<f64> {
        self.read(key, Node::number)
    }

    /// A span of time in any of Home Assistant's notations.
    pub fn duration(&mut self, key: &'static str) -> Option<Millis> {
        self.read(key, duration::from_node)
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&mut self, key: &'static str, choices: &[(&'static str, T)]) -> Option<T> {
        self.read(key, |node, path| {
            let text = node.text(path)?;
            choices.iter().find(|(word, _)| *word == text).map(|(_, choice)| *choice).ok_or_else(|| {
                let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
                node.problem(path, format!("`{text}` is not one of {}", words.join(", ")))
                    .meant(&text, words.iter().copied())
            })
        })
    }

    /// One text or a list of them.
    pub fn texts(&mut self, key: &'static str) -> Vec<String> {
        let Some(node) = self.get(key) else { return Vec::new() };
        let path = self.path_of(key);
        node.list_or_single().iter().filter_map(|item| self.keep(item.text(&path))).collect()
    }

    /// Ends the reading: what was wrong, and the keys nobody asked for. No problems, no mistakes.
    pub fn finish(mut self) -> Vec<Problem> {
        for (key, _) in self.entries {
            if !self.passes_over_unknown && !self.known.contains(&key.text.as_str()) {
                self.problems.push(
                    Problem {
                        location: Some(key.location.clone()),
                        path: self.path.clone(),
                        message: format!("unknown key `{}`", key.text),
                        hint: None,
                    }
                    .meant(&key.text, self.known.iter().copied()),
                );
            }
        }
        self.problems
    }

    /// Whether nothing was wrong so far.
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }

    /// Whether `key` holds a mapping or list rather than a scalar.
    pub fn is_nested(&self, key: &str) -> bool {
        self.node.get(key).is_some_and(|node| matches!(node.kind, Kind::List(_) | Kind::Map(_)))
    }
}
