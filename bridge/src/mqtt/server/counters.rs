//! What the server did so far.

use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// Counters; clones count together.
#[derive(Clone, Debug, Default)]
pub(super) struct Counters(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    messages_received: AtomicU64,
    messages_sent: AtomicU64,
    messages_dropped: AtomicU64,
    bytes_received: AtomicU64,
    bytes_sent: AtomicU64,
}

/// The counters at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// PUBLISH packets from clients.
    pub messages_received: u64,
    /// PUBLISH packets to clients.
    pub messages_sent: u64,
    /// Messages that clients missed which read too slowly.
    pub messages_dropped: u64,
    pub bytes_received: u64,
    pub bytes_sent: u64,
}

impl Counters {
    /// Returns the counters as they are.
    pub(super) fn get(&self) -> Counted {
        Counted {
            messages_received: self.0.messages_received.load(Relaxed),
            messages_sent: self.0.messages_sent.load(Relaxed),
            messages_dropped: self.0.messages_dropped.load(Relaxed),
            bytes_received: self.0.bytes_received.load(Relaxed),
            bytes_sent: self.0.bytes_sent.load(Relaxed),
        }
    }

    pub(super) fn received(&self) {
        self.0.messages_received.fetch_add(1, Relaxed);
    }

    pub(super) fn sent(&self) {
        self.0.messages_sent.fetch_add(1, Relaxed);
    }

    pub(super) fn dropped(&self) {
        self.0.messages_dropped.fetch_add(1, Relaxed);
    }

    pub(super) fn read(&self, bytes: usize) {
        self.0.bytes_received.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn written(&self, bytes: usize) {
        self.0.bytes_sent.fetch_add(bytes as u64, Relaxed);
    }
}
