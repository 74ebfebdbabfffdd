//! What is retained outlives the node that it was published at.

use super::HOME;
use gable_tests::cluster::Cluster;
use gable_tests::mqtt::{Ack, Client, Hello, Packet, Publish};
use gable_tests::node::PATIENCE;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How many devices announce themselves.
const CONFIGS: usize = 5_000;

/// How many of them are under way at once.
const WINDOW: usize = 100;

fn topic(n: usize) -> String {
    format!("homeassistant/sensor/device_{n}/temperature/config")
}

fn config(n: usize) -> String {
    format!(
        r#"{{"name":"Temperature","uniq_id":"device_{n}_temperature","stat_t":"zigbee2mqtt/device_{n}","dev_cla":"temperature","unit_of_meas":"°C","val_tpl":"{{{{ value_json.temperature }}}}","dev":{{"ids":["device_{n}"],"name":"Device {n}","mf":"Nobody","mdl":"T1"}}}}"#
    )
}

/// Publishes all, and waits for every acknowledgement.
#[track_caller]
fn announce(client: &mut Client) {
    let mut open = BTreeMap::new();
    for n in 0..CONFIGS {
        let (packet_id, topic, payload) = (client.packet_id(), topic(n), config(n));
        let publish = Publish {
            topic: &topic,
            payload: payload.as_bytes(),
            qos: 1,
            retain: true,
            dup: false,
            packet_id: Some(packet_id),
        };
        client.send(&publish).expect("the connection stands");
        open.insert(packet_id, n);
        while open.len() >= WINDOW || (n + 1 == CONFIGS && !open.is_empty()) {
            match client.next(PATIENCE) {
                Ok(Packet::Ack { ack: Ack::Puback, packet_id, reason }) => {
                    assert!(reason < 0x80, "config {:?}: {reason:#04x}", open.get(&packet_id));
                    open.remove(&packet_id);
                }
                other => panic!("{} configs wait for PUBACK: {other:?}", open.len()),
            }
        }
    }
}

/// Subscribes and waits for all of them, each once and as it was published.
#[track_caller]
fn check(client_id: &str, cluster: &Cluster, n: usize, qos: u8) {
    let started = Instant::now();
    let mut client = Client::connect(cluster.mqtt()[n], &Hello::new(client_id));
    client.subscribe("homeassistant/#", qos);
    let mut found = BTreeMap::new();
    while found.len() < CONFIGS {
        let message = match client.message(PATIENCE) {
            Ok(message) => message,
            Err(missing) => panic!("{missing:?} after {} of {CONFIGS}", found.len()),
        };
        assert!(message.retain && message.qos == qos, "{message:?}");
        if let Some(packet_id) = message.packet_id {
            client.send_ack(Ack::Puback, packet_id).expect("the connection stands");
        }
        let text = message.text();
        assert_eq!(found.insert(message.topic.clone(), text), None, "{} came twice", message.topic);
    }
    let took = started.elapsed();
    for n in 0..CONFIGS {
        assert_eq!(found.get(&topic(n)), Some(&config(n)));
    }
    let more = client.message(Duration::from_millis(50));
    assert!(more.is_err(), "{more:?}");
    eprintln!("{CONFIGS} retained configs at QoS {qos} in {took:?}");
}

#[test]
fn five_thousand_configs_outlive_the_node_they_were_published_at() {
    let mut cluster = Cluster::serve("", HOME);
    let a = cluster.leader();
    let started = Instant::now();
    announce(&mut Client::connect(cluster.mqtt()[a], &Hello::new("zigbee2mqtt")));
    eprintln!("{CONFIGS} configs published and acknowledged in {:?}", started.elapsed());

    cluster.nodes[a].kill();
    let b = cluster.follower();
    check("home-assistant-0", &cluster, b, 0);
    check("home-assistant-1", &cluster, b, 1);
    let c = (0..3).find(|n| *n != a && *n != b).expect("there are three nodes");
    check("home-assistant-2", &cluster, c, 1);

    cluster.nodes[a].start();
    cluster.nodes[a].wait_until_ready();
    cluster.wait_until_equal();
    check("home-assistant-3", &cluster, a, 1);
}
