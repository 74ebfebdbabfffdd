//! How many publishes at QoS 1 are acknowledged a second, with many publishers or many in flight.

use super::Route;
use super::peer::{Incoming, Peer};
use crate::cli::bench::samples::{Samples, Spread};
use crate::cli::bench::table::{Cell, Table, Wanted};
use crate::cli::bench::{Bench, progress};
use crate::cli::failure::Failure;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

/// Publishers, how many each has in flight, and the goal.
const LOADS: [(usize, usize, Option<f64>); 5] =
    [(1, 1, Some(1_500.0)), (10, 1, None), (100, 1, None), (1, 64, Some(20_000.0)), (1, 256, Some(40_000.0))];
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// About what a sensor says.
const PAYLOAD: &[u8] = br#"{"battery":97,"illuminance":12,"linkquality":120,"occupancy":true}"#;

const COLUMNS: [&str; 8] =
    ["broker", "publishers", "in flight each", "acknowledged/s", "p50 ms", "p99 ms", "delivered", "goal"];

/// One repeat.
struct Load {
    per_second: f64,
    took: Samples,
    /// How much of what was acknowledged came to the subscriber.
    delivered: f64,
}

pub(super) async fn measure(bench: &Bench, routes: &[Route]) -> Result<Table, Failure> {
    let mut rows = Vec::new();
    for (publishers, in_flight, wanted) in LOADS {
        for route in routes {
            progress(format!("broker: {}, {publishers} publishers, {in_flight} in flight", route.name));
            let mut repeats = Vec::new();
            for _ in 0..bench.repeats {
                repeats.push(run(route, publishers, in_flight, bench.span).await?);
            }
            let spread = |value: fn(&Load) -> Option<f64>| Spread::of(repeats.iter().filter_map(value));
            let per_second = spread(|load| Some(load.per_second));
            let goal = wanted.filter(|_| route.is_gable).map_or(Cell::Empty, |wanted| {
                Cell::goal(Wanted::AtLeast(wanted), per_second.map(|spread| spread.median))
            });
            rows.push(vec![
                Cell::text(route.name),
                Cell::text(publishers.to_string()),
                Cell::text(in_flight.to_string()),
                Cell::spread(per_second),
                Cell::spread(spread(|load| load.took.percentile(50))),
                Cell::spread(spread(|load| load.took.percentile(99))),
                Cell::number(spread(|load| Some(load.delivered)).map(|spread| spread.median)),
                goal,
            ]);
        }
    }
    let title =
        format!("Publishes at QoS 1 with one subscriber at QoS 0; {} s each", bench.span.as_secs_f64());
    let notes = vec!["Delivered is the part of the acknowledged that reached the subscriber.".to_owned()];
    Ok(Table { name: "broker_load", title, columns: &COLUMNS, rows, notes })
}

async fn run(route: &Route, publishers: usize, in_flight: usize, span: Duration) -> anyhow::Result<Load> {
    let mut subscriber = Peer::connect(route.subscribe_at, "bench-hears").await?;
    subscriber.subscribe("bench/load/#", 0).await?;
    let arrived = Arc::new(AtomicU64::new(0));
    let counting = tokio::spawn(count(subscriber, arrived.clone()));
    let mut tasks = JoinSet::new();
    let mut peers = Vec::new();
    for number in 0..publishers {
        peers.push((number, Peer::connect(route.publish_at, &format!("bench-speaks-{number}")).await?));
    }
    // The first tenth warms up.
    let begins = Instant::now() + span / 10;
    for (number, peer) in peers {
        tasks.spawn(publish(peer, format!("bench/load/{number}"), in_flight, begins, begins + span));
    }
    let (mut took, mut all) = (Vec::new(), 0);
    while let Some(ended) = tasks.join_next().await {
        let (counted, acknowledged) = ended??;
        took.extend(counted);
        all += acknowledged;
    }
    // What was acknowledged last is on its way.
    let deadline = Instant::now() + ANSWER_LIMIT / 5;
    while arrived.load(Relaxed) < all && Instant::now() < deadline {
        sleep(Duration::from_millis(5)).await;
    }
    counting.abort();
    Ok(Load {
        per_second: took.len() as f64 / span.as_secs_f64(),
        took: Samples::new(took),
        delivered: arrived.load(Relaxed) as f64 / all.max(1) as f64,
    })
}

async fn count(mut subscriber: Peer, arrived: Arc<AtomicU64>) {
    while let Ok(incoming) = subscriber.reader.next().await {
        if matches!(incoming, Incoming::Publish { .. }) {
            arrived.fetch_add(1, Relaxed);
        }
    }
}

/// Keeps so many on their way, and returns how long those took that were acknowledged in time, and how
/// many were acknowledged at all.
async fn publish(
    peer: Peer,
    topic: String,
    in_flight: usize,
    begins: Instant,
    ends: Instant,
) -> anyhow::Result<(Vec<Duration>, u64)> {
    let Peer { mut reader, mut writer } = peer;
    let mut open: BTreeMap<u16, Instant> = BTreeMap::new();
    let (mut took, mut all, mut packet_id) = (Vec::new(), 0, 0_u16);
    loop {
        let now = Instant::now();
        while now < ends && open.len() < in_flight {
            packet_id = packet_id.checked_add(1).unwrap_or(1);
            open.insert(packet_id, now);
            writer.publish(&topic, Some(packet_id), PAYLOAD);
        }
        writer.flush().await?;
        if open.is_empty() {
            return Ok((took, all));
        }
        let mut incoming = Some(timeout(ANSWER_LIMIT, reader.next()).await??);
        let now = Instant::now();
        while let Some(packet) = incoming {
            if let Incoming::Puback { packet_id } = packet
                && let Some(sent) = open.remove(&packet_id)
            {
                all += 1;
                took.extend((begins..ends).contains(&now).then(|| now - sent));
            }
            incoming = reader.take()?;
        }
    }
}
