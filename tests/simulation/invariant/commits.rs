//! No MQTT client is told that its message is taken before it is: in the log, on the disks of a
//! majority. In the end every history holds it.

use crate::trace::{Event, Seen, Ticket, Trace};
use crate::world::NODES;
use gable_rules::{LogIndex, NodeId};
use std::collections::{BTreeMap, BTreeSet};

/// Checks every acknowledgement that a client got.
pub(crate) fn check(trace: &Trace) -> Result<(), String> {
    let places: BTreeMap<Ticket, LogIndex> =
        trace.taken().filter_map(|((index, _), input, _)| Some((Ticket::of_input(input)?, index))).collect();
    let mut acknowledged = BTreeSet::new();
    let mut progress = Progress::default();
    for (at, event) in trace.events() {
        if let Event::Client { client, seen: Seen::Acknowledged { ticket }, .. } = event {
            let place = places.get(ticket).copied();
            progress.holds(place).map_err(|why| {
                format!("client {client} was told at {:.3} s that {ticket} is taken, {why}", at.as_secs_f64())
            })?;
            acknowledged.insert(*ticket);
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
}

impl Progress {
    fn follow(&mut self, event: &Event) {
        match event {
            Event::Persisted { node, last } | Event::Installed { node, index: last, .. } => {
                self.on_disk.insert(*node, *last);
                let mut lasts: Vec<_> = self.on_disk.values().copied().collect();
                lasts.sort_unstable_by(|a, b| b.cmp(a));
                let majority = NODES.len() / 2;
                self.safe = self.safe.max(lasts.get(majority).copied().unwrap_or_default());
            }
            _ => {}
        }
    }

    fn holds(&self, place: Option<LogIndex>) -> Result<(), String> {
        let index = place.ok_or("and it is not in the log")?;
        if self.safe < index {
            let safe = self.safe;
            return Err(format!("it is at {index}, and a majority had the log on disk up to {safe}"));
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
