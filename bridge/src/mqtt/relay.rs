//! What is heard for the other nodes: one task that proposes live messages of the relayed topics, from a
//! connection of its own, and acknowledges them when the log has them.
//!
//! Its subscriptions bring no message that this node has published, none that was retained before, and
//! live ones with their retained flag; so what comes is news, as it was said. What came of relaying,
//! perhaps by way of another broker, is known by its mark and goes no further. The node's first
//! connection hears the same messages where the home wants them, and leaves them to this one.

use super::client::Client;
use super::counters::{Counters, count};
use super::fingerprint::Fingerprint;
use super::heard::{self, check_topic, to_message};
use super::ledger::{Delivery, Ledger};
use super::link::Inbound;
use super::subscriptions::Subscriptions;
use crate::raft::{Committed, ProposeError, Replica, Settled};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use gable_rules::{InputKind, Message, NodeId};
use rumqttc::Publish;
use std::sync::atomic::Ordering::Relaxed;
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, warn};

/// How many messages may be between delivery and acknowledgement. With this many the task takes no
/// more from the link: messages at QoS 0 are then dropped there, and the broker keeps the others.
const OPEN_MAX: usize = 4096;

/// A finished proposal: its message's token, and what came of it.
type Proposed = (u64, Result<Committed, ProposeError>);

/// Why the task ends.
struct Ended;

/// The relaying task.
pub(super) struct Relay {
    replica: Replica,
    me: NodeId,
    counters: Counters,
    ledger: Ledger,
    subscriptions: Subscriptions,
    connection: Option<Client>,
    proposals: FuturesUnordered<BoxFuture<'static, Proposed>>,
}

impl Relay {
    pub(super) fn new(replica: Replica, me: NodeId, topics: &[String], counters: Counters) -> Relay {
        let mut subscriptions = Subscriptions::default();
        // Nobody is connected yet whom the change would have to be told.
        subscriptions.want(topics.iter().cloned().collect());
        Relay {
            replica,
            me,
            counters,
            ledger: Ledger::default(),
            subscriptions,
            connection: None,
            proposals: FuturesUnordered::new(),
        }
    }

    /// Runs until the replica stops or the link's task is gone. It begins when the log has an input of
    /// this process: only then is it certain which deliveries an earlier one has brought in.
    pub(super) async fn run(mut self, mut inbound: mpsc::Receiver<Inbound>, begun: oneshot::Receiver<()>) {
        if begun.await.is_err() {
            return;
        }
        while self.step(&mut inbound).await.is_ok() {
            heard::acknowledge(&mut self.ledger, self.connection.as_ref(), &self.counters);
        }
        debug!("the MQTT edge stops relaying");
    }

    async fn step(&mut self, inbound: &mut mpsc::Receiver<Inbound>) -> Result<(), Ended> {
        let has_room = self.ledger.len() < OPEN_MAX && self.proposals.len() < OPEN_MAX;
        tokio::select! {
            biased;
            Some(proposed) = self.proposals.next() => self.finish(proposed)?,
            heard = inbound.recv(), if has_room => self.take(heard.ok_or(Ended)?),
        }
        Ok(())
    }

    fn take(&mut self, inbound: Inbound) {
        match inbound {
            Inbound::Up { connection, session_present } => {
                if !session_present {
                    self.ledger.session_lost();
                }
                for filters in self.subscriptions.connected() {
                    if let Err(error) = connection.subscribe(&filters) {
                        warn!(topic = filters.join(" "), %error, "could not subscribe");
                    }
                }
                self.connection = Some(connection);
            }
            Inbound::Subscribed(granted) => {
                for filter in self.subscriptions.answered(granted) {
                    warn!(topic = filter, "the broker refused a subscription: check its access rules");
                }
                self.counters.relay_up.store(self.subscriptions.is_settled(), Relaxed);
            }
            Inbound::Message(publish) => self.hear(publish),
            Inbound::Relayed(publish) => {
                let token = self.note(publish);
                count(&self.counters.passed_over);
                token.into_iter().for_each(|token| self.ledger.settle(token));
            }
            Inbound::Down => {
                self.connection = None;
                self.ledger.disconnected(|_| true);
                self.counters.relay_up.store(false, Relaxed);
            }
        }
    }

    fn hear(&mut self, publish: Publish) {
        let (message, is_again) = (to_message(&publish), publish.dup);
        let Some(token) = self.note(publish) else { return };
        if let Err(reason) = check_topic(&message.topic) {
            self.refuse(token, &message.topic, reason);
        } else if !self.subscriptions.is_wanted(&message.topic) || is_again && self.was_committed(&message) {
            count(&self.counters.passed_over);
            self.ledger.settle(token);
        } else {
            count(&self.counters.proposed);
            self.propose(token, Message { is_relayed: true, ..message });
        }
    }

    /// Takes a message into the ledger; none if its proposal is under way.
    fn note(&mut self, publish: Publish) -> Option<u64> {
        count(&self.counters.heard);
        let fingerprint = Fingerprint::of(&publish.topic, &publish.payload);
        match self.ledger.add(publish, fingerprint) {
            Delivery::New(token) => Some(token),
            Delivery::Again => None,
        }
    }

    /// Whether the log has a message that is delivered once more, perhaps to an earlier process.
    fn was_committed(&self, message: &Message) -> bool {
        let Message { topic, payload, packet_id, .. } = message;
        self.replica.read(|state| state.was_delivered(self.me, *packet_id, topic, payload))
    }

    fn propose(&mut self, token: u64, message: Message) {
        let replica = self.replica.clone();
        let mut proposal = async move { (token, replica.propose(InputKind::Message(message)).await) }.boxed();
        // An input's place in the log is taken when its proposal is first polled, so that happens
        // here and now, in the order of the messages.
        match (&mut proposal).now_or_never() {
            Some(proposed) => self.proposals.push(std::future::ready(proposed).boxed()),
            None => self.proposals.push(proposal),
        }
    }

    fn finish(&mut self, (token, result): Proposed) -> Result<(), Ended> {
        let reason = match result {
            // Only `try_propose` says that it is busy.
            Err(ProposeError::Stopped | ProposeError::Busy) => return Err(Ended),
            Ok(Committed { outcome: Settled::Refused(reason), .. }) => reason,
            Err(error @ ProposeError::TooLarge { .. }) => error.to_string(),
            Ok(_) => {
                self.ledger.settle(token);
                return Ok(());
            }
        };
        let topic = self.ledger.open(token).map(|publish| publish.topic.clone()).unwrap_or_default();
        self.refuse(token, &topic, &reason);
        Ok(())
    }

    fn refuse(&mut self, token: u64, topic: &str, reason: &str) {
        heard::tell_refused(&self.counters, topic, reason);
        self.ledger.settle(token);
    }
}
