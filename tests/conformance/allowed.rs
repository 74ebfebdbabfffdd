//! What may differ from a suite, and why.
//!
//! `allowed.txt` holds reasons, each a line that begins with `= `, and under each the names of the cases
//! that it is about. A name that ends with `*` stands for all that begin so.

use super::Checked;
use std::collections::{BTreeMap, BTreeSet};

const TEXT: &str = include_str!("allowed.txt");

/// Reasons by what they are about.
#[derive(Debug)]
pub(crate) struct Allowed(BTreeMap<String, String>);

/// Reads the list that is built in.
pub(crate) fn read() -> Result<Allowed, String> {
    parse(TEXT)
}

fn parse(text: &str) -> Result<Allowed, String> {
    let mut reason = None;
    let mut reasons = BTreeMap::new();
    for (line, number) in text.lines().map(str::trim).zip(1..) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(text) = line.strip_prefix("= ") {
            reason = Some(text.to_owned());
            continue;
        }
        let reason = reason.clone().ok_or_else(|| format!("line {number} stands under no reason"))?;
        if reasons.insert(line.to_owned(), reason).is_some() {
            return Err(format!("line {number}: `{line}` is there twice"));
        }
    }
    Ok(Allowed(reasons))
}

impl Allowed {
    /// Why a case may differ.
    pub(crate) fn reason(&self, name: &str) -> Option<&str> {
        self.entry(name).map(|(_, reason)| reason)
    }

    fn entry(&self, name: &str) -> Option<(&str, &str)> {
        let covers = |entry: &str| match entry.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => entry == name,
        };
        self.0
            .iter()
            .find(|(entry, _)| covers(entry))
            .map(|(entry, reason)| (entry.as_str(), reason.as_str()))
    }

    /// Everything that is wrong with a run: what differs and may not, and what stands here and differs no
    /// more. `suites` are those that ran whole: there what stands here has to be a case as well.
    pub(crate) fn complaints(&self, checked: &[Checked], suites: Option<&Vec<&str>>) -> Vec<String> {
        // Several cases may have one name: then one that differs is enough.
        let mut ran = BTreeMap::<&str, Option<&str>>::new();
        for one in checked {
            let difference = ran.entry(&one.name).or_default();
            *difference = difference.or(one.difference.as_deref());
        }
        let mut used = BTreeSet::new();
        let mut complaints = Vec::new();
        for (name, difference) in ran {
            match (self.entry(name), difference) {
                (Some((entry, _)), Some(_)) => drop(used.insert(entry)),
                (Some((entry, _)), None) => {
                    used.insert(entry);
                    complaints.push(format!("{name}\n    differs no more: take `{entry}` off allowed.txt"));
                }
                (None, Some(difference)) => complaints.push(format!("{name}\n    {difference}")),
                (None, None) => {}
            }
        }
        let is_of = |entry: &&String, suite: &str| entry.split(' ').next() == Some(suite);
        for suite in suites.into_iter().flatten() {
            let idle = self.0.keys().filter(|entry| is_of(entry, suite) && !used.contains(entry.as_str()));
            complaints.extend(
                idle.map(|entry| format!("{entry}\n    no case has this name: take it off allowed.txt")),
            );
        }
        complaints
    }
}
