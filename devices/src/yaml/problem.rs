//! What is wrong with a file, said so that a person finds the place and the remedy.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// A place in a file; line and column count from 1, columns in characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Location {
    pub file: Arc<str>,
    pub line: u32,
    pub column: u32,
}

/// One thing that is wrong in the home's files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub struct Problem {
    pub location: Option<Location>,
    /// The way to the place in words: `mqtt.light[0].state_topic`; empty for a whole file.
    pub path: String,
    pub message: String,
    /// What may have been meant: a word that is known here.
    pub hint: Option<String>,
}

impl Problem {
    /// Makes a problem without a place.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Problem {
        Problem { location: None, path: path.into(), message: message.into(), hint: None }
    }

    /// Adds the word among `candidates` that `word` was probably meant to be.
    pub fn meant<'c>(mut self, word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Problem {
        self.hint = did_you_mean(word, candidates).map(str::to_owned);
        self
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(location) = &self.location {
            write!(f, "{location}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " (did you mean `{hint}`?)"),
            None => Ok(()),
        }
    }
}

/// The candidate nearest to `word`, if one is near enough to be a slip of the finger or a known
/// short form (`stat_topic` for `state_topic`).
pub fn did_you_mean<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    if word.len() > 64 {
        return None;
    }
    let word: Vec<char> = word.chars().collect();
    let allowed = (word.len() / 3).clamp(1, 3);
    candidates
        .into_iter()
        // Cheap first: a file may hold very many unknown words.
        .filter(|candidate| candidate.len().abs_diff(word.len()) <= allowed)
        .map(|candidate| (distance(&word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= allowed && *distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The edit distance with transpositions of neighbours (optimal string alignment).
fn distance(a: &[char], b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut row = before.clone();
    for i in 1..=a.len() {
        row[0] = i;
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut cost = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                cost = cost.min(before[j - 2] + 1);
            }
            row[j] = cost;
        }
        std::mem::swap(&mut before, &mut last);
        std::mem::swap(&mut last, &mut row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(word: &str, expected: Option<&str>) {
        let known = ["state_topic", "command_topic", "name", "qos", "unique_id"];
        assert_eq!(did_you_mean(word, known), expected, "{word}");
    }

    #[test]
    fn slips_are_recognised_and_strangers_are_not() {
        check("stat_topic", Some("state_topic"));
        check("comand_topic", Some("command_topic"));
        check("nmae", Some("name"));
        check("qps", Some("qos"));
        check("unique-id", Some("unique_id"));
        check("brightness", None);
        check("", None);
        check(&"x".repeat(10_000), None);
    }
}
