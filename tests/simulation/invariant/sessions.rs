//! A kept session gets all that is taken after its subscriptions, wherever its client is: at QoS 1
//! at least once, at QoS 2 exactly once. What comes again says so.

use crate::trace::{Reception, Seen, Ticket, Trace, client_of, publication_of};
use gable_devices::{QoS, topic};
use gable_rules::InputKind;
use gable_rules::broker::ClientAction;
use std::collections::{BTreeMap, BTreeSet};

/// Checks what every client got.
pub(crate) fn check(trace: &Trace) -> Result<(), String> {
    sessions_are_kept(trace)?;
    let got = got(trace)?;
    match due(trace).into_iter().find(|key| !got.contains(key)) {
        None => Ok(()),
        Some((client, ticket)) => Err(format!("client {client} never got {ticket}")),
    }
}

/// Whoever has come with a session finds it when it comes again.
fn sessions_are_kept(trace: &Trace) -> Result<(), String> {
    let mut known = BTreeSet::new();
    for (client, connection, seen) in trace.seen() {
        if let Seen::Connected { session_present, is_kept: true, node } = seen
            && !known.insert(client)
            && !session_present
        {
            return Err(format!("client {client} ({connection}) finds no session at node {node}"));
        }
    }
    Ok(())
}

/// Returns who has to get which messages.
fn due(trace: &Trace) -> BTreeSet<(u32, Ticket)> {
    let mut sessions: BTreeMap<u32, BTreeMap<&str, QoS>> = BTreeMap::new();
    let mut due = BTreeSet::new();
    for (_, input, _) in trace.taken() {
        if let Some((publication, ticket)) = publication_of(input).zip(Ticket::of_input(input)) {
            for (client, filters) in &sessions {
                let matching = filters.iter().filter(|(filter, _)| topic::covers(filter, &publication.topic));
                let qos = matching.map(|(_, qos)| *qos).max().unwrap_or_default();
                if qos.min(publication.qos) > QoS::AtMostOnce {
                    due.insert((*client, ticket));
                }
            }
        }
        if let InputKind::Client(client) = &input.kind
            && let ClientAction::Subscribe { subscriptions } = &client.action
            && let Some(id) = client_of(&client.client_id)
        {
            let filters = subscriptions.iter().map(|(filter, options)| (filter.as_str(), options.qos));
            sessions.entry(id).or_default().extend(filters);
        }
    }
    due
}

/// Returns who got which messages, unless somebody got one more often than it may.
fn got(trace: &Trace) -> Result<BTreeSet<(u32, Ticket)>, String> {
    let mut got = BTreeSet::new();
    for (client, connection, seen) in trace.seen() {
        let Seen::Received(reception @ Reception { retain: false, qos, dup, is_new, .. }) = seen else {
            continue;
        };
        let Some(ticket) = Ticket::of(&reception.payload) else { continue };
        let is_first = got.insert((client, ticket));
        let wrong = match (is_first, qos) {
            (true, 2) if !is_new => Some("under the packet identifier of another message"),
            (true, _) => None,
            (false, 0) => Some("twice at QoS 0"),
            (false, 2) if *is_new => Some("twice at QoS 2"),
            (false, _) if !dup => Some("again, and nothing says so"),
            (false, _) => None,
        };
        if let Some(wrong) = wrong {
            return Err(format!("client {client} ({connection}) got {ticket} {wrong}"));
        }
    }
    Ok(got)
}
