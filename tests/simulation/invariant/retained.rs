//! At rest every node shows whoever comes the last retained message of each topic, and no other.

use crate::clients::WATCHER;
use crate::faults::Edge;
use crate::trace::{Event, Reception, Seen, Trace, publication_of};
use crate::world::NODES;
use std::collections::BTreeMap;

/// Where wills are published, which are no inputs.
const STATUSES: &str = "sim/status/";

/// Checks what clients found that were new to everything.
pub(crate) fn check(trace: &Trace) -> Result<(), String> {
    if trace.edge == Edge::Attach {
        return Ok(());
    }
    let (expected, statuses) = (expected(trace), statuses(trace));
    let mut shown = BTreeMap::new();
    for (_, event) in trace.events() {
        let Event::Retained { node, messages } = event else { continue };
        let (found, others): (Messages<'_>, Messages<'_>) = messages
            .iter()
            .map(|(topic, payload)| (topic.as_str(), payload.as_slice()))
            .partition(|(topic, _)| topic.starts_with(STATUSES));
        compare(&expected, &others).map_err(|why| format!("node {node} shows {why}"))?;
        compare(&statuses, &found).map_err(|why| format!("node {node} shows {why}"))?;
        shown.insert(*node, ());
    }
    match NODES.into_iter().find(|node| !shown.contains_key(node)) {
        None => Ok(()),
        Some(node) => Err(format!("nobody saw what node {node} retains")),
    }
}

type Messages<'a> = BTreeMap<&'a str, &'a [u8]>;

fn compare(expected: &Messages<'_>, found: &Messages<'_>) -> Result<(), String> {
    let topics = expected.keys().chain(found.keys());
    let text = |messages: &Messages<'_>, topic: &str| {
        messages
            .get(topic)
            .map_or("nothing".to_owned(), |payload| String::from_utf8_lossy(payload).into_owned())
    };
    match topics.into_iter().find(|topic| expected.get(*topic) != found.get(*topic)) {
        None => Ok(()),
        Some(topic) => {
            Err(format!("{} on {topic}, and the last was {}", text(found, topic), text(expected, topic)))
        }
    }
}

/// What is retained by what clients published.
fn expected(trace: &Trace) -> Messages<'_> {
    let mut expected = BTreeMap::new();
    let published = trace.taken().filter_map(|(_, input, _)| publication_of(input));
    for publication in published.filter(|it| it.retain && !it.topic.starts_with(STATUSES)) {
        if publication.payload.is_empty() {
            expected.remove(publication.topic.as_str());
        } else {
            expected.insert(publication.topic.as_str(), publication.payload.as_slice());
        }
    }
    expected
}

/// The last that the watcher heard of everybody.
fn statuses(trace: &Trace) -> Messages<'_> {
    let heard = trace.seen().filter_map(|(client, _, seen)| match seen {
        Seen::Received(Reception { topic, payload, retain: false, is_new: true, .. })
            if client == WATCHER =>
        {
            Some((topic.as_str(), payload.as_slice()))
        }
        _ => None,
    });
    heard.collect()
}
