//! What types can not say: values that contradict each other or would not work.

mod address;
mod server;

use crate::settings::{Home, Mqtt, MqttMode, Settings};
use std::collections::BTreeSet;
use std::net::SocketAddr;

/// Shorter secrets can be guessed.
const SECRET_BYTES_MIN: usize = 16;

/// A key and what is wrong with it.
type Finding = (&'static str, String);

impl Settings {
    /// Checks what types can not say, and returns the first key that is wrong, with the reason.
    pub fn validate(&self) -> Result<(), Finding> {
        ensure(self.node.id >= 1, "node.id", || "must be 1 or more".into())?;
        self.validate_cluster()?;
        self.mqtt.validate()?;
        if let Some(token) = &self.http.token {
            ensure(token.expose().len() >= SECRET_BYTES_MIN, "http.token", || {
                format!("is too short: {SECRET_BYTES_MIN} bytes or more")
            })?;
        }
        ensure(is_loopback(&self.http.listen) || self.http.token.is_some(), "http.listen", || {
            format!(
                "{} is reachable from other machines: set http.token or http.token_file",
                self.http.listen
            )
        })?;
        let mut files = BTreeSet::new();
        for file in &self.home.files {
            ensure(files.insert(file), "home.files", || format!("names {} twice", file.display()))?;
        }
        self.validate_address()?;
        self.home.validate_place()?;
        ensure(!self.log.level.trim().is_empty(), "log.level", || "is empty; `info` is the default".into())
    }

    fn validate_cluster(&self) -> Result<(), Finding> {
        let cluster = &self.cluster;
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        ensure(!cluster.name.is_empty() && cluster.name.chars().all(is_word), "cluster.name", || {
            format!("`{}` must consist of letters, digits, `-` and `_`", cluster.name)
        })?;
        let key = cluster.key.as_ref().ok_or_else(|| {
            (
                "cluster.key",
                "is missing: set it or cluster.key_file to a secret that all nodes share".to_owned(),
            )
        })?;
        ensure(key.expose().len() >= SECRET_BYTES_MIN, "cluster.key", || {
            format!("is too short: {SECRET_BYTES_MIN} bytes or more")
        })?;
        let mut ids = BTreeSet::new();
        for peer in &cluster.peers {
            ensure(peer.id >= 1, "cluster.peers", || "has id 0: ids are 1 or more".into())?;
            ensure(ids.insert(peer.id), "cluster.peers", || format!("has id {} twice", peer.id))?;
            ensure(is_host_port(&peer.address), "cluster.peers", || {
                format!("`{}` of node {} is not `host:port`", peer.address, peer.id)
            })?;
        }
        ensure(ids.contains(&self.node.id), "cluster.peers", || {
            format!("does not list this node, whose node.id is {}", self.node.id)
        })?;
        ensure(cluster.heartbeat_ms >= 1, "cluster.heartbeat_ms", || "must be 1 or more".into())?;
        ensure(cluster.election_min_ms >= 2 * cluster.heartbeat_ms, "cluster.election_min_ms", || {
            format!("{} must be twice cluster.heartbeat_ms or more", cluster.election_min_ms)
        })?;
        ensure(cluster.election_max_ms > cluster.election_min_ms, "cluster.election_max_ms", || {
            format!("{} must be more than cluster.election_min_ms", cluster.election_max_ms)
        })?;
        ensure(cluster.linger_ms <= 100, "cluster.linger_ms", || {
            format!("{} holds every message up: 100 or less", cluster.linger_ms)
        })
    }
}

impl Home {
    fn validate_place(&self) -> Result<(), Finding> {
        ensure(!self.time_zone.is_empty(), "home.time_zone", || "is empty; `UTC` is the default".into())?;
        let lies_within = |degrees: Option<f64>, limit: f64| degrees.is_none_or(|found| found.abs() <= limit);
        ensure(lies_within(self.latitude, 90.0), "home.latitude", || "must be -90 to 90".into())?;
        ensure(lies_within(self.longitude, 180.0), "home.longitude", || "must be -180 to 180".into())?;
        ensure(self.elevation.abs() <= 10_000.0, "home.elevation", || "must be -10000 to 10000".into())
    }
}

impl Mqtt {
    fn validate(&self) -> Result<(), Finding> {
        ensure(!self.host.is_empty(), "mqtt.host", || "is empty".into())?;
        ensure(self.port != 0 || self.mode != MqttMode::Attach, "mqtt.port", || "must not be 0".into())?;
        // These four in a client id stop rumqttd's listener for good (its own check comes too late).
        ensure(!self.client_id.contains(['+', '$', '#', '/', '\0']), "mqtt.client_id", || {
            format!("`{}` must not contain + $ # /", self.client_id)
        })?;
        ensure(self.username.is_some() || self.password.is_none(), "mqtt.username", || {
            "is missing beside the password".into()
        })?;
        ensure(self.keep_alive_s >= 5, "mqtt.keep_alive_s", || "must be 5 or more".into())?;
        ensure((2..=1000).contains(&self.inflight), "mqtt.inflight", || "must be 2 to 1000".into())?;
        ensure(self.max_packet_bytes >= 1 << 20, "mqtt.max_packet_bytes", || {
            "must be 1048576 or more: device lists exceed less, and one retained message that is too large ends every connection"
                .into()
        })?;
        ensure(self.max_packet_bytes <= 256 << 20, "mqtt.max_packet_bytes", || {
            "must be 268435456 or less".into()
        })?;
        for filter in &self.extra_topics {
            ensure(is_topic_filter(filter), "mqtt.extra_topics", || {
                format!("`{filter}` is not an MQTT topic filter")
            })?;
        }
        self.validate_relay()?;
        match self.mode {
            MqttMode::Attach => Ok(()),
            MqttMode::Embedded => self.validate_embedded(),
            MqttMode::Server => self.validate_server(),
        }
    }

    fn validate_relay(&self) -> Result<(), Finding> {
        let attach = &self.attach;
        let is_relayed = |filter: &str| is_topic_filter(filter) && !filter.starts_with('$');
        for filter in &attach.relay {
            ensure(is_relayed(filter), "mqtt.attach.relay", || {
                format!("`{filter}` is not an MQTT topic filter, or is for topics of the broker's own")
            })?;
        }
        ensure(attach.max_relay_bytes >= self.max_packet_bytes, "mqtt.attach.max_relay_bytes", || {
            format!("must be {} or more, which is mqtt.max_packet_bytes", self.max_packet_bytes)
        })?;
        if attach.relay.is_empty() {
            return Ok(());
        }
        let why_not = match self.mode {
            MqttMode::Attach if self.shared_broker => {
                Some("must be empty with mqtt.shared_broker: clients of one broker hear everything already")
            }
            MqttMode::Attach => None,
            MqttMode::Server => {
                Some("must be empty with mqtt.mode = \"server\": the nodes are one broker already")
            }
            MqttMode::Embedded => Some(
                "must be empty with mqtt.mode = \"embedded\": that broker would send a node's own messages back to it; use Mosquitto and mqtt.mode = \"attach\"",
            ),
        };
        why_not.map_or(Ok(()), |reason| Err(("mqtt.attach.relay", reason.to_owned())))
    }

    fn validate_embedded(&self) -> Result<(), Finding> {
        let embedded = &self.embedded;
        ensure(!self.shared_broker, "mqtt.shared_broker", || {
            "can not be true with mqtt.mode = \"embedded\": that broker dies with its node".into()
        })?;
        ensure(is_loopback(&embedded.listen) || self.password.is_some(), "mqtt.embedded.listen", || {
            format!(
                "{} is reachable from other machines: set mqtt.username and mqtt.password or mqtt.password_file",
                embedded.listen
            )
        })?;
        ensure((2..=10_000).contains(&embedded.max_connections), "mqtt.embedded.max_connections", || {
            "must be 2 to 10000".into()
        })?;
        ensure(
            (1..=self.max_packet_bytes.saturating_sub(PACKET_OVERHEAD)).contains(&embedded.max_payload_bytes),
            "mqtt.embedded.max_payload_bytes",
            || {
                "must be at least 64 kB less than mqtt.max_packet_bytes, or Gable could not read what devices send".into()
            },
        )?;
        ensure(embedded.max_filter_bytes >= 128 << 10, "mqtt.embedded.max_filter_bytes", || {
            "must be 131072 or more".into()
        })
    }
}

/// Header, topic and packet id of a PUBLISH take at most this beside the payload.
const PACKET_OVERHEAD: usize = 64 << 10;

fn ensure(holds: bool, key: &'static str, reason: impl FnOnce() -> String) -> Result<(), Finding> {
    if holds { Ok(()) } else { Err((key, reason())) }
}

fn is_loopback(address: &SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

fn is_host_port(address: &str) -> bool {
    address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

/// MQTT 3.1.1, section 4.7: `#` only as the last level, `+` and `#` only as whole levels.
fn is_topic_filter(filter: &str) -> bool {
    let levels: Vec<&str> = filter.split('/').collect();
    !filter.is_empty()
        && filter.len() <= usize::from(u16::MAX)
        && !filter.contains('\0')
        && levels.iter().enumerate().all(|(n, level)| match *level {
            "+" => true,
            "#" => n + 1 == levels.len(),
            level => !level.contains(['+', '#']),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Peer, Secret};

    /// Changes valid settings and compares the key that is then refused.
    #[track_caller]
    fn check(change: impl FnOnce(&mut Settings), expected: Option<&str>) {
        let mut settings = Settings::default();
        settings.cluster.key = Some(Secret::new("0123456789abcdef"));
        change(&mut settings);
        assert_eq!(settings.validate().err().map(|(key, _)| key), expected);
    }

    #[test]
    fn cluster_settings_must_fit_together() {
        check(|_| {}, None);
        check(|s| s.cluster.key = Some(Secret::new("0123456789abcde")), Some("cluster.key"));
        check(|s| s.node.id = 2, Some("cluster.peers"));
        check(|s| s.cluster.peers.push(Peer { id: 1, address: "a:1".into() }), Some("cluster.peers"));
        check(|s| s.cluster.peers[0].address = "nowhere".into(), Some("cluster.peers"));
        check(|s| s.cluster.peers[0].address = "[::1]:0".into(), None);
        check(|s| s.cluster.heartbeat_ms = 100, Some("cluster.election_min_ms"));
        check(|s| s.cluster.election_max_ms = 150, Some("cluster.election_max_ms"));
        check(|s| s.cluster.name = "my home".into(), Some("cluster.name"));
        check(|s| s.cluster.listen.set_port(0), None);
    }

    #[test]
    fn other_machines_need_a_secret() {
        let anywhere = SocketAddr::from(([0, 0, 0, 0], 80));
        check(|s| s.http.listen = anywhere, Some("http.listen"));
        check(|s| (s.http.listen, s.http.token) = (anywhere, Some(Secret::new("short"))), Some("http.token"));
        check(|s| (s.http.listen, s.http.token) = (anywhere, Some(Secret::new("0123456789abcdef"))), None);
        check(|s| s.http.listen = "[::ffff:127.0.0.1]:80".parse().unwrap(), None);
        check(|s| s.mqtt.embedded.listen = anywhere, None);
        let embed = |s: &mut Settings| (s.mqtt.mode, s.mqtt.embedded.listen) = (MqttMode::Embedded, anywhere);
        check(embed, Some("mqtt.embedded.listen"));
        check(|s| (embed(s), s.mqtt.password = Some(Secret::new("p"))).0, Some("mqtt.username"));
    }

    #[test]
    fn mqtt_settings_must_work() {
        check(|s| s.mqtt.client_id = "a/b".into(), Some("mqtt.client_id"));
        check(|s| s.mqtt.max_packet_bytes = 10_240, Some("mqtt.max_packet_bytes"));
        check(|s| s.mqtt.keep_alive_s = 0, Some("mqtt.keep_alive_s"));
        check(|s| s.mqtt.inflight = 1, Some("mqtt.inflight"));
        check(|s| s.mqtt.extra_topics = vec!["a/#/b".into()], Some("mqtt.extra_topics"));
        check(|s| s.mqtt.extra_topics = vec!["#".into(), "+/a/#".into(), "a b/c".into()], None);
        check(
            |s| (s.mqtt.mode, s.mqtt.shared_broker) = (MqttMode::Embedded, true),
            Some("mqtt.shared_broker"),
        );
        check(|s| (s.mqtt.mode, s.mqtt.port) = (MqttMode::Embedded, 0), None);
    }

    #[test]
    fn messages_are_relayed_between_brokers_of_their_own_only() {
        let relay = |s: &mut Settings, mode, filter: &str| {
            (s.mqtt.mode, s.mqtt.attach.relay) = (mode, vec![filter.to_owned()]);
        };
        check(|s| relay(s, MqttMode::Attach, "zigbee2mqtt/#"), None);
        check(|s| relay(s, MqttMode::Attach, "#"), None);
        check(|s| relay(s, MqttMode::Attach, "a/#/b"), Some("mqtt.attach.relay"));
        check(|s| relay(s, MqttMode::Attach, "$share/g/a"), Some("mqtt.attach.relay"));
        check(|s| relay(s, MqttMode::Server, "a"), Some("mqtt.attach.relay"));
        check(|s| relay(s, MqttMode::Embedded, "a"), Some("mqtt.attach.relay"));
        let shared = |s: &mut Settings| {
            relay(s, MqttMode::Attach, "a");
            s.mqtt.shared_broker = true;
        };
        check(shared, Some("mqtt.attach.relay"));
        check(|s| s.mqtt.attach.max_relay_bytes = 1 << 20, Some("mqtt.attach.max_relay_bytes"));
    }
}
