//! A linearizable read sees everything that anybody had been told of before it began.

use crate::trace::{Event, Trace};

/// Checks every such read.
pub(crate) fn check(trace: &Trace) -> Result<(), String> {
    for (at, event) in trace.events() {
        if let Event::Read { node, known, index } = event
            && index < known
        {
            let at = at.as_secs_f64();
            return Err(format!("node {node} read at {index} when {known} was known, at {at:.3} s"));
        }
    }
    Ok(())
}
