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
    packets_received: AtomicU64,
    packets_sent: AtomicU64,
    messages_received: AtomicU64,
    messages_sent: AtomicU64,
    messages_dropped: AtomicU64,
    payload_bytes_received: AtomicU64,
    payload_bytes_sent: AtomicU64,
    bytes_received: AtomicU64,
    bytes_sent: AtomicU64,
}

/// The counters at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// Packets of all kinds from clients.
    pub packets_received: u64,
    /// Packets of all kinds to clients.
    pub packets_sent: u64,
    /// PUBLISH packets from clients.
    pub messages_received: u64,
    /// PUBLISH packets to clients.
    pub messages_sent: u64,
    /// Messages that clients missed which read too slowly.
    pub messages_dropped: u64,
    /// What the messages carried.
    pub payload_bytes_received: u64,
    pub payload_bytes_sent: u64,
    /// From the packet behind CONNECT on.
    pub bytes_received: u64,
    pub bytes_sent: u64,
}

impl Counters {
    /// Returns the counters as they are.
    pub(super) fn get(&self) -> Counted {
        Counted {
            packets_received: self.0.packets_received.load(Relaxed),
            packets_sent: self.0.packets_sent.load(Relaxed),
            messages_received: self.0.messages_received.load(Relaxed),
            messages_sent: self.0.messages_sent.load(Relaxed),
            messages_dropped: self.0.messages_dropped.load(Relaxed),
            payload_bytes_received: self.0.payload_bytes_received.load(Relaxed),
            payload_bytes_sent: self.0.payload_bytes_sent.load(Relaxed),
            bytes_received: self.0.bytes_received.load(Relaxed),
            bytes_sent: self.0.bytes_sent.load(Relaxed),
        }
    }

    /// A client was let in: its CONNECT and what it was answered.
    pub(super) fn admitted(&self) {
        self.packet_received();
        self.packet_sent();
    }

    pub(super) fn packet_received(&self) {
        self.0.packets_received.fetch_add(1, Relaxed);
    }

    pub(super) fn packet_sent(&self) {
        self.0.packets_sent.fetch_add(1, Relaxed);
    }

    /// A packet was a PUBLISH with so many bytes.
    pub(super) fn message_received(&self, bytes: usize) {
        self.0.messages_received.fetch_add(1, Relaxed);
        self.0.payload_bytes_received.fetch_add(bytes as u64, Relaxed);
    }

    /// A packet was a PUBLISH with so many bytes.
    pub(super) fn message_sent(&self, bytes: usize) {
        self.0.messages_sent.fetch_add(1, Relaxed);
        self.0.payload_bytes_sent.fetch_add(bytes as u64, Relaxed);
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
