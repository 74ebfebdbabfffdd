//! The nodes' histories are the same: each is at all times the beginning of what they are in the
//! end, and in the end they hold each committed message once.

use crate::trace::{Event, Row, Ticket, Trace};
use gable_rules::NodeId;
use std::collections::BTreeSet;

/// Checks every history that was read.
pub(crate) fn check(trace: &Trace) -> Result<(), String> {
    let Some((longest_of, longest)) =
        shown(trace).map(|(node, rows, _)| (node, rows)).max_by_key(|(_, rows)| rows.len())
    else {
        return Ok(());
    };
    for (node, rows, last) in shown(trace) {
        if let Some(at) = rows.iter().zip(longest).position(|(left, right)| left != right) {
            let (left, right) = (rows[at].position, longest[at].position);
            return Err(format!(
                "row {at} of the history differs: node {node} has {left}, node {longest_of} has {right}"
            ));
        }
        if last && rows.len() < longest.len() {
            let (has, lacks) = (rows.len(), longest.len() - rows.len());
            return Err(format!(
                "the history of node {node} ends after {has} rows and lacks {lacks} in the end"
            ));
        }
    }
    whole(trace, longest)
}

fn shown(trace: &Trace) -> impl Iterator<Item = (NodeId, &[Row], bool)> {
    trace.events().filter_map(|(_, event)| match event {
        Event::History { node, rows, last } => Some((*node, rows.as_slice(), *last)),
        _ => None,
    })
}

/// The history holds the messages of the log, in its order, each once.
fn whole(trace: &Trace, rows: &[Row]) -> Result<(), String> {
    let in_log: Vec<Ticket> = trace.taken().filter_map(|(_, input, _)| Ticket::of_input(input)).collect();
    let in_history: Vec<Ticket> = rows.iter().filter_map(|row| row.ticket).collect();
    if in_log == in_history {
        return Ok(());
    }
    let held: BTreeSet<_> = in_history.iter().collect();
    let missing = in_log.iter().find(|ticket| !held.contains(ticket));
    Err(match missing {
        Some(ticket) => format!("message {ticket} is in the log and in no history"),
        None => format!(
            "the history holds {} messages, the log {}, or in another order",
            in_history.len(),
            in_log.len()
        ),
    })
}
