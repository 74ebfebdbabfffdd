//! What conditions were asked and what they saw, noted while they answer: there is one way in which
//! a condition is decided, and it tells what it looks at to whoever keeps a record.

use crate::condition::{Condition, Scene};
use crate::text::shorten;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::fmt::Write as _;

/// How many conditions one step keeps; later ones are asked and not kept.
const ASKED_MAX: usize = 40;
/// How many values one condition keeps.
const SAW_MAX: usize = 8;

/// One condition that was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Where it stands, seen from the automation or from the action: `conditions[0].conditions[1]`.
    pub path: String,
    /// `state`, `template`, `or`, ...
    pub kind: Cow<'static, str>,
    pub answer: Answer,
    /// What it looked at, in that order.
    pub saw: Vec<Saw>,
}

/// What a condition said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    Yes,
    No,
    /// It can not be said; the text says why. It counts as a no.
    Unknown(String),
}

/// One value that a condition looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saw {
    /// Of what: an entity, its attribute, the text of a template.
    pub of: String,
    pub found: String,
    pub wanted: String,
}

impl Saw {
    /// A value, cut where it is long.
    pub(crate) fn new(of: impl Into<String>, found: impl Into<String>, wanted: impl Into<String>) -> Saw {
        Saw { of: shorten(of.into()), found: shorten(found.into()), wanted: shorten(wanted.into()) }
    }
}

/// The record of one step, while its conditions are asked.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    asked: Vec<Asked>,
    /// The key under which the list stands that is being asked.
    prefix: String,
    /// The path of the condition that is being asked.
    path: String,
    /// The conditions around it and itself, by their places in `asked`; none for what is not kept.
    open: Vec<(Option<usize>, usize)>,
}

impl Recorder {
    /// Forgets all, for the next step.
    pub(crate) fn clear(&mut self) {
        self.asked.clear();
        self.open.clear();
        self.path.clear();
        self.prefix.clear();
        self.prefix.push_str("conditions");
    }

    /// What was asked since the record was cleared.
    pub(crate) fn take(&mut self) -> Vec<Asked> {
        std::mem::take(&mut self.asked)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.asked.is_empty()
    }

    fn enter(&mut self, place: Option<usize>, kind: &'static str) {
        let length = self.path.len();
        // Writing to a text does not fail.
        let _ = match place {
            None => Ok(()),
            Some(n) if self.open.is_empty() => write!(self.path, "{}[{n}]", self.prefix),
            Some(n) if length == 0 => write!(self.path, "conditions[{n}]"),
            Some(n) => write!(self.path, ".conditions[{n}]"),
        };
        let row = (self.asked.len() < ASKED_MAX).then(|| {
            let (path, kind) = (self.path.clone(), Cow::Borrowed(kind));
            self.asked.push(Asked { path, kind, answer: Answer::No, saw: Vec::new() });
            self.asked.len() - 1
        });
        self.open.push((row, length));
    }

    fn leave(&mut self, result: &Result<bool, String>) {
        let Some((row, length)) = self.open.pop() else { return };
        self.path.truncate(length);
        if let Some(asked) = row.and_then(|row| self.asked.get_mut(row)) {
            asked.answer = match result {
                Ok(true) => Answer::Yes,
                Ok(false) => Answer::No,
                Err(why) => Answer::Unknown(shorten(why.clone())),
            };
        }
    }

    fn saw(&mut self, saw: impl FnOnce() -> Saw) {
        let row = self.open.last().and_then(|(row, _)| *row);
        if let Some(asked) = row.and_then(|row| self.asked.get_mut(row))
            && asked.saw.len() < SAW_MAX
        {
            asked.saw.push(saw());
        }
    }
}

impl Scene<'_> {
    /// Asks a condition of a list.
    pub(crate) fn ask(&self, place: usize, condition: &Condition) -> Result<bool, String> {
        self.ask_at(Some(place), condition)
    }

    /// Asks a condition that stands alone.
    pub(crate) fn ask_alone(&self, condition: &Condition) -> Result<bool, String> {
        self.ask_at(None, condition)
    }

    fn ask_at(&self, place: Option<usize>, condition: &Condition) -> Result<bool, String> {
        let Some(record) = self.record else { return condition.holds(self) };
        record.borrow_mut().enter(place, condition.word());
        let result = condition.holds(self);
        record.borrow_mut().leave(&result);
        result
    }

    /// Says under which key the conditions stand that are asked next.
    pub(crate) fn under(&self, key: fmt::Arguments<'_>) {
        if let Some(record) = self.record {
            let prefix = &mut record.borrow_mut().prefix;
            prefix.clear();
            // Writing to a text does not fail.
            let _ = prefix.write_fmt(key);
        }
    }

    /// Tells what a condition looks at, if anybody keeps it.
    pub(crate) fn saw(&self, saw: impl FnOnce() -> Saw) {
        if let Some(record) = self.record {
            record.borrow_mut().saw(saw);
        }
    }
}
