//! Nobody is told that a message is taken before it is: in the log, on the disks of a majority, and
//! applied by the node that says so. In the end every history holds it.

use crate::trace::{Event, Seen, Ticket, Trace};
use crate::world::NODES;
use gable_rules::{LogIndex, NodeId};
use std::collections::{BTreeMap, BTreeSet};

/// Checks every acknowledgement at the moment at which it left its node.
pub(crate) fn check(trace: &Trace) -> Result<(), String> {
    let places: BTreeMap<Ticket, LogIndex> =
        trace.taken().filter_map(|((index, _), input, _)| Some((Ticket::of_input(input)?, index))).collect();
    let mut offered = BTreeMap::new();
    let mut acknowledged = BTreeSet::new();
    let mut progress = Progress::default();
    for (at, event) in trace.events() {
        let by = match event {
            Event::Client { client, seen: Seen::Offered { ticket, packet_id, .. }, .. } => {
                // No client of a run sends so much that it has to use an identifier again.
                offered.insert((*client, *packet_id), *ticket);
                None
            }
            Event::Acknowledges { node, client, packet_id } => {
                let ticket = offered.get(&(*client, Some(*packet_id)));
                Some((*node, *ticket.ok_or_else(|| format!("it was not sent: {event}"))?))
            }
            Event::Acknowledged { node, ticket, .. } => Some((*node, *ticket)),
            Event::Client { client, seen: Seen::Acknowledged { ticket }, .. } => {
                if !acknowledged.contains(ticket) {
                    return Err(format!("client {client} was told that {ticket} is taken, and by no node"));
                }
                None
            }
            _ => None,
        };
        if let Some((node, ticket)) = by {
            progress.holds(node, places.get(&ticket).copied()).map_err(|why| {
                format!("node {node} said at {:.3} s that {ticket} is taken, {why}", at.as_secs_f64())
            })?;
            acknowledged.insert(ticket);
        }
        progress.follow(event);
    }
    in_histories(trace, &acknowledged)
}

/// How far the nodes have come.
#[derive(Default)]
struct Progress {
    on_disk: BTreeMap<NodeId, LogIndex>,
    /// What a majority has had on its disks.
    safe: LogIndex,
    applied: BTreeMap<NodeId, LogIndex>,
}

impl Progress {
    fn follow(&mut self, event: &Event) {
        match event {
            // What it had applied it has to apply again, or to take over.
            Event::Started { node, .. } => drop(self.applied.remove(node)),
            Event::Applied { node, entry, .. } => drop(self.applied.insert(*node, entry.index)),
            Event::Installed { node, index, .. } => {
                self.applied.insert(*node, *index);
                self.persisted(*node, *index);
            }
            Event::Persisted { node, last } => self.persisted(*node, *last),
            _ => {}
        }
    }

    fn persisted(&mut self, node: NodeId, last: LogIndex) {
        self.on_disk.insert(node, last);
        let mut lasts: Vec<_> = self.on_disk.values().copied().collect();
        lasts.sort_unstable_by(|a, b| b.cmp(a));
        let majority = NODES.len() / 2;
        self.safe = self.safe.max(lasts.get(majority).copied().unwrap_or_default());
    }

    fn holds(&self, node: NodeId, place: Option<LogIndex>) -> Result<(), String> {
        let index = place.ok_or("and it is not in the log")?;
        let (safe, applied) = (self.safe, self.applied.get(&node).copied().unwrap_or_default());
        if safe < index {
            return Err(format!("it is at {index}, and a majority had the log on disk up to {safe}"));
        }
        if applied < index {
            return Err(format!("it is at {index}, and the node had applied the log up to {applied}"));
        }
        Ok(())
    }
}

fn in_histories(trace: &Trace, acknowledged: &BTreeSet<Ticket>) -> Result<(), String> {
    for (_, event) in trace.events() {
        let Event::History { node, rows, last: true } = event else { continue };
        let held: BTreeSet<Ticket> = rows.iter().filter_map(|row| row.ticket).collect();
        if let Some(lost) = acknowledged.difference(&held).next() {
            return Err(format!("{lost} was acknowledged, and the history of node {node} lacks it"));
        }
    }
    Ok(())
}
