//! Falsified records of what MQTT clients saw.

use crate::clients::WATCHER;
use crate::trace::{Event, Reception, Seen, Ticket, Trace};
use gable_rules::NodeId;
use std::collections::BTreeMap;

/// Lets a node acknowledge a message as soon as it is sent.
pub(super) fn early_ack(trace: &mut Trace) {
    let Some((position, ticket, _)) = acknowledged(trace) else { return };
    let offered = trace.events.iter().position(|(_, event)| {
        matches!(event, Event::Client { seen: Seen::Offered { ticket: it, .. }, .. } if *it == ticket)
    });
    if let Some(offered) = offered {
        let event = trace.events.remove(position);
        trace.events.insert(offered + 1, event);
    }
}

/// Lets a node acknowledge a message just before it applies it, when a majority has it on disk.
pub(super) fn unapplied_ack(trace: &mut Trace) {
    let Some((position, ticket, node)) = acknowledged(trace) else { return };
    let applied = trace.events.iter().position(|(_, event)| match event {
        Event::Applied { node: it, entry, .. } => {
            *it == node && entry.inputs.iter().any(|(input, _)| Ticket::of_input(input) == Some(ticket))
        }
        _ => false,
    });
    if let Some(applied) = applied.filter(|applied| *applied < position) {
        let event = trace.events.remove(position);
        trace.events.insert(applied, event);
    }
}

/// Returns where a node acknowledges a message in the midst of the run, which, and the node.
fn acknowledged(trace: &Trace) -> Option<(usize, Ticket, NodeId)> {
    let mut offered = BTreeMap::new();
    for (position, (at, event)) in trace.events.iter().enumerate() {
        match event {
            Event::Client {
                client, seen: Seen::Offered { ticket, packet_id: Some(packet_id), .. }, ..
            } => drop(offered.insert((*client, *packet_id), *ticket)),
            Event::Acknowledges { node, client, packet_id } if at.as_secs() > 3 => {
                return Some((position, *offered.get(&(*client, *packet_id))?, *node));
            }
            _ => {}
        }
    }
    None
}

/// Takes all copies of a message away that a client got in its session.
pub(super) fn lost_delivery(trace: &mut Trace) {
    let Some((client, lost)) = receptions(trace).map(|(_, client, it)| (client, it.payload.clone())).next()
    else {
        return;
    };
    trace.events.retain(|(_, event)| {
        let Event::Client { client: other, seen: Seen::Received(reception), .. } = event else { return true };
        *other != client || reception.payload != lost
    });
}

/// Lets a client get a message a second time, as if it were the first.
pub(super) fn unmarked_copy(trace: &mut Trace) {
    let Some((position, ..)) = receptions(trace).find(|(_, _, reception)| !reception.dup) else { return };
    let (at, Event::Client { client, connection, seen }) = &trace.events[position] else { return };
    let copy = (*at, Event::Client { client: *client, connection: *connection, seen: seen.clone() });
    trace.events.insert(position + 1, copy);
}

/// Lets two messages of one topic come in the wrong order.
pub(super) fn swapped_deliveries(trace: &mut Trace) {
    let all: Vec<_> = receptions(trace)
        .map(|(position, client, it)| (position, client, it.topic.clone(), it.payload.clone()))
        .collect();
    let Some((first, client, topic, _)) = all.first() else { return };
    let second = all[1..].iter().find(|(_, other, same, _)| other == client && same == topic);
    let Some((second, ..)) = second else { return };
    let (first, second) = (*first, *second);
    let payload_of =
        |trace: &mut Trace, position: usize, payload: Vec<u8>| match &mut trace.events[position].1 {
            Event::Client { seen: Seen::Received(reception), .. } => {
                std::mem::replace(&mut reception.payload, payload)
            }
            _ => payload,
        };
    let payload = payload_of(trace, first, Vec::new());
    let payload = payload_of(trace, second, payload);
    payload_of(trace, first, payload);
}

/// Lets a node show something else than the last message.
pub(super) fn old_retained(trace: &mut Trace) {
    let shown = trace.events.iter_mut().find_map(|(_, event)| match event {
        Event::Retained { messages, .. } => messages.values_mut().next(),
        _ => None,
    });
    if let Some(payload) = shown {
        payload.push(b' ');
    }
}

/// Lets a will be published twice.
pub(super) fn doubled_will(trace: &mut Trace) {
    let will = trace.events.iter().find(|(_, event)| match event {
        Event::Client { client: WATCHER, seen: Seen::Received(reception), .. } => {
            !reception.retain && reception.is_new && Ticket::of(&reception.payload).is_none()
        }
        _ => false,
    });
    let Some((at, Event::Client { client, connection, seen })) = will else { return };
    let copy = (*at, Event::Client { client: *client, connection: *connection, seen: seen.clone() });
    trace.events.push(copy);
}

/// Returns what clients got at QoS 1 in their sessions, each with its place in the trace.
fn receptions(trace: &Trace) -> impl Iterator<Item = (usize, u32, &Reception)> {
    trace.events.iter().enumerate().filter_map(|(position, (_, event))| match event {
        Event::Client { client: client @ 11, seen: Seen::Received(reception), .. }
            if reception.qos == 1 && !reception.retain && Ticket::of(&reception.payload).is_some() =>
        {
            Some((position, *client, reception))
        }
        _ => None,
    })
}
