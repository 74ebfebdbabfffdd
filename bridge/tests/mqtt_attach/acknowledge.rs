//! A message is acknowledged to the broker after it is committed and applied, and counts once.

use super::bench::{Bench, attached, configure, counts, edge, history, single, until, until_history, within};
use super::broker::Mosquitto;
use super::device::Device;
use gable::mqtt::Mqtt;
use gable_rules::{InputKind, Message};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_committed_is_not_acknowledged() {
    let Some(broker) = Mosquitto::start() else { return };
    let bench = Bench::new(2);
    let (first, second) = (bench.replica(1).await, bench.replica(2).await);
    configure(&first).await;
    let mqtt = edge(&attached(1, &broker), &first).await;

    // Without the second node there is no majority, and nothing can be committed.
    second.halt().await;
    let mut device = Device::connect(broker.port(), "device").await;
    device.publish("in/1", "a").await;
    device.publish("in/1", "b").await;
    until("the messages to be heard", || counts(&mqtt).proposed == 2).await;
    assert_eq!(counts(&mqtt).acknowledged, 0);
    assert_eq!(history(&first), Vec::<String>::new());

    // The process dies. The broker has both still, and delivers them to the next one.
    drop(mqtt);
    first.halt().await;
    drop((first, second));
    let (first, second) = (bench.replica(1).await, bench.replica(2).await);
    let mqtt = edge(&attached(1, &broker), &first).await;
    until_history(&first, &["in/1 a", "in/1 b"]).await;
    until("the acknowledgements", || counts(&mqtt).acknowledged == 2).await;
    first.halt().await;
    second.halt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_does_not_double_what_waits_for_its_commit() {
    let Some(mut broker) = Mosquitto::start() else { return };
    let bench = Bench::new(2);
    let (first, second) = (bench.replica(1).await, bench.replica(2).await);
    configure(&first).await;
    let mqtt = edge(&attached(1, &broker), &first).await;
    second.halt().await;
    drop(second);
    Device::connect(broker.port(), "device").await.publish("in/1", "a").await;
    until("the message to be heard", || counts(&mqtt).proposed == 1).await;

    broker.stop();
    until("the link to be down", || !counts(&mqtt).link_up).await;
    broker.resume();
    until("the message once more", || counts(&mqtt).heard == 2).await;
    assert_eq!(counts(&mqtt).acknowledged, 0);
    let second = bench.replica(2).await;
    until("the acknowledgement", || counts(&mqtt).acknowledged == 1).await;
    Device::connect(broker.port(), "device").await.publish("in/1", "b").await;
    until_history(&first, &["in/1 a", "in/1 b"]).await;
    assert_eq!(counts(&mqtt).proposed, 2);
    first.halt().await;
    second.halt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_before_its_acknowledgement_does_not_double_the_message() {
    let Some(broker) = Mosquitto::start() else { return };
    let (_bench, replica) = single().await;
    // The first life of the node, up to the moment between commit and acknowledgement.
    let mut session = Device::connect_with(broker.port(), "gable-test-1", false).await;
    session.subscribe("in/#").await;
    let mut device = Device::connect(broker.port(), "device").await;
    device.publish("in/1", "a").await;
    device.publish("in/1", "a").await;
    let (first, second) = (session.hear().await, session.hear().await);
    let committed = Message {
        topic: first.topic.clone(),
        payload: first.payload.to_vec(),
        packet_id: first.pkid,
        ..Message::default()
    };
    within(replica.propose(InputKind::Message(committed))).await.unwrap();
    drop(session);

    // The broker delivers both anew. Only the second, equal in content, is not in the log yet.
    assert_ne!(first.pkid, second.pkid);
    let mqtt = edge(&attached(1, &broker), &replica).await;
    until("the acknowledgements", || counts(&mqtt).acknowledged == 2).await;
    assert_eq!(history(&replica), ["in/1 a", "in/1 a"]);
    assert_eq!((counts(&mqtt).proposed, counts(&mqtt).passed_over), (1, 1));
    replica.halt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_messages_keep_their_order() {
    let Some(broker) = Mosquitto::start() else { return };
    let (_bench, replica) = single().await;
    let mqtt = Mqtt::start(&attached(1, &broker), replica.clone()).await.unwrap();
    super::bench::up(&mqtt).await;
    let mut device = Device::connect(broker.port(), "device").await;
    for n in 0..500 {
        device.publish("in/1", &n.to_string()).await;
    }
    let expected: Vec<String> = (0..500).map(|n| format!("in/1 {n}")).collect();
    until_history(&replica, &expected.iter().map(String::as_str).collect::<Vec<_>>()).await;
    until("the acknowledgements", || counts(&mqtt).acknowledged == 500).await;
    replica.halt().await;
}
