//! Sessions by scripts, and under random clients.

use super::*;
use crate::mqtt::server::wire::{Publish, SubscribeOptions as WireOptions};
use gable_rules::broker::Publication;
use std::collections::{BTreeSet, VecDeque};
use std::num::NonZeroU16;
use std::sync::Arc;

/// Lets a client do everything but what lies under `forbidden/`.
struct Most;

impl Rights for Most {
    fn may_publish(&self, topic: &str) -> bool {
        !topic.starts_with("forbidden/")
    }

    fn may_subscribe(&self, filter: &str) -> bool {
        self.may_publish(filter)
    }

    fn class(&self, topic: &str) -> Class {
        match topic.split('/').next() {
            Some("picture") => Class::Relay,
            Some("here") => Class::Local,
            _ => Class::Durable,
        }
    }
}

const QUOTAS: Quotas =
    Quotas { receive_maximum: 3, in_flight_max: 2, topic_aliases_max: 2, subscriptions_max: 10 };

fn connect(level: Level) -> Connect {
    Connect {
        level,
        client_id: "c".to_owned(),
        clean_start: true,
        keep_alive: 0,
        will: None,
        username: None,
        password: None,
        session_expiry_interval: 0,
        receive_maximum: NonZeroU16::MAX,
        maximum_packet_size: None,
        topic_alias_maximum: 9,
        request_response_information: false,
        request_problem_information: true,
        user_properties: Vec::new(),
        authentication: None,
    }
}

fn id(text: &str) -> NonZeroU16 {
    text.parse().unwrap()
}

fn qos(text: &str) -> QoS {
    [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][text.parse::<usize>().unwrap()]
}

fn sending(words: &[&str]) -> Sending {
    let publication =
        Publication { topic: words[1].to_owned(), qos: qos(words[0]), ..Publication::default() };
    Sending {
        publication: Arc::new(publication),
        at: gable_devices::Timestamp(0),
        qos: qos(words[0]),
        retain: false,
        dup: false,
        packet_id: words.get(2).map(|word| word.parse().unwrap()),
        subscription_identifiers: Vec::new(),
        is_received: words.get(3) == Some(&"received"),
    }
}

/// What the client does: `pub QOS TOPIC [ID] [alias=N]`, `puback ID`, `pubrec ID`, `refuse ID`,
/// `pubrel ID`, `pubcomp ID`, `sub ID FILTER..`, `unsub ID FILTER..`, `ping`, `connect`, `auth`,
/// `disconnect [REASON] [expiry=N]`.
fn packet(words: &[&str]) -> Option<Packet> {
    let ack = |reason| wire::Ack::new(id(words[1]), reason);
    let success = ReasonCode::SUCCESS;
    Some(match words[0] {
        "pub" => Packet::Publish(Box::new(Publish {
            publication: Publication {
                topic: words[2].trim_matches('-').to_owned(),
                qos: qos(words[1]),
                ..Publication::default()
            },
            dup: words.contains(&"dup"),
            packet_id: words.get(3).and_then(|word| word.parse().ok()),
            topic_alias: words.iter().find_map(|word| word.strip_prefix("alias=")).map(id),
        })),
        "puback" => Packet::Puback(ack(success)),
        "pubrec" => Packet::Pubrec(ack(success)),
        "refuse" => Packet::Pubrec(ack(ReasonCode::QUOTA_EXCEEDED)),
        "pubrel" => Packet::Pubrel(ack(success)),
        "pubcomp" => Packet::Pubcomp(ack(success)),
        "sub" => Packet::Subscribe(Subscribe {
            packet_id: id(words[1]),
            filters: words[2..]
                .iter()
                .map(|filter| {
                    let options = WireOptions { qos: QoS::AtLeastOnce, ..WireOptions::default() };
                    ((*filter).to_owned(), options)
                })
                .collect(),
            subscription_identifier: None,
        }),
        "unsub" => Packet::Unsubscribe(Unsubscribe {
            packet_id: id(words[1]),
            filters: words[2..].iter().map(|filter| (*filter).to_owned()).collect(),
        }),
        "ping" => Packet::Pingreq,
        "connect" => Packet::Connect(Box::new(connect(Level::V5))),
        "auth" => Packet::Auth(wire::Auth { reason: success, authentication: None }),
        "disconnect" => {
            let reason = words.get(1).and_then(|word| word.parse().ok()).and_then(ReasonCode::from_value);
            let expiry = words.iter().find_map(|word| word.strip_prefix("expiry="));
            let mut disconnect = Disconnect::new(reason.unwrap_or(success), wire::Detail::default());
            disconnect.session_expiry_interval = expiry.map(|seconds| seconds.parse().unwrap());
            Packet::Disconnect(disconnect)
        }
        _ => return None,
    })
}

/// What the session hears: `taken`, `again`, `full`, `released`, `yes N` and `no N` (filters),
/// `release ID`, `gone`, `send QOS TOPIC [ID] [received]`.
fn event(words: &[&str], is_unsubscribe: bool) -> Event {
    let filters = |outcome| vec![outcome; words[1].parse().unwrap()];
    let answer = |outcome| match is_unsubscribe {
        true => Answer::Unsubscribed { existed: filters(outcome) },
        false => Answer::Subscribed { granted: filters(outcome), retained: vec![sending(&["1", "kept"])] },
    };
    Event::Answer(match words[0] {
        "taken" => Answer::Published(Published::Taken),
        "again" => Answer::Published(Published::Again),
        "full" => Answer::Published(Published::NotRetained),
        "unheard" => Answer::Published(Published::Unheard),
        "released" => Answer::Released { is_known: true },
        "yes" => answer(true),
        "no" => answer(false),
        "release" => Answer::Acknowledged { received: vec![words[1].parse().unwrap()] },
        "gone" => Answer::Gone,
        "send" => return Event::Send(sending(&words[1..])),
        _ => panic!("{words:?}"),
    })
}

fn show_todo(todo: &Todo) -> String {
    match todo {
        Todo::Propose(ClientAction::Publish { publication, packet_id, dup }) => {
            let again = if *dup { " again" } else { "" };
            format!("propose {} {packet_id:?}{again}", publication.topic)
        }
        Todo::Propose(ClientAction::Subscribe { subscriptions }) => {
            let filters: Vec<&str> = subscriptions.iter().map(|(filter, _)| filter.as_str()).collect();
            format!("propose sub {}", filters.join(" "))
        }
        Todo::Propose(ClientAction::Unsubscribe { filters }) => {
            format!("propose unsub {}", filters.join(" "))
        }
        Todo::Propose(ClientAction::Release { packet_id }) => format!("propose release {packet_id}"),
        Todo::Propose(other) => format!("propose {other:?}"),
        Todo::Relay(publication, class) => format!("relay {} {class:?}", publication.topic),
        Todo::Subscribe(subscriptions) => {
            let filters: Vec<&str> = subscriptions.iter().map(|(filter, _)| filter.as_str()).collect();
            format!("here sub {}", filters.join(" "))
        }
        Todo::Unsubscribe(filters) => format!("here unsub {}", filters.join(" ")),
    }
}

fn show_item(item: &Item) -> String {
    let ack = |name: &str, ack: &wire::Ack| format!("{name} {} {}", ack.packet_id, ack.reason.value());
    let list = |name: &str, suback: &Suback| {
        let reasons: Vec<u8> = suback.reasons.iter().map(|reason| reason.value()).collect();
        format!("{name} {} {reasons:?}", suback.packet_id)
    };
    match item {
        Item::Reply(Reply::Puback(it)) => ack("PUBACK", it),
        Item::Reply(Reply::Pubrec(it)) => ack("PUBREC", it),
        Item::Reply(Reply::Pubrel(it)) => ack("PUBREL", it),
        Item::Reply(Reply::Pubcomp(it)) => ack("PUBCOMP", it),
        Item::Reply(Reply::Suback(it)) => list("SUBACK", it),
        Item::Reply(Reply::Unsuback(it)) => list("UNSUBACK", it),
        Item::Reply(Reply::Pingresp) => "PINGRESP".to_owned(),
        Item::Send(Parcel { sending, .. }) => {
            format!("PUBLISH {} {:?}", sending.publication.topic, sending.packet_id)
        }
    }
}

/// Plays lines of what the client does and the session hears, and compares what follows each: what the
/// node has to do, and what the client gets.
#[track_caller]
fn check(level: Level, is_kept: bool, script: &[(&str, &str)]) {
    let mut session = Session::new(&connect(level), is_kept, Vec::new(), &QUOTAS);
    let mut is_unsubscribe = false;
    for (line, expected) in script {
        let words: Vec<&str> = line.split(' ').collect();
        if matches!(words[0], "sub" | "unsub") {
            is_unsubscribe = words[0] == "unsub";
        }
        let result = match packet(&words) {
            Some(packet) => session.receive(packet, &Most),
            None => session.hear(event(&words, is_unsubscribe)),
        };
        let mut found = Vec::new();
        match result {
            Ok(todos) => found.extend(todos.iter().map(show_todo)),
            Err(End::Refused(refusal)) => found.push(format!("refused {:#x}", refusal.reason.value())),
            Err(End::Left(farewell)) => found.push(format!(
                "left, will {}, expiry {:?}",
                farewell.sends_will, farewell.session_expiry_interval
            )),
            Err(end) => found.push(end.to_string()),
        }
        found.extend(std::iter::from_fn(|| session.next_item()).map(|item| show_item(&item)));
        found.extend(session.take_acks().iter().map(|(id, ack)| format!("tell {ack:?} {id}")));
        assert_eq!(found.join(", "), *expected, "{level:?}, kept {is_kept}: after `{line}` of {script:?}");
    }
}

#[test]
fn acknowledgements_wait_for_the_log_and_the_rest_behind_them() {
    check(
        Level::V311,
        false,
        &[
            ("pub 1 a 7", "propose a None"),
            ("ping", ""),
            ("sub 8 f", ""),
            ("pub 0 b", "propose b None"),
            ("ping", ""),
            ("taken", "here sub f, PUBACK 7 0, PINGRESP"),
            ("yes 1", "SUBACK 8 [1], PUBLISH kept Some(1)"),
            ("taken", "PINGRESP"),
        ],
    );
}

#[test]
fn only_a_puback_tells_that_nobody_has_subscribed() {
    check(
        Level::V5,
        false,
        &[
            ("pub 1 a 7", "propose a None"),
            ("unheard", "PUBACK 7 16"),
            ("pub 2 a 8", "propose a None"),
            ("unheard", "PUBREC 8 0"),
        ],
    );
}

#[test]
fn a_message_of_qos_2_counts_once() {
    check(
        Level::V311,
        false,
        &[
            ("pub 2 a 7", "propose a None"),
            ("pub 2 a 7", ""),
            ("taken", "PUBREC 7 0, PUBREC 7 0"),
            ("pub 2 a 7", "PUBREC 7 0"),
            ("pubrel 7", "PUBCOMP 7 0"),
            ("pubrel 7", "PUBCOMP 7 0"),
            ("pub 2 a 7", "propose a None"),
        ],
    );
    check(
        Level::V5,
        true,
        &[
            ("pub 2 a 7", "propose a Some(7)"),
            ("pub 2 a 7", "propose a Some(7)"),
            ("taken", "PUBREC 7 0"),
            ("again", "PUBREC 7 0"),
            ("pubrel 7", "propose release 7"),
            ("released", "PUBCOMP 7 0"),
        ],
    );
}

#[test]
fn the_log_is_told_what_may_be_a_repetition() {
    for level in [Level::V311, Level::V5] {
        check(level, true, &[("pub 1 a 7 dup", "propose a Some(7) again"), ("again", "PUBACK 7 0")]);
        check(level, false, &[("pub 1 a 7 dup", "propose a None again"), ("taken", "PUBACK 7 0")]);
    }
}

#[test]
fn refusals_are_told_where_the_level_can() {
    check(
        Level::V5,
        false,
        &[
            ("pub 1 forbidden/a 1", "PUBACK 1 135"),
            ("pub 2 forbidden/a 2", "PUBREC 2 135"),
            ("pub 0 forbidden/a", ""),
            ("sub 3 a forbidden/b $share/g/c $share/g/forbidden/d", "propose sub $share/g/c"),
            ("yes 1", "here sub a"),
            ("no 1", "SUBACK 3 [151, 135, 1, 135], PUBLISH kept Some(1), PUBLISH kept Some(2)"),
            ("pub 1 a 4", "propose a None"),
            ("full", "PUBACK 4 151"),
        ],
    );
    check(
        Level::V5,
        false,
        &[
            ("unsub 3 a $share/g/c", "propose unsub $share/g/c"),
            ("yes 1", "here unsub a"),
            ("no 1", "UNSUBACK 3 [17, 0]"),
        ],
    );
}

#[test]
fn what_goes_by_no_log_is_acknowledged_in_its_turn() {
    for (is_kept, proposed) in [(false, "propose a None"), (true, "propose a Some(1)")] {
        check(
            Level::V5,
            is_kept,
            &[
                ("pub 1 a 1", proposed),
                ("pub 1 picture/x 2", "relay picture/x Relay"),
                ("pub 0 here/x", "relay here/x Local"),
                ("taken", "PUBACK 1 0, PUBACK 2 0"),
                ("pub 2 here/y 3", "relay here/y Local, PUBREC 3 0"),
                ("pub 2 here/y 3", "PUBREC 3 0"),
            ],
        );
    }
}

#[test]
fn a_window_of_messages_is_in_flight() {
    check(
        Level::V311,
        false,
        &[
            ("send 1 a", "PUBLISH a Some(1)"),
            ("send 2 b", "PUBLISH b Some(2)"),
            ("send 1 c", ""),
            ("send 0 d", "PUBLISH d None"),
            ("pubrec 2", "PUBREL 2 0"),
            ("pubrec 2", "PUBREL 2 0"),
            ("puback 1", "PUBLISH c Some(3)"),
            ("pubcomp 2", ""),
            ("send 2 e", "PUBLISH e Some(4)"),
            ("refuse 4", ""),
            ("puback 9", ""),
            ("pubrec 9", "PUBREL 9 0"),
            ("pubcomp 9", ""),
        ],
    );
}

#[test]
fn the_log_knows_what_a_kept_session_acknowledged() {
    check(
        Level::V5,
        true,
        &[
            ("send 1 a 11", "PUBLISH a Some(11)"),
            ("send 2 b 12", "PUBLISH b Some(12)"),
            ("puback 11", "tell Complete 11"),
            ("pubrec 12", "tell Received 12"),
            ("release 12", "PUBREL 12 0"),
            ("pubcomp 12", "tell Complete 12"),
            ("puback 11", ""),
            ("send 2 c 13 received", "PUBREL 13 0"),
            ("pubcomp 13", "tell Complete 13"),
            ("sub 3 a b", "propose sub a b"),
            ("yes 2", "SUBACK 3 [1, 1], PUBLISH kept Some(1)"),
            ("gone", "the client has a newer connection"),
        ],
    );
}

#[test]
fn an_acknowledgement_of_another_kind_is_an_error() {
    for (step, is_error) in [("puback 1", false), ("pubrec 1", true), ("pubcomp 1", true)] {
        let expected = if is_error { "refused 0x82" } else { "" };
        check(Level::V311, false, &[("send 1 a", "PUBLISH a Some(1)"), (step, expected)]);
    }
    for (step, expected) in [("puback 1", "refused 0x82"), ("pubcomp 1", "refused 0x82")] {
        check(Level::V5, false, &[("send 2 a", "PUBLISH a Some(1)"), (step, expected)]);
    }
}

#[test]
fn what_a_connection_may_not_do_ends_it() {
    for line in ["connect", "auth"] {
        check(Level::V5, false, &[(line, "refused 0x82")]);
    }
    check(Level::V5, false, &[("disconnect expiry=5", "refused 0x82")]);
    check(Level::V5, false, &[("disconnect", "left, will false, expiry None")]);
    check(Level::V5, false, &[("disconnect 4 expiry=0", "left, will true, expiry Some(0)")]);
    // Four messages, where three were granted [MQTT-3.3.4-9].
    let script =
        [("pub 1 a 1", "propose a None"), ("pub 2 a 2", "propose a None"), ("pub 1 a 3", "propose a None")];
    check(Level::V5, false, &[&script[..], &[("pub 1 a 4", "refused 0x93")]].concat());
    check(Level::V311, false, &[&script[..], &[("pub 1 a 4", "propose a None")]].concat());
}

#[test]
fn aliases_stand_for_topics() {
    check(
        Level::V5,
        false,
        &[
            ("pub 0 a alias=1", "propose a None"),
            ("pub 0 - alias=1", "propose a None"),
            ("pub 0 b alias=1", "propose b None"),
            ("pub 0 - alias=1", "propose b None"),
            ("pub 0 - alias=2", "refused 0x82"),
        ],
    );
    check(Level::V5, false, &[("pub 0 a alias=3", "refused 0x94")]);
    let mut session = Session::new(&connect(Level::V5), false, Vec::new(), &QUOTAS);
    let mut alias = |topic| session.alias(topic).map(|alias| (alias.number.get(), alias.is_known));
    let found = ["a", "a", "b", "c", "b"].map(&mut alias);
    assert_eq!(found, [Some((1, false)), Some((1, true)), Some((2, false)), None, Some((2, true))]);
}

/// A client that does anything, and a log that answers late.
struct Play {
    session: Session,
    /// What the log will say, in its order.
    logged: VecDeque<Answer>,
    /// The packet identifiers that the client used, and those that were answered.
    asked: Vec<u16>,
    answered: Vec<u16>,
    in_flight: BTreeSet<NonZeroU16>,
}

impl Play {
    fn step(&mut self, n: u16, below: &mut impl FnMut(u64) -> u64) -> Vec<Todo> {
        match below(6) {
            0..=2 => {
                self.asked.push(n);
                let lines = [format!("pub 1 t {n}"), format!("sub {n} f $share/g/f"), format!("unsub {n} f")];
                let line = &lines[usize::try_from(below(3)).unwrap()];
                let packet = packet(&line.split(' ').collect::<Vec<_>>()).unwrap();
                self.session.receive(packet, &Most).unwrap()
            }
            3 => self.session.hear(Event::Send(sending(&["1", "x"]))).unwrap(),
            4 => self.in_flight.pop_first().map_or(Vec::new(), |id| {
                self.session.receive(Packet::Puback(wire::Ack::new(id, ReasonCode::SUCCESS)), &Most).unwrap()
            }),
            _ => self
                .logged
                .pop_front()
                .map_or(Vec::new(), |answer| self.session.hear(Event::Answer(answer)).unwrap()),
        }
    }

    fn act(&mut self, todos: Vec<Todo>) {
        let subscribed = |count| Answer::Subscribed { granted: vec![true; count], retained: Vec::new() };
        let unsubscribed = |count| Answer::Unsubscribed { existed: vec![true; count] };
        let mut todos = VecDeque::from(todos);
        while let Some(todo) = todos.pop_front() {
            let here = match todo {
                Todo::Propose(action) => {
                    self.logged.push_back(match action {
                        ClientAction::Publish { .. } => Answer::Published(Published::Taken),
                        ClientAction::Subscribe { subscriptions } => subscribed(subscriptions.len()),
                        ClientAction::Unsubscribe { filters } => unsubscribed(filters.len()),
                        other => panic!("{other:?}"),
                    });
                    continue;
                }
                Todo::Relay(..) => continue,
                Todo::Subscribe(list) => subscribed(list.len()),
                Todo::Unsubscribe(list) => unsubscribed(list.len()),
            };
            todos.extend(self.session.hear(Event::Answer(here)).unwrap());
        }
    }

    fn read(&mut self) {
        while let Some(item) = self.session.next_item() {
            match item {
                Item::Reply(Reply::Puback(ack)) => self.answered.push(ack.packet_id.get()),
                Item::Reply(Reply::Suback(ack) | Reply::Unsuback(ack)) => {
                    self.answered.push(ack.packet_id.get());
                }
                Item::Send(parcel) => {
                    let id = NonZeroU16::new(parcel.sending.packet_id.unwrap()).unwrap();
                    assert!(self.in_flight.insert(id), "{id} is in flight twice");
                }
                other => panic!("{other:?}"),
            }
        }
        self.session.take_acks();
    }
}

/// Whatever a client sends and the log says, every request is answered once and in order, no more than
/// the window is in flight, and nothing panics.
#[test]
fn random_clients_are_answered_in_order() {
    for seed in 0..200_u64 {
        let mut state = seed;
        let mut below = |bound: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % bound
        };
        let quotas = Quotas { receive_maximum: u16::MAX, ..QUOTAS };
        let mut play = Play {
            session: Session::new(&connect(Level::V5), seed % 2 == 0, Vec::new(), &quotas),
            logged: VecDeque::new(),
            asked: Vec::new(),
            answered: Vec::new(),
            in_flight: BTreeSet::new(),
        };
        for n in 1..300 {
            let todos = play.step(n, &mut below);
            play.act(todos);
            play.read();
            assert!(play.in_flight.len() <= 2, "seed {seed}");
            assert_eq!(play.session.outflow().0, play.in_flight.len(), "seed {seed}");
            assert_eq!(play.answered, play.asked[..play.answered.len()], "seed {seed}");
            assert_eq!(play.session.open(), play.asked.len() - play.answered.len(), "seed {seed}");
        }
    }
}
