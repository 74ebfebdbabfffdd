//! Connections come and go: sessions are taken up and end, wills are published or not.

use super::{
    Answer, Client, CloseReason, Connect, Connection, ConnectionId, LastConnect, NEVER, Output, Right,
    Session, Will,
};
use crate::effect::Departure;
use crate::timer::{Purpose, Slot};
use crate::work::Work;
use crate::{Effect, NodeId, Refusal};
use gable_devices::Millis;
use std::sync::Arc;

impl Work<'_> {
    /// A client connects. An older connection of it, on whichever node, ends first: its will is
    /// published before the new connection is answered [MQTT-3.1.4-3].
    pub(super) fn on_connect(&mut self, client_id: &str, id: ConnectionId, connect: &Connect) {
        let last = self.last_connect(client_id);
        if self.is_too_late(connect, id.node, last) {
            self.effect(Effect::Refused(Refusal::Stale));
            return self.rows.broker.answer(id, Answer::Gone);
        }
        let broker = &mut self.rows.broker;
        let is_new = !broker.clients.contains_key(client_id);
        if is_new && broker.clients.len() >= broker.limits.clients_max as usize {
            return broker.answer(id, Answer::ConnectRefused);
        }
        self.take_over(client_id, id.node, connect.clean_start);
        self.cancel_slot(&Slot::SessionExpiry(client_id.to_owned()));
        let client = self.rows.broker.clients.get(client_id);
        // Nobody gets what waits for somebody else of the same client id.
        if connect.clean_start || client.is_some_and(|client| client.username != connect.username) {
            self.end_session(client_id);
        }
        // The session goes on: its will must not be sent [MQTT-3.1.3-9].
        self.cancel_slot(&Slot::Will(client_id.to_owned()));
        let limits = self.rows.broker.limits;
        let since = self.rows.now;
        let session_expiry_interval = connect.session_expiry_interval.min(limits.session_expiry_max);
        let client = self.rows.broker.clients.entry(client_id.to_owned()).or_default();
        client.delayed_will = None;
        let heard = last.map_or(connect.heard, |last| last.heard.max(connect.heard));
        client.last = LastConnect { heard, node: id.node };
        client.username.clone_from(&connect.username);
        let session_present = client.session.is_some();
        if session_expiry_interval > 0 || session_present {
            client.session.get_or_insert_default().expiry_interval = session_expiry_interval;
        }
        client.connection = Some(Connection {
            id,
            since,
            username: connect.username.clone(),
            protocol_version: connect.protocol_version,
            will: connect.will.clone(),
        });
        let is_kept = client.session.is_some();
        self.effect(Effect::ClientConnected {
            client_id: client_id.to_owned(),
            node: id.node,
            session_present,
        });
        let waiting = self.take_up(client_id);
        let answer = Answer::Connected { session_present, session_expiry_interval, is_kept, waiting };
        self.rows.broker.answer(id, answer);
    }

    fn last_connect(&self, client_id: &str) -> Option<LastConnect> {
        let broker = &self.rows.broker;
        broker.clients.get(client_id).map(|it| it.last).or_else(|| broker.departed.get(client_id))
    }

    /// Whether a CONNECT waited at its node, for a majority, until its client was turned away or had gone
    /// to another node. Such a client would be let in that is not there, and its will be published.
    fn is_too_late(&mut self, connect: &Connect, node: NodeId, last: Option<LastConnect>) -> bool {
        let (now, patience) = (self.now(), self.rows.broker.limits.patience);
        self.rows.broker.departed.forget_old(now, patience);
        now.since(connect.heard) > patience
            || last.is_some_and(|last| last.has_overtaken(connect.heard, node))
    }

    /// What waits for a client that is there again.
    fn take_up(&mut self, client_id: &str) -> Vec<super::Sending> {
        let broker = &mut self.rows.broker;
        let session = broker.clients.get(client_id).and_then(|client| client.session.as_ref());
        let waiting = session.into_iter().flat_map(Session::queue);
        let waiting = waiting.filter_map(|queued| broker.sending(queued)).collect();
        if let Some(session) = broker.session_mut(client_id) {
            session.offer_all();
        }
        waiting
    }

    /// Ends the connection that a client has, since it has a newer one at `node`.
    fn take_over(&mut self, client_id: &str, node: NodeId, clean_start: bool) {
        let Some(connection) = self.rows.broker.connection(client_id) else { return };
        let id = connection.id;
        // A node that is gone can not have seen its clients leave: they came back in time. Clients find
        // out sooner than the log, so whoever comes from another node is believed to have been quick.
        let is_lost = id.node != node || self.is_lost(id);
        self.rows.broker.output(Output::Close(id, CloseReason::TakenOver));
        let connection = self.let_go(client_id, Departure::TakenOver);
        if let Some(will) = connection.and_then(|connection| connection.will)
            && !is_lost
            && (clean_start || will.delay_interval == 0)
        {
            self.publish_will(client_id, will);
        }
    }

    /// A client has left.
    pub(super) fn on_disconnect(
        &mut self,
        client_id: &str,
        sends_will: bool,
        session_expiry_interval: Option<u32>,
    ) {
        let longest = self.rows.broker.limits.session_expiry_max;
        if let Some(seconds) = session_expiry_interval
            && let Some(session) = self.rows.broker.session_mut(client_id)
        {
            session.expiry_interval = seconds.min(longest);
        }
        self.depart(client_id, if sends_will { Departure::Lost } else { Departure::Left });
    }

    /// Ends a client's connection, and its session if that does not outlive it.
    fn depart(&mut self, client_id: &str, departure: Departure) {
        let Some(connection) = self.let_go(client_id, departure) else { return };
        let session = self.rows.broker.session_mut(client_id);
        let lasts = session.map_or(0, |session| session.expiry_interval);
        match connection.will.filter(|_| departure != Departure::Left) {
            Some(will) if will.delay_interval > 0 && lasts > 0 => {
                let deadline = self.now().after(Millis::from_secs(will.delay_interval.into()));
                if let Some(client) = self.rows.broker.clients.get_mut(client_id) {
                    client.delayed_will = Some(will.publication);
                }
                self.set_timer(deadline, Purpose::Will(client_id.to_owned()));
            }
            Some(will) => self.publish_will(client_id, will),
            None => {}
        }
        match lasts {
            0 => self.end_session(client_id),
            NEVER => {}
            seconds => {
                let deadline = self.now().after(Millis::from_secs(seconds.into()));
                self.set_timer(deadline, Purpose::SessionExpiry(client_id.to_owned()));
            }
        }
    }

    fn let_go(&mut self, client_id: &str, departure: Departure) -> Option<Connection> {
        let client = self.rows.broker.clients.get_mut(client_id)?;
        let connection = client.connection.take()?;
        if client.session.is_none() {
            self.rows.broker.groups.leave_all(client_id);
        }
        self.effect(Effect::ClientDisconnected { client_id: client_id.to_owned(), departure });
        Some(connection)
    }

    /// A right that was taken away meanwhile takes the will along.
    fn publish_will(&mut self, client_id: &str, will: Will) {
        if !self.rows.broker.allows(client_id, Right::Write, &will.publication.topic) {
            let text = "the will of a client is not published: it may not write there";
            return self.notice(will.publication.topic.as_str(), text);
        }
        let node = self.origin_of_wills();
        self.publish(Arc::new(will.publication), Some(client_id), node);
    }

    /// Ends a client's session, if it has one: what is not acknowledged is given up, and a will that
    /// was delayed is published [MQTT-3.1.2-8].
    fn end_session(&mut self, client_id: &str) {
        self.on_will_due(client_id);
        self.cancel_slot(&Slot::Will(client_id.to_owned()));
        let broker = &mut self.rows.broker;
        let Some(client) = broker.clients.get_mut(client_id) else { return };
        if let Some(session) = client.session.take() {
            for filter in session.subscriptions.keys() {
                broker.index.remove(client_id.to_owned(), filter);
            }
            session.queue().for_each(|queued| broker.messages.release(queued.message));
            broker.groups.leave_all(client_id);
        }
        self.forget_client(client_id);
    }

    fn forget_client(&mut self, client_id: &str) {
        let now = self.now();
        let broker = &mut self.rows.broker;
        let is_gone = |client: &Client| {
            client.connection.is_none() && client.session.is_none() && client.delayed_will.is_none()
        };
        if broker.clients.get(client_id).is_some_and(is_gone)
            && let Some(client) = broker.clients.remove(client_id)
            && now.since(client.last.heard) <= broker.limits.patience
        {
            broker.departed.insert(client_id, client.last, now);
        }
    }

    /// The delay of a will is over.
    pub(crate) fn on_will_due(&mut self, client_id: &str) {
        let client = self.rows.broker.clients.get_mut(client_id);
        if let Some(publication) = client.and_then(|client| client.delayed_will.take()) {
            self.publish_will(client_id, Will { publication, delay_interval: 0 });
            self.forget_client(client_id);
        }
    }

    /// A session was not taken up in time.
    pub(crate) fn on_session_expired(&mut self, client_id: &str) {
        if self.rows.broker.connection(client_id).is_none() {
            self.end_session(client_id);
        }
    }

    /// Ends the connections of a user; their wills are published if it still may.
    pub(super) fn expel(&mut self, username: &str) {
        let clients = self.rows.broker.clients.iter();
        let its = clients.filter(|(_, client)| client.username.as_deref() == Some(username));
        let its: Vec<String> = its.map(|(client_id, _)| client_id.clone()).collect();
        for client_id in its {
            if let Some(connection) = self.rows.broker.connection(&client_id) {
                let id = connection.id;
                self.rows.broker.output(Output::Close(id, CloseReason::Expelled));
                self.depart(&client_id, Departure::Expelled);
            }
        }
    }

    /// A node died or started anew: its clients have a while to come back, on whichever node.
    pub(crate) fn await_clients_of(&mut self, node: NodeId) {
        let has_lost = self.lost_clients(node).next().is_some();
        if has_lost && self.rows.timers.in_slot(&Slot::Grace(node)).is_none() {
            let deadline = self.now().after(self.rows.broker.limits.grace);
            self.set_timer(deadline, Purpose::Grace(node));
        }
    }

    /// The clients of a node that died had their time.
    pub(crate) fn on_grace_over(&mut self, node: NodeId) {
        let lost: Vec<String> = self.lost_clients(node).map(str::to_owned).collect();
        for client_id in lost {
            if let Some(connection) = self.rows.broker.connection(&client_id) {
                let id = connection.id;
                self.rows.broker.output(Output::Close(id, CloseReason::NodeLost));
            }
            self.depart(&client_id, Departure::NodeLost);
        }
    }

    fn lost_clients(&self, node: NodeId) -> impl Iterator<Item = &str> {
        let clients = self.rows.broker.clients.iter();
        let held = clients.filter_map(|(client_id, client)| Some((client_id, client.connection.as_ref()?)));
        held.filter(move |(_, connection)| connection.id.node == node && self.is_lost(connection.id))
            .map(|(client_id, _)| client_id.as_str())
    }

    /// Whether a connection's node is away, or has started anew without it.
    pub(super) fn is_lost(&self, id: ConnectionId) -> bool {
        let is_up = self.rows.nodes.get(&id.node).is_none_or(|node| node.up);
        let boot = self.rows.seen.last(id.node).map(|origin| origin.boot);
        !is_up || boot != Some(id.boot)
    }

    /// Which node a will counts as heard by: wills come of the log.
    fn origin_of_wills(&self) -> NodeId {
        self.rows.leader.unwrap_or_default()
    }
}
