//! A client with a session goes on at another node where it was.

use super::HOME;
use gable_tests::cluster::Cluster;
use gable_tests::mqtt::{Ack, Client, Hello, Missing, Packet, Publish};
use gable_tests::node::PATIENCE;
use gable_tests::roaming::{Heard, Load, Publisher};
use gable_tests::wait;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

/// Four publishers at one node, each with a topic of its own.
fn publishers(node: SocketAddr, qos: u8) -> Vec<Publisher> {
    let numbers = Arc::new(AtomicU64::new(1));
    let load = |n: usize| Load {
        client_id: format!("publisher-{n}"),
        nodes: vec![node],
        topic: format!("load/{n}"),
        qos,
        window: 8,
        pause: Duration::from_millis(10),
    };
    (0..4).map(|n| Publisher::start(load(n), numbers.clone())).collect()
}

fn count(publishers: &[Publisher]) -> usize {
    publishers.iter().map(Publisher::count).sum()
}

/// Listens until `is_enough`; an error if the connection ends before.
fn listen(client: &mut Client, heard: &mut Heard, is_enough: impl Fn(&Heard) -> bool) -> Result<(), Missing> {
    let lost = |error: std::io::Error| Missing::Closed(error.to_string());
    let started = Instant::now();
    while !is_enough(heard) {
        assert!(started.elapsed() < PATIENCE, "{} messages came, and no more", heard.arrivals.len());
        match client.next_of_all(Duration::from_millis(100)) {
            Ok(Packet::Publish(message)) => drop(heard.take(client, &message).map_err(lost)?),
            Ok(Packet::Ack { ack: Ack::Pubrel, packet_id, .. }) => {
                heard.release(client, packet_id).map_err(lost)?;
            }
            Ok(Packet::Disconnect { reason }) => {
                return Err(Missing::Closed(format!("DISCONNECT {reason:#04x}")));
            }
            Ok(_) | Err(Missing::Silence) => {}
            Err(missing) => return Err(missing),
        }
    }
    Ok(())
}

/// Nothing in a topic comes before what was published before it, but for what had come already.
#[track_caller]
fn check_order(heard: &Heard) {
    let mut seen = BTreeSet::new();
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    for arrival in &heard.arrivals {
        if !seen.insert(arrival.number) {
            assert!(arrival.dup, "{arrival:?} came again and is not marked");
            continue;
        }
        let before = last.insert(&arrival.topic, arrival.number);
        assert!(before < Some(arrival.number), "{arrival:?} came behind {before:?}");
    }
}

/// The subscriber's node dies twice: with it the leader, and then a follower.
#[track_caller]
fn check(qos: u8) {
    let mut cluster = Cluster::serve("", HOME);
    let mqtt = cluster.mqtt();
    let a = cluster.leader();
    let (b, c) = ((a + 1) % 3, (a + 2) % 3);
    let hello = Hello::lasting("subscriber");
    let mut heard = Heard::default();
    let mut client = Client::connect(mqtt[a], &hello);
    client.subscribe("load/+", qos);
    let publishers = publishers(mqtt[c], qos);

    let mut gaps = Vec::new();
    for (from, to) in [(a, b), (b, a)] {
        let before = heard.arrivals.len();
        let listened = listen(&mut client, &mut heard, |heard| heard.arrivals.len() >= before + 300);
        listened.expect("the connection stands until its node is killed");
        eprintln!("phase: node {} dies, the client goes to node {}", from + 1, to + 1);
        let known = count(&publishers);
        cluster.nodes[from].kill();
        let killed = Instant::now();
        let ended = listen(&mut client, &mut heard, |_| false);
        assert!(ended.is_err(), "its node is dead");
        wait::until("messages to be taken while the client is away", PATIENCE, || {
            let now = count(&publishers);
            (now >= known + 100).then_some(()).ok_or_else(|| format!("{known} -> {now}"))
        });
        client = wait::until("the client to be let in", PATIENCE, || Client::try_connect(mqtt[to], &hello));
        assert!(client.session_present, "its session is at every node");
        let before = heard.arrivals.len();
        let listened = listen(&mut client, &mut heard, |heard| heard.arrivals.len() > before);
        listened.expect("the connection stands");
        gaps.push(killed.elapsed());
        cluster.nodes[from].start();
        cluster.nodes[from].wait_until_ready();
    }

    let done: Vec<_> = publishers.into_iter().map(Publisher::finish).collect();
    let taken: BTreeSet<u64> = done.iter().flat_map(|done| &done.taken).map(|taken| taken.number).collect();
    let has_all = |heard: &Heard| {
        let counts = heard.counts();
        taken.iter().all(|number| counts.contains_key(number))
    };
    if listen(&mut client, &mut heard, has_all).is_err() {
        panic!("the connection ended with {} of {} messages", heard.counts().len(), taken.len());
    }
    assert!(heard.garbage.is_empty(), "{:?}", heard.garbage);
    check_order(&heard);
    let doubled = heard.counts().values().filter(|count| **count > 1).count();
    let marked = heard.arrivals.iter().filter(|arrival| arrival.dup).count();
    eprintln!(
        "QoS {qos}: {} messages acknowledged, none missing; {doubled} came twice, {marked} were marked as \
         repetitions; from the kill to the next message {gaps:?}",
        taken.len()
    );
    if qos == 2 {
        assert_eq!(doubled, 0, "exactly once");
    }
}

#[test]
fn a_session_of_qos_1_goes_on_at_another_node_without_a_loss() {
    check(1);
}

#[test]
fn a_session_of_qos_2_goes_on_at_another_node_exactly_once() {
    check(2);
}

/// Sends a message and waits until it is done with.
#[track_caller]
fn repeat(client: &mut Client, publish: &Publish<'_>) {
    client.send(publish).expect("the connection stands");
    let steps: &[Ack] = if publish.qos == 1 { &[Ack::Puback] } else { &[Ack::Pubrec, Ack::Pubcomp] };
    for step in steps {
        match client.next(PATIENCE) {
            Ok(Packet::Ack { ack, packet_id, reason: 0..=0x7f }) if ack == *step => {
                assert_eq!(Some(packet_id), publish.packet_id);
            }
            other => panic!("no {step:?} for {publish:?}: {other:?}"),
        }
        if *step == Ack::Pubrec {
            client.send_ack(Ack::Pubrel, publish.packet_id.unwrap_or_default()).expect("it stands");
        }
    }
}

#[test]
fn what_a_sleeping_node_has_of_a_client_that_moved_is_not_taken() {
    let cluster = Cluster::serve("", HOME);
    let mqtt = cluster.mqtt();
    let a = cluster.leader();
    let b = (a + 1) % 3;
    let hello = Hello::lasting("device");
    let mut stuck = Client::connect(mqtt[a], &hello);
    let message = |qos, payload| Publish {
        topic: if qos == 1 { "moved/one" } else { "moved/two" },
        payload,
        qos,
        retain: true,
        dup: false,
        packet_id: Some(8 + u16::from(qos)),
    };
    let again = |publish| Publish { dup: true, ..publish };

    eprintln!("phase: the node stops in its tracks; its client goes elsewhere and repeats");
    cluster.nodes[a].pause();
    stuck.send(&message(1, b"first")).expect("the system takes it for the node");
    stuck.send(&message(2, b"first")).expect("the system takes it for the node");
    let mut moved = wait::until("the client to be let in", PATIENCE, || Client::try_connect(mqtt[b], &hello));
    assert!(moved.session_present, "its session is at every node");
    for qos in [1, 2] {
        repeat(&mut moved, &again(message(qos, b"first")));
        repeat(&mut moved, &message(qos, b"second"));
    }

    eprintln!("phase: the node goes on, with the client's bytes still in its socket");
    cluster.nodes[a].resume();
    while let Ok(packet) = stuck.next(PATIENCE) {
        assert!(!matches!(packet, Packet::Ack { .. }), "the old connection gets {packet:?}");
    }
    // What a node proposes is committed in its order: this comes behind whatever was left.
    let mut last =
        wait::until("the node to serve", PATIENCE, || Client::try_connect(mqtt[a], &Hello::new("last")));
    last.publish("last", "last", 1, false);
    for qos in [1, 2] {
        repeat(&mut moved, &message(qos, b"third"));
    }
    let history = cluster.equal_history();
    for topic in ["moved/one", "moved/two"] {
        let found = history.iter().filter(|event| event["topic"] == topic);
        let found: Vec<&str> = found.filter_map(|event| event["payload"].as_str()).collect();
        assert_eq!(found, ["first", "second", "third"], "{topic}");
    }
}
