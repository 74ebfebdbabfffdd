//! A client as devices and programs have one: any topic, any QoS, acknowledgements by hand.

use super::bench::within;
use rumqttc::{
    AsyncClient, ConnectReturnCode, Event, EventLoop, MqttOptions, Outgoing, Packet, Publish, QoS,
};

pub(super) struct Device {
    client: AsyncClient,
    event_loop: EventLoop,
}

impl Device {
    /// Connects with a clean session.
    pub(super) async fn connect(port: u16, client_id: &str) -> Device {
        Device::connect_with(port, client_id, true).await
    }

    pub(super) async fn connect_with(port: u16, client_id: &str, clean_session: bool) -> Device {
        let mut options = MqttOptions::new(client_id, "127.0.0.1", port);
        options.set_clean_session(clean_session).set_manual_acks(true);
        let (client, mut event_loop) = AsyncClient::new(options, 1_000);
        let Event::Incoming(Packet::ConnAck(ack)) = within(event_loop.poll()).await.unwrap() else {
            panic!("the first packet is the CONNACK");
        };
        assert_eq!(ack.code, ConnectReturnCode::Success);
        Device { client, event_loop }
    }

    /// Publishes at QoS 1 and waits for the acknowledgement.
    pub(super) async fn publish(&mut self, topic: &str, payload: &str) {
        self.publish_with(topic, payload, false).await;
    }

    pub(super) async fn publish_retained(&mut self, topic: &str, payload: &str) {
        self.publish_with(topic, payload, true).await;
    }

    async fn publish_with(&mut self, topic: &str, payload: &str, retain: bool) {
        let payload = payload.to_owned().into_bytes();
        // Unlike `publish`, it checks nothing.
        self.client.publish_bytes(topic, QoS::AtLeastOnce, retain, payload.into()).await.unwrap();
        self.until(|event| matches!(event, Event::Incoming(Packet::PubAck(_))).then_some(())).await;
    }

    /// Publishes and waits for nothing; whatever becomes of the connection.
    pub(super) async fn send(mut self, topic: &str, payload: &str) {
        let payload = payload.to_owned().into_bytes();
        self.client.publish_bytes(topic, QoS::AtMostOnce, false, payload.into()).await.unwrap();
        self.until(|event| matches!(event, Event::Outgoing(Outgoing::Publish(0))).then_some(())).await;
    }

    /// Publishes at QoS 0, as most devices do.
    pub(super) async fn tell(&mut self, topic: &str, payload: &str) {
        self.client.publish(topic, QoS::AtMostOnce, false, payload).await.unwrap();
        self.until(|event| matches!(event, Event::Outgoing(Outgoing::Publish(0))).then_some(())).await;
    }

    pub(super) async fn subscribe(&mut self, filter: &str) {
        self.client.subscribe(filter, QoS::AtLeastOnce).await.unwrap();
        self.until(|event| matches!(event, Event::Incoming(Packet::SubAck(_))).then_some(())).await;
    }

    /// Waits for the next message, which is not acknowledged.
    pub(super) async fn hear(&mut self) -> Publish {
        self.until(|event| match event {
            Event::Incoming(Packet::Publish(publish)) => Some(publish),
            _ => None,
        })
        .await
    }

    async fn until<T>(&mut self, wanted: impl Fn(Event) -> Option<T>) -> T {
        within(async {
            loop {
                if let Some(found) = wanted(self.event_loop.poll().await.unwrap()) {
                    return found;
                }
            }
        })
        .await
    }
}
