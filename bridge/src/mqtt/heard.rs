//! What another broker delivers: as a message of the log, refused, acknowledged.

use super::client::Client;
use super::counters::{Counters, count};
use super::ledger::Ledger;
use gable_devices::QoS;
use gable_rules::Message;
use rumqttc::Publish;
use std::sync::atomic::Ordering::Relaxed;
use tracing::{debug, warn};

/// Says why a topic can not be taken. Some brokers let anything through.
pub(super) fn check_topic(topic: &str) -> Result<(), &'static str> {
    match topic {
        "" => Err("the topic is empty"),
        topic if topic.contains(['+', '#']) => Err("the topic has a wildcard"),
        topic if topic.contains('\0') => Err("the topic has a zero character"),
        _ => Ok(()),
    }
}

pub(super) fn to_message(publish: &Publish) -> Message {
    Message {
        topic: publish.topic.clone(),
        payload: publish.payload.to_vec(),
        qos: to_qos(publish.qos),
        retain: publish.retain,
        takeover: false,
        packet_id: publish.pkid,
        is_relayed: false,
    }
}

fn to_qos(qos: rumqttc::QoS) -> QoS {
    match qos {
        rumqttc::QoS::AtMostOnce => QoS::AtMostOnce,
        rumqttc::QoS::AtLeastOnce => QoS::AtLeastOnce,
        rumqttc::QoS::ExactlyOnce => QoS::ExactlyOnce,
    }
}

/// Counts a message that can not be taken, and tells of it.
pub(super) fn tell_refused(counters: &Counters, topic: &str, reason: &str) {
    let refused = 1 + counters.invalid.fetch_add(1, Relaxed);
    // A broken device must not fill the disk with log lines.
    if refused <= 100 || refused.is_power_of_two() {
        warn!(topic, reason, refused, "dropped a message that can not be taken");
    }
}

/// Acknowledges what is settled, in the order of the messages.
pub(super) fn acknowledge(ledger: &mut Ledger, connection: Option<&Client>, counters: &Counters) {
    while let Some(publish) = ledger.next_settled() {
        let Some(connection) = connection.filter(|_| publish.pkid != 0) else { continue };
        match connection.acknowledge(&publish) {
            Ok(()) => count(&counters.acknowledged),
            // The connection is gone; the broker will deliver the message anew.
            Err(error) => debug!(topic = publish.topic, %error, "could not acknowledge"),
        }
    }
}
