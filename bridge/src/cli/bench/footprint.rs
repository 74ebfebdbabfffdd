//! What a node costs: memory, processor and disk, the time to come back, and the program's size.

use super::clients::{self, HOME};
use super::process;
use super::samples::Spread;
use super::table::{Cell, Table, Wanted};
use super::{Bench, Measured, progress};
use crate::cli::failure::Failure;
use crate::cli::local_cluster::LocalCluster;
use std::time::{Duration, Instant};
use tokio::time::sleep;

const START_LIMIT: Duration = Duration::from_secs(30);
const IN_FLIGHT: u64 = 64;
const RESTARTS_MIN: u32 = 3;

const COLUMNS: [&str; 3] = ["what", "per node", "goal"];

pub(super) async fn measure(bench: &Bench) -> Result<Measured, Failure> {
    let mut cluster = LocalCluster::prepare(&bench.folder("footprint")?, 3, HOME)?;
    progress("footprint: starts three nodes".to_owned());
    cluster.start_all(START_LIMIT).await?;
    let mut rows = idle(bench, &cluster).await;
    rows.extend(busy(bench, &cluster).await?);
    rows.extend(restarts(bench, &mut cluster).await?);
    let size = std::env::current_exe().and_then(std::fs::metadata).map(|program| program.len() as f64 / 1e6);
    rows.push(row("the program, MB", Spread::of(size.ok()), Some(15.0)));
    let table = Table {
        name: "footprint",
        title: "Footprint of one node, which is the broker as well".to_owned(),
        columns: &COLUMNS,
        rows,
        notes: vec!["Bytes as the system counts them (log, history and all).".to_owned()],
    };
    Ok(vec![table].into())
}

/// Nothing happens.
async fn idle(bench: &Bench, cluster: &LocalCluster) -> Vec<Vec<Cell>> {
    progress("footprint: idle".to_owned());
    // The history's last commit and the start's buffers are gone by then.
    sleep(Duration::from_secs(2)).await;
    let before = Usage::of(cluster);
    let begun = Instant::now();
    sleep(bench.span * 2).await;
    let seconds = begun.elapsed().as_secs_f64();
    let after = Usage::of(cluster);
    let difference = |value: fn(&Usage) -> f64| {
        Spread::of(after.iter().zip(&before).map(|(after, before)| (value(after) - value(before)) / seconds))
    };
    vec![
        row("memory idle, MB", memory(cluster), Some(25.0)),
        row("processor idle, % of a core", difference(|usage| usage.processor_s * 100.0), None),
        row("written idle, KB/s", difference(|usage| usage.written / 1024.0), None),
    ]
}

/// Events at full speed for the memory, then one by one for the disk.
async fn busy(bench: &Bench, cluster: &LocalCluster) -> Result<Vec<Vec<Cell>>, Failure> {
    progress("footprint: under load".to_owned());
    let leader = cluster.leader(START_LIMIT).await?;
    let broker = cluster.nodes[leader].addresses.mqtt;
    let (_, loaded) = clients::closed_loop(broker, IN_FLIGHT, bench.span * 3).await?;
    let events: usize = loaded.took.values().map(Vec::len).sum();
    let memory = memory(cluster);
    let before = Usage::of(cluster);
    let (_, single) = clients::closed_loop(broker, 1, bench.span).await?;
    let after = Usage::of(cluster);
    let count = single.took.values().map(Vec::len).sum::<usize>().max(1) as f64;
    let per_event = |value: fn(&Usage) -> f64| {
        Spread::of(after.iter().zip(&before).map(|(after, before)| (value(after) - value(before)) / count))
    };
    Ok(vec![
        row(&format!("memory after {events} events, MB"), memory, Some(60.0)),
        row("written for one event alone, KB", per_event(|usage| usage.written / 1024.0), None),
        row("processor for one event alone, ms", per_event(|usage| usage.processor_s * 1000.0), None),
    ])
}

async fn restarts(bench: &Bench, cluster: &mut LocalCluster) -> Result<Vec<Vec<Cell>>, Failure> {
    let (mut one, mut all) = (Vec::new(), Vec::new());
    for number in 1..=bench.repeats.max(RESTARTS_MIN) {
        progress(format!("footprint: restart {number}"));
        let follower = (cluster.leader(START_LIMIT).await? + 1) % cluster.nodes.len();
        cluster.nodes[follower].kill();
        let begun = Instant::now();
        cluster.nodes[follower].start()?;
        cluster.nodes[follower].wait_until_ready(START_LIMIT).await?;
        one.push(begun.elapsed().as_secs_f64());
        for node in &mut cluster.nodes {
            node.kill();
        }
        let begun = Instant::now();
        for node in &mut cluster.nodes {
            node.start()?;
        }
        for node in &mut cluster.nodes {
            node.wait_until_ready(START_LIMIT).await?;
        }
        all.push(begun.elapsed().as_secs_f64());
        cluster.start_all(START_LIMIT).await?;
    }
    Ok(vec![
        row("killed follower serves again, s", Spread::of(one), Some(0.5)),
        row("all three killed, all serve again, s", Spread::of(all), None),
    ])
}

fn row(name: &str, spread: Option<Spread>, wanted: Option<f64>) -> Vec<Cell> {
    let goal = wanted
        .map_or(Cell::Empty, |wanted| Cell::goal(Wanted::AtMost(wanted), spread.map(|spread| spread.median)));
    vec![Cell::text(name), Cell::spread(spread), goal]
}

fn memory(cluster: &LocalCluster) -> Option<Spread> {
    let processes = cluster.nodes.iter().filter_map(|node| node.process_id());
    Spread::of(processes.filter_map(process::resident_mb))
}

/// What a node's process has used so far.
struct Usage {
    written: f64,
    processor_s: f64,
}

impl Usage {
    fn of(cluster: &LocalCluster) -> Vec<Usage> {
        let processes = cluster.nodes.iter().filter_map(|node| node.process_id());
        let usage = |id| {
            Some(Usage { written: process::written_bytes(id)?, processor_s: process::processor_seconds(id)? })
        };
        processes.filter_map(usage).collect()
    }
}
