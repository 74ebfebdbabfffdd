//! How much the broker keeps. The limits are replicated, so that all nodes refuse the same.

use gable_devices::Millis;
use serde::{Deserialize, Serialize};

/// How much the broker keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerLimits {
    /// Clients that are connected or have a session. A further one is refused (quota exceeded).
    pub clients_max: u32,
    /// Subscriptions of one session. A further one is refused (quota exceeded).
    pub subscriptions_max: u32,
    /// Retained messages. A further topic's is delivered, and not retained.
    pub retained_max: u32,
    /// Bytes of retained messages.
    pub retained_bytes_max: u64,
    /// Messages that wait in one session. The oldest one that was not sent gives way.
    pub queue_max: u32,
    /// Bytes of messages that wait in sessions, all together.
    pub queue_bytes_max: u64,
    /// The longest session expiry interval, in seconds; longer ones are shortened.
    pub session_expiry_max: u32,
    /// How long after a node's death its clients may come back before their wills are published.
    pub grace: Millis,
    /// How long a node waits for what the log says to a CONNECT. An older one is not taken: its client
    /// was turned away.
    pub patience: Millis,
}

impl Default for BrokerLimits {
    fn default() -> BrokerLimits {
        BrokerLimits {
            clients_max: 10_000,
            subscriptions_max: 1_000,
            retained_max: 50_000,
            retained_bytes_max: 32 << 20,
            queue_max: 10_000,
            queue_bytes_max: 32 << 20,
            session_expiry_max: 30 * 24 * 3600,
            grace: Millis::from_secs(10),
            patience: Millis::from_secs(10),
        }
    }
}
