//! Subscriptions that are kept in the log: those of kept sessions, and all shared ones.
//!
//! A clean session's own ones stay with the node that holds its connection, which proposes only its
//! shared ones.

use super::{Answer, ConnectionId, RetainHandling, Right, Sending, SubscribeOptions, split_shared};
use crate::work::Work;
use gable_devices::QoS;
use gable_devices::topic::check_filter;

impl Work<'_> {
    /// A client subscribes. Each filter that is taken is answered with the retained messages that
    /// match it, unless the client does not want them; shared ones never are.
    pub(super) fn on_subscribe(
        &mut self,
        client_id: &str,
        id: ConnectionId,
        subscriptions: &[(String, SubscribeOptions)],
    ) {
        let mut granted = Vec::new();
        let mut retained = Vec::new();
        for (filter, options) in subscriptions {
            let is_new = self.subscribe(client_id, filter, options);
            granted.push(is_new.is_some());
            let is_wanted = match options.retain_handling {
                RetainHandling::Send => is_new.is_some(),
                RetainHandling::SendIfNew => is_new == Some(true),
                RetainHandling::DoNotSend => false,
            };
            if is_wanted && split_shared(filter).is_none() {
                retained.extend(self.send_retained(client_id, filter, options));
            }
        }
        self.rows.broker.answer(id, Answer::Subscribed { granted, retained });
    }

    /// Returns whether the subscription is new; none if it is refused.
    fn subscribe(&mut self, client_id: &str, filter: &str, options: &SubscribeOptions) -> Option<bool> {
        let shared = split_shared(filter);
        check_filter(shared.map_or(filter, |(_, filter)| filter)).ok()?;
        let broker = &mut self.rows.broker;
        let client = broker.clients.get_mut(client_id)?;
        let limit = broker.limits.subscriptions_max as usize;
        let is_new = match &mut client.session {
            Some(session) => {
                let is_new = !session.subscriptions.contains_key(filter);
                if is_new && session.subscriptions.len() >= limit {
                    return None;
                }
                session.subscriptions.insert(filter.to_owned(), *options);
                is_new
            }
            None if broker.groups.count(client_id) >= limit => return None,
            None => true,
        };
        match shared {
            Some((group, filter)) => broker.groups.join(group, filter, client_id, *options),
            None if client.session.is_some() => broker.index.insert(client_id.to_owned(), filter),
            // The connection's node has it.
            None => {}
        }
        Some(is_new)
    }

    fn send_retained(&mut self, client_id: &str, filter: &str, options: &SubscribeOptions) -> Vec<Sending> {
        if self.rows.broker.session_mut(client_id).is_none() {
            return Vec::new();
        }
        let found: Vec<_> = self.rows.broker.retained(filter, self.rows.now).cloned().collect();
        let mut sendings = Vec::new();
        for retained in found {
            if !self.rows.broker.allows(client_id, Right::Read, &retained.publication.topic) {
                continue;
            }
            let sending = retained.sending(options);
            if sending.qos == QoS::AtMostOnce {
                sendings.push(sending);
            } else {
                let message = self.rows.mint();
                sendings.extend(self.enqueue(client_id, message, &sending));
            }
        }
        sendings
    }

    /// A client unsubscribes.
    pub(super) fn on_unsubscribe(&mut self, client_id: &str, id: ConnectionId, filters: &[String]) {
        let broker = &mut self.rows.broker;
        let mut existed = Vec::new();
        for filter in filters {
            let session = broker.session_mut(client_id);
            let was_kept = session.and_then(|session| session.subscriptions.remove(filter)).is_some();
            existed.push(match split_shared(filter) {
                Some((group, filter)) => broker.groups.leave(group, filter, client_id),
                None => {
                    broker.index.remove(client_id.to_owned(), filter);
                    was_kept
                }
            });
        }
        broker.answer(id, Answer::Unsubscribed { existed });
    }
}
