//! One broker for all nodes: each message is proposed once, and a survivor takes over.

use super::bench::{Bench, attached, configure, counts, edge, history, proposals, until};
use super::broker::Mosquitto;
use super::device::Device;
use gable::mqtt::Mqtt;
use gable::raft::Replica;
use gable_broker_config::Settings;
use std::collections::BTreeSet;

fn shared(node: u64, broker: &Mosquitto) -> Settings {
    let mut settings = attached(node, broker);
    settings.mqtt.shared_broker = true;
    settings
}

async fn until_ready(replica: &Replica, nodes: usize) {
    until("the nodes' links in the log", || {
        replica.read(|state| state.nodes().filter(|(_, node)| node.is_ready()).count() == nodes)
    })
    .await;
}

/// Publishes `range` on several topics, which different nodes own.
async fn publish(device: &mut Device, range: std::ops::Range<u32>) {
    for n in range {
        device.publish(&format!("in/{}", n % 10), &n.to_string()).await;
    }
}

async fn until_once(replica: &Replica, count: usize) {
    until("the messages", || history(replica).len() >= count).await;
    let found = history(replica);
    let distinct: BTreeSet<_> = found.iter().collect();
    if (found.len(), distinct.len()) != (count, count) {
        let doubled: Vec<_> = distinct
            .into_iter()
            .filter(|one| found.iter().filter(|other| other == one).count() > 1)
            .collect();
        let proposals = proposals(replica);
        let of_doubled =
            proposals.iter().filter(|line| doubled.iter().any(|one| line.ends_with(one.as_str())));
        panic!(
            "{} messages, not {count}:\n{}",
            found.len(),
            of_doubled.cloned().collect::<Vec<_>>().join("\n")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_message_is_proposed_once_and_a_survivor_takes_over() {
    let Some(broker) = Mosquitto::start() else { return };
    let bench = Bench::new(3);
    let mut replicas = Vec::new();
    for node in 1..=3 {
        replicas.push(bench.replica(node).await);
    }
    configure(&replicas[0]).await;
    let mut edges: Vec<Mqtt> = Vec::new();
    for (node, replica) in (1..).zip(&replicas) {
        edges.push(edge(&shared(node, &broker), replica).await);
    }
    until_ready(&replicas[0], 3).await;
    let mut device = Device::connect(broker.port(), "device").await;
    publish(&mut device, 0..100).await;
    until_once(&replicas[0], 100).await;
    for mqtt in &edges {
        let status = counts(mqtt);
        assert!((10..=60).contains(&status.proposed), "each node has its share: {status:?}");
        until("the acknowledgements", || counts(mqtt).acknowledged == 100).await;
    }

    // A node dies without a word; messages come while nobody knows it yet.
    let (mqtt, replica) = (edges.pop().unwrap(), replicas.pop().unwrap());
    drop(mqtt);
    replica.halt().await;
    drop(replica);
    publish(&mut device, 100..200).await;
    until_once(&replicas[0], 200).await;

    // It comes back. What the broker had queued for it was taken by the others.
    let replica = bench.replica(3).await;
    let mqtt = edge(&shared(3, &broker), &replica).await;
    until_ready(&replicas[0], 3).await;
    publish(&mut device, 200..300).await;
    until_once(&replicas[0], 300).await;
    assert!(counts(&mqtt).proposed > 0, "{:?}", counts(&mqtt));
    for replica in replicas.iter().chain([&replica]) {
        replica.halt().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_while_all_nodes_are_away_is_taken_once() {
    let Some(broker) = Mosquitto::start() else { return };
    let bench = Bench::new(2);
    let mut device = Device::connect(broker.port(), "device").await;
    let mut count = 0;
    for round in 0..2 {
        let replicas = [bench.replica(1).await, bench.replica(2).await];
        if round == 0 {
            configure(&replicas[0]).await;
        }
        let mut edges = Vec::new();
        for (node, replica) in (1..).zip(&replicas) {
            edges.push(Mqtt::start(&shared(node, &broker), replica.clone()).await.unwrap());
        }
        until_ready(&replicas[0], 2).await;
        publish(&mut device, count..count + 20).await;
        count += 20;
        until_once(&replicas[0], count as usize).await;
        // It is of no importance whether all of them are acknowledged.
        drop(edges);
        for replica in replicas {
            replica.halt().await;
        }
        // The broker keeps these for both nodes.
        publish(&mut device, count..count + 20).await;
        count += 20;
    }
}
