//! The codec's packets, and what they are in ours.

use super::check::Flags;
use super::frame::Frame;
use super::reader::{malformed, protocol_error};
use super::{
    Ack, Auth, Authentication, Connect, Detail, Disconnect, Level, Packet, Publish, ReasonCode, Refusal,
    RetainHandling, Secret, Subscribe, SubscribeOptions, Unsubscribe, Will,
};
use gable_devices::QoS;
use gable_rules::broker::{Publication, PublishProperties};
use rmqtt_codec::error::DecodeError;
use rmqtt_codec::{types, v3, v5};
use std::num::NonZeroU16;
use tokio_util::codec::Decoder;

/// A codec keeps state between packets, so each gets a new one.
pub(super) fn read_v3(frame: Frame) -> Result<v3::Packet, Refusal> {
    whole(v3::Codec::new(0).decode(&mut { frame.bytes }))
}

pub(super) fn read_v5(frame: Frame) -> Result<v5::Packet, Refusal> {
    whole(v5::Codec::new(0, 0).decode(&mut { frame.bytes }))
}

/// After the checks the codec has nothing left to refuse; if it does all the same, the packet goes.
fn whole<P>(decoded: Result<Option<(P, u32)>, DecodeError>) -> Result<P, Refusal> {
    match decoded {
        Ok(Some((packet, _))) => Ok(packet),
        Ok(None) => Err(malformed("the packet is not whole")),
        Err(error) => Err(Refusal::new(ReasonCode::MALFORMED_PACKET, error.to_string())),
    }
}

/// For what the checks do not let pass.
pub(super) fn unexpected() -> Refusal {
    protocol_error("a client does not send this packet now")
}

pub(super) fn from_v3_connect(level: Level, flags: Flags, connect: v3::Connect) -> Connect {
    let clean_start = flags.has(Flags::CLEAN_START);
    Connect {
        level,
        client_id: connect.client_id.to_string(),
        clean_start,
        keep_alive: connect.keep_alive,
        will: connect.last_will.map(|will| Will {
            publication: Publication {
                topic: will.topic.to_string(),
                payload: will.message.to_vec(),
                qos: qos(will.qos),
                retain: will.retain,
                properties: PublishProperties::default(),
            },
            delay_interval: 0,
        }),
        username: connect.username.map(|name| name.to_string()),
        password: connect.password.map(secret),
        session_expiry_interval: if clean_start { 0 } else { u32::MAX },
        receive_maximum: NonZeroU16::MAX,
        maximum_packet_size: None,
        topic_alias_maximum: 0,
        request_response_information: false,
        request_problem_information: true,
        user_properties: Vec::new(),
        authentication: None,
    }
}

pub(super) fn from_v5_connect(flags: Flags, connect: v5::Connect) -> Connect {
    Connect {
        level: Level::V5,
        client_id: connect.client_id.to_string(),
        clean_start: flags.has(Flags::CLEAN_START),
        keep_alive: connect.keep_alive,
        will: connect.last_will.map(from_will),
        username: connect.username.map(|name| name.to_string()),
        password: connect.password.map(secret),
        session_expiry_interval: connect.session_expiry_interval_secs,
        receive_maximum: connect.receive_max.unwrap_or(NonZeroU16::MAX),
        maximum_packet_size: connect.max_packet_size,
        topic_alias_maximum: connect.topic_alias_max,
        request_response_information: connect.request_response_info,
        request_problem_information: connect.request_problem_info,
        user_properties: pairs(connect.user_properties),
        authentication: authentication(connect.auth_method, connect.auth_data),
    }
}

fn from_will(will: v5::LastWill) -> Will {
    Will {
        publication: Publication {
            topic: will.topic.to_string(),
            payload: will.message.to_vec(),
            qos: qos(will.qos),
            retain: will.retain,
            properties: PublishProperties {
                payload_format_indicator: will.is_utf8_payload,
                message_expiry_interval: will.message_expiry_interval.map(Into::into),
                content_type: will.content_type.map(|it| it.to_string()),
                response_topic: will.response_topic.map(|it| it.to_string()),
                correlation_data: will.correlation_data.map(|it| it.to_vec()),
                user_properties: pairs(will.user_properties),
            },
        },
        delay_interval: will.will_delay_interval_sec.unwrap_or_default(),
    }
}

pub(super) fn from_v3(packet: v3::Packet) -> Result<Packet, Refusal> {
    let ack = |packet_id| Ack::new(packet_id, ReasonCode::SUCCESS);
    Ok(match packet {
        v3::Packet::Publish(publish) => Packet::Publish(Box::new(from_publish(*publish))),
        v3::Packet::PublishAck { packet_id } => Packet::Puback(ack(packet_id)),
        v3::Packet::PublishReceived { packet_id } => Packet::Pubrec(ack(packet_id)),
        v3::Packet::PublishRelease { packet_id } => Packet::Pubrel(ack(packet_id)),
        v3::Packet::PublishComplete { packet_id } => Packet::Pubcomp(ack(packet_id)),
        v3::Packet::Subscribe { packet_id, topic_filters } => Packet::Subscribe(Subscribe {
            packet_id,
            filters: topic_filters
                .into_iter()
                .map(|(filter, it)| {
                    (filter.to_string(), SubscribeOptions { qos: qos(it), ..SubscribeOptions::default() })
                })
                .collect(),
            subscription_identifier: None,
        }),
        v3::Packet::Unsubscribe { packet_id, topic_filters } => Packet::Unsubscribe(Unsubscribe {
            packet_id,
            filters: topic_filters.iter().map(ToString::to_string).collect(),
        }),
        v3::Packet::PingRequest => Packet::Pingreq,
        v3::Packet::Disconnect => {
            Packet::Disconnect(Disconnect::new(ReasonCode::NORMAL_DISCONNECTION, Detail::default()))
        }
        v3::Packet::Connect(_)
        | v3::Packet::ConnectAck(_)
        | v3::Packet::SubscribeAck { .. }
        | v3::Packet::UnsubscribeAck { .. }
        | v3::Packet::PingResponse => return Err(unexpected()),
    })
}

pub(super) fn from_v5(packet: v5::Packet) -> Result<Packet, Refusal> {
    Ok(match packet {
        v5::Packet::Publish(publish) => Packet::Publish(Box::new(from_publish(*publish))),
        v5::Packet::PublishAck(it) => Packet::Puback(from_received(it)),
        v5::Packet::PublishReceived(it) => Packet::Pubrec(from_received(it)),
        v5::Packet::PublishRelease(it) => Packet::Pubrel(from_released(it)),
        v5::Packet::PublishComplete(it) => Packet::Pubcomp(from_released(it)),
        v5::Packet::Subscribe(it) => Packet::Subscribe(Subscribe {
            packet_id: it.packet_id,
            filters: it
                .topic_filters
                .into_iter()
                .map(|(filter, it)| (filter.to_string(), options(it)))
                .collect(),
            subscription_identifier: it.id,
        }),
        v5::Packet::Unsubscribe(it) => Packet::Unsubscribe(Unsubscribe {
            packet_id: it.packet_id,
            filters: it.topic_filters.iter().map(ToString::to_string).collect(),
        }),
        v5::Packet::PingRequest => Packet::Pingreq,
        v5::Packet::Disconnect(it) => Packet::Disconnect(Disconnect {
            reason: reason(it.reason_code.into()),
            session_expiry_interval: it.session_expiry_interval_secs,
            server_reference: it.server_reference.map(|it| it.to_string()),
            detail: detail(it.reason_string, it.user_properties),
        }),
        v5::Packet::Auth(it) => Packet::Auth(Auth {
            reason: reason(it.reason_code.into()),
            authentication: authentication(it.auth_method, it.auth_data),
        }),
        v5::Packet::Connect(_)
        | v5::Packet::ConnectAck(_)
        | v5::Packet::SubscribeAck(_)
        | v5::Packet::UnsubscribeAck(_)
        | v5::Packet::PingResponse => return Err(unexpected()),
    })
}

fn from_publish(publish: types::Publish) -> Publish {
    let properties = publish.properties.unwrap_or_default();
    Publish {
        publication: Publication {
            topic: publish.topic.to_string(),
            payload: publish.payload.to_vec(),
            qos: qos(publish.qos),
            retain: publish.retain,
            properties: PublishProperties {
                // The codec cannot say: see `decode`.
                payload_format_indicator: None,
                message_expiry_interval: properties.message_expiry_interval.map(Into::into),
                content_type: properties.content_type.map(|it| it.to_string()),
                response_topic: properties.response_topic.map(|it| it.to_string()),
                correlation_data: properties.correlation_data.map(|it| it.to_vec()),
                user_properties: pairs(properties.user_properties),
            },
        },
        dup: publish.dup,
        packet_id: publish.packet_id,
        topic_alias: properties.topic_alias,
    }
}

fn from_received(ack: v5::PublishAck) -> Ack {
    Ack {
        packet_id: ack.packet_id,
        reason: reason(ack.reason_code.into()),
        detail: detail(ack.reason_string, ack.properties),
    }
}

fn from_released(ack: v5::PublishAck2) -> Ack {
    Ack {
        packet_id: ack.packet_id,
        reason: reason(ack.reason_code.into()),
        detail: detail(ack.reason_string, ack.properties),
    }
}

fn options(options: v5::SubscriptionOptions) -> SubscribeOptions {
    SubscribeOptions {
        qos: qos(options.qos),
        no_local: options.no_local,
        retain_as_published: options.retain_as_published,
        retain_handling: match options.retain_handling {
            v5::RetainHandling::AtSubscribe => RetainHandling::AtSubscribe,
            v5::RetainHandling::AtSubscribeNew => RetainHandling::AtNewSubscribe,
            v5::RetainHandling::NoAtSubscribe => RetainHandling::Never,
        },
    }
}

fn qos(qos: types::QoS) -> QoS {
    match qos {
        types::QoS::AtMostOnce => QoS::AtMostOnce,
        types::QoS::AtLeastOnce => QoS::AtLeastOnce,
        types::QoS::ExactlyOnce => QoS::ExactlyOnce,
    }
}

/// The checks have seen that it is one of the specification's.
fn reason(value: u8) -> ReasonCode {
    ReasonCode::from_value(value).unwrap_or(ReasonCode::UNSPECIFIED_ERROR)
}

fn detail(reason_string: Option<impl ToString>, user_properties: v5::UserProperties) -> Detail {
    Detail { reason_string: reason_string.map(|it| it.to_string()), user_properties: pairs(user_properties) }
}

fn pairs(pairs: v5::UserProperties) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

fn secret(bytes: impl AsRef<[u8]>) -> Secret {
    Secret(bytes.as_ref().to_vec())
}

fn authentication(method: Option<impl ToString>, data: Option<impl AsRef<[u8]>>) -> Option<Authentication> {
    method.map(|method| Authentication { method: method.to_string(), data: data.map(secret) })
}
