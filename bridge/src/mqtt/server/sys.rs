//! What a node tells of itself under `$SYS/`, as retained messages at QoS 0.
//!
//! Names and units are those of Mosquitto where it has the figure, so that what draws its curves draws
//! these. Each node tells its own figures to its own clients, and the log knows none of them; what all
//! nodes have in common (retained messages, sessions that wait) is the same on each. Clients can not
//! publish there.

use super::counters::{Counted, Counters};
use super::figures::Presence;
use super::hub::Hub;
use crate::raft::Replica;
use gable_rules::State;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// What the log knows of all clients.
#[derive(Clone, Copy, Debug, Default)]
struct Common {
    /// Clients connected to any node.
    connected: usize,
    /// Sessions that wait for their client.
    disconnected: usize,
    /// Those of kept sessions.
    subscriptions: usize,
    retained: usize,
    retained_bytes: u64,
    queued: usize,
    queued_bytes: u64,
    nodes: usize,
    nodes_up: usize,
}

impl Common {
    fn of(state: &State) -> Common {
        let broker = state.broker();
        let (retained, retained_bytes) = broker.retained_size();
        let mut common = Common {
            retained,
            retained_bytes,
            queued: broker.queue_len(),
            queued_bytes: broker.queue_bytes(),
            nodes: state.nodes().count(),
            nodes_up: state.nodes().filter(|(_, node)| node.up).count(),
            ..Common::default()
        };
        for (_, client) in broker.clients() {
            let (is_connected, session) = (client.connection().is_some(), client.session());
            common.connected += usize::from(is_connected);
            common.disconnected += usize::from(!is_connected && session.is_some());
            common.subscriptions += session.map_or(0, |session| session.subscriptions_len());
        }
        common
    }
}

/// All that is told, at one time.
#[derive(Clone, Copy, Debug, Default)]
struct Reading {
    uptime: Duration,
    counted: Counted,
    loads: [Load; 7],
    presence: Presence,
    common: Common,
    node: u64,
    leader: Option<u64>,
    applied: u64,
}

impl Reading {
    fn figures(&self) -> Vec<(String, String)> {
        let Reading { uptime, counted, loads, presence, common, .. } = self;
        let version = concat!("gable version ", env!("CARGO_PKG_VERSION"));
        let texts = [
            ("$SYS/broker/version", version.to_owned()),
            ("$SYS/broker/uptime", format!("{} seconds", uptime.as_secs())),
            ("$SYS/gable/leader", self.leader.map_or("none".to_owned(), |leader| leader.to_string())),
        ];
        let stored = common.retained + common.queued;
        let numbers = [
            ("$SYS/broker/bytes/received", counted.bytes_received),
            ("$SYS/broker/bytes/sent", counted.bytes_sent),
            ("$SYS/broker/clients/connected", presence.connected as u64),
            ("$SYS/broker/clients/disconnected", common.disconnected as u64),
            ("$SYS/broker/clients/maximum", presence.connected_max as u64),
            ("$SYS/broker/clients/total", (presence.connected + common.disconnected) as u64),
            ("$SYS/broker/messages/received", counted.packets_received),
            ("$SYS/broker/messages/sent", counted.packets_sent),
            ("$SYS/broker/messages/stored", stored as u64),
            ("$SYS/broker/publish/bytes/received", counted.payload_bytes_received),
            ("$SYS/broker/publish/bytes/sent", counted.payload_bytes_sent),
            ("$SYS/broker/publish/messages/dropped", counted.messages_dropped),
            ("$SYS/broker/publish/messages/received", counted.messages_received),
            ("$SYS/broker/publish/messages/sent", counted.messages_sent),
            ("$SYS/broker/retained messages/count", common.retained as u64),
            ("$SYS/broker/store/messages/bytes", common.retained_bytes + common.queued_bytes),
            ("$SYS/broker/store/messages/count", stored as u64),
            ("$SYS/broker/subscriptions/count", (presence.subscriptions + common.subscriptions) as u64),
            ("$SYS/gable/applied", self.applied),
            ("$SYS/gable/clients/connected", common.connected as u64),
            ("$SYS/gable/node", self.node),
            ("$SYS/gable/nodes/count", common.nodes as u64),
            ("$SYS/gable/nodes/up", common.nodes_up as u64),
        ];
        let numbers = numbers.map(|(topic, number)| (topic, number.to_string()));
        let figures = texts.into_iter().chain(numbers).map(|(topic, text)| (topic.to_owned(), text));
        let loads = LOADS.iter().zip(loads).flat_map(|(name, load)| {
            MINUTES.iter().zip(load.per_minute).map(move |(minutes, per_minute)| {
                (format!("$SYS/broker/load/{name}/{minutes}min"), format!("{per_minute:.2}"))
            })
        });
        figures.chain(loads).collect()
    }
}

/// The minutes over which loads are averaged.
const MINUTES: [f64; 3] = [1.0, 5.0, 15.0];

/// What [`counts`] are called.
const LOADS: [&str; 7] = [
    "messages/received",
    "messages/sent",
    "publish/received",
    "publish/sent",
    "publish/dropped",
    "bytes/received",
    "bytes/sent",
];

/// The counts whose growth is told, in the order of [`LOADS`].
fn counts(counted: &Counted) -> [u64; 7] {
    [
        counted.packets_received,
        counted.packets_sent,
        counted.messages_received,
        counted.messages_sent,
        counted.messages_dropped,
        counted.bytes_received,
        counted.bytes_sent,
    ]
}

/// How fast a count grows in a minute, as averages in which what is longer ago counts less.
#[derive(Clone, Copy, Debug, Default)]
struct Load {
    count: u64,
    per_minute: [f64; 3],
}

impl Load {
    fn advance(&mut self, count: u64, passed: Duration) {
        let passed = passed.as_secs_f64() / 60.0;
        if passed > 0.0 {
            let now = count.saturating_sub(self.count) as f64 / passed;
            for (average, minutes) in self.per_minute.iter_mut().zip(MINUTES) {
                *average = now + (-passed / minutes).exp() * (*average - now);
            }
        }
        self.count = count;
    }
}

/// Reads the figures and tells them.
pub(super) struct Sys {
    replica: Replica,
    hub: Arc<Hub>,
    counters: Counters,
    interval: Duration,
    begun: Instant,
    told: Instant,
    loads: [Load; 7],
}

impl Sys {
    pub(super) fn new(replica: Replica, hub: Arc<Hub>, counters: Counters, interval: Duration) -> Sys {
        let begun = Instant::now();
        Sys { replica, hub, counters, interval, begun, told: begun, loads: [Load::default(); 7] }
    }

    /// Tells them from time to time, for the first time after an interval.
    pub(super) async fn run(mut self) {
        let mut ticks = interval_at(Instant::now() + self.interval, self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.tell();
        }
    }

    /// Tells how it is now.
    pub(super) fn tell(&mut self) {
        let (now, counted) = (Instant::now(), self.counters.get());
        let passed = now.saturating_duration_since(std::mem::replace(&mut self.told, now));
        for (load, count) in self.loads.iter_mut().zip(counts(&counted)) {
            load.advance(count, passed);
        }
        let (figures, at) = (self.read(now, counted).figures(), self.replica.home_time());
        self.replica.read(|state| self.hub.show(figures, at, state));
    }

    fn read(&self, now: Instant, counted: Counted) -> Reading {
        Reading {
            uptime: now.saturating_duration_since(self.begun),
            counted,
            loads: self.loads,
            presence: self.hub.presence(),
            common: self.replica.read(Common::of),
            node: self.replica.node().0,
            leader: self.replica.leader().map(|leader| leader.0),
            applied: self.replica.applied().borrow().0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(reading: &Reading, topic: &str) -> String {
        let figures = reading.figures();
        let found: Vec<&str> =
            figures.iter().filter(|(it, _)| it == topic).map(|(_, text)| text.as_str()).collect();
        assert_eq!(found.len(), 1, "{topic}");
        found[0].to_owned()
    }

    #[test]
    fn figures_are_named_as_mosquitto_names_them() {
        let reading = Reading {
            uptime: Duration::from_millis(61_900),
            counted: Counted { packets_received: 7, messages_received: 3, ..Counted::default() },
            presence: Presence { connected: 4, connected_max: 6, subscriptions: 5 },
            common: Common {
                disconnected: 2,
                subscriptions: 10,
                retained: 8,
                queued: 1,
                ..Common::default()
            },
            node: 3,
            ..Reading::default()
        };
        for (topic, expected) in [
            ("$SYS/broker/uptime", "61 seconds"),
            ("$SYS/broker/clients/connected", "4"),
            ("$SYS/broker/clients/disconnected", "2"),
            ("$SYS/broker/clients/maximum", "6"),
            ("$SYS/broker/clients/total", "6"),
            ("$SYS/broker/messages/received", "7"),
            ("$SYS/broker/messages/stored", "9"),
            ("$SYS/broker/publish/messages/received", "3"),
            ("$SYS/broker/retained messages/count", "8"),
            ("$SYS/broker/subscriptions/count", "15"),
            ("$SYS/broker/load/messages/received/15min", "0.00"),
            ("$SYS/gable/node", "3"),
            ("$SYS/gable/leader", "none"),
        ] {
            assert_eq!(figure(&reading, topic), expected, "{topic}");
        }
        assert!(figure(&reading, "$SYS/broker/version").starts_with("gable version "));
    }

    #[test]
    fn a_load_follows_what_goes_on_and_forgets() {
        let mut load = Load::default();
        // 60 a minute for an hour.
        for tick in 1..=360 {
            load.advance(tick * 10, Duration::from_secs(10));
        }
        assert!(load.per_minute.iter().all(|load| (58.0..60.001).contains(load)), "{load:?}");
        load.advance(3_600, Duration::from_secs(60));
        let [one, five, fifteen] = load.per_minute;
        assert!(one < 23.0 && one < five && five < fifteen && fifteen < 60.0, "{load:?}");
        load.advance(3_600, Duration::ZERO);
        assert_eq!(load.per_minute, [one, five, fifteen]);
    }
}
