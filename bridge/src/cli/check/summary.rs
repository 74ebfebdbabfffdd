//! The table at the head of the report: how many automations run, and what the others wait for.

use super::Palette;
use gable_rules::{Problem, Report, Severity};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// When there are more problems of one kind than this, only the first few of them are listed.
const OF_A_KIND_MAX: usize = 40;
const SHOWN_OF_MANY: usize = 10;
/// How many words of one kind (services, triggers, ...) get a line of their own in the table.
const WORDS_OF_KIND: usize = 20;

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

/// The most frequent of each kind, and the others of it in one line.
fn in_short(missing: Vec<((&'static str, String), Tally)>) -> Vec<((&'static str, String), Tally)> {
    let mut of_kind: BTreeMap<&str, usize> = BTreeMap::new();
    for ((what, _), _) in &missing {
        *of_kind.entry(what).or_default() += 1;
    }
    let mut shown: BTreeMap<&str, usize> = BTreeMap::new();
    let mut lines: Vec<((&'static str, String), Tally)> = Vec::new();
    let mut others: BTreeMap<&'static str, Tally> = BTreeMap::new();
    for ((what, word), tally) in missing {
        let count = of_kind.get(what).copied().unwrap_or(0);
        let shown = shown.entry(what).or_default();
        // Nobody gains by one other in a line of its own.
        if *shown < WORDS_OF_KIND || count == WORDS_OF_KIND + 1 {
            *shown += 1;
            lines.push(((what, word), tally));
        } else {
            let other = others.entry(what).or_default();
            other.count += tally.count;
            other.automations.extend(tally.automations);
        }
    }
    for (what, tally) in others {
        let count = of_kind.get(what).copied().unwrap_or(0).saturating_sub(WORDS_OF_KIND);
        let place = lines.iter().rposition(|((found, _), _)| *found == what).map_or(lines.len(), |n| n + 1);
        lines.insert(place, ((what, format!("... and {count} others")), tally));
    }
    lines
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
        for ((what, word), tally) in in_short(missing) {
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

/// What a person can do about what does not run; empty if nothing helps or nothing is wrong.
pub(super) fn advice(report: &Report) -> Vec<String> {
    let missing = missing(report);
    let has =
        |what, is: &dyn Fn(&str) -> bool| missing.iter().any(|((found, word), _)| *found == what && is(word));
    let mut advice = Vec::new();
    if has("service", &|word| word.starts_with("script.")) {
        advice.push("`script.NAME` needs the file that declares the script: name it as well".to_owned());
    }
    if has("service", &|word| word.starts_with("notify.")) {
        advice.push("`notify.NAME` needs an entry under `notify:` (platform `rest` or `mqtt`)".to_owned());
    }
    let forwarded = only_for_services(report);
    if forwarded > 0 {
        advice.push(format!(
            "with `home_assistant: {{url: ..., token: ...}}` Home Assistant is asked to run services that Gable \
             does not know: {forwarded} of these automations would run"
        ));
    }
    if has("trigger", &|_| true)
        || has("condition", &|_| true)
        || has("action", &|_| true)
        || has("key", &|word| word == "device_id")
    {
        advice.push(
            "what Gable does not trigger on may come by MQTT: `trigger: mqtt`, or the state of an entity that \
             the device announces; leave the automation to Home Assistant otherwise"
                .to_owned(),
        );
    }
    if has("section", &|_| true) || has("platform", &|_| true) {
        advice.push(
            "sections and platforms in the table are left alone: Home Assistant goes on with them".to_owned(),
        );
    }
    advice
}

/// How many automations are out of use for nothing but services.
fn only_for_services(report: &Report) -> usize {
    let mut by_automation: BTreeMap<(String, String), bool> = BTreeMap::new();
    for problem in &report.problems {
        let is_service = match (&problem.missing, problem.severity) {
            (Some(missing), _) => missing.what == "service",
            (None, Severity::Error) => false,
            (None, Severity::Warning | Severity::Unsupported | Severity::Info) => continue,
        };
        if let Some(automation) = automation(problem) {
            *by_automation.entry(automation).or_insert(true) &= is_service;
        }
    }
    by_automation.values().filter(|only| **only).count()
}

/// The problems to list: all of a kind that has few, the first of a kind that has many, and how many
/// more there are of it.
pub(super) fn listed(report: &Report) -> Vec<(&Problem, usize)> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for problem in &report.problems {
        *counts.entry(kind(problem)).or_default() += 1;
    }
    let mut told: BTreeMap<String, usize> = BTreeMap::new();
    let mut listed = Vec::new();
    for problem in &report.problems {
        let kind = kind(problem);
        let count = counts.get(&kind).copied().unwrap_or(0);
        let told = told.entry(kind).or_default();
        *told += 1;
        if count <= OF_A_KIND_MAX || *told < SHOWN_OF_MANY {
            listed.push((problem, 0));
        } else if *told == SHOWN_OF_MANY {
            listed.push((problem, count - SHOWN_OF_MANY));
        }
    }
    listed
}

/// What makes problems alike: what they say without the words that they quote.
fn kind(problem: &Problem) -> String {
    let unquoted: Vec<&str> = problem.what.message.split('`').step_by(2).collect();
    format!("{} {}", problem.severity, unquoted.join("`"))
}
