//! What the MQTT edge did, for `/api/status`.

use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// Counts of one node since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Whether the broker is connected and the subscriptions stand.
    pub link_up: bool,
    /// Messages that the broker delivered.
    pub heard: u64,
    /// Messages proposed to the log.
    pub proposed: u64,
    /// Messages that other nodes proposed, that repeat what is known, or that nobody asked for.
    pub passed_over: u64,
    /// Messages acknowledged to the broker.
    pub acknowledged: u64,
    /// Messages that can not be taken: a bad topic, or too large.
    pub invalid: u64,
    /// Messages without a promise (QoS 0) that were dropped because too many waited.
    pub dropped: u64,
    /// Commands that the broker took over.
    pub published: u64,
    /// Commands that can not be published to this broker.
    pub unpublishable: u64,
    /// Whether this node relays: its broker has granted the subscriptions of `mqtt.attach.relay`.
    pub relay_up: bool,
    /// Messages from other nodes that this node's broker has.
    pub relayed: u64,
    /// Messages from other nodes that were given up: too old, or too many waited.
    pub relay_dropped: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) link_up: AtomicBool,
    pub(super) heard: AtomicU64,
    pub(super) proposed: AtomicU64,
    pub(super) passed_over: AtomicU64,
    pub(super) acknowledged: AtomicU64,
    pub(super) invalid: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) published: AtomicU64,
    pub(super) unpublishable: AtomicU64,
    pub(super) relay_up: AtomicBool,
    pub(super) relayed: AtomicU64,
    pub(super) relay_dropped: AtomicU64,
}

/// The counters that the tasks share.
pub(super) type Counters = Arc<Counts>;

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

impl Counts {
    pub(super) fn status(&self) -> Status {
        Status {
            link_up: self.link_up.load(Relaxed),
            heard: self.heard.load(Relaxed),
            proposed: self.proposed.load(Relaxed),
            passed_over: self.passed_over.load(Relaxed),
            acknowledged: self.acknowledged.load(Relaxed),
            invalid: self.invalid.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            published: self.published.load(Relaxed),
            unpublishable: self.unpublishable.load(Relaxed),
            relay_up: self.relay_up.load(Relaxed),
            relayed: self.relayed.load(Relaxed),
            relay_dropped: self.relay_dropped.load(Relaxed),
        }
    }
}
