//! A packet in one line, for tables: what is at its default is not told.

use super::super::{Ack, Authentication, Connect, Detail, Packet, Publish, RetainHandling, SubscribeOptions};
use gable_rules::broker::Publication;
use std::fmt::Display;
use std::num::NonZeroU16;

/// Tells what a packet says.
pub(super) fn packet(packet: &Packet) -> String {
    match packet {
        Packet::Connect(it) => connect(it),
        Packet::Publish(it) => publish(it),
        Packet::Puback(it) => format!("puback {}", ack(it)),
        Packet::Pubrec(it) => format!("pubrec {}", ack(it)),
        Packet::Pubrel(it) => format!("pubrel {}", ack(it)),
        Packet::Pubcomp(it) => format!("pubcomp {}", ack(it)),
        Packet::Subscribe(it) => {
            let filters: Vec<String> =
                it.filters.iter().map(|(filter, it)| format!("{filter} {}", options(*it))).collect();
            let identifier = option("identifier", it.subscription_identifier.as_ref());
            format!("subscribe {}{identifier} {}", it.packet_id, filters.join(", "))
        }
        Packet::Unsubscribe(it) => format!("unsubscribe {} {}", it.packet_id, it.filters.join(", ")),
        Packet::Pingreq => "pingreq".to_owned(),
        Packet::Disconnect(it) => {
            let expiry = option("expiry", it.session_expiry_interval.as_ref());
            let server = option("server", it.server_reference.as_ref());
            format!("disconnect {:02x}{expiry}{server}{}", it.reason.value(), detail(&it.detail))
        }
        Packet::Auth(it) => {
            format!("auth {:02x}{}", it.reason.value(), authentication(it.authentication.as_ref()))
        }
    }
}

fn connect(it: &Connect) -> String {
    let mut text = format!("connect {:?} '{}' keep={}", it.level, it.client_id, it.keep_alive);
    if it.clean_start {
        text += " clean";
    }
    if let Some(will) = &it.will {
        text += &format!(" will={} ({})", publication(&will.publication), will.delay_interval);
    }
    text += &option("user", it.username.as_ref());
    text += &option("password", it.password.as_ref().map(|it| String::from_utf8_lossy(&it.0)).as_ref());
    text += &option("expiry", Some(&it.session_expiry_interval).filter(|it| **it != 0));
    text += &option("receive", Some(&it.receive_maximum).filter(|it| **it != NonZeroU16::MAX));
    text += &option("size", it.maximum_packet_size.as_ref());
    text += &option("aliases", Some(&it.topic_alias_maximum).filter(|it| **it != 0));
    if it.request_response_information {
        text += " response";
    }
    if !it.request_problem_information {
        text += " terse";
    }
    text + &pairs(&it.user_properties) + &authentication(it.authentication.as_ref())
}

fn publish(it: &Publish) -> String {
    let id = option("id", it.packet_id.as_ref());
    let dup = if it.dup { " dup" } else { "" };
    let alias = option("alias", it.topic_alias.as_ref());
    format!("publish {}{id}{dup}{alias}", publication(&it.publication))
}

fn publication(it: &Publication) -> String {
    let retain = if it.retain { " retain" } else { "" };
    let properties = &it.properties;
    let correlation = properties.correlation_data.as_ref().map(|it| String::from_utf8_lossy(it));
    format!(
        "'{}' '{}' q{}{retain}{}{}{}{}{}{}",
        it.topic,
        String::from_utf8_lossy(&it.payload),
        it.qos as u8,
        option("text", properties.payload_format_indicator.as_ref()),
        option("expiry", properties.message_expiry_interval.as_ref()),
        option("type", properties.content_type.as_ref()),
        option("response", properties.response_topic.as_ref()),
        option("correlation", correlation.as_ref()),
        pairs(&properties.user_properties),
    )
}

fn options(it: SubscribeOptions) -> String {
    let local = if it.no_local { " no-local" } else { "" };
    let retain = if it.retain_as_published { " as-published" } else { "" };
    let handling = match it.retain_handling {
        RetainHandling::AtSubscribe => "",
        RetainHandling::AtNewSubscribe => " at-new",
        RetainHandling::Never => " never",
    };
    format!("q{}{local}{retain}{handling}", it.qos as u8)
}

fn ack(it: &Ack) -> String {
    format!("{} {:02x}{}", it.packet_id, it.reason.value(), detail(&it.detail))
}

fn detail(it: &Detail) -> String {
    option("reason", it.reason_string.as_ref()) + &pairs(&it.user_properties)
}

fn authentication(it: Option<&Authentication>) -> String {
    let Some(it) = it else { return String::new() };
    let data = it.data.as_ref().map(|data| String::from_utf8_lossy(&data.0));
    format!(" auth={}{}", it.method, option("data", data.as_ref()))
}

fn pairs(pairs: &[(String, String)]) -> String {
    pairs.iter().map(|(name, value)| format!(" {name}:{value}")).collect()
}

fn option(name: &str, value: Option<&impl Display>) -> String {
    value.map_or_else(String::new, |value| format!(" {name}={value}"))
}
