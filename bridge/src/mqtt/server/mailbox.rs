//! What waits for the task of a connection. The hub may never wait for a client, so this is where a
//! slow one shows.

use super::session::Event;
use gable_devices::QoS;
use gable_rules::broker::Sending;
use std::collections::VecDeque;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};
use tokio::sync::Notify;

/// Events on their way to a connection.
#[derive(Debug)]
pub(super) struct Mailbox {
    /// Its messages are bounded by `backlog`, its answers by what the connection asks for.
    events: Mutex<VecDeque<Event>>,
    notify: Notify,
    /// The bytes of messages that were not written to the socket.
    backlog: AtomicUsize,
    backlog_max: usize,
}

impl Mailbox {
    pub(super) fn new(backlog_max: usize) -> Mailbox {
        Mailbox { events: Mutex::default(), notify: Notify::new(), backlog: AtomicUsize::new(0), backlog_max }
    }

    pub(super) fn push(&self, event: Event) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push_back(event);
        self.notify.notify_one();
    }

    /// Hands a message over; false if it was dropped. At QoS 0 a client that reads too slowly misses
    /// messages; at QoS 1 and 2 its connection ends, and it can come back for what is kept.
    pub(super) fn send(&self, sending: Sending) -> bool {
        let bytes = sending.publication.bytes();
        let backlog = self.backlog.load(Relaxed);
        if backlog.saturating_add(bytes) <= self.backlog_max {
            self.backlog.fetch_add(bytes, Relaxed);
            self.push(Event::Send(sending));
            return true;
        }
        if sending.qos != QoS::AtMostOnce {
            let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
            if events.back() != Some(&Event::Overrun) {
                events.push_back(Event::Overrun);
            }
            self.notify.notify_one();
        }
        false
    }

    /// Waits until there may be something.
    pub(super) async fn notified(&self) {
        self.notify.notified().await;
    }

    /// Takes all that is there.
    pub(super) fn take(&self) -> VecDeque<Event> {
        std::mem::take(&mut *self.events.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A message was written to the socket, or given up.
    pub(super) fn lighten(&self, bytes: usize) {
        self.backlog.fetch_sub(bytes, Relaxed);
    }
}
