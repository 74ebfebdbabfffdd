//! An acknowledgement means: on the disks of a majority.

use super::HOME;
use gable_tests::cluster::Cluster;
use gable_tests::mqtt::{Ack, Client, Hello, Missing, Packet, Publish};
use gable_tests::node::PATIENCE;
use gable_tests::wait;
use std::time::{Duration, Instant};

/// `mqtt.server.ack_patience_s`.
const PATIENCE_S: u64 = 3;

fn publish<'a>(topic: &'a str, qos: u8, packet_id: u16, dup: bool) -> Publish<'a> {
    Publish { topic, payload: b"once", qos, retain: false, dup, packet_id: Some(packet_id) }
}

/// Everything that comes until the connection ends.
#[track_caller]
fn rest(client: &mut Client) -> Vec<Packet> {
    let mut packets = Vec::new();
    loop {
        match client.next(Duration::from_secs(4 * PATIENCE_S)) {
            Ok(packet) => packets.push(packet),
            Err(Missing::Closed(_)) => return packets,
            Err(missing) => panic!("the connection goes on: {missing:?} after {packets:?}"),
        }
    }
}

/// With the majority gone nothing is acknowledged, and the client is sent away in time; when it is
/// back, what the client repeats is taken.
#[track_caller]
fn check(is_leader: bool) {
    let mut cluster = Cluster::serve(&format!("ack_patience_s = {PATIENCE_S}\n"), HOME);
    let cut_off = if is_leader { cluster.leader() } else { cluster.follower() };
    let address = cluster.mqtt()[cut_off];
    let mut watcher = Client::connect(address, &Hello::lasting("watcher"));
    watcher.subscribe("commit/+", 2);
    let hello = Hello::lasting("device");
    let mut device = Client::connect(address, &hello);
    let mut old = Client::connect(address, &Hello { level: 4, ..Hello::new("old") });
    device.publish("commit/before", "taken", 1, false);

    eprintln!("phase: two nodes die");
    for n in (0..3).filter(|n| *n != cut_off) {
        cluster.nodes[n].kill();
    }
    let started = Instant::now();
    device.send(&publish("commit/one", 1, 100, false)).expect("the connection stands");
    device.send(&publish("commit/two", 2, 101, false)).expect("the connection stands");
    old.send(&publish("commit/old", 1, 100, false)).expect("the connection stands");
    let packets = rest(&mut device);
    let took = started.elapsed();
    assert_eq!(packets, [Packet::Disconnect { reason: 0x89 }], "server busy, and nothing else");
    assert!(took >= Duration::from_secs(PATIENCE_S), "it was sent away after {took:?}");
    assert!(took < Duration::from_secs(PATIENCE_S + 3), "it was sent away after {took:?}");
    assert_eq!(rest(&mut old), [], "MQTT 3.1.1 has no word for it");
    let refused = Client::try_connect(address, &Hello::new("another"));
    assert_eq!(refused.err().as_deref(), Some("CONNACK 0x88"), "server unavailable");
    let heard = watcher.message(Duration::from_millis(1)).map(|message| message.topic);
    assert_eq!(heard.as_deref(), Ok("commit/before"));
    let heard = watcher.message(Duration::from_millis(1));
    assert!(heard.is_err(), "delivered before it was committed: {heard:?}");

    eprintln!("phase: they are back, and the client repeats what was not acknowledged");
    cluster.start_all();
    let mut device = wait::until("the client to be let in", PATIENCE, || {
        Client::try_connect(cluster.mqtt()[cut_off], &hello)
    });
    assert!(device.session_present, "the session of the client that was sent away");
    device.send(&publish("commit/one", 1, 100, true)).expect("the connection stands");
    device.send(&publish("commit/two", 2, 101, true)).expect("the connection stands");
    for ack in [Ack::Puback, Ack::Pubrec] {
        let packet = device.next(PATIENCE);
        assert!(matches!(packet, Ok(Packet::Ack { ack: found, reason: 0..=0x7f, .. }) if found == ack));
    }
    device.send_ack(Ack::Pubrel, 101).expect("the connection stands");
    let packet = device.next(PATIENCE);
    assert!(matches!(packet, Ok(Packet::Ack { ack: Ack::Pubcomp, reason: 0, .. })), "{packet:?}");

    let history = cluster.equal_history();
    let count = |topic: &str| history.iter().filter(|event| event["topic"] == topic).count();
    assert_eq!(count("commit/one"), 1, "the session knows what was repeated");
    assert_eq!(count("commit/two"), 1, "exactly once");
    assert_eq!(count("commit/before"), 1);
}

#[test]
fn a_follower_without_a_majority_acknowledges_nothing() {
    check(false);
}

#[test]
fn a_leader_without_a_majority_acknowledges_nothing() {
    check(true);
}
