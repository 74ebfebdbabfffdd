//! What has to be true of the broker's rows whatever clients do.

use super::*;
use crate::apply::tests::Numbers;
use crate::{Hlc, InputKind, LogIndex, Origin, State};
use gable_devices::{Millis, QoS};

fn of<T: Clone>(numbers: &mut Numbers, choices: &[T]) -> T {
    choices[usize::try_from(numbers.below(choices.len() as u64)).unwrap()].clone()
}

fn chance(numbers: &mut Numbers, of: u64) -> bool {
    numbers.below(of) == 0
}

fn qos(numbers: &mut Numbers) -> QoS {
    of(numbers, &[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
}

const CLIENTS: [&str; 4] = ["a", "b", "c", "d"];
const TOPICS: [&str; 4] = ["t/1", "t/2", "u", "t/1/x"];
const FILTERS: [&str; 6] = ["t/+", "t/#", "u", "#", "$share/g/t/+", "$share/g/#"];

fn action(numbers: &mut Numbers, now: Timestamp) -> ClientAction {
    let publication = |numbers: &mut Numbers| {
        let mut publication = Publication {
            topic: of(numbers, &TOPICS).to_owned(),
            payload: vec![b'x'; usize::try_from(numbers.below(3) * 40).unwrap()],
            qos: qos(numbers),
            retain: chance(numbers, 4),
            ..Publication::default()
        };
        let expiry = chance(numbers, 5).then(|| u32::try_from(numbers.below(5)).unwrap());
        publication.properties.message_expiry_interval = expiry;
        publication
    };
    let packet_id = |numbers: &mut Numbers| u16::try_from(1 + numbers.below(12)).unwrap();
    match numbers.below(16) {
        0 | 1 => ClientAction::Connect(Connect {
            clean_start: chance(numbers, 3),
            session_expiry_interval: of(numbers, &[0, 2, 50, NEVER]),
            will: chance(numbers, 2).then(|| Will {
                publication: publication(numbers),
                delay_interval: of(numbers, &[0, 1, 30]),
            }),
            // Now and then it has waited for the log, and for too long.
            heard: Timestamp(now.0 - i64::from(of(numbers, &[0, 0, 0, 700, 1_500]))),
            ..Connect::default()
        }),
        2..=6 => ClientAction::Publish {
            publication: publication(numbers),
            packet_id: chance(numbers, 3).then(|| packet_id(numbers)),
            dup: chance(numbers, 3),
        },
        7 => ClientAction::Release { packet_id: packet_id(numbers) },
        8 | 9 => {
            let options = SubscribeOptions {
                qos: qos(numbers),
                no_local: chance(numbers, 4),
                subscription_identifier: chance(numbers, 2).then_some(3),
                ..SubscribeOptions::default()
            };
            ClientAction::Subscribe { subscriptions: vec![(of(numbers, &FILTERS).to_owned(), options)] }
        }
        10 => ClientAction::Unsubscribe { filters: vec![of(numbers, &FILTERS).to_owned()] },
        11..=14 => {
            let acks = (0..6).map(|_| (packet_id(numbers), of(numbers, &[Ack::Complete, Ack::Received])));
            ClientAction::Acknowledge { acks: acks.collect() }
        }
        _ => ClientAction::Disconnect {
            sends_will: chance(numbers, 2),
            session_expiry_interval: chance(numbers, 3).then_some(7),
        },
    }
}

fn random_kind(numbers: &mut Numbers, state: &State, now: Timestamp) -> InputKind {
    match numbers.below(20) {
        0 => InputKind::NodeSeen { node: NodeId(numbers.below(2)), up: chance(numbers, 2) },
        1 | 2 if state.next_deadline().is_some() => InputKind::TimerDue(state.next_deadline().unwrap().1),
        _ => {
            let client_id = of(numbers, &CLIENTS);
            // Mostly the connection that counts.
            let current = state.broker().connection(client_id).map(|it| it.id.number);
            let connection = current.filter(|_| !chance(numbers, 10)).unwrap_or_else(|| numbers.below(9));
            InputKind::Client(ClientInput {
                client_id: client_id.to_owned(),
                connection,
                action: action(numbers, now),
            })
        }
    }
}

#[test]
fn whatever_clients_do_replicas_stay_equal_and_nothing_leaks() {
    let limits = BrokerLimits {
        clients_max: 3,
        subscriptions_max: 4,
        retained_max: 3,
        queue_max: 8,
        queue_bytes_max: 1_500,
        grace: Millis::from_secs(2),
        patience: Millis::from_secs(1),
        ..BrokerLimits::default()
    };
    for seed in 0..40 {
        let mut numbers = Numbers(seed);
        let mut replicas = [State::new(), State::new()];
        let (mut now, mut sequences) = (0, [(1, 0), (1, 0)]);
        for step in 0..400 {
            now += i64::try_from(numbers.below(900)).unwrap();
            let node = usize::try_from(numbers.below(2)).unwrap();
            if chance(&mut numbers, 60) {
                sequences[node] = (sequences[node].0 + 1, 0);
            }
            sequences[node].1 += 1;
            let (boot, sequence) = sequences[node];
            let origin = Origin { node: NodeId(node as u64), boot, sequence };
            let kind = match step {
                0 | 1 => InputKind::Serve(Some(limits)),
                _ => random_kind(&mut numbers, &replicas[0], Timestamp(now)),
            };
            let input = Input { at: Timestamp(now), origin, heard: Hlc::default(), kind };
            let answers = replicas.each_mut().map(|state| {
                let effects = state.apply(LogIndex(step / 2), &input);
                (effects, state.take_outputs())
            });
            assert_eq!(answers[0], answers[1], "seed {seed} step {step}");
            let snapshot = replicas[0].snapshot();
            assert!(snapshot == replicas[1].snapshot(), "seed {seed} step {step}");
            replicas[1] = State::restore(&snapshot).unwrap();
            check_rows(&replicas[0].rows.broker, &limits, &format!("seed {seed} step {step} {input:?}"));
        }
    }
}

/// What has to be true at any time.
fn check_rows(broker: &Broker, limits: &BrokerLimits, what: &str) {
    assert!(broker.clients.len() <= limits.clients_max as usize, "{what}");
    assert!(broker.retained.len() <= limits.retained_max as usize, "{what}");
    assert!(broker.messages.bytes() <= limits.queue_bytes_max, "{what}");
    assert!(broker.unheard.is_empty() && broker.outputs.is_empty(), "{what}");
    let mut uses = BTreeMap::new();
    for (client_id, client) in &broker.clients {
        assert_ne!(client, &Client::default(), "{client_id} is nobody: {what}");
        let Some(session) = &client.session else { continue };
        assert!(session.queue_len() <= limits.queue_max as usize, "{what}");
        assert!(session.subscriptions.len() <= limits.subscriptions_max as usize, "{what}");
        let mut packet_ids = BTreeSet::new();
        for queued in session.queue() {
            assert!(packet_ids.insert(queued.packet_id) && queued.packet_id > 0, "{what}");
            assert!(broker.sending(queued).is_some(), "{client_id} waits for what is gone: {what}");
            *uses.entry(queued.message).or_insert(0) += 1;
        }
        for filter in session.subscriptions.keys().filter(|filter| split_shared(filter).is_none()) {
            let topic = filter.replace('+', "1").replace('#', "x");
            let found = broker.index.matches(&topic).get(client_id).is_some_and(|it| it.contains(&&**filter));
            assert!(found, "{client_id} {filter}: {what}");
        }
    }
    assert_eq!(broker.messages.uses(), uses, "{what}");
}
