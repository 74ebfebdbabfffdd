//! From the broker into the log: one task that proposes what it hears and acknowledges what the log
//! has taken.
//!
//! Many proposals are under way at once, started in the order of the messages. A message is
//! acknowledged after its commit and its application on this node, and in order ([`Ledger`]). A
//! message that the broker delivers anew, after a lost connection or after a restart of this
//! process, is recognised by its packet id and content: by the [`Ledger`] while its proposal is
//! under way, by the state once it is committed. The broker has to mark it as a duplicate, as MQTT
//! asks and rumqttd does not: over a lost connection to that one a message may count twice.
//!
//! Only messages that the home asks for are proposed, so that a subscription cannot feed Gable's
//! own commands back into the log. Where an automation does listen on a topic that Gable publishes,
//! see [`Echoes`]; for retained messages, see [`LastHeard`], which the state continues over a restart
//! of the process; for a broker that all nodes share, see
//! [`Ownership`].

use super::backlog;
use super::client::Client;
use super::counters::{Counters, count};
use super::filters;
use super::fingerprint::Fingerprint;
use super::heard::{self, check_topic, to_message};
use super::ledger::{Delivery, Ledger};
use super::link::Inbound;
use super::ownership::{Ownership, Verdict};
use super::recent::{Echoes, LastHeard};
use super::subscriptions::Subscriptions;
use crate::raft::{Applied, Committed, ProposeError, Replica, Settled};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use gable_rules::{Effect, InputKind, LogIndex, Message, Node, NodeId};
use rumqttc::Publish;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info, warn};

/// How many messages may be between delivery and acknowledgement. With this many the task takes no
/// more from the link: messages at QoS 0 are then dropped there, and the broker keeps the others.
const OPEN_MAX: usize = 4096;

type Proposal = BoxFuture<'static, Proposed>;

/// A finished proposal.
struct Proposed {
    what: What,
    result: Result<Committed, ProposeError>,
}

/// What was proposed.
#[derive(Clone, Copy, Debug)]
enum What {
    /// The message under this token.
    Message(u64),
    Link {
        up: bool,
    },
}

/// Why the task ends.
struct Ended;

/// The ingesting task.
pub(super) struct Ingest {
    replica: Replica,
    me: NodeId,
    extra_topics: Vec<String>,
    /// Topics whose live messages another connection brings in.
    relayed: Vec<String>,
    /// Who waits until the log has an input of this process.
    begun: Option<oneshot::Sender<()>>,
    counters: Counters,
    echoes: Arc<Mutex<Echoes>>,
    ledger: Ledger,
    last: LastHeard,
    /// Present where all nodes share one broker.
    ownership: Option<Ownership>,
    nodes: Vec<(NodeId, Node)>,
    /// Up to here other nodes' messages are known to `ownership`.
    seen: LogIndex,
    subscriptions: Subscriptions,
    /// The filters of entities and automations that the subscriptions were made from.
    home_filters: BTreeSet<String>,
    connection: Option<Client>,
    proposals: FuturesUnordered<Proposal>,
    /// What the log was told about the link last, and whether that is under way.
    link_told: Option<bool>,
    link_telling: bool,
}

impl Ingest {
    pub(super) fn new(
        replica: Replica,
        me: NodeId,
        shared_broker: bool,
        extra_topics: Vec<String>,
        counters: Counters,
        echoes: Arc<Mutex<Echoes>>,
    ) -> Ingest {
        Ingest {
            replica,
            me,
            extra_topics,
            relayed: Vec::new(),
            begun: None,
            counters,
            echoes,
            ledger: Ledger::default(),
            last: LastHeard::default(),
            ownership: shared_broker.then(|| Ownership::new(me)),
            nodes: Vec::new(),
            seen: LogIndex::default(),
            subscriptions: Subscriptions::default(),
            home_filters: BTreeSet::new(),
            connection: None,
            proposals: FuturesUnordered::new(),
            link_told: None,
            link_telling: false,
        }
    }

    /// Leaves the live messages of these topics to another connection, whose task waits for `begun`.
    pub(super) fn beside(mut self, relayed: Vec<String>, begun: oneshot::Sender<()>) -> Ingest {
        (self.relayed, self.begun) = (relayed, Some(begun));
        self
    }

    /// Runs until the replica stops or the link's task is gone.
    pub(super) async fn run(mut self, mut inbound: mpsc::Receiver<Inbound>) {
        // Only ownership needs every entry; others would lag behind this channel for nothing.
        let mut entries = self.ownership.is_some().then(|| self.replica.entries());
        // What an earlier process of this node proposed can be committed until the log has an input
        // of this one. Only after that is it certain which deliveries are repeated.
        let Ok(first) = self.replica.propose(InputKind::Link { up: false }).await else { return };
        if let Some(ownership) = &mut self.ownership {
            for missed in backlog::missed(&self.replica, self.me, first.index).await {
                ownership.applied(Instant::now(), &missed.topic, &missed.payload);
            }
            self.seen = first.index;
        }
        // Whoever waited may be gone: the process ends.
        let _ = self.begun.take().map(|begun| begun.send(()));
        self.link_told = Some(false);
        let mut applied = self.replica.applied();
        self.want();
        self.follow_state();
        self.tell_link();
        while self.step(&mut inbound, &mut applied, &mut entries).await.is_ok() {
            heard::acknowledge(&mut self.ledger, self.connection.as_ref(), &self.counters);
        }
        debug!("the MQTT edge stops listening");
    }

    async fn step(
        &mut self,
        inbound: &mut mpsc::Receiver<Inbound>,
        applied: &mut watch::Receiver<LogIndex>,
        entries: &mut Option<broadcast::Receiver<Arc<Applied>>>,
    ) -> Result<(), Ended> {
        let has_room = self.ledger.len() < OPEN_MAX && self.proposals.len() < OPEN_MAX;
        let expiry = self.ownership.as_ref().and_then(Ownership::next_expiry);
        tokio::select! {
            biased;
            Some(proposed) = self.proposals.next() => self.finish(proposed)?,
            entry = next_entry(entries), if entries.is_some() => self.see(entry)?,
            changed = applied.changed() => {
                changed.map_err(|_| Ended)?;
                self.follow_state();
            }
            heard = inbound.recv(), if has_room => self.take(heard.ok_or(Ended)?),
            () = sleep_until(expiry.unwrap_or_else(Instant::now)), if expiry.is_some() => self.expire(),
        }
        Ok(())
    }

    fn take(&mut self, inbound: Inbound) {
        match inbound {
            Inbound::Up { connection, session_present } => {
                if !session_present {
                    self.ledger.session_lost();
                    self.ownership.iter_mut().for_each(Ownership::session_lost);
                }
                for filters in self.subscriptions.connected() {
                    self.subscribe(&connection, &filters);
                }
                self.connection = Some(connection);
                self.follow_link();
            }
            Inbound::Subscribed(answers) => {
                for filter in self.subscriptions.answered(answers) {
                    warn!(topic = filter, "the broker refused a subscription: check its access rules");
                }
                self.follow_link();
            }
            Inbound::Message(publish) | Inbound::Relayed(publish) => self.hear(publish),
            Inbound::Down => {
                self.connection = None;
                let ownership = self.ownership.as_mut();
                let held = ownership.map(Ownership::unlinked).unwrap_or_default();
                self.ledger.disconnected(|token| !held.contains(&token));
                self.follow_link();
            }
        }
    }

    /// Decides what a delivered message is, and proposes it if it is this node's to propose.
    fn hear(&mut self, publish: Publish) {
        count(&self.counters.heard);
        let fingerprint = Fingerprint::of(&publish.topic, &publish.payload);
        let (message, is_again) = (to_message(&publish), publish.dup);
        let Delivery::New(token) = self.ledger.add(publish, fingerprint) else {
            debug!(topic = message.topic, "delivered once more");
            return;
        };
        if let Err(reason) = check_topic(&message.topic) {
            self.refuse(token, &message.topic, reason);
            return;
        }
        let is_change = self.last.note(&message.topic, fingerprint);
        let is_news = self.subscriptions.is_wanted(&message.topic)
            && !(is_again && self.was_committed(&message))
            && !(message.retain && (!is_change || self.was_last(&message)));
        let is_ours = match filters::any_matches(&self.relayed, &message.topic) {
            true if message.retain => self.is_unknown(&message.topic),
            // Live messages come by the other connection, except what this node has published.
            true => self.is_own_echo(&message.topic, fingerprint),
            false => !self.is_foreign_echo(&message.topic, fingerprint),
        };
        if !is_news || !is_ours {
            self.pass_over(token);
            return;
        }
        match self.verdict(token, &message) {
            Verdict::Propose { takeover } => self.propose(token, Message { takeover, ..message }),
            Verdict::Hold => {}
            Verdict::Settled => self.pass_over(token),
        }
    }

    /// Whether the log has a message that is delivered once more, perhaps to an earlier process.
    fn was_committed(&self, message: &Message) -> bool {
        let Message { topic, payload, packet_id, .. } = message;
        self.replica.read(|state| state.was_delivered(self.me, *packet_id, topic, payload))
    }

    /// Whether a retained message is what the log has last of its topic. A broker of this node's own
    /// may have an old one, of a device that has moved: there this node's own last one counts.
    fn was_last(&self, message: &Message) -> bool {
        let node = self.ownership.is_none().then_some(self.me);
        self.replica.read(|state| state.was_last(node, &message.topic, &message.payload))
    }

    /// Whether what a broker has retained of a relayed topic may be news: not where another node has
    /// brought the last message. Then this broker missed it, and what it has is older.
    fn is_unknown(&self, topic: &str) -> bool {
        self.replica.read(|state| state.brought_last(topic)).is_none_or(|node| node == self.me)
    }

    /// Whether a message is our own publish come back, and another node's to propose.
    fn is_foreign_echo(&self, topic: &str, fingerprint: Fingerprint) -> bool {
        self.is_echo(fingerprint)
            && self.replica.read(|state| state.owner(topic)).is_some_and(|owner| owner != self.me)
    }

    /// Whether a message is our own publish come back, and ours to propose.
    fn is_own_echo(&self, topic: &str, fingerprint: Fingerprint) -> bool {
        self.is_echo(fingerprint)
            && self.replica.read(|state| state.owner(topic)).is_none_or(|owner| owner == self.me)
    }

    fn is_echo(&self, fingerprint: Fingerprint) -> bool {
        let mut echoes = self.echoes.lock().unwrap_or_else(PoisonError::into_inner);
        echoes.returned(Instant::now(), fingerprint)
    }

    fn verdict(&mut self, token: u64, message: &Message) -> Verdict {
        let Some(ownership) = &mut self.ownership else { return Verdict::Propose { takeover: false } };
        let owner = self.replica.read(|state| state.owner(&message.topic));
        if message.retain {
            // The broker sends it to a new subscriber only, so the owner has no copy to wait for.
            // It heard the message at its own subscription, or live.
            return match owner {
                Some(owner) if owner != self.me => Verdict::Settled,
                _ => Verdict::Propose { takeover: true },
            };
        }
        ownership.heard(Instant::now(), token, &message.topic, &message.payload, owner)
    }

    fn propose(&mut self, token: u64, message: Message) {
        count(&self.counters.proposed);
        self.start(What::Message(token), InputKind::Message(message));
    }

    /// Proposes a message that was held for its owner.
    fn take_over(&mut self, token: u64) {
        let Some(publish) = self.ledger.open(token) else { return };
        let message = Message { takeover: true, ..to_message(publish) };
        info!(topic = message.topic, "proposing a message in place of its silent owner");
        self.propose(token, message);
    }

    fn start(&mut self, what: What, kind: InputKind) {
        let replica = self.replica.clone();
        let mut proposal = async move { Proposed { what, result: replica.propose(kind).await } }.boxed();
        // An input's place in the log is taken when its proposal is first polled, so that happens
        // here and now, in the order of the messages.
        match (&mut proposal).now_or_never() {
            Some(proposed) => self.proposals.push(std::future::ready(proposed).boxed()),
            None => self.proposals.push(proposal),
        }
    }

    fn finish(&mut self, Proposed { what, result }: Proposed) -> Result<(), Ended> {
        match (what, result) {
            // Only `try_propose` says that it is busy.
            (_, Err(ProposeError::Stopped | ProposeError::Busy)) => return Err(Ended),
            (What::Link { up }, result) => {
                self.link_telling = false;
                self.link_told = result.is_ok().then_some(up);
                self.tell_link();
            }
            (What::Message(token), Ok(Committed { outcome: Settled::Refused(reason), .. })) => {
                self.refuse_open(token, &reason);
            }
            (What::Message(token), Ok(_)) => self.ledger.settle(token),
            (What::Message(token), Err(error @ ProposeError::TooLarge { .. })) => {
                self.refuse_open(token, &error.to_string());
            }
        }
        Ok(())
    }

    fn refuse_open(&mut self, token: u64, reason: &str) {
        let topic = self.ledger.open(token).map(|publish| publish.topic.clone()).unwrap_or_default();
        self.refuse(token, &topic, reason);
    }

    fn refuse(&mut self, token: u64, topic: &str, reason: &str) {
        heard::tell_refused(&self.counters, topic, reason);
        self.ledger.settle(token);
    }

    fn pass_over(&mut self, token: u64) {
        count(&self.counters.passed_over);
        self.ledger.settle(token);
    }

    /// Looks at what other nodes proposed.
    fn see(&mut self, entry: Result<Arc<Applied>, RecvError>) -> Result<(), Ended> {
        let entry = match entry {
            Ok(entry) => entry,
            // What was missed may settle held messages; they will be given up in time.
            Err(RecvError::Lagged(_)) => return Ok(()),
            Err(RecvError::Closed) => return Err(Ended),
        };
        if entry.index <= self.seen {
            return Ok(());
        }
        for (input, effects) in entry.inputs() {
            let (InputKind::Message(message), Some(ownership)) = (&input.kind, &mut self.ownership) else {
                continue;
            };
            if input.origin.node == self.me || matches!(effects.first(), Some(Effect::Refused(_))) {
                continue;
            }
            if let Some(token) = ownership.applied(Instant::now(), &message.topic, &message.payload) {
                self.pass_over(token);
            }
        }
        Ok(())
    }

    fn expire(&mut self) {
        let expired = self.ownership.as_mut().map(|ownership| ownership.expire(Instant::now()));
        for token in expired.into_iter().flatten() {
            // Perhaps it never heard the message; if it did, the state knows.
            self.take_over(token);
        }
    }

    /// Looks whether the home was configured anew, and whether nodes came or went.
    fn follow_state(&mut self) {
        let changed = self.replica.read(|state| {
            let filters = state.topic_filters();
            (*filters != self.home_filters).then(|| filters.into_owned())
        });
        if let Some(filters) = changed {
            self.home_filters = filters;
            self.want();
        }
        if self.ownership.is_some() {
            self.follow_nodes();
        }
    }

    fn want(&mut self) {
        let wanted = self.home_filters.iter().chain(&self.extra_topics).cloned().collect();
        let change = self.subscriptions.want(wanted);
        let Some(connection) = self.connection.clone() else { return };
        for filters in &change.subscribe {
            self.subscribe(&connection, filters);
        }
        for filter in &change.unsubscribe {
            if let Err(error) = connection.unsubscribe(filter) {
                debug!(topic = filter, %error, "could not unsubscribe");
            }
        }
        self.follow_link();
    }

    fn follow_nodes(&mut self) {
        let nodes: Vec<_> = self.replica.read(|state| state.nodes().collect());
        let Some(ownership) = self.ownership.as_mut().filter(|_| nodes != self.nodes) else { return };
        self.nodes = nodes;
        let replica = &self.replica;
        let mine = ownership.owners_changed(Instant::now(), |topic| replica.read(|state| state.owner(topic)));
        for token in mine {
            self.take_over(token);
        }
    }

    fn subscribe(&self, connection: &Client, filters: &[String]) {
        if let Err(error) = connection.subscribe(filters) {
            warn!(topic = filters.join(" "), %error, "could not subscribe");
        }
    }

    /// The link is up from the first answer to the subscriptions of a connection until its end.
    fn follow_link(&mut self) {
        let was_up = self.counters.link_up.load(Relaxed);
        let up = self.connection.is_some() && (was_up || self.subscriptions.is_settled());
        self.counters.link_up.store(up, Relaxed);
        if up && !was_up {
            self.ownership.iter_mut().for_each(|ownership| ownership.linked(Instant::now()));
        }
        self.tell_link();
    }

    /// Tells the log how the link is, if it does not know. One such input is under way at a time, so
    /// that a broker which comes and goes cannot pile them up while the cluster has no leader.
    fn tell_link(&mut self) {
        let up = self.counters.link_up.load(Relaxed);
        if !self.link_telling && self.link_told != Some(up) {
            self.link_telling = true;
            self.start(What::Link { up }, InputKind::Link { up });
        }
    }
}

async fn next_entry(
    entries: &mut Option<broadcast::Receiver<Arc<Applied>>>,
) -> Result<Arc<Applied>, RecvError> {
    match entries {
        Some(entries) => entries.recv().await,
        None => std::future::pending().await,
    }
}
