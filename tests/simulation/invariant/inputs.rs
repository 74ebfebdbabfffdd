//! What a node acknowledged is in the log: once, where it said, in the order of handing in. So is
//! what a client published in one connection.

use crate::trace::{Event, Place, Seen, Ticket, Trace};
use gable_rules::{LogIndex, NodeId};
use std::collections::{BTreeMap, BTreeSet};

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

/// Returns the place of each message that the log holds.
fn taken(trace: &Trace) -> Result<BTreeMap<Ticket, Place>, String> {
    let mut taken = BTreeMap::new();
    for (place, input, _) in trace.taken() {
        let Some(ticket) = Ticket::of_input(input) else { continue };
        if let Some((first, _)) = taken.insert(ticket, place) {
            return Err(format!("message {ticket} is in the log twice, at {first} and {}", place.0));
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

/// Who hands messages in, one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    /// A boot of a node, for those that came to it.
    Node(NodeId, u64),
    /// A connection of a client.
    Client(u32, u32),
}

/// What was handed to one boot of a node, or published in one connection, stands in the log in that
/// order, without a hole before the last one that got there.
fn in_order(trace: &Trace, taken: &BTreeMap<Ticket, Place>) -> Result<(), String> {
    let mut handed: BTreeMap<Source, Vec<Ticket>> = BTreeMap::new();
    let mut boots = BTreeMap::new();
    let again: BTreeSet<&Ticket> = trace
        .seen()
        .filter_map(|(_, _, seen)| match seen {
            Seen::Offered { ticket, dup: true, .. } => Some(ticket),
            _ => None,
        })
        .collect();
    for (_, event) in trace.events() {
        match event {
            // A disk that was emptied counts its boots from one again.
            Event::Started { node, .. } => *boots.entry(*node).or_insert(0) += 1,
            Event::HandedIn { node, ticket, .. } => {
                let boot = boots.get(node).copied().unwrap_or(0);
                handed.entry(Source::Node(*node, boot)).or_default().push(*ticket);
            }
            // What it sent again came by one connection or the other.
            Event::Client { client, connection, seen: Seen::Offered { ticket, .. } }
                if !again.contains(ticket) =>
            {
                handed.entry(Source::Client(*client, *connection)).or_default().push(*ticket);
            }
            _ => {}
        }
    }
    for (source, tickets) in handed {
        let mut places = tickets.iter().map(|ticket| (ticket, taken.get(ticket)));
        let mut last = None;
        while let Some((ticket, Some(place))) = places.next() {
            if last.is_some_and(|last| last >= place) {
                return Err(format!(
                    "message {ticket} overtook one that was handed in before it ({source:?})"
                ));
            }
            last = Some(place);
        }
        if let Some((ticket, _)) = places.find(|(_, place)| place.is_some()) {
            return Err(format!(
                "message {ticket} is in the log without one that was handed in before it ({source:?})"
            ));
        }
    }
    Ok(())
}
