//! `kill -9` of each node in turn while clients publish, go to other nodes and repeat.

use super::HOME;
use gable_tests::cluster::Cluster;
use gable_tests::mqtt::{Client, Hello};
use gable_tests::node::{Node, PATIENCE};
use gable_tests::roaming::{Heard, Listener, Load, Publisher, Taken, number};
use gable_tests::wait;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

/// How often each number is in a history.
fn numbers(history: &[Json]) -> BTreeMap<u64, u32> {
    let mut counts = BTreeMap::new();
    let load =
        history.iter().filter(|event| event["topic"].as_str().is_some_and(|it| it.starts_with("load/")));
    for number in load.filter_map(|event| event["payload"]["id"].as_u64()) {
        *counts.entry(number).or_insert(0) += 1;
    }
    counts
}

fn taken(publishers: &[Publisher]) -> Vec<Taken> {
    publishers.iter().flat_map(Publisher::taken).collect()
}

/// Six publishers, two of which begin at each node.
fn publishers(mqtt: &[SocketAddr], qos: u8) -> Vec<Publisher> {
    let ids = Arc::new(AtomicU64::new(1));
    let load = |n: usize| Load {
        client_id: format!("publisher-{n}"),
        nodes: (0..3).map(|turn| mqtt[(n + turn) % 3]).collect(),
        topic: format!("load/{n}"),
        qos,
        window: 4,
        pause: Duration::from_millis(5),
    };
    (0..6).map(|n| Publisher::start(load(n), ids.clone())).collect()
}

/// When a listener may have missed messages, from the last that it is known to have to its return.
type Absence = (usize, Instant, Instant);

/// Kills a node, waits until the load goes on and everything taken is with the survivors.
#[track_caller]
fn kill(cluster: &mut Cluster, n: usize, publishers: &[Publisher], listeners: &[Listener]) -> Absence {
    let known: BTreeSet<u64> = taken(publishers).into_iter().map(|taken| taken.number).collect();
    let from = Instant::now();
    wait::until("the listener of the node to have what was taken", PATIENCE, || {
        let heard = listeners[n].heard().counts();
        let missing = known.iter().filter(|number| !heard.contains_key(number)).count();
        (missing == 0).then_some(()).ok_or_else(|| format!("{missing} missing"))
    });
    let subscribed = listeners[n].subscribed();
    let before: Vec<usize> = publishers.iter().map(Publisher::count).collect();
    cluster.nodes[n].kill();
    let killed = Instant::now();
    wait::until("every publisher to go on", PATIENCE, || {
        let now: Vec<usize> = publishers.iter().map(Publisher::count).collect();
        let goes_on = now.iter().zip(&before).all(|(now, before)| *now >= before + 100);
        goes_on.then_some(()).ok_or_else(|| format!("{before:?} -> {now:?}"))
    });
    let instants = taken(publishers).into_iter().map(|taken| taken.done).filter(|done| *done >= killed);
    let mut instants: Vec<Instant> = instants.chain([killed]).collect();
    instants.sort_unstable();
    let gap = instants.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default();
    eprintln!("node {} killed: the longest gap between acknowledgements was {gap:?}", n + 1);

    let so_far = taken(publishers);
    for survivor in cluster.nodes.iter().filter(|node| node.is_running()) {
        wait::until("every acknowledged message in a survivor's history", PATIENCE, || {
            let found = numbers(&survivor.history()?);
            let missing = so_far.iter().filter(|taken| !found.contains_key(&taken.number)).count();
            (missing == 0).then_some(()).ok_or_else(|| format!("{missing} missing of {}", so_far.len()))
        });
    }
    cluster.nodes[n].start();
    cluster.nodes[n].wait_until_ready();
    listeners[n].wait_until_subscribed(subscribed + 1);
    (n, from, Instant::now())
}

/// No acknowledged message is missed by a listener whose node was up.
#[track_caller]
fn check_listener(n: usize, listener: &Listener, all: &[Taken], absences: &[Absence]) {
    let is_owed = |taken: &&Taken| {
        absences.iter().all(|(node, from, to)| *node != n || taken.done < *from || taken.sent > *to)
    };
    wait::until("every acknowledged message at the listeners", PATIENCE, || {
        let heard = listener.heard().counts();
        let owed = all.iter().filter(is_owed).map(|taken| taken.number);
        let missing: Vec<u64> = owed.filter(|number| !heard.contains_key(number)).collect();
        missing.is_empty().then_some(()).ok_or_else(|| format!("listener {n} misses {missing:?}"))
    });
}

#[track_caller]
fn check(qos: u8) {
    let mut cluster = Cluster::serve("", HOME);
    let mqtt = cluster.mqtt();
    let listeners: Vec<Listener> =
        (0..3).map(|n| Listener::start(&format!("listener-{n}"), mqtt[n], "load/+", qos)).collect();
    let publishers = publishers(&mqtt, qos);
    wait::until("a load that means something", PATIENCE, || {
        let count = taken(&publishers).len();
        (count > 500).then_some(()).ok_or_else(|| format!("{count} messages acknowledged"))
    });

    let leader = cluster.leader();
    let order = [leader, (leader + 1) % 3, (leader + 2) % 3];
    let mut absences = Vec::new();
    for n in order {
        eprintln!("phase: node {} dies{}", n + 1, if n == cluster.leader() { ", the leader" } else { "" });
        absences.push(kill(&mut cluster, n, &publishers, &listeners));
    }

    let done: Vec<_> = publishers.into_iter().map(Publisher::finish).collect();
    let all: Vec<Taken> = done.iter().flat_map(|done| done.taken.iter().copied()).collect();
    assert_eq!(done.iter().map(|done| done.strange).sum::<u64>(), 0, "a node did not know a session");
    let history = numbers(&cluster.equal_history());
    let missing: Vec<u64> =
        all.iter().map(|taken| taken.number).filter(|number| !history.contains_key(number)).collect();
    assert!(missing.is_empty(), "acknowledged and not in the history: {missing:?}");
    for (n, listener) in listeners.iter().enumerate() {
        check_listener(n, listener, &all, &absences);
        assert!(listener.heard().garbage.is_empty(), "{:?}", listener.heard().garbage);
    }
    let doubled = history.values().filter(|count| **count > 1).count();
    eprintln!(
        "QoS {qos}: {} messages acknowledged, {} sent again, {} moves to another node, {doubled} twice in \
         the history, {} more than once at a listener",
        all.len(),
        done.iter().map(|done| done.resent).sum::<u64>(),
        done.iter().map(|done| done.moves).sum::<u64>(),
        listeners
            .iter()
            .map(|it| it.heard().counts().values().filter(|count| **count > 1).count())
            .sum::<usize>(),
    );
    if qos == 2 {
        assert_eq!(doubled, 0, "exactly once");
    }
    let logs = || cluster.nodes.iter().map(Node::log_end).collect::<String>();
    assert!(doubled <= done.iter().map(|done| done.resent).sum::<u64>() as usize, "{}", logs());
}

#[test]
fn killing_each_node_loses_no_acknowledged_message() {
    check(1);
}

#[test]
fn killing_each_node_takes_messages_of_qos_2_exactly_once() {
    check(2);
}

#[test]
fn killing_all_nodes_at_once_keeps_what_was_promised() {
    let mut cluster = Cluster::serve("", HOME);
    let mqtt = cluster.mqtt();
    let hello = Hello::lasting("sleeper");
    let mut sleeper = Client::connect(mqtt[0], &hello);
    sleeper.subscribe("load/+", 1);
    drop(sleeper);
    let publishers = publishers(&mqtt, 1);
    let mut device = Client::connect(mqtt[1], &Hello::new("device"));
    device.publish("status/device", "retained", 1, true);
    wait::until("a load that means something", PATIENCE, || {
        let count = taken(&publishers).len();
        (count > 500).then_some(()).ok_or_else(|| format!("{count} messages acknowledged"))
    });
    for node in &mut cluster.nodes {
        node.kill();
    }
    let killed = Instant::now();
    let before = taken(&publishers).len();
    cluster.start_all();
    wait::until("the load to go on", PATIENCE, || {
        let count = taken(&publishers).len();
        (count > before + 200).then_some(()).ok_or_else(|| format!("{before} -> {count}"))
    });
    eprintln!("the load goes on {:?} after the kill of all nodes", killed.elapsed());
    let done: Vec<_> = publishers.into_iter().map(Publisher::finish).collect();
    assert_eq!(done.iter().map(|done| done.strange).sum::<u64>(), 0, "a node did not know a session");
    let mut missing: BTreeSet<u64> =
        done.iter().flat_map(|done| &done.taken).map(|taken| taken.number).collect();
    let history = numbers(&cluster.equal_history());
    assert!(missing.iter().all(|number| history.contains_key(number)), "acknowledged and not in the history");

    let mut sleeper = Client::connect(mqtt[2], &hello);
    assert!(sleeper.session_present, "the session outlives all nodes");
    let mut heard = Heard::default();
    while !missing.is_empty() {
        let message = sleeper.message(PATIENCE);
        let message = message.unwrap_or_else(|why| panic!("{why:?}: {missing:?} were acknowledged"));
        heard.take(&mut sleeper, &message).expect("the connection stands");
        missing.remove(&number(&message).unwrap_or_default());
    }
    let mut asks = Client::connect(mqtt[0], &Hello::new("asks"));
    asks.subscribe("status/device", 1);
    assert_eq!(asks.wait_for(PATIENCE, |message| message.retain).text(), "retained");
}
