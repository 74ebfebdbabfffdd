//! The section of Gable's own broker.

use super::loopback;
use crate::list;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Gable as the broker.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    #[serde(deserialize_with = "list::addresses")]
    pub listen: Vec<SocketAddr>,
    #[serde(deserialize_with = "list::addresses")]
    pub tls_listen: Vec<SocketAddr>,
    #[serde(deserialize_with = "list::addresses")]
    pub websocket_listen: Vec<SocketAddr>,
    #[serde(deserialize_with = "list::addresses")]
    pub websocket_tls_listen: Vec<SocketAddr>,
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub client_ca: Option<PathBuf>,
    /// See [`Server::allows_anonymous`] for what absence means.
    pub allow_anonymous: Option<bool>,
    pub max_connections: usize,
    pub max_connections_per_address: usize,
    pub connect_timeout_s: u64,
    /// 0 means no limit.
    pub silence_s: u64,
    pub max_packet_bytes: usize,
    pub max_inflight: u16,
    pub receive_maximum: u16,
    pub max_topic_aliases: u16,
    /// 0 means no limit.
    pub max_keep_alive_s: u16,
    pub max_subscriptions: u32,
    pub max_clients: u32,
    pub max_backlog_bytes: usize,
    /// 0 means no limit.
    pub max_messages_per_second: u32,
    pub max_retained: u32,
    pub max_retained_bytes: u64,
    pub max_queued: u32,
    pub max_queued_bytes: u64,
    pub max_session_expiry_s: u32,
    pub grace_s: u64,
    pub ack_patience_s: u64,
    /// 0 means none at all.
    pub sys_interval_s: u64,
    pub topics: Topics,
}

/// Which topics are not brought to a majority of disks.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Topics {
    #[serde(deserialize_with = "list::texts")]
    pub relay: Vec<String>,
    #[serde(deserialize_with = "list::texts")]
    pub local: Vec<String>,
}

impl Server {
    /// Whether clients of a listener that is bound to `listen` need no name.
    ///
    /// Unless the settings say it, only loopback without WebSocket is open: any page in a browser
    /// on this machine can open a WebSocket to loopback.
    pub fn allows_anonymous(&self, listen: SocketAddr, is_websocket: bool) -> bool {
        self.allow_anonymous.unwrap_or(!is_websocket && listen.ip().to_canonical().is_loopback())
    }

    /// How long a connection may take until its CONNECT is there.
    pub fn connect_timeout(&self) -> Duration {
        Duration::from_secs(self.connect_timeout_s)
    }
}

impl Default for Server {
    fn default() -> Server {
        Server {
            listen: vec![loopback(1883)],
            tls_listen: Vec::new(),
            websocket_listen: Vec::new(),
            websocket_tls_listen: Vec::new(),
            certificate: None,
            key: None,
            client_ca: None,
            allow_anonymous: None,
            max_connections: 2_000,
            max_connections_per_address: 200,
            connect_timeout_s: 10,
            silence_s: 90,
            max_packet_bytes: 1 << 20,
            max_inflight: 20,
            receive_maximum: 100,
            max_topic_aliases: 32,
            max_keep_alive_s: 0,
            max_subscriptions: 1_000,
            max_clients: 10_000,
            max_backlog_bytes: 4 << 20,
            max_messages_per_second: 0,
            max_retained: 50_000,
            max_retained_bytes: 32 << 20,
            max_queued: 10_000,
            max_queued_bytes: 32 << 20,
            max_session_expiry_s: 30 * 24 * 3600,
            grace_s: 10,
            ack_patience_s: 10,
            sys_interval_s: 10,
            topics: Topics::default(),
        }
    }
}
