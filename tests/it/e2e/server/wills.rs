//! What the clients of a dead node left to be said.

use super::HOME;
use gable_tests::cluster::Cluster;
use gable_tests::mqtt::{Client, Hello, Missing, Packet};
use gable_tests::node::PATIENCE;
use gable_tests::wait;
use std::time::{Duration, Instant};

/// `mqtt.server.grace_s`.
const GRACE_S: u64 = 3;

fn hello(name: &str) -> Hello {
    Hello::new(name).with_will(&format!("status/{name}"), "offline")
}

/// A client that says it is there, as devices do.
#[track_caller]
fn appear(cluster: &Cluster, n: usize, name: &str) -> Client {
    let mut client = wait::until("the client to be let in", PATIENCE, || {
        Client::try_connect(cluster.mqtt()[n], &hello(name))
    });
    client.publish(&format!("status/{name}"), "online", 1, true);
    client
}

/// What is retained of a client's state.
#[track_caller]
fn state(cluster: &Cluster, n: usize, name: &str) -> String {
    let mut client = Client::connect(cluster.mqtt()[n], &Hello::new("asks"));
    client.subscribe(&format!("status/{name}"), 1);
    let message = client.wait_for(PATIENCE, |message| message.retain);
    client.leave();
    message.text()
}

#[test]
fn a_dead_nodes_wills_are_published_unless_the_client_came_back() {
    let mut cluster = Cluster::serve(&format!("grace_s = {GRACE_S}\n"), HOME);
    let a = cluster.leader();
    let (b, c) = ((a + 1) % 3, (a + 2) % 3);
    let _lost = appear(&cluster, a, "lost");
    let _quick = appear(&cluster, a, "quick");
    let _slow = appear(&cluster, a, "slow");
    let _elsewhere = appear(&cluster, b, "elsewhere");
    let mut watcher = Client::connect(cluster.mqtt()[b], &Hello::new("watcher"));
    watcher.subscribe("status/+", 1);
    for _ in 0..4 {
        watcher.wait_for(PATIENCE, |message| message.retain && message.text() == "online");
    }

    eprintln!("phase: the node with three of them dies; one comes back at once");
    cluster.nodes[a].kill();
    let killed = Instant::now();
    let mut quick = appear(&cluster, c, "quick");
    let mut offline = Vec::new();
    while offline.len() < 2 {
        let message = watcher.wait_for(PATIENCE, |message| message.text() == "offline");
        offline.push(message.topic);
        let after = killed.elapsed();
        assert!(after >= Duration::from_secs(GRACE_S), "{offline:?} said offline after {after:?}");
    }
    eprintln!("the wills came {:?} after the kill, with {GRACE_S} s of grace", killed.elapsed());
    offline.sort();
    assert_eq!(offline, ["status/lost", "status/slow"]);

    eprintln!("phase: another comes back late, and the node too");
    let mut slow = appear(&cluster, c, "slow");
    cluster.nodes[a].start();
    cluster.nodes[a].wait_until_ready();
    let _again = appear(&cluster, a, "again");
    // Longer than any will could wait still; the pings show that the connections stand.
    let settled = Instant::now() + Duration::from_secs(2 * GRACE_S);
    while let Ok(message) = watcher.message(settled.saturating_duration_since(Instant::now())) {
        assert_ne!(message.text(), "offline", "{} was said to be gone", message.topic);
    }
    quick.ping();
    slow.ping();
    for (name, wanted) in [
        ("quick", "online"),
        ("slow", "online"),
        ("elsewhere", "online"),
        ("again", "online"),
        ("lost", "offline"),
    ] {
        for n in 0..3 {
            assert_eq!(state(&cluster, n, name), wanted, "{name} at node {}", n + 1);
        }
    }
}

#[test]
fn a_node_that_comes_back_at_once_does_not_keep_its_clients_wills() {
    let mut cluster = Cluster::serve(&format!("grace_s = {GRACE_S}\n"), HOME);
    let a = cluster.follower();
    let _lost = appear(&cluster, a, "lost");
    let _back = appear(&cluster, a, "back");
    let mut watcher = Client::connect(cluster.mqtt()[(a + 1) % 3], &Hello::new("watcher"));
    watcher.subscribe("status/+", 1);
    cluster.nodes[a].kill();
    cluster.nodes[a].start();
    let mut back = appear(&cluster, a, "back");
    let message = watcher.wait_for(PATIENCE, |message| message.text() == "offline");
    assert_eq!(message.topic, "status/lost");
    back.ping();
    assert_eq!(state(&cluster, (a + 2) % 3, "back"), "online");
}

#[test]
fn a_node_that_slept_through_its_clients_wills_gives_the_clients_up() {
    let cluster = Cluster::serve(&format!("grace_s = {GRACE_S}\n"), HOME);
    let a = cluster.leader();
    let (b, c) = ((a + 1) % 3, (a + 2) % 3);
    let mut asleep = appear(&cluster, a, "asleep");
    let mut moved = appear(&cluster, a, "moved");
    let mut watcher = Client::connect(cluster.mqtt()[b], &Hello::new("watcher"));
    watcher.subscribe("status/+", 1);

    eprintln!("phase: their node stops in its tracks; one goes elsewhere, one waits");
    cluster.nodes[a].pause();
    let mut elsewhere = appear(&cluster, c, "moved");
    let message = watcher.wait_for(PATIENCE, |message| message.text() == "offline");
    assert_eq!(message.topic, "status/asleep");

    eprintln!("phase: it goes on");
    cluster.nodes[a].resume();
    for (name, client) in [("asleep", &mut asleep), ("moved", &mut moved)] {
        let ended = loop {
            match client.next(PATIENCE) {
                Ok(Packet::Disconnect { reason }) => eprintln!("{name} is told {reason:#04x}"),
                Ok(_) => {}
                Err(missing) => break missing,
            }
        };
        assert!(matches!(ended, Missing::Closed(_)), "{name} is still connected: {ended:?}");
    }
    elsewhere.ping();
    cluster.wait_until_equal();
    let _back = appear(&cluster, a, "asleep");
    for n in 0..3 {
        assert_eq!(state(&cluster, n, "asleep"), "online");
        assert_eq!(state(&cluster, n, "moved"), "online");
    }
}

#[test]
fn a_client_that_says_goodbye_and_comes_back_at_once_leaves_no_will() {
    let cluster = Cluster::serve("", HOME);
    let broker = cluster.mqtt()[cluster.leader()];
    let mut watcher = Client::connect(broker, &Hello::new("watcher"));
    watcher.subscribe("status/+", 0);
    for _ in 0..50 {
        let mut client = Client::connect(broker, &hello("hasty"));
        // Both are there when the older connection is read, and perhaps the next CONNECT as well.
        client.send_bytes(&[0xe0, 0]).expect("the connection stands");
    }
    let mut last = Client::connect(broker, &Hello::new("last"));
    last.publish("status/last", "done", 0, false);
    let message = watcher.message(PATIENCE).expect("the watcher hears the last word");
    assert_eq!((message.topic.as_str(), message.text().as_str()), ("status/last", "done"));
}
