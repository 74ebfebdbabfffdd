//! How long a publish takes to its subscriber, and to its acknowledgement, at a steady rate.

use super::Route;
use super::peer::{Incoming, Peer, Reader, Writer};
use crate::cli::bench::samples::{Samples, Spread};
use crate::cli::bench::table::{Cell, Table, Wanted};
use crate::cli::bench::{Bench, progress};
use crate::cli::failure::Failure;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

const PER_SECOND: [u32; 2] = [50, 500];
const TOPIC: &str = "bench/latency";
/// What takes longer than this counts as lost.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

const COLUMNS: [&str; 10] = [
    "broker",
    "QoS",
    "a second",
    "delivered p50 ms",
    "p99 ms",
    "PUBACK p50 ms",
    "p99 ms ",
    "messages",
    "lost",
    "goal p50",
];

/// One repeat.
pub(super) struct Took {
    pub(super) delivered: Samples,
    acknowledged: Samples,
    sent: usize,
    lost: usize,
}

/// Measures all routes; the number is how many messages were lost that may not be.
pub(super) async fn measure(bench: &Bench, routes: &[Route]) -> Result<(Table, u64), Failure> {
    let (mut rows, mut lost) = (Vec::new(), 0);
    for qos in [0, 1] {
        for per_second in PER_SECOND {
            // Fewer messages would leave nothing for a 99th percentile.
            let count = (f64::from(per_second) * bench.span.as_secs_f64()).max(400.0) as usize;
            for route in routes {
                progress(format!("broker: {}, QoS {qos}, {per_second} a second", route.name));
                let mut repeats = Vec::new();
                for _ in 0..bench.repeats {
                    repeats.push(run(route, qos, per_second, count).await?);
                }
                lost += repeats.iter().map(|took| took.lost as u64).sum::<u64>();
                rows.push(row(route, qos, per_second, &repeats));
            }
        }
    }
    let title = "Published to delivered, and published to acknowledged".to_owned();
    let notes = vec![
        "Gable delivers and acknowledges when a majority of the nodes has the message on disk; Mosquitto \
         keeps nothing here."
            .to_owned(),
    ];
    Ok((Table { name: "broker_latency", title, columns: &COLUMNS, rows, notes }, lost))
}

fn row(route: &Route, qos: u8, per_second: u32, repeats: &[Took]) -> Vec<Cell> {
    let spread = |of: fn(&Took) -> &Samples, percent| {
        Spread::of(repeats.iter().filter_map(|took| of(took).percentile(percent)))
    };
    let delivered = spread(|took| &took.delivered, 50);
    let goal = match route.is_gable {
        true => Cell::goal(Wanted::AtMost(0.7), delivered.map(|spread| spread.median)),
        false => Cell::Empty,
    };
    vec![
        Cell::text(route.name),
        Cell::text(qos.to_string()),
        Cell::text(per_second.to_string()),
        Cell::spread(delivered),
        Cell::spread(spread(|took| &took.delivered, 99)),
        Cell::spread(spread(|took| &took.acknowledged, 50)),
        Cell::spread(spread(|took| &took.acknowledged, 99)),
        Cell::text(repeats.iter().map(|took| took.sent).sum::<usize>().to_string()),
        Cell::text(repeats.iter().map(|took| took.lost).sum::<usize>().to_string()),
        goal,
    ]
}

/// Publishes so many numbers at a steady rate.
pub(super) async fn run(route: &Route, qos: u8, per_second: u32, count: usize) -> anyhow::Result<Took> {
    let mut subscriber = Peer::connect(route.subscribe_at, "bench-hears").await?;
    subscriber.subscribe(TOPIC, qos).await?;
    let Peer { reader, mut writer } = Peer::connect(route.publish_at, "bench-speaks").await?;
    let span = Duration::from_secs_f64(count as f64 / f64::from(per_second));
    let deadline = Instant::now() + span + ANSWER_LIMIT;
    let arrivals = tokio::spawn(arrivals(subscriber, count, deadline));
    let acks = if qos == 0 { 0 } else { count };
    let acks = tokio::spawn(acknowledgements(reader, acks, deadline));
    let sent = publish(&mut writer, qos, per_second, count).await?;
    let (arrived, acknowledged) = (arrivals.await?, acks.await?);
    // The connection lives until all is there.
    drop(writer);
    let took = |ended: &[(usize, Instant)]| {
        let known = ended.iter().filter_map(|(number, at)| Some(at.duration_since(*sent.get(*number)?)));
        Samples::new(known.collect::<Vec<_>>())
    };
    let (delivered, acknowledged) = (took(&arrived), took(&acknowledged));
    let lost = count.saturating_sub(delivered.len());
    Ok(Took { delivered, acknowledged, sent: count, lost })
}

/// Publishes numbers; returns when each was sent.
async fn publish(
    writer: &mut Writer,
    qos: u8,
    per_second: u32,
    count: usize,
) -> anyhow::Result<Vec<Instant>> {
    let mut ticks = interval(Duration::from_secs(1) / per_second);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sent = Vec::with_capacity(count);
    for number in 0..count {
        ticks.tick().await;
        sent.push(Instant::now());
        let packet_id = (qos > 0).then(|| packet_id(number));
        writer.publish(TOPIC, packet_id, number.to_string().as_bytes());
        writer.flush().await?;
    }
    Ok(sent)
}

/// The numbers are fewer than there are packet identifiers, or go round long after the acknowledgement.
fn packet_id(number: usize) -> u16 {
    (number % 60_000) as u16 + 1
}

async fn arrivals(subscriber: Peer, count: usize, deadline: Instant) -> Vec<(usize, Instant)> {
    let Peer { mut reader, mut writer } = subscriber;
    let mut arrived = Vec::with_capacity(count);
    while arrived.len() < count {
        let Ok(Ok(incoming)) = timeout_at(deadline, reader.next()).await else { break };
        let at = Instant::now();
        let Incoming::Publish { packet_id, payload } = incoming else { continue };
        if let Some(packet_id) = packet_id {
            writer.puback(packet_id);
            if writer.flush().await.is_err() {
                break;
            }
        }
        let number = std::str::from_utf8(&payload).ok().and_then(|text| text.parse().ok());
        arrived.extend(number.map(|number: usize| (number, at)));
    }
    arrived
}

async fn acknowledgements(mut reader: Reader, count: usize, deadline: Instant) -> Vec<(usize, Instant)> {
    let mut acknowledged = Vec::with_capacity(count);
    while acknowledged.len() < count {
        let Ok(Ok(incoming)) = timeout_at(deadline, reader.next()).await else { break };
        if let Incoming::Puback { packet_id } = incoming {
            // Which one follows from how many came, since brokers answer in order.
            let round = acknowledged.len() / 60_000;
            acknowledged.push((round * 60_000 + usize::from(packet_id) - 1, Instant::now()));
        }
    }
    acknowledged
}
