//! Reading automations out of YAML: what all kinds of trigger, condition and action share.
//!
//! Everything that is wrong is collected, so that a person mends a file in one go.

pub(crate) mod early;

use crate::home::Missing;
use crate::service::Known;
use crate::text::Text;
use gable_devices::yaml::{Fields, Kind, Location, Node, Problem};
use gable_devices::{EntityId, Template, duration, is_template};
use std::sync::Arc;

/// What reading one automation found.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    /// What the files declare that makes services.
    pub(crate) known: Arc<Known>,
    pub(crate) problems: Vec<Problem>,
    /// What is sound and can not be run here; it puts the automation out of use as a problem does.
    pub(crate) unsupported: Vec<(Missing, Problem)>,
    /// What is probably not meant, and is in use all the same.
    pub(crate) warnings: Vec<Problem>,
    /// The entities it names, and where.
    pub(crate) mentions: Vec<Mention>,
    /// What templates see that are rendered while the file is read; none where runs render them.
    pub(crate) early: Option<early::Variables>,
}

/// An entity named in an automation.
#[derive(Clone, Debug)]
pub(crate) struct Mention {
    pub(crate) entity_id: EntityId,
    pub(crate) location: Location,
    pub(crate) path: String,
}

/// A mapping of no known kind, which was reported: its keys mean nothing.
#[derive(Debug)]
pub(crate) struct UnknownKind;

impl Reader {
    /// Begins to read a mapping.
    pub(crate) fn fields<'n>(&mut self, node: &'n Node, path: &str) -> Option<Fields<'n>> {
        self.keep(Fields::new(node, path))
    }

    /// Ends the reading of a mapping, with what was wrong in it.
    pub(crate) fn finish(&mut self, fields: Fields<'_>) {
        self.problems.extend(fields.finish());
    }

    /// Takes the value out of a result, or its problem in.
    pub(crate) fn keep<T>(&mut self, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.problems.push(problem)).ok()
    }

    /// Reports something that is sound in Home Assistant and can not be run here: `what` is the kind
    /// of thing (`trigger`, `service`, `key`), `word` says which.
    pub(crate) fn unsupported(&mut self, node: &Node, path: &str, what: &'static str, word: &str) {
        let problem = node.problem(path, format!("Gable does not run the {what} `{word}`"));
        self.unsupported.push((Missing { what, word: word.to_owned(), count: 1 }, problem));
    }

    /// Reports keys that Home Assistant knows and this home does not know yet.
    pub(crate) fn not_yet(&mut self, fields: &mut Fields<'_>, keys: &[&'static str]) {
        for key in keys {
            if let Some(node) = fields.get(key) {
                self.unsupported(node, &fields.path_of(key), "key", key);
            }
        }
    }

    /// How much was unsupported so far: what stands in something that is switched off does not count.
    pub(crate) fn forget_unsupported(&mut self, before: usize) {
        self.unsupported.truncate(before);
    }

    /// Reports a word that is not among `supported`: either not supported yet, or unknown.
    pub(crate) fn unknown_kind(
        &mut self,
        node: &Node,
        path: &str,
        what: &'static str,
        word: &str,
        (supported, not_yet): (&[&'static str], &[&'static str]),
    ) {
        if not_yet.contains(&word) {
            return self.unsupported(node, path, what, word);
        }
        let problem = node.problem(path, format!("unknown {what} `{word}`"));
        let problem = problem.meant(word, supported.iter().chain(not_yet).copied());
        let is_word =
            word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'.');
        match problem.hint {
            // Other integrations bring kinds of their own, such as `webostv.turn_on`.
            None if is_word && !word.is_empty() => self.unsupported(node, path, what, word),
            _ => self.problems.push(problem),
        }
    }

    /// Reads a span that may go back, in milliseconds.
    pub(crate) fn offset(&mut self, fields: &mut Fields<'_>, key: &'static str) -> Option<i64> {
        fields.read(key, duration::signed_from_node)
    }

    /// Reads one entity id and remembers that it was named.
    pub(crate) fn entity_id(&mut self, node: &Node, path: &str) -> Option<EntityId> {
        let text = self.keep(node.text(path))?;
        self.entity_id_in(node, path, text.trim())
    }

    /// Reads one or more entity ids: a list, or one text with commas.
    pub(crate) fn entity_ids(&mut self, node: &Node, path: &str) -> Vec<EntityId> {
        let mut ids = Vec::new();
        for item in node.list_or_single() {
            let Some(text) = self.keep(item.text(path)) else { continue };
            for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
                ids.extend(self.entity_id_in(item, path, word));
            }
        }
        ids
    }

    /// The required `entity_id` key of a trigger or condition.
    pub(crate) fn entity_ids_of(&mut self, fields: &mut Fields<'_>) -> Vec<EntityId> {
        let path = fields.path_of("entity_id");
        let Some(node) = fields.require("entity_id") else { return Vec::new() };
        let problems_before = self.problems.len();
        let mut ids = self.entity_ids(node, &path);
        if ids.is_empty() && self.problems.len() == problems_before {
            self.problems.push(node.problem(&path, "names no entity"));
        }
        let mut seen = std::collections::BTreeSet::new();
        ids.retain(|id| seen.insert(id.clone()));
        ids
    }

    pub(crate) fn entity_id_in(&mut self, node: &Node, path: &str, text: &str) -> Option<EntityId> {
        // Home Assistant takes capitals in ids and lowers them.
        let entity_id = text.to_lowercase().parse::<EntityId>();
        let entity_id = self.keep(entity_id.map_err(|error| node.problem(path, error.to_string())))?;
        let mention =
            Mention { entity_id: entity_id.clone(), location: node.location.clone(), path: path.to_owned() };
        self.mentions.push(mention);
        Some(entity_id)
    }

    /// Reads a text that may be a template.
    pub(crate) fn text(&mut self, node: &Node, path: &str) -> Option<Text> {
        let text = self.keep(node.text(path))?;
        if is_template(&text) {
            self.parse_template(node, path, &text).map(Text::Template)
        } else {
            Some(Text::Plain(text))
        }
    }

    /// Reads a template; text without braces is one that says itself.
    pub(crate) fn template(&mut self, node: &Node, path: &str) -> Option<Template> {
        let text = self.keep(node.text(path))?;
        self.parse_template(node, path, &text)
    }

    fn parse_template(&mut self, node: &Node, path: &str, text: &str) -> Option<Template> {
        let template = Template::parse(text).map_err(|error| node.problem(path, error.to_string()));
        self.keep(template)
    }

    /// Reads what a state is compared with: a text or a number, but no bare `on`.
    pub(crate) fn state_text(&mut self, node: &Node, path: &str) -> Option<String> {
        if let Kind::Bool(bool) = node.kind {
            let word = if bool { "on" } else { "off" };
            let message = format!("without quotes this is a boolean in YAML; write \"{word}\"");
            self.problems.push(node.problem(path, message));
            return None;
        }
        self.keep(node.text(path))
    }
}
