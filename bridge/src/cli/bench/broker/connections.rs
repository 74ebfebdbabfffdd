//! How fast clients connect, and what an idle connection costs.

use super::Route;
use super::peer::Peer;
use crate::cli::bench::process;
use crate::cli::bench::samples::{Samples, Spread};
use crate::cli::bench::table::{Cell, Table};
use crate::cli::bench::{Bench, progress};
use crate::cli::failure::Failure;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

const AT_ONCE: [usize; 2] = [1, 16];
/// Connections that are opened, and stay, for each measurement of the memory.
const IDLE: usize = 250;
/// When the broker is done with what a connection's beginning takes.
const REST: Duration = Duration::from_secs(1);

const COLUMNS: [&str; 5] = ["broker", "at once", "connects/s", "p50 ms", "p99 ms"];
const MEMORY_COLUMNS: [&str; 3] = ["broker", "memory before, MB", "bytes for each connection"];

pub(super) async fn measure(bench: &Bench, routes: &[Route]) -> Result<Table, Failure> {
    let mut rows = Vec::new();
    for at_once in AT_ONCE {
        for route in routes {
            progress(format!("broker: {}, {at_once} connect at once", route.name));
            let (mut rates, mut took) = (Vec::new(), Vec::new());
            for _ in 0..bench.repeats {
                let samples = connect(route, at_once, bench.span).await?;
                rates.push(samples.len() as f64 / bench.span.as_secs_f64());
                took.push(samples);
            }
            rows.push(vec![
                Cell::text(route.name),
                Cell::text(at_once.to_string()),
                Cell::spread(Spread::of(rates)),
                Cell::spread(Spread::of_percentile(&took, 50)),
                Cell::spread(Spread::of_percentile(&took, 99)),
            ]);
        }
    }
    let title = "TCP and CONNECT to CONNACK, then DISCONNECT; clean sessions".to_owned();
    let notes = vec!["In Gable both are entries in the log.".to_owned()];
    Ok(Table { name: "broker_connects", title, columns: &COLUMNS, rows, notes })
}

async fn connect(route: &Route, at_once: usize, span: Duration) -> anyhow::Result<Samples> {
    let ends = Instant::now() + span;
    let mut tasks = JoinSet::new();
    for number in 0..at_once {
        let (broker, client_id) = (route.publish_at, format!("bench-comes-{number}"));
        tasks.spawn(async move {
            let mut took = Vec::new();
            while Instant::now() < ends {
                let begun = Instant::now();
                let peer = Peer::connect(broker, &client_id).await?;
                took.push(begun.elapsed());
                peer.disconnect().await?;
            }
            anyhow::Ok(took)
        });
    }
    let mut took = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        took.extend(ended??);
    }
    Ok(Samples::new(took))
}

/// What connections cost that do nothing; they stay until all is measured.
pub(super) async fn measure_memory(bench: &Bench, routes: &[Route]) -> Result<Table, Failure> {
    let mut rows = Vec::new();
    for route in routes {
        progress(format!("broker: {}, idle connections", route.name));
        let mut peers = Vec::new();
        let (mut before, mut each) = (None, Vec::new());
        for _ in 0..bench.repeats {
            let begun = process::resident_mb(route.process_id);
            before = before.or(begun);
            for _ in 0..IDLE {
                let number = peers.len();
                let mut peer = Peer::connect(route.publish_at, &format!("bench-rests-{number}")).await?;
                peer.subscribe(&format!("bench/idle/{number}"), 1).await?;
                peers.push(peer);
            }
            sleep(REST).await;
            let grown = process::resident_mb(route.process_id).zip(begun).map(|(now, begun)| now - begun);
            each.extend(grown.map(|grown| grown * 1024.0 * 1024.0 / IDLE as f64));
        }
        rows.push(vec![Cell::text(route.name), Cell::number(before), Cell::spread(Spread::of(each))]);
    }
    let title =
        format!("Resident memory of the broker's process for {IDLE} more connections that do nothing");
    let notes =
        vec!["Each has one subscription. Gable's process holds the home and its log as well.".to_owned()];
    Ok(Table { name: "broker_memory", title, columns: &MEMORY_COLUMNS, rows, notes })
}
