//! A client that is lost gets its will published, once; one that has said goodbye does not, and no
//! will comes after the client has told that it is there again.

use crate::clients::WATCHER;
use crate::faults::Edge;
use crate::trace::{Ending, Reception, Seen, Trace, client_of};
use gable_rules::broker::ClientAction;
use gable_rules::{Departure, Effect, Input, InputKind};
use std::collections::{BTreeMap, BTreeSet};

/// Checks the wills of all connections.
pub(crate) fn check(trace: &Trace) -> Result<(), String> {
    if trace.edge == Edge::Attach {
        return Ok(());
    }
    let published = published(trace)?;
    let fates = fates(trace);
    for ((client, connection), fate) in &fates {
        let has_later = fates.range((*client, connection + 1)..(client + 1, 0)).next().is_some();
        let count = published.get(&(*client, *connection)).copied().unwrap_or(0);
        let (min, max) = match fate.departure {
            None | Some(Departure::Left) => (0, 0),
            Some(Departure::Lost | Departure::NodeLost | Departure::Expelled) => {
                (usize::from(!(fate.is_delayed && has_later)), 1)
            }
            Some(Departure::TakenOver) => (0, 1),
        };
        if count < min || count > max {
            let departure = fate.departure.map_or("connected".to_owned(), |it| format!("{it:?}"));
            return Err(format!(
                "the will of client {client} ({connection}), {departure}, was published {count} times"
            ));
        }
    }
    let with_will: BTreeSet<u32> = fates.keys().map(|(client, _)| *client).collect();
    for (client, connection) in vanished(trace).filter(|(client, _)| with_will.contains(client)) {
        let last = fates.range((client, 0)..(client + 1, 0)).next_back();
        let is_lost = |fate: &Fate| matches!(fate.departure, Some(Departure::Lost | Departure::NodeLost));
        if last.is_none_or(|((_, last), fate)| *last == connection && !is_lost(fate)) {
            return Err(format!("client {client} ({connection}) vanished, and the log does not say so"));
        }
    }
    Ok(())
}

/// A client and the how manieth of its connections.
type Connection = (u32, u32);

/// What became of a connection with a will.
struct Fate {
    departure: Option<Departure>,
    /// The will waits until the client had time to come back.
    is_delayed: bool,
}

/// What a message on a status topic says.
enum Status {
    Will(Connection),
    Birth(Connection),
}

impl Status {
    fn of(payload: &[u8]) -> Option<Status> {
        let payload: serde_json::Value = serde_json::from_slice(payload).ok()?;
        let connection = |key| {
            let (client, connection) = payload.get(key)?.as_str()?.split_once('.')?;
            Some((client.parse().ok()?, connection.parse().ok()?))
        };
        connection("will").map(Status::Will).or_else(|| connection("birth").map(Status::Birth))
    }
}

/// Counts the wills that were published; they come to the watcher in the order of the log.
fn published(trace: &Trace) -> Result<BTreeMap<Connection, usize>, String> {
    let mut published = BTreeMap::new();
    let mut births: BTreeMap<u32, u32> = BTreeMap::new();
    for (client, _, seen) in trace.seen() {
        let Seen::Received(Reception { payload, retain: false, is_new: true, .. }) = seen else { continue };
        if client != WATCHER {
            continue;
        }
        match Status::of(payload) {
            Some(Status::Birth((client, connection))) => {
                births.insert(client, connection);
            }
            Some(Status::Will((client, connection))) => {
                *published.entry((client, connection)).or_default() += 1;
                if let Some(birth) = births.get(&client).filter(|birth| **birth > connection) {
                    return Err(format!(
                        "the will of client {client} ({connection}) came after it had said that it is there again ({birth})"
                    ));
                }
            }
            None => {}
        }
    }
    Ok(published)
}

/// Follows the connections with wills through the log.
fn fates(trace: &Trace) -> BTreeMap<Connection, Fate> {
    let mut fates: BTreeMap<Connection, Fate> = BTreeMap::new();
    let mut current: BTreeMap<&str, Connection> = BTreeMap::new();
    for (_, input, effect) in trace.effects() {
        match effect {
            Effect::ClientConnected { client_id, .. } => {
                if let Some((connection, is_delayed)) = will_of(input) {
                    current.insert(client_id, connection);
                    fates.insert(connection, Fate { departure: None, is_delayed });
                }
            }
            Effect::ClientDisconnected { client_id, departure } => {
                let connection = current.remove(client_id.as_str());
                if let Some(fate) = connection.and_then(|connection| fates.get_mut(&connection)) {
                    fate.departure = Some(*departure);
                }
            }
            _ => {}
        }
    }
    fates
}

fn will_of(input: &Input) -> Option<(Connection, bool)> {
    let InputKind::Client(client) = &input.kind else { return None };
    let ClientAction::Connect(connect) = &client.action else { return None };
    client_of(&client.client_id)?;
    let will = connect.will.as_ref()?;
    match Status::of(&will.publication.payload)? {
        Status::Will(connection) => Some((connection, will.delay_interval > 0)),
        Status::Birth(_) => None,
    }
}

/// Returns the last connections of clients that went without a word and for good.
fn vanished(trace: &Trace) -> impl Iterator<Item = Connection> {
    let mut last = BTreeMap::new();
    for (client, connection, seen) in trace.seen() {
        match seen {
            Seen::Ended(Ending::Left) | Seen::Connected { .. } => drop(last.remove(&client)),
            Seen::Ended(Ending::Broken | Ending::Silent | Ending::Lost) => {
                last.insert(client, connection);
            }
            _ => {}
        }
    }
    last.into_iter()
}
