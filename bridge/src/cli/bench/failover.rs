//! The silence after the leader's process was killed, as clients of the surviving nodes see it.
//!
//! They publish without a pause through the election. Every one of their events has to be answered
//! in the end, and to be in every node's history exactly once.

use super::clients::{ANSWER_LIMIT, Arrival, COMMANDS, HOME, Publisher, Subscriber};
use super::samples::{Samples, Spread, milliseconds};
use super::table::{Cell, Table, Wanted};
use super::{Bench, Measured, progress};
use crate::cli::failure::Failure;
use crate::cli::local_cluster::{LocalCluster, LocalNode};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, interval, sleep};

const START_LIMIT: Duration = Duration::from_secs(30);
/// How often each client publishes: the gap is known to this.
const EVERY: Duration = Duration::from_millis(5);
/// The load before the kill.
const CALM: Duration = Duration::from_secs(1);
/// The load goes on at least so long after the kill.
const AFTER: Duration = Duration::from_secs(3);
/// A gap as long as this is an outage.
const OUTAGE: Duration = Duration::from_secs(20);
const HISTORY_PAGE: usize = 1_000;
/// How long the nodes may take until all have all events in their histories.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(30);

const COLUMNS: [&str; 5] = ["what", "p50", "max", "of", "goal"];

/// What one kill showed.
struct Kill {
    gap: Duration,
    calm_gap: Duration,
    unanswered: u64,
    restart: Duration,
}

pub(super) async fn measure(bench: &Bench) -> Result<Measured, Failure> {
    let mut cluster = LocalCluster::prepare(&bench.folder("failover")?, 3, HOME)?;
    progress("failover: starts three nodes".to_owned());
    cluster.start_all(START_LIMIT).await?;
    let ids = AtomicU64::new(0);
    let mut kills = Vec::new();
    for number in 1..=bench.kills {
        let kill = kill_leader(&mut cluster, &ids).await?;
        let (gap, unanswered) = (kill.gap.as_millis(), kill.unanswered);
        progress(format!("failover: kill {number} of {}: {gap} ms, {unanswered} unanswered", bench.kills));
        kills.push(kill);
    }
    let published = ids.into_inner();
    let kept = audit(&cluster, published).await?;
    let unanswered: u64 = kills.iter().map(|kill| kill.unanswered).sum();
    let table = table(&kills, published, unanswered, &kept);
    Ok(Measured { tables: vec![table], lost: unanswered + kept.missing + kept.doubled })
}

fn table(kills: &[Kill], published: u64, unanswered: u64, kept: &Kept) -> Table {
    let seconds = |of: fn(&Kill) -> Duration| Spread::of(kills.iter().map(of).map(|gap| gap.as_secs_f64()));
    let count = |name: &str, counted: u64| {
        vec![
            Cell::text(name),
            Cell::Number(counted as f64),
            Cell::Empty,
            Cell::text(published.to_string()),
            Cell::goal(Wanted::AtMost(0.0), Some(counted as f64)),
        ]
    };
    let gap = |name: &str, of: fn(&Kill) -> Duration, wanted: Option<f64>| {
        let spread = seconds(of);
        let median = spread.map(|spread| spread.median);
        vec![
            Cell::text(name),
            Cell::number(median),
            Cell::number(spread.map(|spread| spread.max)),
            Cell::text(kills.len().to_string()),
            wanted.map_or(Cell::Empty, |wanted| Cell::goal(Wanted::AtMost(wanted), median)),
        ]
    };
    let gaps = Samples::new(kills.iter().map(|kill| kill.gap));
    let p95 = gaps.percentile(95).map(|ms| ms / 1000.0);
    Table {
        name: "failover",
        title: "kill -9 of the leader, under load from clients of the survivors".to_owned(),
        columns: &COLUMNS,
        rows: vec![
            gap("longest silence, s", |kill| kill.gap, Some(0.6)),
            vec![
                Cell::text("its p95, s"),
                Cell::number(p95),
                Cell::Empty,
                Cell::text(kills.len().to_string()),
                Cell::goal(Wanted::AtMost(1.5), p95),
            ],
            gap("longest silence before the kill, s", |kill| kill.calm_gap, None),
            gap("killed node serves again, s", |kill| kill.restart, Some(0.5)),
            count("events lost (missing in a history)", kept.missing),
            count("events doubled", kept.doubled),
            count("commands lost (never received)", unanswered),
        ],
        notes: vec![format!(
            "Each surviving broker gets an event every {} ms. Kills, one by one, ms: {}",
            EVERY.as_millis(),
            kills.iter().map(|kill| format!("{:.0}", milliseconds(kill.gap))).collect::<Vec<_>>().join(" ")
        )],
    }
}

/// Kills whoever leads while clients publish through the others, and starts it again.
async fn kill_leader(cluster: &mut LocalCluster, ids: &AtomicU64) -> Result<Kill, Failure> {
    let leader = cluster.leader(START_LIMIT).await?;
    let survivors = cluster.nodes.iter().enumerate().filter(|(place, _)| *place != leader);
    let brokers: Vec<SocketAddr> = survivors.map(|(_, node)| node.addresses.mqtt).collect();
    let mut load = Load::start(&brokers, ids).await?;
    load.run_until(Instant::now() + CALM, |_| true).await?;
    let killed_at = Instant::now();
    cluster.nodes[leader].kill();
    load.run_until(killed_at + AFTER, |load| load.has_heard_all_since(killed_at)).await?;
    let unanswered = load.finish().await;
    let (calm_gap, gap) = load.longest_silences(killed_at);
    let begun = Instant::now();
    cluster.nodes[leader].start()?;
    cluster.nodes[leader].wait_until_ready(START_LIMIT).await?;
    let restart = begun.elapsed();
    cluster.nodes[leader].wait_until_linked(START_LIMIT).await?;
    Ok(Kill { gap, calm_gap, unanswered, restart })
}

/// One client at each surviving broker that publishes and hears the answers.
struct Load<'b> {
    ids: &'b AtomicU64,
    publishers: Vec<Publisher>,
    subscriber: Subscriber,
    /// Published at the broker of that place and not answered there.
    open: BTreeMap<u64, usize>,
    /// When answers arrived at the broker where their event was published.
    heard: Vec<Vec<Instant>>,
}

impl<'b> Load<'b> {
    async fn start(brokers: &[SocketAddr], ids: &'b AtomicU64) -> Result<Load<'b>, Failure> {
        let subscriber = Subscriber::connect(brokers, COMMANDS).await?;
        let mut publishers = Vec::new();
        // All nodes are one broker: a second client of one name would end the first.
        for (place, broker) in brokers.iter().enumerate() {
            publishers.push(Publisher::connect(*broker, &format!("bench-speaks-{place}")).await?);
        }
        let heard = vec![Vec::new(); brokers.len()];
        Ok(Load { ids, publishers, subscriber, open: BTreeMap::new(), heard })
    }

    /// Publishes until `end`, and on until `is_enough`, but not for ever.
    async fn run_until(
        &mut self,
        end: Instant,
        is_enough: impl Fn(&Load<'b>) -> bool,
    ) -> Result<(), Failure> {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let last = end + OUTAGE;
        loop {
            let now = Instant::now();
            if now >= last || (now >= end && is_enough(self)) {
                return Ok(());
            }
            tokio::select! {
                biased;
                arrival = self.subscriber.next(EVERY) => self.take(arrival),
                _ = ticks.tick() => for (place, publisher) in self.publishers.iter().enumerate() {
                    let id = self.ids.fetch_add(1, Ordering::Relaxed);
                    self.open.insert(id, place);
                    publisher.event(id).await?;
                },
            }
        }
    }

    fn take(&mut self, arrival: Option<Arrival>) {
        let Some(Arrival { broker, id, at }) = arrival else { return };
        if self.open.get(&id) == Some(&broker) {
            self.open.remove(&id);
            self.heard[broker].push(at);
        }
    }

    /// Whether events flow again at each broker.
    fn has_heard_all_since(&self, killed_at: Instant) -> bool {
        self.heard.iter().all(|heard| heard.last().is_some_and(|last| *last > killed_at))
    }

    /// Waits for the answers that are still open, and returns how many never came.
    async fn finish(&mut self) -> u64 {
        while !self.open.is_empty() {
            let arrival = self.subscriber.next(ANSWER_LIMIT).await;
            if arrival.is_none() {
                break;
            }
            self.take(arrival);
        }
        self.open.len() as u64
    }

    /// The longest time in which a client heard nothing, before and after the kill.
    fn longest_silences(&self, killed_at: Instant) -> (Duration, Duration) {
        let mut longest = (Duration::ZERO, Duration::ZERO);
        for pair in self.heard.iter().flat_map(|heard| heard.windows(2)) {
            let gap = pair[1] - pair[0];
            let side = if pair[1] < killed_at { &mut longest.0 } else { &mut longest.1 };
            *side = gap.max(*side);
        }
        longest
    }
}

/// What the nodes remember in the end.
#[derive(Debug, Default)]
struct Kept {
    missing: u64,
    doubled: u64,
}

/// Compares each node's history with what was published; the worst node counts.
async fn audit(cluster: &LocalCluster, published: u64) -> Result<Kept, Failure> {
    progress("failover: compares the histories".to_owned());
    let deadline = Instant::now() + CATCH_UP_LIMIT;
    let mut worst = Kept::default();
    for node in &cluster.nodes {
        let mut kept = Kept::compare(&history(node).await?, published);
        // A node that was just restarted may still fetch what it missed.
        while kept.missing > 0 && Instant::now() < deadline {
            sleep(Duration::from_millis(100)).await;
            kept = Kept::compare(&history(node).await?, published);
        }
        worst = Kept { missing: worst.missing.max(kept.missing), doubled: worst.doubled.max(kept.doubled) };
    }
    Ok(worst)
}

impl Kept {
    fn compare(found: &BTreeMap<u64, u64>, published: u64) -> Kept {
        let missing = (0..published).filter(|id| !found.contains_key(id)).count() as u64;
        Kept { missing, doubled: found.values().map(|times| times - 1).sum() }
    }
}

/// How often each number is in a node's history.
async fn history(node: &LocalNode) -> Result<BTreeMap<u64, u64>, Failure> {
    let mut found = BTreeMap::new();
    let mut after = "0".to_owned();
    loop {
        let page = node.ask(&format!("/api/history?after={after}&limit={HISTORY_PAGE}")).await?;
        let events = page["events"].as_array().map_or(&[][..], Vec::as_slice);
        for id in events.iter().filter_map(|event| event["payload"]["id"].as_u64()) {
            *found.entry(id).or_default() += 1;
        }
        if events.is_empty() {
            return Ok(found);
        }
        after = page["next"].as_str().map_or_else(|| page["next"].to_string(), str::to_owned);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_and_doubled_events_are_counted() {
        let kept = Kept::compare(&[(0, 1), (2, 3)].into(), 4);
        assert_eq!((kept.missing, kept.doubled), (2, 2));
    }
}
