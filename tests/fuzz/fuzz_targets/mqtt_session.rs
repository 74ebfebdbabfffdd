//! Plays a script of a client's packets and a log's answers to a session. Whatever they are, every
//! request is answered once and in its order, no more than the window is in flight, messages go out in
//! the order in which they came, a message of QoS 2 is published once, and what a client does right
//! never ends its connection. In the end the client settles everything, and nothing is left.
//!
//! The first byte chooses level and kind of the session, each further pair one step.

#![no_main]

use gable::mqtt::server::session::{Class, End, Event, Item, Quotas, Reply, Rights, Session, Todo};
use gable::mqtt::server::wire::{
    Ack, Auth, Connect, Detail, Disconnect, Level, Packet, Publish, ReasonCode, RetainHandling, Subscribe,
    SubscribeOptions, Unsubscribe,
};
use gable_devices::{QoS, Timestamp};
use gable_rules::broker::{self, Answer, ClientAction, Publication, Published, Sending};
use libfuzzer_sys::fuzz_target;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroU16;
use std::sync::Arc;

const QUOTAS: Quotas =
    Quotas { receive_maximum: 4, in_flight_max: 3, topic_aliases_max: 2, subscriptions_max: 10 };

struct Most;

impl Rights for Most {
    fn may_publish(&self, topic: &str) -> bool {
        !topic.starts_with("forbidden/")
    }

    fn may_subscribe(&self, filter: &str) -> bool {
        self.may_publish(filter)
    }

    fn class(&self, topic: &str) -> Class {
        if topic == "relay" { Class::Relay } else { Class::Durable }
    }
}

fuzz_target!(|script: &[u8]| {
    let [first, steps @ ..] = script else { return };
    let mut play = Play::new(*first);
    for step in steps.chunks_exact(2) {
        if play.step(step[0], step[1]).is_err() {
            return;
        }
    }
    play.finish();
});

/// How far the client has come with a message of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Sent(QoS),
    /// The client has told that it received it.
    Received,
    /// The server has released it.
    Released,
}

/// An answer that the client waits for: the kind of the packet and its identifier.
type Owed = (&'static str, u16);

struct Play {
    level: Level,
    is_kept: bool,
    session: Session,
    /// What the log will say, in its order.
    log: VecDeque<Answer>,
    /// What the log knows of messages of QoS 2 of a kept session.
    log_received: BTreeSet<u16>,
    owed: VecDeque<Owed>,
    /// Publishes at QoS 0: they wait in the same row as the others, and nobody is told.
    unanswered: usize,
    /// Messages of QoS 1 and 2 from the client that are not settled.
    unsettled: BTreeSet<u16>,
    /// Messages of QoS 2 that were published and not released, as far as the log knows nothing of them.
    proposed: BTreeSet<u16>,
    aliases: BTreeMap<u16, &'static str>,
    in_flight: BTreeMap<u16, Stage>,
    /// Those of the log's own packet identifiers that are in use.
    queued: BTreeSet<u16>,
    sent: u32,
    /// The numbers of the messages that came last at QoS 0 and above, and how many came.
    last: [u32; 2],
    arrived: u32,
}

impl Play {
    fn new(first: u8) -> Play {
        let level = [Level::V31, Level::V311, Level::V5][usize::from(first % 3)];
        let is_kept = first & 0x40 != 0;
        let connect = Connect {
            level,
            client_id: "c".to_owned(),
            clean_start: true,
            keep_alive: 0,
            will: None,
            username: None,
            password: None,
            session_expiry_interval: if is_kept { 60 } else { 0 },
            receive_maximum: NonZeroU16::new(if first & 0x80 == 0 { 2 } else { 9 }).expect("it is not 0"),
            maximum_packet_size: None,
            topic_alias_maximum: 2,
            request_response_information: false,
            request_problem_information: true,
            user_properties: Vec::new(),
            authentication: None,
        };
        Play {
            level,
            is_kept,
            session: Session::new(&connect, is_kept, Vec::new(), &QUOTAS),
            log: VecDeque::new(),
            log_received: BTreeSet::new(),
            owed: VecDeque::new(),
            unanswered: 0,
            unsettled: BTreeSet::new(),
            proposed: BTreeSet::new(),
            aliases: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            queued: BTreeSet::new(),
            sent: 0,
            last: [0; 2],
            arrived: 0,
        }
    }

    /// An error if the session has ended as it may.
    fn step(&mut self, what: u8, which: u8) -> Result<(), End> {
        let id = NonZeroU16::new(u16::from(which >> 4) + 1).expect("it is not 0");
        match what % 16 {
            0..=2 => {
                return self.publish(
                    [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][usize::from(what % 16)],
                    id,
                    which,
                );
            }
            3 => {
                self.owed.push_back(("pubcomp", id.get()));
                self.must(Packet::Pubrel(ack(id)));
            }
            4 => {
                self.owed.push_back(("suback", id.get()));
                self.must(Packet::Subscribe(Subscribe {
                    packet_id: id,
                    filters: filters(which).map(|filter| (filter, options(which))).collect(),
                    subscription_identifier: None,
                }));
            }
            5 => {
                self.owed.push_back(("unsuback", id.get()));
                self.must(Packet::Unsubscribe(Unsubscribe {
                    packet_id: id,
                    filters: filters(which).collect(),
                }));
            }
            6 => {
                self.owed.push_back(("pingresp", 0));
                self.must(Packet::Pingreq);
            }
            7..=9 => {
                self.send([QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][usize::from(what % 16 - 7)])
            }
            10 | 11 => self.hear_log(),
            12 | 13 => self.acknowledge(usize::from(which)),
            14 => return self.acknowledge_anything(id, which),
            _ => return self.misbehave(which),
        }
        self.check();
        Ok(())
    }

    fn publish(&mut self, qos: QoS, id: NonZeroU16, which: u8) -> Result<(), End> {
        let topic = ["a", "forbidden/a", "", "relay"][usize::from(which & 3)];
        let alias = if self.level == Level::V5 { u16::from(which >> 2 & 3) } else { 0 };
        let packet_id = (qos != QoS::AtMostOnce).then_some(id);
        if topic.is_empty() && alias == 0 {
            return Ok(());
        }
        let is_alias_wrong = alias > 2 || (topic.is_empty() && !self.aliases.contains_key(&alias));
        let mut unsettled = self.unsettled.clone();
        unsettled.extend(packet_id.map(NonZeroU16::get));
        let is_too_much = self.level == Level::V5 && unsettled.len() > 4;
        let publication = Publication { topic: topic.to_owned(), qos, ..Publication::default() };
        let publish =
            Publish { publication, dup: which & 16 != 0, packet_id, topic_alias: NonZeroU16::new(alias) };
        let todos = match self.session.receive(Packet::Publish(Box::new(publish)), &Most) {
            Ok(todos) => todos,
            Err(end) => {
                assert!(is_alias_wrong || is_too_much, "{end}");
                return Err(end);
            }
        };
        assert!(!is_alias_wrong && !is_too_much);
        if !topic.is_empty() && alias > 0 {
            self.aliases.insert(alias, topic);
        }
        self.unsettled = unsettled;
        match qos {
            QoS::AtMostOnce => self.unanswered += 1,
            QoS::AtLeastOnce => self.owed.push_back(("puback", id.get())),
            QoS::ExactlyOnce => {
                self.owed.push_back(("pubrec", id.get()));
                let is_relayed = todos.iter().any(|todo| matches!(todo, Todo::Relay(..)));
                if is_relayed || (!self.is_kept && !todos.is_empty()) {
                    assert!(self.proposed.insert(id.get()), "{id} was published twice");
                } else if self.is_kept && self.topic_is_relayed(topic, alias) {
                    assert!(self.proposed.contains(&id.get()), "{id} was never published");
                }
            }
        }
        self.act(todos);
        self.check();
        Ok(())
    }

    fn topic_is_relayed(&self, topic: &str, alias: u16) -> bool {
        let topic =
            if topic.is_empty() { self.aliases.get(&alias).copied().unwrap_or_default() } else { topic };
        topic == "relay"
    }

    /// The log has a message for the client.
    fn send(&mut self, qos: QoS) {
        let packet_id = if self.is_kept && qos != QoS::AtMostOnce {
            let Some(id) = (1..=40).find(|id| !self.queued.contains(id)) else { return };
            self.queued.insert(id);
            Some(id)
        } else {
            None
        };
        self.sent += 1;
        let payload = self.sent.to_be_bytes().to_vec();
        let publication = Publication { topic: "t".to_owned(), payload, qos, ..Publication::default() };
        let sending = Sending {
            publication: Arc::new(publication),
            at: Timestamp(0),
            qos,
            retain: false,
            dup: false,
            packet_id,
            subscription_identifiers: Vec::new(),
            is_received: false,
        };
        self.hear(Event::Send(sending));
    }

    fn hear_log(&mut self) {
        let Some(answer) = self.log.pop_front() else { return };
        self.hear(Event::Answer(answer));
    }

    fn hear(&mut self, event: Event) {
        let todos = self.session.hear(event).expect("nothing that was heard ends the session");
        self.act(todos);
    }

    fn must(&mut self, packet: Packet) {
        let todos = self.session.receive(packet, &Most).expect("the client did nothing wrong");
        self.act(todos);
    }

    /// The client goes on with one of the messages that it has.
    fn acknowledge(&mut self, which: usize) {
        let Some((&id, &stage)) = self.in_flight.iter().nth(which % self.in_flight.len().max(1)) else {
            return;
        };
        let number = NonZeroU16::new(id).expect("it is not 0");
        match stage {
            Stage::Sent(QoS::ExactlyOnce) => {
                self.in_flight.insert(id, Stage::Received);
                self.must(Packet::Pubrec(ack(number)));
            }
            Stage::Sent(QoS::AtMostOnce | QoS::AtLeastOnce) => {
                self.in_flight.remove(&id);
                self.must(Packet::Puback(ack(number)));
            }
            // It waits for the release.
            Stage::Received => {}
            Stage::Released => {
                self.in_flight.remove(&id);
                self.must(Packet::Pubcomp(ack(number)));
            }
        }
    }

    /// An acknowledgement of what may not exist, or not be that far: then the connection may end.
    fn acknowledge_anything(&mut self, id: NonZeroU16, which: u8) -> Result<(), End> {
        let packet = match which & 3 {
            0 => Packet::Puback(ack(id)),
            1 => Packet::Pubrec(ack(id)),
            2 => Packet::Pubcomp(ack(id)),
            _ => Packet::Pubrec(Ack::new(id, ReasonCode::QUOTA_EXCEEDED)),
        };
        if self.in_flight.contains_key(&id.get()) {
            // What it means for the message is the affair of `acknowledge`.
            return Ok(());
        }
        let is_pubrec = matches!(packet, Packet::Pubrec(_)) && which & 3 == 1;
        let todos = self.session.receive(packet, &Most).expect("an unknown identifier is no error");
        assert!(todos.is_empty());
        if is_pubrec {
            assert!(
                matches!(self.session.next_item(), Some(Item::Reply(Reply::Pubrel(it))) if it.packet_id == id)
            );
        }
        self.check();
        Ok(())
    }

    fn misbehave(&mut self, which: u8) -> Result<(), End> {
        let packet = match which % 3 {
            0 => Packet::Auth(Auth { reason: ReasonCode::SUCCESS, authentication: None }),
            1 => Packet::Disconnect(Disconnect::new(ReasonCode::NORMAL_DISCONNECTION, Detail::default())),
            _ => match self.in_flight.iter().next() {
                Some((&id, &Stage::Sent(QoS::ExactlyOnce))) => {
                    Packet::Puback(ack(NonZeroU16::new(id).expect("it is not 0")))
                }
                Some((&id, Stage::Sent(_))) => {
                    Packet::Pubcomp(ack(NonZeroU16::new(id).expect("it is not 0")))
                }
                _ => return Ok(()),
            },
        };
        Err(self.session.receive(packet, &Most).expect_err("that ends a connection"))
    }

    /// Does what the session wishes.
    fn act(&mut self, todos: Vec<Todo>) {
        let mut todos = VecDeque::from(todos);
        while let Some(todo) = todos.pop_front() {
            let here = match todo {
                Todo::Propose(action) => {
                    let answer = self.decide(action);
                    self.log.push_back(answer);
                    continue;
                }
                // It is taken at once.
                Todo::Relay(..) => continue,
                Todo::Subscribe(list) => {
                    Answer::Subscribed { granted: vec![true; list.len()], retained: Vec::new() }
                }
                Todo::Unsubscribe(list) => Answer::Unsubscribed { existed: vec![false; list.len()] },
            };
            todos.extend(self.session.hear(Event::Answer(here)).expect("that ends no session"));
        }
        let acks = self.session.take_acks();
        assert!(self.is_kept || acks.is_empty());
        if !acks.is_empty() {
            let received = acks.iter().filter(|(_, ack)| *ack == broker::Ack::Received).map(|(id, _)| *id);
            let received: Vec<u16> = received.collect();
            for (id, _) in acks.iter().filter(|(_, ack)| *ack == broker::Ack::Complete) {
                assert!(self.queued.remove(id), "{id} was completed twice");
            }
            self.log.push_back(Answer::Acknowledged { received });
        }
    }

    fn decide(&mut self, action: ClientAction) -> Answer {
        match action {
            ClientAction::Publish { publication, packet_id, .. } => {
                assert!(!publication.topic.is_empty() && !publication.topic.starts_with("forbidden/"));
                assert_eq!(packet_id.is_some(), self.is_kept && publication.qos != QoS::AtMostOnce);
                let exactly = packet_id.filter(|_| publication.qos == QoS::ExactlyOnce);
                let is_again = exactly.is_some_and(|id| !self.log_received.insert(id));
                Answer::Published(if is_again { Published::Again } else { Published::Taken })
            }
            ClientAction::Release { packet_id } => {
                Answer::Released { is_known: self.log_received.remove(&packet_id) }
            }
            ClientAction::Subscribe { subscriptions } => {
                Answer::Subscribed { granted: vec![true; subscriptions.len()], retained: Vec::new() }
            }
            ClientAction::Unsubscribe { filters } => {
                Answer::Unsubscribed { existed: vec![true; filters.len()] }
            }
            other => panic!("{other:?}"),
        }
    }

    /// Reads what the client gets.
    fn check(&mut self) {
        while let Some(item) = self.session.next_item() {
            let answer = match item {
                Item::Send(parcel) => {
                    self.arrive(&parcel.sending);
                    continue;
                }
                Item::Reply(Reply::Pubrel(ack)) => {
                    let stage = self.in_flight.get_mut(&ack.packet_id.get()).expect("it was received");
                    assert_eq!(*stage, Stage::Received);
                    *stage = Stage::Released;
                    continue;
                }
                Item::Reply(Reply::Puback(ack)) => {
                    self.unsettled.remove(&ack.packet_id.get());
                    ("puback", ack.packet_id.get())
                }
                Item::Reply(Reply::Pubrec(ack)) => {
                    if ack.reason.is_failure() && self.level == Level::V5 {
                        self.unsettled.remove(&ack.packet_id.get());
                        self.proposed.remove(&ack.packet_id.get());
                    }
                    ("pubrec", ack.packet_id.get())
                }
                Item::Reply(Reply::Pubcomp(ack)) => {
                    self.unsettled.remove(&ack.packet_id.get());
                    self.proposed.remove(&ack.packet_id.get());
                    ("pubcomp", ack.packet_id.get())
                }
                Item::Reply(Reply::Suback(suback)) => ("suback", suback.packet_id.get()),
                Item::Reply(Reply::Unsuback(suback)) => ("unsuback", suback.packet_id.get()),
                Item::Reply(Reply::Pingresp) => ("pingresp", 0),
            };
            assert_eq!(self.owed.pop_front(), Some(answer));
        }
        let window = self.in_flight.len();
        assert_eq!(self.session.outflow().0, window);
        assert!(window <= 3, "{window} messages are in flight");
        assert!(self.session.open() >= self.owed.len());
        assert!(self.session.open() <= self.owed.len() + self.unanswered);
    }

    fn arrive(&mut self, sending: &Sending) {
        let number = sending.publication.payload.as_slice().try_into().map(u32::from_be_bytes);
        let number = number.expect("the payload is a number");
        let last = &mut self.last[usize::from(sending.qos != QoS::AtMostOnce)];
        assert!(number > *last, "{number} came behind {last}");
        *last = number;
        self.arrived += 1;
        assert_eq!(sending.packet_id.is_some(), sending.qos != QoS::AtMostOnce);
        if let Some(id) = sending.packet_id {
            let before = self.in_flight.insert(id, Stage::Sent(sending.qos));
            assert_eq!(before, None, "{id} is in flight twice");
        }
    }

    /// The log answers everything, and the client acknowledges everything.
    fn finish(mut self) {
        for which in 0..100_000 {
            if self.log.is_empty() && self.in_flight.is_empty() {
                break;
            }
            self.hear_log();
            self.check();
            self.acknowledge(which);
            self.check();
        }
        assert!(self.owed.is_empty(), "{:?} were not answered", self.owed);
        assert_eq!((self.session.open(), self.session.outflow()), (0, (0, 0)));
        assert_eq!(self.arrived, self.sent, "messages are missing");
        assert!(self.queued.is_empty(), "{:?} wait in the log for ever", self.queued);
    }
}

fn ack(id: NonZeroU16) -> Ack {
    Ack::new(id, ReasonCode::SUCCESS)
}

fn options(which: u8) -> SubscribeOptions {
    let qos = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][usize::from(which % 3)];
    SubscribeOptions { qos, retain_handling: RetainHandling::AtSubscribe, ..SubscribeOptions::default() }
}

/// One filter or more, of those that the log has to know, those that only the node knows, and those
/// that are forbidden.
fn filters(which: u8) -> impl Iterator<Item = String> {
    let all = ["a", "$share/g/b", "forbidden/c", "#"];
    let chosen: Vec<&str> = all
        .into_iter()
        .enumerate()
        .filter(|(place, _)| which >> place & 1 == 1)
        .map(|(_, filter)| filter)
        .collect();
    let chosen = if chosen.is_empty() { vec!["d"] } else { chosen };
    chosen.into_iter().map(str::to_owned)
}
