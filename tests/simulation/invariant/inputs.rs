//! What a node acknowledged is in the log: once, where it said, in the order of handing in.

use crate::trace::{Event, Ticket, Trace};
use gable_rules::{Effect, Input, InputKind, LogIndex, NodeId};
use std::collections::BTreeMap;

/// Checks every message that a device handed in.
pub(crate) fn check(trace: &Trace) -> Result<(), String> {
    let taken = taken(trace)?;
    for (at, event) in trace.events() {
        if let Event::Acknowledged { node, ticket, index, settled, .. } = event {
            acknowledged(&taken, *node, *ticket, *index, settled)
                .map_err(|wrong| format!("{wrong} (acknowledged at {:.3} s)", at.as_secs_f64()))?;
        }
    }
    in_order(trace, &taken)
}

/// A message's place in the log: the entry, and the input in it.
type Place = (LogIndex, usize);

/// Returns the place of each message that the log holds.
fn taken(trace: &Trace) -> Result<BTreeMap<Ticket, Place>, String> {
    let mut taken = BTreeMap::new();
    for (index, (_, entry)) in trace.log() {
        for (number, (input, effects)) in entry.inputs.iter().enumerate() {
            let Some(ticket) = ticket_of(input).filter(|_| !is_refused(effects)) else { continue };
            if let Some((first, _)) = taken.insert(ticket, (index, number)) {
                return Err(format!("message {ticket} is in the log twice, at {first} and {index}"));
            }
        }
    }
    Ok(taken)
}

fn acknowledged(
    taken: &BTreeMap<Ticket, Place>,
    node: NodeId,
    ticket: Ticket,
    index: LogIndex,
    settled: &str,
) -> Result<(), String> {
    let place = taken.get(&ticket).map(|(index, _)| *index);
    match (place, settled) {
        (None, _) => Err(format!("node {node} acknowledged message {ticket}, which is not in the log")),
        (Some(place), "applied") if place == index => Ok(()),
        // Seen through a snapshot, or again: it is known to be there, not where.
        (Some(place), "duplicate") if place <= index => Ok(()),
        (Some(place), _) => Err(format!(
            "node {node} acknowledged message {ticket} as {settled} at {index}, and it is at {place}"
        )),
    }
}

/// What was handed to one boot of a node stands in the log in that order, without a hole before
/// the last one that got there.
fn in_order(trace: &Trace, taken: &BTreeMap<Ticket, Place>) -> Result<(), String> {
    let mut handed: BTreeMap<(NodeId, u64), Vec<Ticket>> = BTreeMap::new();
    let mut boots = BTreeMap::new();
    for (_, event) in trace.events() {
        match event {
            // A disk that was emptied counts its boots from one again.
            Event::Started { node, .. } => *boots.entry(*node).or_insert(0) += 1,
            Event::HandedIn { node, ticket, .. } => {
                let boot = boots.get(node).copied().unwrap_or(0);
                handed.entry((*node, boot)).or_default().push(*ticket);
            }
            _ => {}
        }
    }
    for ((node, _), tickets) in handed {
        let mut places = tickets.iter().map(|ticket| (ticket, taken.get(ticket)));
        let mut last = None;
        while let Some((ticket, Some(place))) = places.next() {
            if last.is_some_and(|last| last >= place) {
                return Err(format!("message {ticket} overtook one that node {node} was handed before it"));
            }
            last = Some(place);
        }
        if let Some((ticket, _)) = places.find(|(_, place)| place.is_some()) {
            return Err(format!(
                "message {ticket} is in the log without one that node {node} was handed before it"
            ));
        }
    }
    Ok(())
}

fn ticket_of(input: &Input) -> Option<Ticket> {
    match &input.kind {
        InputKind::Message(message) => Ticket::of(&message.payload),
        _ => None,
    }
}

fn is_refused(effects: &[Effect]) -> bool {
    matches!(effects.first(), Some(Effect::Refused(_)))
}
