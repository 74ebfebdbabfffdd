//! The table at the head of the report: how many automations run, and what the others wait for.

use super::Palette;
use gable_rules::{Problem, Report};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// How often something is missing.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) count: usize,
    /// The automations that are out of use for it.
    pub(super) automations: BTreeSet<(String, String)>,
}

/// What Gable does not run, by kind and word; the most frequent first.
pub(super) fn missing(report: &Report) -> Vec<((&'static str, String), Tally)> {
    let mut tallies: BTreeMap<(&'static str, String), Tally> = BTreeMap::new();
    for problem in &report.problems {
        let Some(missing) = &problem.missing else { continue };
        let tally = tallies.entry((missing.what, missing.word.clone())).or_default();
        tally.count += missing.count;
        tally.automations.extend(automation(problem));
    }
    let mut tallies: Vec<_> = tallies.into_iter().collect();
    tallies.sort_by_key(|((what, _), tally)| (*what == "section", std::cmp::Reverse(tally.count)));
    tallies
}

/// An automation by its file and id: files of a collection may use one id twice.
fn automation(problem: &Problem) -> Option<(String, String)> {
    let file = problem.what.location.as_ref().map(|place| place.file.to_string()).unwrap_or_default();
    Some((file, problem.automation.clone()?))
}

pub(super) fn to_text(report: &Report, palette: Palette) -> String {
    let mut text = format!("automations: {} run", report.automations);
    if report.unsupported > 0 {
        let _ = write!(text, ", {} not run", report.unsupported);
    }
    let _ = write!(text, ", {} broken", report.broken);
    if report.blueprints > 0 {
        let _ = write!(text, "; {}", super::several(report.blueprints, "blueprint", "blueprints"));
    }
    text.push('\n');
    let missing = missing(report);
    if !missing.is_empty() {
        let what_width = missing.iter().map(|((what, _), _)| what.len()).max().unwrap_or(0);
        let word_width = missing.iter().map(|((_, word), _)| word.chars().count()).max().unwrap_or(0).min(48);
        let width = (what_width + word_width + 4).max("what Gable does not run:".len());
        let head = format!("{:width$}  {:>7}  {:>11}", "what Gable does not run:", "times", "automations");
        let _ = writeln!(text, "{}", palette.bold(&head));
        for ((what, word), tally) in missing {
            let name = format!("  {what:what_width$}  {word}");
            let automations = match tally.automations.len() {
                0 => "-".to_owned(),
                count => count.to_string(),
            };
            let _ = writeln!(text, "{name:width$}  {:>7}  {automations:>11}", tally.count);
        }
    }
    text.push('\n');
    text
}
