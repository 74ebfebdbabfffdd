//! No node ends by itself, unless its disk was taken from it.

use crate::trace::{Event, Trace};

/// Checks how nodes ended.
pub(crate) fn check(trace: &Trace) -> Result<(), String> {
    for (at, event) in trace.events() {
        if let Event::Died { node, expected: false, reason } = event {
            return Err(format!("node {node} ended by itself at {:.3} s: {reason}", at.as_secs_f64()));
        }
    }
    Ok(())
}
