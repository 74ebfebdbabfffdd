//! Committed events a second, and how long each takes, with 1 to 256 of them in flight.
//!
//! In flight means that each client proposes its next event when the last one is committed on a
//! majority of disks and applied on its node.

use super::replicas::{self, Replicas, SENSORS};
use super::samples::{Samples, Spread};
use super::table::{Cell, Table, Wanted};
use super::{Bench, progress};
use crate::cli::failure::Failure;
use crate::raft::Replica;
use crate::store::Metrics;
use std::time::{Duration, Instant};

const IN_FLIGHT: [usize; 4] = [1, 16, 64, 256];

const COLUMNS: [&str; 9] = [
    "through",
    "in flight",
    "events/s",
    "p50 ms",
    "p99 ms",
    "fsyncs/event",
    "log KB/event",
    "history KB/event",
    "goal events/s",
];

/// One repeat of one load.
struct Load {
    per_second: f64,
    took: Samples,
    fsyncs: f64,
    log_kb: f64,
    history_kb: f64,
}

pub(super) fn measure(bench: &Bench) -> Result<Table, Failure> {
    let replicas = Replicas::start(&bench.folder("throughput")?)?;
    let mut rows = vec![baseline(bench)];
    for (name, leads) in [("the leader", true), ("a follower", false)] {
        for in_flight in IN_FLIGHT {
            progress(format!("throughput: {in_flight} in flight through {name}"));
            let loads: Result<Vec<Load>, Failure> = (0..bench.repeats)
                .map(|_| {
                    // Asked anew each time: leadership may have moved.
                    let place = if leads { replicas.leader()? } else { replicas.follower()? };
                    load(&replicas, place, in_flight, bench.span)
                })
                .collect();
            rows.push(row(name, in_flight, &loads?));
        }
    }
    replicas.stop();
    Ok(Table {
        name: "throughput",
        title: format!(
            "Committed events: 3 replicas, {SENSORS} sensors, every event fires an automation; {} s each",
            bench.span.as_secs_f64()
        ),
        columns: &COLUMNS,
        rows,
        notes: vec![
            "Clients propose inside the node's process; fsyncs and bytes are those of that node.".to_owned(),
        ],
    })
}

/// What the disk alone would allow: the floor for one event in flight.
fn baseline(bench: &Bench) -> Vec<Cell> {
    let disk = &bench.machine.disk;
    vec![
        Cell::text("a plain file, synced"),
        Cell::text("1"),
        Cell::Number(disk.per_second),
        Cell::number(disk.fsync.percentile(50)),
        Cell::number(disk.fsync.percentile(99)),
        Cell::Number(1.0),
        Cell::Empty,
        Cell::Empty,
        Cell::Empty,
    ]
}

fn row(name: &str, in_flight: usize, loads: &[Load]) -> Vec<Cell> {
    let spread = |value: fn(&Load) -> f64| Spread::of(loads.iter().map(value));
    let percentile = |percent| Spread::of(loads.iter().filter_map(|load| load.took.percentile(percent)));
    let per_second = spread(|load| load.per_second);
    let wanted = match in_flight {
        1 => Some(1_500.0),
        64 => Some(20_000.0),
        256 => Some(40_000.0),
        _ => None,
    };
    let goal = wanted.map_or(Cell::Empty, |wanted| {
        Cell::goal(Wanted::AtLeast(wanted), per_second.map(|spread| spread.median))
    });
    let median = |value: fn(&Load) -> f64| Cell::number(spread(value).map(|spread| spread.median));
    vec![
        Cell::text(name),
        Cell::text(in_flight.to_string()),
        Cell::spread(per_second),
        Cell::spread(percentile(50)),
        Cell::spread(percentile(99)),
        median(|load| load.fsyncs),
        median(|load| load.log_kb),
        median(|load| load.history_kb),
        goal,
    ]
}

/// Keeps `in_flight` events on their way through one replica.
fn load(replicas: &Replicas, place: usize, in_flight: usize, span: Duration) -> Result<Load, Failure> {
    // The first tenth warms up.
    let begins = Instant::now() + span / 10;
    let ends = begins + span;
    let runtime = replicas.runtime(place);
    let before = replicas.costs(place);
    let clients: Vec<_> = (0..in_flight)
        .map(|client| runtime.spawn(propose_until(replicas.replica(place).clone(), client, begins, ends)))
        .collect();
    let (mut took, mut all) = (Vec::new(), 0);
    for client in clients {
        let (counted, proposed) = runtime.block_on(client).map_err(anyhow::Error::new)??;
        took.extend(counted);
        all += proposed;
    }
    let after = replicas.costs(place);
    let per_event = |count: fn(&Metrics) -> u64, (after, before): (Metrics, Metrics)| {
        count(&after).saturating_sub(count(&before)) as f64 / f64::from(all.max(1))
    };
    Ok(Load {
        per_second: took.len() as f64 / span.as_secs_f64(),
        took: Samples::new(took),
        fsyncs: per_event(|costs| costs.fsyncs, (after.0, before.0)),
        log_kb: per_event(|costs| costs.bytes_written, (after.0, before.0)) / 1024.0,
        history_kb: per_event(|costs| costs.bytes_written, (after.1, before.1)) / 1024.0,
    })
}

/// Returns how long those took that were committed in time, and how many were proposed at all.
async fn propose_until(
    replica: Replica,
    client: usize,
    begins: Instant,
    ends: Instant,
) -> anyhow::Result<(Vec<Duration>, u32)> {
    let (mut took, mut proposed) = (Vec::new(), 0);
    loop {
        let begun = Instant::now();
        if begun >= ends {
            return Ok((took, proposed));
        }
        replica.propose(replicas::event(client % SENSORS, u64::from(proposed))).await?;
        proposed += 1;
        let ended = Instant::now();
        if (begins..ends).contains(&ended) {
            took.push(ended - begun);
        }
    }
}
