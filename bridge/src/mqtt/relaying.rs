//! Which messages of other nodes this node still has to bring to its own broker. Pure: it is told what
//! happens and says what to publish.
//!
//! They are committed, so nothing is lost but what this broker's clients miss while it is away for too
//! long. At QoS 1 a message is published anew after a lost connection, and may be heard twice then.

use gable_devices::{Millis, Publish, QoS, Timestamp};
use std::collections::{BTreeMap, VecDeque};
use tokio::time::Instant;

/// What is not retained is an event: later than this it would act in another situation.
const AGE_MAX: Millis = Millis::from_secs(30);

/// What a message takes beside its topic and payload, about.
const OVERHEAD: usize = 128;

/// Messages on their way to the broker.
#[derive(Debug)]
pub(super) struct Relaying {
    waiting: VecDeque<Parcel>,
    /// What they take; with more than `bytes_max` the oldest is given up.
    bytes: usize,
    bytes_max: usize,
    /// Requested, not yet written, in their order.
    requested: VecDeque<Parcel>,
    /// Written under these packet ids, not yet taken over; in their order by the first number.
    written: BTreeMap<u16, (u64, Parcel)>,
    count: u64,
    in_flight_max: usize,
    is_up: bool,
    dropped: u64,
}

#[derive(Clone, Debug)]
struct Parcel {
    publish: Publish,
    /// When it was committed, in log time.
    at: Timestamp,
}

impl Parcel {
    fn bytes(&self) -> usize {
        OVERHEAD + self.publish.topic.len() + self.publish.payload.len()
    }
}

impl Relaying {
    pub(super) fn new(in_flight_max: usize, bytes_max: usize) -> Relaying {
        Relaying {
            waiting: VecDeque::new(),
            bytes: 0,
            bytes_max,
            requested: VecDeque::new(),
            written: BTreeMap::new(),
            count: 0,
            in_flight_max,
            is_up: false,
            dropped: 0,
        }
    }

    /// Takes a message that was committed at `at`.
    pub(super) fn push(&mut self, publish: Publish, at: Timestamp) {
        let parcel = Parcel { publish, at };
        self.bytes += parcel.bytes();
        self.waiting.push_back(parcel);
        while self.bytes > self.bytes_max && self.pop().is_some() {
            self.dropped += 1;
        }
    }

    /// Takes the next message to publish, while the link is up and has room.
    pub(super) fn next(&mut self, now: Timestamp) -> Option<Publish> {
        while self.is_up && self.requested.len() + self.written.len() < self.in_flight_max {
            let parcel = self.pop()?;
            if !parcel.publish.retain && now.since(parcel.at) > AGE_MAX {
                self.dropped += 1;
                continue;
            }
            let publish = parcel.publish.clone();
            self.requested.push_back(parcel);
            return Some(publish);
        }
        None
    }

    /// Takes back the message that was taken last: it can not be published.
    pub(super) fn unpublishable(&mut self) {
        self.requested.pop_back();
        self.dropped += 1;
    }

    /// Notes that the oldest request was written under a packet id, 0 at QoS 0. Says whether the broker
    /// has it with that.
    pub(super) fn written(&mut self, packet_id: u16) -> bool {
        let Some(parcel) = self.requested.pop_front() else { return false };
        if parcel.publish.qos == QoS::AtMostOnce {
            return true;
        }
        self.count += 1;
        self.written.insert(packet_id, (self.count, parcel));
        false
    }

    /// Notes that the broker took over what was written under a packet id, if that was one of these.
    pub(super) fn taken(&mut self, packet_id: u16) -> bool {
        self.written.remove(&packet_id).is_some()
    }

    /// Notes that the link is up.
    pub(super) fn connected(&mut self) {
        self.is_up = true;
    }

    /// Notes that the link is down. What had no acknowledgement waits for the next connection, in front.
    pub(super) fn disconnected(&mut self) {
        self.is_up = false;
        let mut again: Vec<(u64, Parcel)> = std::mem::take(&mut self.written).into_values().collect();
        again.sort_by_key(|(count, _)| *count);
        let again = again.into_iter().map(|(_, parcel)| parcel).chain(self.requested.drain(..));
        let again: Vec<Parcel> = again.collect();
        for parcel in again.into_iter().rev() {
            self.bytes += parcel.bytes();
            self.waiting.push_front(parcel);
        }
    }

    /// Takes the count of messages that were given up.
    pub(super) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    fn pop(&mut self) -> Option<Parcel> {
        let parcel = self.waiting.pop_front()?;
        self.bytes -= parcel.bytes();
        Some(parcel)
    }
}

/// The log's time as it goes on, also while this node falls behind: what it applies then is old, though
/// it is the newest that it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LogTime {
    base: Instant,
    at: Timestamp,
}

impl LogTime {
    /// The log's time is `at` now, since this node is known to have applied everything.
    pub(super) fn new(now: Instant, at: Timestamp) -> LogTime {
        LogTime { base: now, at }
    }

    pub(super) fn now(self, now: Instant) -> Timestamp {
        self.at.after(Millis(u64::try_from((now - self.base).as_millis()).unwrap_or(u64::MAX)))
    }

    /// An input can not be from the future.
    pub(super) fn note(&mut self, now: Instant, at: Timestamp) {
        if at > self.now(now) {
            *self = LogTime::new(now, at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays `script`, one step a line, with two in flight and room for three messages of one byte, and
    /// compares what is published and how many are given up: `push NAME SECONDS` (`r` first: retained, a
    /// `0` behind it: QoS 0), `at SECONDS`, `up`, `down`, `written PACKET`, `taken PACKET`.
    #[track_caller]
    fn check(script: &str, expected: &[&str], dropped: u64) {
        let mut relaying = Relaying::new(2, 3 * (OVERHEAD + 1) + 6);
        let mut now = Timestamp(0);
        let mut published = Vec::new();
        for line in script.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let number = |n: usize| words[n].parse::<i64>().unwrap();
            match words[0] {
                "push" => {
                    let qos = if words[1].ends_with('0') { QoS::AtMostOnce } else { QoS::AtLeastOnce };
                    let retain = words[1].starts_with('r');
                    let publish = Publish { topic: words[1].into(), payload: Vec::new(), qos, retain };
                    relaying.push(publish, Timestamp(number(2) * 1_000));
                }
                "at" => now = Timestamp(number(1) * 1_000),
                "up" => relaying.connected(),
                "down" => relaying.disconnected(),
                "written" => drop(relaying.written(number(1) as u16)),
                "taken" => assert!(relaying.taken(number(1) as u16)),
                _ => panic!("{line}"),
            }
            while let Some(publish) = relaying.next(now) {
                published.push(publish.topic);
            }
        }
        assert_eq!(published, expected, "{script}");
        assert_eq!(relaying.take_dropped(), dropped, "{script}");
    }

    #[test]
    fn messages_go_out_in_order_and_not_too_many_at_once() {
        check("up\npush a 0\npush b 0\npush c 0\nwritten 1\nwritten 2\ntaken 1", &["a", "b", "c"], 0);
        check("up\npush a0 0\npush b0 0\npush c0 0\nwritten 0", &["a0", "b0", "c0"], 0);
        check("push a 0\nup", &["a"], 0);
    }

    #[test]
    fn what_was_not_taken_over_goes_out_again_in_order() {
        check("up\npush a 0\npush b 0\npush c 0\nwritten 7\ndown\nup", &["a", "b", "a", "b"], 0);
        check("up\npush a 0\nwritten 7\ntaken 7\ndown\nup", &["a"], 0);
        check("up\npush a0 0\nwritten 0\ndown\nup", &["a0"], 0);
    }

    #[test]
    fn an_event_is_not_relayed_late_and_a_state_is() {
        check("push a 0\npush r 0\nat 30\nup", &["a", "r"], 0);
        check("push a 0\npush r 0\nat 31\nup", &["r"], 1);
    }

    #[test]
    fn the_oldest_is_given_up_when_too_much_waits() {
        check(
            "push a 0\npush b 0\npush c 0\npush d 0\nup\nwritten 1\nwritten 2\ntaken 1",
            &["b", "c", "d"],
            1,
        );
    }

    #[test]
    fn the_logs_time_goes_on_and_does_not_follow_old_entries() {
        let start = Instant::now();
        let later = start + std::time::Duration::from_secs(60);
        let mut time = LogTime::new(start, Timestamp(1_000));
        time.note(later, Timestamp(2_000));
        assert_eq!(time.now(later), Timestamp(61_000));
        time.note(later, Timestamp(90_000));
        assert_eq!(time.now(later), Timestamp(90_000));
    }
}
