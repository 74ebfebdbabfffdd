//! A term has one leader at most.

use crate::trace::{Event, Trace};
use std::collections::BTreeMap;

/// Checks every leadership that a node took up.
pub(crate) fn check(trace: &Trace) -> Result<(), String> {
    let mut leaders = BTreeMap::new();
    for (_, event) in trace.events() {
        if let Event::Leads { node, term } = event {
            let first = *leaders.entry(*term).or_insert(*node);
            if first != *node {
                return Err(format!("nodes {first} and {node} both lead term {term}"));
            }
        }
    }
    Ok(())
}
