//! When all faults stop the cluster heals: everything handed in is committed, all nodes reach the
//! same index and state, what is due is done.

use crate::trace::{Event, Trace};

/// Checks how the run ended.
pub(crate) fn check(trace: &Trace) -> Result<(), String> {
    let rested = trace.events().rev().find_map(|(_, event)| match event {
        Event::Rested { problem } => Some(problem),
        _ => None,
    });
    match rested {
        Some(None) => Ok(()),
        Some(Some(problem)) => Err(problem.clone()),
        None => Err("the run did not come to its end".to_owned()),
    }
}
