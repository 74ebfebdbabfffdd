//! A message is published: retained, queued in sessions, delivered, heard by the home.

use super::retained::expires_at;
use super::session::Draft;
use super::{
    Answer, ConnectionId, Delivery, Output, Publication, Published, Reach, Right, Sending, SubscribeOptions,
};
use crate::timer::{Purpose, Slot};
use crate::work::Work;
use crate::{Effect, Id, Message, NodeId, Refusal};
use gable_devices::{QoS, Timestamp, topic};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the subscriptions of one client that match a message come to: it is sent once, with the
/// highest QoS, and with the identifiers of all (section 3.3.4).
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    pub(super) qos: QoS,
    pub(super) retain_as_published: bool,
    pub(super) subscription_identifiers: Vec<u32>,
}

impl Wanted {
    /// None if none of them wants it: a client does not want what it published itself, if it said so.
    pub(super) fn of<'a>(
        options: impl IntoIterator<Item = &'a SubscribeOptions>,
        is_own: bool,
    ) -> Option<Wanted> {
        let mut wanted = None;
        for options in options.into_iter().filter(|options| !(is_own && options.no_local)) {
            let wanted: &mut Wanted = wanted.get_or_insert_default();
            wanted.qos = wanted.qos.max(options.qos);
            wanted.retain_as_published |= options.retain_as_published;
            wanted.subscription_identifiers.extend(options.subscription_identifier);
        }
        wanted
    }
}

impl Delivery {
    /// What a client gets of this message, whose subscriptions are these and match it.
    pub fn sending<'a>(
        &self,
        client_id: &str,
        options: impl IntoIterator<Item = &'a SubscribeOptions>,
    ) -> Option<Sending> {
        let wanted = Wanted::of(options, self.publisher.as_deref() == Some(client_id))?;
        Some(wanted.sending(&self.publication, self.at))
    }
}

impl Wanted {
    pub(super) fn sending(self, publication: &Arc<Publication>, at: Timestamp) -> Sending {
        Sending {
            publication: publication.clone(),
            at,
            qos: self.qos.min(publication.qos),
            retain: self.retain_as_published && publication.retain,
            dup: false,
            packet_id: None,
            subscription_identifiers: self.subscription_identifiers,
            is_received: false,
        }
    }
}

impl Work<'_> {
    /// A client publishes, in a session that is kept under a packet identifier and perhaps again.
    pub(super) fn on_publish(
        &mut self,
        client_id: &str,
        id: ConnectionId,
        publication: &Publication,
        packet_id: Option<(u16, bool)>,
    ) {
        let place = self.rows.broker.outputs.len();
        let published = match packet_id {
            _ if topic::check_topic(&publication.topic).is_err() => Published::Invalid,
            Some((packet_id, dup)) if !self.receive(client_id, packet_id, dup, publication) => {
                Published::Again
            }
            _ => self.publish(Arc::new(publication.clone()), Some(client_id), id.node),
        };
        // What was not taken is no message in the history either.
        match published {
            Published::Again => self.effect(Effect::Refused(Refusal::AlreadyHeard)),
            Published::Invalid => {
                let why = format!("client {client_id} published to an invalid topic");
                self.effect(Effect::Refused(Refusal::Invalid(why)));
            }
            Published::Taken | Published::Unheard | Published::NotRetained => {}
        }
        // A publisher that is subscribed to its own message is told first that it was taken.
        self.rows.broker.outputs.insert(place, Output::Answer(id, Answer::Published(published)));
    }

    /// False if the message was received before. Without a session nobody could repeat it.
    fn receive(&mut self, client_id: &str, packet_id: u16, dup: bool, publication: &Publication) -> bool {
        let session = self.rows.broker.session_mut(client_id);
        session.is_none_or(|session| match publication.qos {
            QoS::ExactlyOnce => session.receive(packet_id),
            QoS::AtLeastOnce | QoS::AtMostOnce => session.note_published(packet_id, dup, publication),
        })
    }

    /// Publishes a message that came in by `node`.
    pub(crate) fn publish(
        &mut self,
        publication: Arc<Publication>,
        publisher: Option<&str>,
        node: NodeId,
    ) -> Published {
        let at = self.rows.now;
        let broker = &mut self.rows.broker;
        let is_kept = !publication.retain || broker.retained.set(&publication, at, &broker.limits);
        let mut delivery = Delivery {
            publication: publication.clone(),
            publisher: publisher.map(str::to_owned),
            at,
            queued: BTreeMap::new(),
            shared: Vec::new(),
        };
        let message = self.rows.mint();
        for (client_id, wanted) in self.wanted_by_sessions(&publication, publisher) {
            let sending = self.enqueue(&client_id, message, &wanted.sending(&publication, at));
            delivery.queued.extend(sending.map(|sending| (client_id, sending)));
        }
        for (client_id, options) in self.choose_shared(&publication.topic) {
            let Some(sending) = delivery.sending(&client_id, [&options]) else { continue };
            let has_session = self.rows.broker.session_mut(&client_id).is_some();
            if !has_session || sending.qos == QoS::AtMostOnce {
                delivery.shared.push((client_id, sending));
            } else if !delivery.queued.contains_key(&client_id) {
                let sending = self.enqueue(&client_id, message, &sending);
                delivery.queued.extend(sending.map(|sending| (client_id, sending)));
            }
        }
        self.rows.broker.output(Output::Deliver(Arc::new(delivery)));
        self.follow_expiry(expires_at(&publication, at));
        self.let_home_hear(&publication, node);
        if is_kept { Published::Taken } else { Published::NotRetained }
    }

    fn wanted_by_sessions(
        &self,
        publication: &Publication,
        publisher: Option<&str>,
    ) -> Vec<(String, Wanted)> {
        let broker = &self.rows.broker;
        if publication.qos == QoS::AtMostOnce {
            return Vec::new();
        }
        let matching = broker.index.matches(&publication.topic).into_iter();
        let wanted = matching.filter_map(|(client_id, filters)| {
            let session = broker.clients.get(client_id)?.session.as_ref()?;
            if !broker.allows(client_id, Right::Read, &publication.topic) {
                return None;
            }
            let options = filters.iter().filter_map(|filter| session.subscriptions.get(*filter));
            let wanted = Wanted::of(options, publisher == Some(client_id))?;
            (wanted.qos != QoS::AtMostOnce).then(|| (client_id.clone(), wanted))
        });
        wanted.collect()
    }

    /// How a message for a client can reach it. A node that died takes its clients along.
    fn reach(&self, client_id: &str) -> Reach {
        let Some(client) = self.rows.broker.clients.get(client_id) else { return Reach::Never };
        let connection = client.connection.as_ref();
        match connection.is_some_and(|connection| !self.is_lost(connection.id)) {
            true => Reach::Now,
            false if client.session.is_some() => Reach::Later,
            false => Reach::Never,
        }
    }

    fn choose_shared(&mut self, topic: &str) -> Vec<(String, SubscribeOptions)> {
        let mut groups = std::mem::take(&mut self.rows.broker.groups);
        let chosen = groups.choose(topic, |client_id| match self.reach(client_id) {
            _ if !self.rows.broker.allows(client_id, Right::Read, topic) => Reach::Never,
            reach => reach,
        });
        self.rows.broker.groups = groups;
        chosen
    }

    /// Queues a message in a client's session, and returns what its connection has to send, if it
    /// has one. When the queue is full the oldest message gives way that was not sent.
    pub(super) fn enqueue(&mut self, client_id: &str, message: Id, sending: &Sending) -> Option<Sending> {
        let is_offered = self.rows.broker.connection(client_id).is_some();
        let broker = &mut self.rows.broker;
        let (limits, bytes) = (broker.limits, sending.publication.bytes() as u64);
        let session = broker.clients.get_mut(client_id)?.session.as_mut()?;
        let was_complete = session.dropped == 0;
        while session.queue_len() >= limits.queue_max as usize
            || broker.messages.bytes().saturating_add(bytes) > limits.queue_bytes_max
        {
            match session.give_way() {
                Some(queued) => broker.messages.release(queued.message),
                None => break,
            }
        }
        let has_room = session.queue_len() < limits.queue_max as usize
            && broker.messages.bytes().saturating_add(bytes) <= limits.queue_bytes_max;
        let draft = Draft {
            message,
            qos: sending.qos,
            retain: sending.retain,
            subscription_identifiers: sending.subscription_identifiers.clone(),
            is_offered,
        };
        let queued = if has_room { session.enqueue(draft) } else { None };
        let packet_id = queued.map(|queued| queued.packet_id);
        if packet_id.is_none() {
            session.dropped = session.dropped.saturating_add(1);
        }
        let has_dropped = session.dropped > 0;
        if packet_id.is_some() {
            broker.messages.hold(message, &sending.publication, sending.at);
        }
        if was_complete && has_dropped {
            let text = "more messages wait for it than are kept; the oldest are given up";
            self.notice(client_id, text);
        }
        packet_id.map(|_| Sending { packet_id, ..sending.clone() })
    }

    fn let_home_hear(&mut self, publication: &Publication, node: NodeId) {
        let message = Message {
            topic: publication.topic.clone(),
            payload: publication.payload.clone(),
            qos: publication.qos,
            retain: publication.retain,
            ..Message::default()
        };
        if !self.rows.broker.let_hear(node, message) {
            let text = "one message led to too many others; the home does not hear this one";
            self.notice(publication.topic.as_str(), text);
        }
    }

    /// Promises to look after messages that expire.
    fn follow_expiry(&mut self, expires_at: Option<Timestamp>) {
        let Some(deadline) = expires_at else { return };
        let current = self.rows.timers.in_slot(&Slot::MessageExpiry).map(|(_, timer)| timer.deadline);
        if current.is_none_or(|current| deadline < current) {
            self.set_timer(deadline, Purpose::MessageExpiry);
        }
    }

    /// Forgets messages that are of no more use.
    pub(crate) fn on_messages_expired(&mut self) {
        let now = self.rows.now;
        let broker = &mut self.rows.broker;
        let retained = broker.retained.sweep(now);
        let (over, ahead) = broker.messages.expired(now);
        let sessions = broker.clients.values_mut().filter_map(|client| {
            // A connection that has them sends them or does not, and says when it is done.
            client.session.as_mut().filter(|_| client.connection.is_none())
        });
        let mut released = Vec::new();
        for session in sessions {
            released.extend(over.iter().flat_map(|message| session.forget(*message)));
        }
        released.iter().for_each(|queued| broker.messages.release(queued.message));
        self.follow_expiry(retained.into_iter().chain(ahead).min());
    }
}
