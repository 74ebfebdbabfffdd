//! What comes in: taken once, only where it is asked for, over lost connections too.

use super::bench::{attached, configure, counts, edge, embedded, history, single, until, until_history, up};
use super::broker::Mosquitto;
use super::device::Device;
use gable::mqtt::Mqtt;
use gable_rules::{InputKind, SourceFile};

/// Publishes to a broker that a node listens to, and compares what the log takes.
async fn check(port: u16, replica: &gable::raft::Replica, mqtt: &Mqtt) {
    let mut device = Device::connect(port, "device").await;
    device.publish("in/1", "a").await;
    device.tell("in/2/deep", "b").await;
    device.publish("elsewhere", "not asked for").await;
    device.publish("door", "ON").await;
    until_history(replica, &["in/1 a", "in/2/deep b", "door ON"]).await;
    let door = replica.read(|state| {
        let door = state.entity(&"binary_sensor.door".parse().unwrap());
        door.map(|door| door.state().to_owned())
    });
    assert_eq!(door.as_deref(), Some("on"));
    until("the acknowledgements", || counts(mqtt).acknowledged >= 2).await;
    let status = counts(mqtt);
    assert_eq!((status.heard, status.proposed, status.invalid), (3, 3, 0), "{status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mosquittos_messages_are_taken() {
    let Some(broker) = Mosquitto::start() else { return };
    let (_bench, replica) = single().await;
    let mqtt = edge(&attached(1, &broker), &replica).await;
    check(broker.port(), &replica, &mqtt).await;
    mqtt.stop().await;
    assert!(
        !replica.read(|state| state.nodes().any(|(_, node)| node.link)),
        "the log knows that the link ended"
    );
    replica.halt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_brokers_messages_are_taken() {
    let (_bench, replica) = single().await;
    let mqtt = edge(&embedded(), &replica).await;
    check(mqtt.embedded_address().unwrap().port(), &replica, &mqtt).await;
    replica.halt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_down_at_start_is_waited_for() {
    let Some(mut broker) = Mosquitto::start() else { return };
    broker.stop();
    let (_bench, replica) = single().await;
    let mqtt = Mqtt::start(&attached(1, &broker), replica.clone()).await.unwrap();
    assert!(!counts(&mqtt).link_up);
    broker.resume();
    up(&mqtt).await;
    Device::connect(broker.port(), "device").await.publish("in/1", "a").await;
    until_history(&replica, &["in/1 a"]).await;
    replica.halt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_are_made_again_at_a_broker_that_forgot_them() {
    let Some(mut broker) = Mosquitto::start() else { return };
    let (_bench, replica) = single().await;
    let mqtt = edge(&attached(1, &broker), &replica).await;
    broker.forget();
    until("the link to be down", || !counts(&mqtt).link_up).await;
    broker.resume();
    up(&mqtt).await;
    Device::connect(broker.port(), "device").await.publish("in/1", "a").await;
    until_history(&replica, &["in/1 a"]).await;
    replica.halt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_follow_the_homes_files() {
    let (_bench, replica) = single().await;
    let mqtt = edge(&embedded(), &replica).await;
    let mut device = Device::connect(mqtt.embedded_address().unwrap().port(), "device").await;
    device.publish("in/1", "a").await;
    until_history(&replica, &["in/1 a"]).await;
    let text =
        "automation:\n  - id: other\n    triggers: [{ trigger: mqtt, topic: other }]\n    actions: []\n";
    let file = SourceFile { name: "home.yaml".into(), text: text.into() };
    replica.propose(InputKind::Configure(vec![file])).await.unwrap();
    let mut n = 0;
    while !history(&replica).iter().any(|message| message.starts_with("other")) {
        device.publish("other", &n.to_string()).await;
        n += 1;
        assert!(n < 10_000, "the new subscription never hears anything");
    }
    device.publish("in/1", "no more").await;
    device.publish("other", "end").await;
    until("the last message", || history(&replica).iter().any(|message| message == "other end")).await;
    assert!(!history(&replica).contains(&"in/1 no more".to_owned()));
    replica.halt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retained_messages_count_once() {
    let Some(mut broker) = Mosquitto::start() else { return };
    let mut device = Device::connect(broker.port(), "device").await;
    device.publish_retained("in/kept", "a").await;
    drop(device);
    let (_bench, replica) = single().await;
    let mqtt = edge(&attached(1, &broker), &replica).await;
    until_history(&replica, &["in/kept a"]).await;

    // The broker repeats it at every connection, and to every new process.
    broker.stop();
    until("the link to be down", || !counts(&mqtt).link_up).await;
    broker.resume();
    up(&mqtt).await;
    until("the retained message once more", || counts(&mqtt).passed_over >= 1).await;
    mqtt.stop().await;
    let mqtt = edge(&attached(1, &broker), &replica).await;
    until("the retained message once more", || counts(&mqtt).passed_over >= 1).await;
    let mut device = Device::connect(broker.port(), "device").await;
    device.publish_retained("in/kept", "b").await;
    until_history(&replica, &["in/kept a", "in/kept b"]).await;

    // One that changed while nobody listened is news.
    mqtt.stop().await;
    let mut session = Device::connect(broker.port(), "gable-test-1").await;
    session.publish_retained("in/kept", "c").await;
    drop(session);
    let _mqtt = edge(&attached(1, &broker), &replica).await;
    until_history(&replica, &["in/kept a", "in/kept b", "in/kept c"]).await;
    replica.halt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_none_is_counted_and_kept_out() {
    let (_bench, replica) = single().await;
    let mqtt = edge(&embedded(), &replica).await;
    // rumqttd lets wildcards through.
    let mut device = Device::connect(mqtt.embedded_address().unwrap().port(), "device").await;
    device.publish("in/+", "a").await;
    device.publish("in/1", "b").await;
    until_history(&replica, &["in/1 b"]).await;
    assert_eq!(counts(&mqtt).invalid, 1);
    replica.halt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_home_still_has_a_link() {
    let (_bench, replica) = single().await;
    replica.propose(InputKind::Configure(Vec::new())).await.unwrap();
    let mqtt = edge(&embedded(), &replica).await;
    configure(&replica).await;
    up(&mqtt).await;
    replica.halt().await;
}
