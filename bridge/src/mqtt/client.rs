//! The client library at both of its protocol levels, behind one face.
//!
//! A node speaks 3.1.1 to its broker. Relaying takes a second connection at level 5: only there a
//! subscription can ask that a node's own messages stay away from it, and that live messages keep their
//! retained flag.

use gable_broker_config::Settings;
use gable_devices::QoS;
use rumqttc::mqttbytes::Error as PacketError;
use rumqttc::v5::mqttbytes::QoS as QoS5;
use rumqttc::v5::mqttbytes::v5::{
    ConnectReturnCode as ConnectReturnCode5, Filter, Packet as Packet5, Publish as Publish5,
    PublishProperties, RetainForwardRule, SubscribeReasonCode as SubscribeReasonCode5,
};
use rumqttc::{
    ConnectReturnCode, ConnectionError, NetworkOptions, Outgoing, Packet, Publish, StateError,
    SubscribeFilter, SubscribeReasonCode, v5,
};
use std::time::Duration;

/// How many requests (acknowledgements, publishes, subscriptions) may wait for the polling task.
/// More than there can ever be: acknowledgements are bounded by what is unacknowledged, publishes
/// by what may be in flight. Should it be full all the same, the connection is given up.
const REQUESTS_MAX: usize = 16_384;

/// rumqttc takes packet ids from 1 to this and stops everything, acknowledgements included, when
/// one comes round that is still in use. Far above what the outbox has in flight, so that a
/// publish acknowledged late stops nothing.
const PACKET_IDS: u16 = 1_024;

const CONNECT_SECONDS: u64 = 5;

/// A user property of what is relayed. It stops a message from going round where brokers are connected
/// by other means as well, or two nodes share one by mistake.
const RELAYED: &str = "gable-relayed";

/// How to connect.
#[derive(Clone)]
pub(super) enum Options {
    V311(Box<rumqttc::MqttOptions>),
    V5(Box<v5::MqttOptions>),
}

/// The handle of one connection. It goes out of use with the connection.
#[derive(Clone, Debug)]
pub(super) enum Client {
    V311(rumqttc::AsyncClient),
    V5(v5::AsyncClient),
}

/// What has to be polled for a connection to go on.
pub(super) enum EventLoop {
    V311(Box<rumqttc::EventLoop>),
    V5(Box<v5::EventLoop>),
}

/// What happened on a connection.
#[derive(Debug)]
pub(super) enum Happened {
    Connected {
        session_present: bool,
    },
    Message(Publish),
    /// A message that a node has published for another one.
    Relayed(Publish),
    /// Which filters of one SUBSCRIBE were granted.
    Subscribed(Vec<bool>),
    /// A publish was written under this packet id, 0 at QoS 0.
    Written(u16),
    /// The broker took over a publish.
    Taken(u16),
    Other,
}

/// How a connection was lost, and what a person may do about it.
#[derive(Debug)]
pub(super) struct Lost {
    pub(super) error: String,
    pub(super) hint: &'static str,
}

/// The connection does not take requests any more.
#[derive(Debug, thiserror::Error)]
#[error("the connection takes no more requests")]
pub(super) struct Refused;

impl Options {
    /// At level 3.1.1, for everything but relaying.
    pub(super) fn new(settings: &Settings, host: &str, port: u16) -> Options {
        let mqtt = &settings.mqtt;
        let mut options = rumqttc::MqttOptions::new(settings.client_id(), host, port);
        options
            .set_clean_session(false)
            .set_manual_acks(true)
            .set_keep_alive(Duration::from_secs(mqtt.keep_alive_s.into()))
            .set_inflight(PACKET_IDS)
            .set_max_packet_size(mqtt.max_packet_bytes, mqtt.max_packet_bytes);
        if let Some((username, password)) = credentials(settings) {
            options.set_credentials(username, password);
        }
        Options::V311(Box::new(options))
    }

    /// At level 5, for relaying, with a session of its own.
    pub(super) fn relaying(settings: &Settings, host: &str, port: u16) -> Options {
        let mqtt = &settings.mqtt;
        let mut options = v5::MqttOptions::new(format!("{}-relay", settings.client_id()), host, port);
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        network.set_connection_timeout(CONNECT_SECONDS);
        options
            .set_clean_start(false)
            // For ever, as a session is kept at the other level.
            .set_session_expiry_interval(Some(u32::MAX))
            .set_manual_acks(true)
            .set_keep_alive(Duration::from_secs(mqtt.keep_alive_s.into()))
            .set_outgoing_inflight_upper_limit(PACKET_IDS)
            .set_max_packet_size(u32::try_from(mqtt.max_packet_bytes).ok())
            .set_network_options(network)
            .set_connection_timeout(CONNECT_SECONDS);
        if let Some((username, password)) = credentials(settings) {
            options.set_credentials(username, password);
        }
        Options::V5(Box::new(options))
    }

    /// The same, with a session that begins anew.
    pub(super) fn clean(mut self) -> Options {
        match &mut self {
            Options::V311(options) => drop(options.set_clean_session(true)),
            Options::V5(options) => drop(options.set_clean_start(true)),
        }
        self
    }

    /// A new connection, which is made when it is polled.
    pub(super) fn connect(self) -> (Client, EventLoop) {
        match self {
            Options::V311(options) => {
                let (client, mut event_loop) = rumqttc::AsyncClient::new(*options, REQUESTS_MAX);
                event_loop.network_options.set_tcp_nodelay(true);
                event_loop.network_options.set_connection_timeout(CONNECT_SECONDS);
                (Client::V311(client), EventLoop::V311(Box::new(event_loop)))
            }
            Options::V5(options) => {
                let (client, event_loop) = v5::AsyncClient::new(*options, REQUESTS_MAX);
                (Client::V5(client), EventLoop::V5(Box::new(event_loop)))
            }
        }
    }
}

fn credentials(settings: &Settings) -> Option<(&str, &str)> {
    let username = settings.mqtt.username.as_deref()?;
    Some((username, settings.mqtt.password.as_ref().map_or("", |password| password.expose())))
}

impl EventLoop {
    /// Waits for what happens next.
    pub(super) async fn poll(&mut self) -> Result<Happened, Lost> {
        match self {
            EventLoop::V311(event_loop) => {
                event_loop.poll().await.map(happened).map_err(|error| lost(&error))
            }
            EventLoop::V5(event_loop) => {
                event_loop.poll().await.map(happened5).map_err(|error| lost5(&error))
            }
        }
    }
}

fn happened(event: rumqttc::Event) -> Happened {
    use rumqttc::Event;
    match event {
        Event::Incoming(Packet::ConnAck(ack)) => Happened::Connected { session_present: ack.session_present },
        Event::Incoming(Packet::Publish(publish)) => Happened::Message(publish),
        Event::Incoming(Packet::SubAck(ack)) => {
            let granted = ack.return_codes.iter().map(|code| *code != SubscribeReasonCode::Failure);
            Happened::Subscribed(granted.collect())
        }
        Event::Incoming(Packet::PubAck(ack)) => Happened::Taken(ack.pkid),
        Event::Outgoing(Outgoing::Publish(packet_id)) => Happened::Written(packet_id),
        _ => Happened::Other,
    }
}

fn happened5(event: v5::Event) -> Happened {
    use v5::Event;
    match event {
        Event::Incoming(Packet5::ConnAck(ack)) => {
            Happened::Connected { session_present: ack.session_present }
        }
        Event::Incoming(Packet5::Publish(publish)) => {
            let properties = publish.properties.as_ref();
            let is_relayed = properties
                .is_some_and(|properties| properties.user_properties.iter().any(|(name, _)| name == RELAYED));
            let publish = to_publish(publish);
            if is_relayed { Happened::Relayed(publish) } else { Happened::Message(publish) }
        }
        Event::Incoming(Packet5::SubAck(ack)) => {
            let granted =
                ack.return_codes.iter().map(|code| matches!(code, SubscribeReasonCode5::Success(_)));
            Happened::Subscribed(granted.collect())
        }
        Event::Incoming(Packet5::PubAck(ack)) => Happened::Taken(ack.pkid),
        Event::Outgoing(Outgoing::Publish(packet_id)) => Happened::Written(packet_id),
        _ => Happened::Other,
    }
}

/// A topic that is no text becomes one that nobody takes.
fn to_publish(publish: Publish5) -> Publish {
    let topic = String::from_utf8(publish.topic.to_vec()).unwrap_or_default();
    let qos = match publish.qos {
        QoS5::AtMostOnce => rumqttc::QoS::AtMostOnce,
        QoS5::AtLeastOnce => rumqttc::QoS::AtLeastOnce,
        QoS5::ExactlyOnce => rumqttc::QoS::ExactlyOnce,
    };
    let mut heard = Publish::new(topic, qos, publish.payload);
    (heard.dup, heard.retain, heard.pkid) = (publish.dup, publish.retain, publish.pkid);
    heard
}

impl Client {
    /// Publishes at least once, whatever the row's QoS: see [`super::dispatch`].
    pub(super) fn publish(&self, topic: &str, payload: &[u8], retain: bool) -> Result<(), Refused> {
        match self {
            Client::V311(client) => {
                let published = client.try_publish(topic, rumqttc::QoS::AtLeastOnce, retain, payload);
                published.map_err(|_| Refused)
            }
            Client::V5(client) => {
                let payload = payload.to_vec();
                client.try_publish(topic, QoS5::AtLeastOnce, retain, payload).map_err(|_| Refused)
            }
        }
    }

    /// Publishes what another node's broker has heard.
    pub(super) fn relay(&self, message: &gable_devices::Publish) -> Result<(), Refused> {
        // Only a connection at level 5 relays.
        let Client::V5(client) = self else { return Err(Refused) };
        let qos = match message.qos {
            QoS::AtMostOnce => QoS5::AtMostOnce,
            QoS::AtLeastOnce | QoS::ExactlyOnce => QoS5::AtLeastOnce,
        };
        let properties = PublishProperties {
            user_properties: vec![(RELAYED.to_owned(), "1".to_owned())],
            ..PublishProperties::default()
        };
        let (topic, payload) = (message.topic.clone(), message.payload.clone());
        let published = client.try_publish_with_properties(topic, qos, message.retain, payload, properties);
        published.map_err(|_| Refused)
    }

    pub(super) fn acknowledge(&self, publish: &Publish) -> Result<(), Refused> {
        match self {
            Client::V311(client) => client.try_ack(publish).map_err(|_| Refused),
            Client::V5(client) => {
                let qos = match publish.qos {
                    rumqttc::QoS::AtMostOnce => QoS5::AtMostOnce,
                    rumqttc::QoS::AtLeastOnce => QoS5::AtLeastOnce,
                    rumqttc::QoS::ExactlyOnce => QoS5::ExactlyOnce,
                };
                // Of a message only these two are acknowledged.
                let mut heard = Publish5::new("", qos, Vec::new(), None);
                heard.pkid = publish.pkid;
                client.try_ack(&heard).map_err(|_| Refused)
            }
        }
    }

    /// At level 5 without what this client publishes itself, without what was retained before, and with
    /// the retained flag of what comes.
    pub(super) fn subscribe(&self, filters: &[String]) -> Result<(), Refused> {
        match self {
            Client::V311(client) => {
                let filters = filters
                    .iter()
                    .map(|filter| SubscribeFilter::new(filter.clone(), rumqttc::QoS::AtLeastOnce));
                client.try_subscribe_many(filters).map_err(|_| Refused)
            }
            Client::V5(client) => {
                let filters = filters.iter().map(|filter| Filter {
                    path: filter.clone(),
                    qos: QoS5::AtLeastOnce,
                    nolocal: true,
                    preserve_retain: true,
                    retain_forward_rule: RetainForwardRule::Never,
                });
                client.try_subscribe_many(filters).map_err(|_| Refused)
            }
        }
    }

    pub(super) fn unsubscribe(&self, filter: &str) -> Result<(), Refused> {
        match self {
            Client::V311(client) => client.try_unsubscribe(filter).map_err(|_| Refused),
            Client::V5(client) => client.try_unsubscribe(filter).map_err(|_| Refused),
        }
    }
}

const NOT_REACHED: &str = "is it running at mqtt.host and mqtt.port?";
const NOT_LET_IN: &str = "check mqtt.username and mqtt.password";
const TOO_LARGE: &str = "a message is larger than mqtt.max_packet_bytes";
const THROWN_OUT: &str = "the broker closed it: does another client use the same mqtt.client_id?";

fn lost(error: &ConnectionError) -> Lost {
    let hint = match error {
        ConnectionError::Io(_) | ConnectionError::NetworkTimeout => NOT_REACHED,
        ConnectionError::ConnectionRefused(
            ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized,
        ) => NOT_LET_IN,
        ConnectionError::MqttState(StateError::Deserialization(PacketError::PayloadSizeLimitExceeded(_))) => {
            TOO_LARGE
        }
        ConnectionError::MqttState(StateError::ConnectionAborted) => THROWN_OUT,
        _ => "",
    };
    Lost { error: error.to_string(), hint }
}

fn lost5(error: &v5::ConnectionError) -> Lost {
    let hint = match error {
        v5::ConnectionError::Io(_) | v5::ConnectionError::Timeout(_) => NOT_REACHED,
        v5::ConnectionError::ConnectionRefused(
            ConnectReturnCode5::BadUserNamePassword | ConnectReturnCode5::NotAuthorized,
        ) => NOT_LET_IN,
        v5::ConnectionError::ConnectionRefused(_) | v5::ConnectionError::NotConnAck(_) => {
            "mqtt.attach.relay needs a broker that speaks MQTT 5"
        }
        v5::ConnectionError::MqttState(v5::StateError::ConnectionAborted) => THROWN_OUT,
        _ => "",
    };
    Lost { error: error.to_string(), hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a publish of level 5 with a user property comes to.
    fn heard(property: &str) -> Happened {
        let properties = PublishProperties {
            user_properties: vec![(property.to_owned(), String::new())],
            ..PublishProperties::default()
        };
        let mut publish = Publish5::new("a", QoS5::AtLeastOnce, "x", Some(properties));
        (publish.pkid, publish.retain, publish.dup) = (7, true, true);
        happened5(v5::Event::Incoming(Packet5::Publish(publish)))
    }

    #[test]
    fn what_was_relayed_is_known_by_its_mark() {
        let mut expected = Publish::new("a", rumqttc::QoS::AtLeastOnce, "x");
        (expected.pkid, expected.retain, expected.dup) = (7, true, true);
        assert!(matches!(heard("unit"), Happened::Message(publish) if publish == expected));
        assert!(matches!(heard(RELAYED), Happened::Relayed(publish) if publish == expected));
    }

    #[test]
    fn a_topic_that_is_no_text_is_one_that_nobody_takes() {
        let mut publish = Publish5::new("a", QoS5::AtMostOnce, "x", None);
        publish.topic = vec![0xff].into();
        assert_eq!(to_publish(publish).topic, "");
    }
}
