//! The broker inside the process.

use super::bench::{counts, edge, embedded, single, until, until_history, up};
use super::device::Device;
use gable::mqtt::embedded::{Broker, Error};
use gable_broker_config::Secret;
use rumqttc::{AsyncClient, MqttOptions};
use std::net::TcpListener;

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_named() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut settings = embedded();
    settings.mqtt.embedded.listen = other.local_addr().unwrap();
    let error = Broker::start(&settings).await.unwrap_err();
    assert!(matches!(error, Error::Listen { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(&other.local_addr().unwrap().to_string()), "{text}");
    assert!(text.contains("is another broker running?"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_broker_gives_its_port_back() {
    let mut settings = embedded();
    let broker = Broker::start(&settings).await.unwrap();
    settings.mqtt.embedded.listen = broker.address();
    drop(broker);
    // The thread ends on its own time.
    let address = settings.mqtt.embedded.listen;
    until("the port to be free", || TcpListener::bind(address).is_ok()).await;
    Broker::start(&settings).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_asked_for() {
    let mut settings = embedded();
    settings.mqtt.username = Some("gable".to_owned());
    settings.mqtt.password = Some(Secret::new("a password"));
    let (_bench, replica) = single().await;
    let mqtt = edge(&settings, &replica).await;
    let port = mqtt.embedded_address().unwrap().port();
    for (username, password, is_let_in) in
        [("gable", "a password", true), ("gable", "a Password", false), ("other", "a password", false)]
    {
        let mut options = MqttOptions::new(format!("device-{username}"), "127.0.0.1", port);
        options.set_credentials(username, password);
        let (_client, mut event_loop) = AsyncClient::new(options, 10);
        assert_eq!(event_loop.poll().await.is_ok(), is_let_in, "{username} {password}");
    }
    replica.halt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_that_a_topic_ended_starts_anew() {
    let (_bench, replica) = single().await;
    let mqtt = edge(&embedded(), &replica).await;
    let port = mqtt.embedded_address().unwrap().port();
    let device = Device::connect(port, "device").await;
    // rumqttd takes the first byte of a topic for its first letter.
    device.send("\u{e9}t\u{e9}", "the end").await;
    until("the link to be down", || !counts(&mqtt).link_up).await;
    up(&mqtt).await;
    Device::connect(port, "device").await.publish("in/1", "a").await;
    until_history(&replica, &["in/1 a"]).await;
    replica.halt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_one_batch_of_messages_arrives() {
    let (_bench, replica) = single().await;
    let mqtt = edge(&embedded(), &replica).await;
    let mut device = Device::connect(mqtt.embedded_address().unwrap().port(), "device").await;
    // rumqttd leaves 100 unacknowledged at most, and wants them acknowledged in order.
    for n in 0..350 {
        device.publish("in/1", &n.to_string()).await;
    }
    let expected: Vec<String> = (0..350).map(|n| format!("in/1 {n}")).collect();
    until_history(&replica, &expected.iter().map(String::as_str).collect::<Vec<_>>()).await;
    until("the acknowledgements", || counts(&mqtt).acknowledged == 350).await;
    replica.halt().await;
}
