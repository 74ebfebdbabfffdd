//! What types can not say about the section of Gable's own broker.

use super::{Finding, ensure, is_topic_filter};
use crate::settings::{Mqtt, Server};
use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;

/// Packets have to be at least this large to be of use.
const PACKET_BYTES_MIN: usize = 64 << 10;

/// MQTT's own limit, to the next round number.
const PACKET_BYTES_MAX: usize = 256 << 20;

impl Mqtt {
    pub(super) fn validate_server(&self) -> Result<(), Finding> {
        ensure(!self.shared_broker, "mqtt.shared_broker", || {
            "can not be true with mqtt.mode = \"server\": each node is the broker itself".into()
        })?;
        self.server.validate_listeners()?;
        self.server.validate_limits()?;
        self.server.validate_sizes()?;
        self.server.validate_topics()
    }
}

impl Server {
    fn validate_listeners(&self) -> Result<(), Finding> {
        let mut taken = BTreeSet::new();
        for (key, addresses) in [
            ("mqtt.server.listen", &self.listen),
            ("mqtt.server.tls_listen", &self.tls_listen),
            ("mqtt.server.websocket_listen", &self.websocket_listen),
            ("mqtt.server.websocket_tls_listen", &self.websocket_tls_listen),
        ] {
            for address in addresses {
                ensure(address.port() == 0 || taken.insert(address), key, || {
                    format!("{address} is listened on already: each listener needs an address of its own")
                })?;
            }
        }
        let has_tls = !self.tls_listen.is_empty() || !self.websocket_tls_listen.is_empty();
        let has_any = has_tls || !self.listen.is_empty() || !self.websocket_listen.is_empty();
        ensure(has_any, "mqtt.server.listen", || {
            "is empty, and so are the other three lists: no client could connect".into()
        })?;
        ensure(!has_tls || self.certificate.is_some(), "mqtt.server.certificate", || {
            "is missing: listening with TLS needs it".into()
        })?;
        ensure(self.certificate.is_some() == self.key.is_some(), "mqtt.server.key", || {
            "belongs to mqtt.server.certificate: set both or neither".into()
        })?;
        ensure(has_tls || self.client_ca.is_none(), "mqtt.server.client_ca", || {
            "has no effect without mqtt.server.tls_listen or mqtt.server.websocket_tls_listen".into()
        })
    }

    fn validate_limits(&self) -> Result<(), Finding> {
        within("mqtt.server.max_connections", self.max_connections, 2..=100_000)?;
        within(
            "mqtt.server.max_connections_per_address",
            self.max_connections_per_address,
            1..=self.max_connections,
        )?;
        within("mqtt.server.connect_timeout_s", self.connect_timeout_s, 1..=300)?;
        within("mqtt.server.silence_s", self.silence_s, 0..=7_200)?;
        within("mqtt.server.max_inflight", self.max_inflight, 1..=u16::MAX)?;
        within("mqtt.server.receive_maximum", self.receive_maximum, 1..=u16::MAX)?;
        within("mqtt.server.max_subscriptions", self.max_subscriptions, 1..=u32::MAX)?;
        within("mqtt.server.max_clients", self.max_clients, 1..=u32::MAX)?;
        within("mqtt.server.max_retained", self.max_retained, 1..=u32::MAX)?;
        within("mqtt.server.max_queued", self.max_queued, 1..=u32::MAX)?;
        within("mqtt.server.grace_s", self.grace_s, 0..=3_600)?;
        within("mqtt.server.ack_patience_s", self.ack_patience_s, 1..=300)?;
        within("mqtt.server.sys_interval_s", self.sys_interval_s, 0..=3_600)
    }

    /// What could not hold one packet would hold the largest one up for ever.
    fn validate_sizes(&self) -> Result<(), Finding> {
        let packet = self.max_packet_bytes;
        within("mqtt.server.max_packet_bytes", packet, PACKET_BYTES_MIN..=PACKET_BYTES_MAX)?;
        for (key, bytes) in [
            ("mqtt.server.max_backlog_bytes", self.max_backlog_bytes as u64),
            ("mqtt.server.max_retained_bytes", self.max_retained_bytes),
            ("mqtt.server.max_queued_bytes", self.max_queued_bytes),
        ] {
            ensure(bytes >= packet as u64, key, || {
                format!("{bytes} must be mqtt.server.max_packet_bytes ({packet}) or more")
            })?;
        }
        Ok(())
    }

    fn validate_topics(&self) -> Result<(), Finding> {
        for (key, filters) in [
            ("mqtt.server.topics.relay", &self.topics.relay),
            ("mqtt.server.topics.local", &self.topics.local),
        ] {
            for filter in filters {
                ensure(is_topic_filter(filter), key, || format!("`{filter}` is not an MQTT topic filter"))?;
                ensure(!filter.starts_with("$share/"), key, || {
                    format!("`{filter}` is a shared subscription; leave out `$share` and its name")
                })?;
            }
        }
        let both = self.topics.relay.iter().find(|filter| self.topics.local.contains(filter));
        both.map_or(Ok(()), |filter| {
            Err(("mqtt.server.topics.local", format!("`{filter}` is in mqtt.server.topics.relay too")))
        })
    }
}

fn within<T: PartialOrd + Display>(
    key: &'static str,
    value: T,
    range: RangeInclusive<T>,
) -> Result<(), Finding> {
    ensure(range.contains(&value), key, || format!("must be {} to {}", range.start(), range.end()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MqttMode, Secret, Settings};

    /// Changes a valid server section and compares what is then said.
    #[track_caller]
    fn check(change: impl FnOnce(&mut Server), expected: Option<(&str, &str)>) {
        let mut settings = Settings::default();
        settings.cluster.key = Some(Secret::new("0123456789abcdef"));
        settings.mqtt.mode = MqttMode::Server;
        change(&mut settings.mqtt.server);
        let found = settings.validate().err();
        assert_eq!(found.as_ref().map(|(key, reason)| (*key, reason.as_str())), expected);
    }

    fn anywhere(port: u16) -> std::net::SocketAddr {
        ([0, 0, 0, 0], port).into()
    }

    #[test]
    fn listeners_must_be_possible() {
        check(|_| {}, None);
        check(
            |s| s.listen.clear(),
            Some((
                "mqtt.server.listen",
                "is empty, and so are the other three lists: no client could connect",
            )),
        );
        check(|s| (s.listen.clear(), s.websocket_listen.push(anywhere(0))).1, None);
        check(
            |s| (s.listen.push(anywhere(80)), s.websocket_listen.push(anywhere(80))).1,
            Some((
                "mqtt.server.websocket_listen",
                "0.0.0.0:80 is listened on already: each listener needs an address of its own",
            )),
        );
        check(|s| s.listen = vec![anywhere(0), anywhere(0)], None);
        let missing = Some(("mqtt.server.certificate", "is missing: listening with TLS needs it"));
        check(|s| s.tls_listen.push(anywhere(8883)), missing);
        check(|s| s.websocket_tls_listen.push(anywhere(8883)), missing);
        let with_tls = |s: &mut Server| {
            s.tls_listen.push(anywhere(8883));
            s.certificate = Some("mqtt.crt".into());
            s.key = Some("mqtt.key".into());
        };
        check(with_tls, None);
        check(
            |s| (with_tls(s), s.key = None).0,
            Some(("mqtt.server.key", "belongs to mqtt.server.certificate: set both or neither")),
        );
        check(|s| (with_tls(s), s.client_ca = Some("ca.crt".into())).0, None);
        check(
            |s| s.client_ca = Some("ca.crt".into()),
            Some((
                "mqtt.server.client_ca",
                "has no effect without mqtt.server.tls_listen or mqtt.server.websocket_tls_listen",
            )),
        );
    }

    #[test]
    fn limits_must_leave_room_to_work() {
        check(|s| s.max_connections = 1, Some(("mqtt.server.max_connections", "must be 2 to 100000")));
        check(
            |s| s.max_connections = 100,
            Some(("mqtt.server.max_connections_per_address", "must be 1 to 100")),
        );
        check(|s| s.connect_timeout_s = 0, Some(("mqtt.server.connect_timeout_s", "must be 1 to 300")));
        check(|s| s.max_inflight = 0, Some(("mqtt.server.max_inflight", "must be 1 to 65535")));
        check(|s| s.receive_maximum = 0, Some(("mqtt.server.receive_maximum", "must be 1 to 65535")));
        check(|s| s.grace_s = 3_601, Some(("mqtt.server.grace_s", "must be 0 to 3600")));
        check(|s| s.ack_patience_s = 0, Some(("mqtt.server.ack_patience_s", "must be 1 to 300")));
        check(|s| s.silence_s = 7_201, Some(("mqtt.server.silence_s", "must be 0 to 7200")));
        check(|s| s.sys_interval_s = 3_601, Some(("mqtt.server.sys_interval_s", "must be 0 to 3600")));
        check(|s| (s.grace_s, s.max_topic_aliases, s.max_keep_alive_s) = (0, 0, 0), None);
        check(
            |s| s.max_packet_bytes = 1_000,
            Some(("mqtt.server.max_packet_bytes", "must be 65536 to 268435456")),
        );
        check(
            |s| s.max_packet_bytes = 8 << 20,
            Some((
                "mqtt.server.max_backlog_bytes",
                "4194304 must be mqtt.server.max_packet_bytes (8388608) or more",
            )),
        );
    }

    #[test]
    fn classes_of_topics_must_be_clear() {
        check(|s| s.topics.relay = vec!["frigate/+/snapshot".into(), "ota/#".into()], None);
        check(
            |s| s.topics.local = vec!["a#".into()],
            Some(("mqtt.server.topics.local", "`a#` is not an MQTT topic filter")),
        );
        check(
            |s| s.topics.relay = vec!["$share/a/b".into()],
            Some((
                "mqtt.server.topics.relay",
                "`$share/a/b` is a shared subscription; leave out `$share` and its name",
            )),
        );
        check(
            |s| (s.topics.relay, s.topics.local) = (vec!["a".into()], vec!["a".into()]),
            Some(("mqtt.server.topics.local", "`a` is in mqtt.server.topics.relay too")),
        );
    }

    #[test]
    fn another_mode_looks_at_none_of_it() {
        let mut settings = Settings::default();
        settings.mqtt.mode = MqttMode::Attach;
        settings.cluster.key = Some(Secret::new("0123456789abcdef"));
        settings.mqtt.server.listen.clear();
        assert_eq!(settings.validate(), Ok(()));
        settings.mqtt.mode = MqttMode::Server;
        settings.mqtt.server = Server::default();
        settings.mqtt.shared_broker = true;
        assert_eq!(settings.validate().map_err(|(key, _)| key), Err("mqtt.shared_broker"));
    }

    #[test]
    fn anonymous_clients_need_a_loopback_or_a_word() {
        let mut server = Server::default();
        let at = |text: &str| text.parse().unwrap();
        assert!(server.allows_anonymous(at("127.0.0.1:1"), false));
        assert!(server.allows_anonymous(at("[::1]:1"), false));
        assert!(server.allows_anonymous(at("[::ffff:127.0.0.1]:1"), false));
        assert!(!server.allows_anonymous(at("127.0.0.1:1"), true), "a browser's page reaches it");
        assert!(!server.allows_anonymous(at("0.0.0.0:1"), false));
        server.allow_anonymous = Some(true);
        assert!(server.allows_anonymous(at("0.0.0.0:1"), true));
        server.allow_anonymous = Some(false);
        assert!(!server.allows_anonymous(at("127.0.0.1:1"), false));
    }
}
