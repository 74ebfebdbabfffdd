//! Messages of one topic come to each client in the order of the log, as far as they come for the
//! first time; what a client published in one connection stands there in that client's order
//! (`inputs`).

use crate::trace::{Reception, Seen, Ticket, Trace};
use std::collections::{BTreeMap, BTreeSet};

/// Checks what every client got.
pub(crate) fn check(trace: &Trace) -> Result<(), String> {
    let places: BTreeMap<_, _> =
        trace.taken().filter_map(|(place, input, _)| Some((Ticket::of_input(input)?, place))).collect();
    let mut known = BTreeSet::new();
    let mut last = BTreeMap::new();
    for (client, connection, seen) in trace.seen() {
        let Seen::Received(Reception { retain: false, topic, payload, qos, .. }) = seen else { continue };
        let Some(ticket) = Ticket::of(payload) else { continue };
        let Some(place) = places.get(&ticket) else {
            return Err(format!("client {client} ({connection}) got {ticket}, which is not in the log"));
        };
        if !known.insert((client, ticket)) {
            continue;
        }
        if let Some((before, earlier)) = last.insert((client, topic, qos), (place, ticket))
            && before > place
        {
            return Err(format!("client {client} ({connection}) got {ticket} after {earlier}"));
        }
    }
    Ok(())
}
