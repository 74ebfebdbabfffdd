//! The table at the end, and the same for programs.

use super::Checked;
use super::allowed::Allowed;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Counts of one suite at one level.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    passed: usize,
    allowed: usize,
    failed: usize,
}

/// Prints the table, and then what is wrong.
pub(crate) fn print(checked: &[Checked], allowed: &Allowed, complaints: &[String]) {
    let mut groups = BTreeMap::<String, Counts>::new();
    for one in checked {
        let counts = groups.entry(group(&one.name)).or_default();
        match (&one.difference, allowed.reason(&one.name)) {
            (None, _) => counts.passed += 1,
            (Some(_), Some(_)) => counts.allowed += 1,
            (Some(_), None) => counts.failed += 1,
        }
    }
    println!("\n{:<24}{:>8}{:>8}{:>8}{:>8}", "suite", "cases", "passed", "allowed", "failed");
    for (group, Counts { passed, allowed, failed }) in groups {
        println!("{group:<24}{:>8}{passed:>8}{allowed:>8}{failed:>8}", passed + allowed + failed);
    }
    for complaint in complaints {
        println!("\n{complaint}");
    }
    match complaints.len() {
        0 => println!("\nEverything that differs is in allowed.txt, with its reason."),
        count => println!("\n{count} of these are not in order."),
    }
}

/// Everything that was checked.
pub(crate) fn to_json(checked: &[Checked], allowed: &Allowed) -> Value {
    let show = |one: &Checked| {
        json!({
            "name": one.name,
            "passed": one.difference.is_none(),
            "difference": one.difference,
            "allowed": one.difference.as_ref().and_then(|_| allowed.reason(&one.name)),
        })
    };
    checked.iter().map(show).collect()
}

/// The suite and the level.
fn group(name: &str) -> String {
    name.split(' ').take(2).collect::<Vec<_>>().join(" ")
}
