//! Of each message one member of a shared subscription gets it and no other: one that is connected, if
//! any is, or else one whose session keeps it. At QoS 1 and 2 it can be lost only on its way to a clean
//! member, with the connection that it was given to and all that came behind it there.
//!
//! Members have no other subscriptions, so that all they get comes to them as such.

use crate::trace::{Place, Reception, Seen, Ticket, Trace, client_of, is_taken, publication_of};
use gable_devices::{QoS, topic};
use gable_rules::broker::{ClientAction, ConnectionId, SubscribeOptions, split_shared};
use gable_rules::{Effect, Input, InputKind, NodeId, Refusal};
use std::collections::{BTreeMap, BTreeSet};

/// Checks every message that a member got or should have got.
pub(crate) fn check(trace: &Trace) -> Result<(), String> {
    let roster = Roster::of(trace);
    let takers = takers(trace, &roster)?;
    let mut last: BTreeMap<ConnectionId, Place> = BTreeMap::new();
    for (key, client) in &takers {
        let choice = &roster.choices[key];
        if let Some(id) = choice.members[client].only_in.filter(|_| choice.is_promised()) {
            let last = last.entry(id).or_default();
            *last = choice.place.max(*last);
        }
    }
    let is_lost = |(key, choice): &(&Key<'_>, &Choice)| {
        let is_cut_off = |member: &Member| {
            member.only_in.is_some_and(|id| {
                roster.ended.contains(&id) && last.get(&id).is_none_or(|last| *last < choice.place)
            })
        };
        choice.is_promised() && !takers.contains_key(*key) && !choice.members.values().any(is_cut_off)
    };
    match roster.choices.iter().find(is_lost) {
        None => Ok(()),
        Some(((group, ticket), choice)) => {
            let members = choice.names();
            Err(format!("nobody of {group} got {ticket}, for which there were the clients {members}"))
        }
    }
}

/// A shared subscription and a message that matches it.
type Key<'a> = (&'a str, Ticket);

/// Returns which member got which message.
fn takers<'a>(trace: &Trace, roster: &Roster<'a>) -> Result<BTreeMap<Key<'a>, u32>, String> {
    let mut takers = BTreeMap::new();
    for (client, connection, seen) in trace.seen() {
        let Seen::Received(reception) = seen else { continue };
        let Some(group) = roster.group_of.get(&client) else { continue };
        let Reception { retain, topic, payload, .. } = reception;
        if *retain {
            return Err(format!("client {client} ({connection}) of {group} got {topic} as retained"));
        }
        let Some(ticket) = Ticket::of(payload) else { continue };
        let key = (*group, ticket);
        let Some(choice) = roster.choices.get(&key).filter(|choice| choice.members.contains_key(&client))
        else {
            let members = roster.choices.get(&key).map_or("none".to_owned(), Choice::names);
            return Err(format!(
                "client {client} ({connection}) of {group} got {ticket}, for which there were the clients {members}"
            ));
        };
        let first = *takers.entry(key).or_insert(client);
        if first != client {
            let index = choice.place.0;
            return Err(format!(
                "clients {first} and {client} of {group} both got {ticket}, which is at {index}"
            ));
        }
    }
    Ok(takers)
}

/// Who could be given a message.
#[derive(Debug)]
struct Choice {
    place: Place,
    qos: QoS,
    members: BTreeMap<u32, Member>,
}

/// What a member is to its group.
#[derive(Clone, Copy, Debug)]
struct Member {
    qos: QoS,
    /// The connection with which it leaves, if its session is clean.
    only_in: Option<ConnectionId>,
}

impl Choice {
    /// Whether the message is repeated until the member has it.
    fn is_promised(&self) -> bool {
        let qos = self.members.values().map(|member| member.qos.min(self.qos)).min();
        qos.is_some_and(|qos| qos > QoS::AtMostOnce)
    }

    fn names(&self) -> String {
        self.members.keys().map(u32::to_string).collect::<Vec<_>>().join(", ")
    }
}

/// Follows the log: who is connected where, and who is in which group.
#[derive(Default)]
struct Roster<'a> {
    /// The boots of nodes: a connection is gone with its own.
    boots: BTreeMap<NodeId, u64>,
    down: BTreeSet<NodeId>,
    connections: BTreeMap<u32, Connection>,
    ended: BTreeSet<ConnectionId>,
    groups: BTreeMap<&'a str, BTreeMap<u32, Member>>,
    /// The group of everybody who was ever in one.
    group_of: BTreeMap<u32, &'a str>,
    choices: BTreeMap<Key<'a>, Choice>,
}

#[derive(Clone, Copy)]
struct Connection {
    id: ConnectionId,
    is_kept: bool,
}

impl<'a> Roster<'a> {
    fn of(trace: &'a Trace) -> Roster<'a> {
        let mut roster = Roster::default();
        for (index, (_, entry)) in trace.log() {
            for (number, (input, effects)) in entry.inputs.iter().enumerate() {
                roster.follow((index, number), input, effects);
            }
        }
        roster
    }

    fn follow(&mut self, place: Place, input: &'a Input, effects: &[Effect]) {
        if !matches!(effects.first(), Some(Effect::Refused(Refusal::Duplicate(_) | Refusal::Gap { .. }))) {
            self.boots.insert(input.origin.node, input.origin.boot);
        }
        if let Some((publication, ticket)) = publication_of(input).zip(Ticket::of_input(input))
            && is_taken(effects)
        {
            self.choose(place, &publication.topic, publication.qos, ticket);
        }
        for effect in effects {
            match effect {
                Effect::NodeChanged { node, up: true, .. } => drop(self.down.remove(node)),
                Effect::NodeChanged { node, up: false, .. } => drop(self.down.insert(*node)),
                Effect::ClientDisconnected { client_id, .. } => self.let_go(client_id),
                Effect::ClientConnected { .. } => self.let_in(input),
                _ => {}
            }
        }
        if is_taken(effects) {
            self.join(input);
        }
    }

    fn choose(&mut self, place: Place, topic: &str, qos: QoS, ticket: Ticket) {
        for (group, members) in &self.groups {
            let Some((_, filter)) = split_shared(group) else { continue };
            if !topic::covers(filter, topic) {
                continue;
            }
            let mut chosen = members.clone();
            if members.keys().any(|client| self.is_there(*client)) {
                chosen.retain(|client, _| self.is_there(*client));
            } else {
                chosen.retain(|_, member| member.only_in.is_none());
            }
            self.choices.insert((group, ticket), Choice { place, qos, members: chosen });
        }
    }

    fn is_there(&self, client: u32) -> bool {
        self.connections.get(&client).is_some_and(|Connection { id, .. }| {
            !self.down.contains(&id.node) && self.boots.get(&id.node) == Some(&id.boot)
        })
    }

    fn let_in(&mut self, input: &Input) {
        if let InputKind::Client(client) = &input.kind
            && let ClientAction::Connect(connect) = &client.action
            && let (Some(name), Some(id)) = (client_of(&client.client_id), id_of(input))
        {
            let is_kept = connect.session_expiry_interval > 0;
            self.connections.insert(name, Connection { id, is_kept });
        }
    }

    fn let_go(&mut self, client_id: &str) {
        let Some(client) = client_of(client_id) else { return };
        let Some(connection) = self.connections.remove(&client) else { return };
        self.ended.insert(connection.id);
        if !connection.is_kept {
            for members in self.groups.values_mut() {
                members.remove(&client);
            }
        }
    }

    fn join(&mut self, input: &'a Input) {
        let InputKind::Client(client) = &input.kind else { return };
        let ClientAction::Subscribe { subscriptions } = &client.action else { return };
        let Some(name) = client_of(&client.client_id) else { return };
        // A word of an earlier connection counts no more.
        let Some(connection) = self.connections.get(&name).filter(|it| Some(it.id) == id_of(input)) else {
            return;
        };
        let only_in = Some(connection.id).filter(|_| !connection.is_kept);
        for (group, SubscribeOptions { qos, .. }) in subscriptions {
            if split_shared(group).is_some() {
                self.groups.entry(group).or_default().insert(name, Member { qos: *qos, only_in });
                self.group_of.insert(name, group);
            }
        }
    }
}

/// Returns the connection that an input came by.
fn id_of(input: &Input) -> Option<ConnectionId> {
    let InputKind::Client(client) = &input.kind else { return None };
    let (node, boot) = (input.origin.node, input.origin.boot);
    Some(ConnectionId { node, boot, number: client.connection })
}
