//! What goes out: every promised command at least once, also over a broker that was away.

use super::bench::{
    Bench, attached, configure, counts, edge, embedded, history, single, until, until_history, within,
};
use super::broker::Mosquitto;
use super::device::Device;
use gable::raft::Replica;
use gable_rules::{InputKind, Message, NodeId};

/// Lets the home promise a publish, without any broker.
async fn promise(replica: &Replica, payload: &str) {
    let message = Message { topic: "go".into(), payload: payload.into(), ..Message::default() };
    within(replica.propose(InputKind::Message(message))).await.unwrap();
}

async fn until_settled(replica: &Replica) {
    until("the outbox to be empty", || replica.read(|state| state.outbox().count()) == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_published_and_settled() {
    let (_bench, replica) = single().await;
    let mqtt = edge(&embedded(), &replica).await;
    let mut device = Device::connect(mqtt.embedded_address().unwrap().port(), "device").await;
    device.subscribe("out").await;
    device.publish("go", "1").await;
    let heard = device.hear().await;
    assert_eq!((heard.topic.as_str(), &heard.payload[..]), ("out", &b"1"[..]));
    until_settled(&replica).await;
    assert_eq!(counts(&mqtt).published, 1);
    replica.halt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_waits_for_a_broker_that_is_away() {
    let Some(mut broker) = Mosquitto::start() else { return };
    let (_bench, replica) = single().await;
    let mqtt = edge(&attached(1, &broker), &replica).await;
    broker.stop();
    until("the link to be down", || !counts(&mqtt).link_up).await;
    promise(&replica, "1").await;
    assert_eq!(replica.read(|state| state.outbox().count()), 1);
    broker.resume();
    // The publish is retained, so it does not matter who connects first.
    let mut device = Device::connect(broker.port(), "device").await;
    device.subscribe("out").await;
    assert_eq!(&device.hear().await.payload[..], b"1");
    until_settled(&replica).await;
    replica.halt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_of_an_earlier_process_is_published() {
    let Some(broker) = Mosquitto::start() else { return };
    let bench = Bench::new(1);
    let replica = bench.replica(1).await;
    configure(&replica).await;
    promise(&replica, "1").await;
    replica.halt().await;
    drop(replica);
    let replica = bench.replica(1).await;
    let mqtt = edge(&attached(1, &broker), &replica).await;
    until_settled(&replica).await;
    assert_eq!(counts(&mqtt).published, 1);
    let mut device = Device::connect(broker.port(), "device").await;
    device.subscribe("out").await;
    assert_eq!(&device.hear().await.payload[..], b"1");
    replica.halt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_node_publishes_to_its_own_broker_and_the_echo_counts_once() {
    let bench = Bench::new(2);
    let replicas = [bench.replica(1).await, bench.replica(2).await];
    configure(&replicas[0]).await;
    let mut edges = Vec::new();
    for (node, replica) in (1..).zip(&replicas) {
        let mut settings = embedded();
        settings.node.id = node;
        // The command's own topic is recorded, so every node hears its own copy.
        settings.mqtt.extra_topics = vec!["out".to_owned()];
        edges.push(edge(&settings, replica).await);
    }
    until("both links in the log", || {
        replicas.iter().all(|replica| {
            replica.read(|state| state.nodes().filter(|(_, node)| node.is_ready()).count() == 2)
        })
    })
    .await;
    promise(&replicas[0], "1").await;
    for mqtt in &edges {
        let mut device = Device::connect(mqtt.embedded_address().unwrap().port(), "device").await;
        device.subscribe("out").await;
        assert_eq!(&device.hear().await.payload[..], b"1");
    }
    until("both echoes to be heard", || edges.iter().all(|mqtt| counts(mqtt).heard >= 1)).await;
    until_history(&replicas[0], &["go 1", "out 1"]).await;
    promise(&replicas[0], "2").await;
    until_history(&replicas[0], &["go 1", "out 1", "go 2", "out 2"]).await;
    for replica in &replicas {
        until_settled(replica).await;
        assert_eq!(history(replica).len(), 4);
        replica.halt().await;
    }
    assert_eq!(replicas[0].node(), NodeId(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_would_end_the_connection_is_not_published() {
    let (_bench, replica) = single().await;
    let mut settings = embedded();
    settings.mqtt.embedded.max_payload_bytes = 1_000;
    let mqtt = edge(&settings, &replica).await;
    promise(&replica, &"x".repeat(1_000)).await;
    promise(&replica, "small").await;
    until("the small one to be published", || counts(&mqtt).published == 1).await;
    assert_eq!(counts(&mqtt).unpublishable, 1);
    assert!(counts(&mqtt).link_up);
    replica.halt().await;
}
