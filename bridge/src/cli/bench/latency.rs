//! From a published motion to the received command, through real processes with embedded brokers.
//!
//! Beside it stand the same clients at a broker without Gable: what remains of the difference is the
//! price of a log on a majority of disks.

use super::clients::{self, Answers, COMMANDS, HOME, Publisher, Subscriber};
use super::mosquitto::Mosquitto;
use super::samples::{Samples, Spread};
use super::table::{Cell, Table, Wanted};
use super::{Bench, Measured, progress};
use crate::cli::failure::Failure;
use crate::cli::local_cluster::LocalCluster;
use std::net::SocketAddr;
use std::time::Duration;

const START_LIMIT: Duration = Duration::from_secs(30);
const PER_SECOND: u32 = 50;
const IN_FLIGHT: [u64; 4] = [1, 16, 64, 256];
/// Nobody in the home listens to it.
const FLOOR: &str = "bench/floor";

const STEADY: [&str; 6] = ["published at > received at", "p50 ms", "p95 ms", "p99 ms", "events", "goal p50"];
const LOADED: [&str; 6] =
    ["through the broker of", "in flight", "events/s", "p50 ms", "p99 ms", "unanswered"];

pub(super) async fn measure(bench: &Bench) -> Result<Measured, Failure> {
    let mut cluster = LocalCluster::prepare(&bench.folder("latency")?, 3, HOME)?;
    progress("latency: starts three nodes".to_owned());
    cluster.start_all(START_LIMIT).await?;
    let (steady, lost) = steady(bench, &cluster).await?;
    let loaded = loaded(bench, &cluster).await?;
    Ok(Measured { tables: vec![steady, loaded], lost })
}

/// Motions at a steady rate.
async fn steady(bench: &Bench, cluster: &LocalCluster) -> Result<(Table, u64), Failure> {
    let count = if bench.is_quick { 200 } else { 1_000 };
    let leader = cluster.leader(START_LIMIT).await?;
    let (follower, other) = ((leader + 1) % 3, (leader + 2) % 3);
    let brokers: Vec<SocketAddr> = cluster.nodes.iter().map(|node| node.addresses.mqtt).collect();
    let disk = std::slice::from_ref(&bench.machine.disk.rested);
    let (mut rows, mut lost) = (vec![row("one commit, the disk alone".to_owned(), disk, None)], 0);
    if let Some(mosquitto) = Mosquitto::start(&bench.folder("mosquitto")?).await {
        rows.push(floor(bench, "Mosquitto alone", mosquitto.address, count).await?);
    }
    rows.push(floor(bench, "the leader > itself, no automation", brokers[leader], count).await?);
    for (from, name) in [(leader, "leader"), (follower, "follower")] {
        progress(format!("latency: {PER_SECOND} motions a second at the {name}'s broker"));
        let mut repeats = Vec::new();
        for _ in 0..bench.repeats {
            let answers = motions(&brokers, from, count).await?;
            lost += answers.unanswered;
            repeats.push(answers);
        }
        let far = if from == leader { follower } else { leader };
        let far_name = if from == leader { "a follower" } else { "the leader" };
        for (at, what) in [(from, "itself"), (far, far_name), (other, "the third node")] {
            rows.push(row(format!("the {name} > {what}"), &of_broker(&repeats, at), Some(0.7)));
        }
    }
    let title = format!("Motion published to command received, {PER_SECOND} a second, QoS 1");
    let notes = vec![
        format!("Unanswered: {lost}. Each number is the median over {} runs, and its range.", bench.repeats),
        "The first rows are the parts: 28 KB written and synced; a broker without a log; ours without the \
         home."
            .to_owned(),
    ];
    Ok((Table { name: "latency", title, columns: &STEADY, rows, notes }, lost))
}

async fn motions(brokers: &[SocketAddr], from: usize, count: u64) -> Result<Answers, Failure> {
    let mut subscriber = Subscriber::connect(brokers, COMMANDS).await?;
    let publisher = Publisher::connect(brokers[from], "bench-speaks").await?;
    clients::at_rate(PER_SECOND, count, brokers.len(), &mut subscriber, |id| publisher.event(id)).await
}

/// The same clients on a topic that only the broker handles.
async fn floor(bench: &Bench, name: &str, broker: SocketAddr, count: u64) -> Result<Vec<Cell>, Failure> {
    progress(format!("latency: {name}"));
    let mut repeats = Vec::new();
    for _ in 0..bench.repeats {
        let mut subscriber = Subscriber::connect(&[broker], FLOOR).await?;
        let publisher = Publisher::connect(broker, "bench-speaks").await?;
        let publish = |id: u64| publisher.publish(FLOOR, id.to_string());
        repeats.push(clients::at_rate(PER_SECOND, count, 1, &mut subscriber, publish).await?);
    }
    Ok(row(name.to_owned(), &of_broker(&repeats, 0), None))
}

fn of_broker(repeats: &[Answers], broker: usize) -> Vec<Samples> {
    let took = |answers: &Answers| answers.took.get(&broker).cloned().unwrap_or_default();
    repeats.iter().map(|answers| Samples::new(took(answers))).collect()
}

fn row(name: String, repeats: &[Samples], wanted: Option<f64>) -> Vec<Cell> {
    let percentile = |percent| Spread::of_percentile(repeats, percent);
    let events: usize = repeats.iter().map(Samples::len).sum();
    let goal = wanted.map_or(Cell::Empty, |wanted| {
        Cell::goal(Wanted::AtMost(wanted), percentile(50).map(|spread| spread.median))
    });
    vec![
        Cell::Text(name),
        Cell::spread(percentile(50)),
        Cell::spread(percentile(95)),
        Cell::spread(percentile(99)),
        Cell::text(events.to_string()),
        goal,
    ]
}

/// As many motions as the nodes take, with a given number on their way.
async fn loaded(bench: &Bench, cluster: &LocalCluster) -> Result<Table, Failure> {
    let mut rows = Vec::new();
    for leads in [true, false] {
        let name = if leads { "the leader" } else { "a follower" };
        for in_flight in IN_FLIGHT {
            progress(format!("latency: {in_flight} motions in flight at the broker of {name}"));
            let (mut rates, mut took, mut unanswered) = (Vec::new(), Vec::new(), 0);
            for _ in 0..bench.repeats {
                let leader = cluster.leader(START_LIMIT).await?;
                let place = if leads { leader } else { (leader + 1) % 3 };
                let broker = cluster.nodes[place].addresses.mqtt;
                let (rate, answers) = clients::closed_loop(broker, in_flight, bench.span).await?;
                rates.push(rate);
                unanswered += answers.unanswered;
                took.extend(of_broker(&[answers], 0));
            }
            rows.push(vec![
                Cell::text(name),
                Cell::text(in_flight.to_string()),
                Cell::spread(Spread::of(rates)),
                Cell::spread(Spread::of_percentile(&took, 50)),
                Cell::spread(Spread::of_percentile(&took, 99)),
                Cell::text(unanswered.to_string()),
            ]);
        }
    }
    let title = "Motions answered by commands over MQTT, many in flight".to_owned();
    let notes = vec!["The command goes out with the commit of the motion.".to_owned()];
    Ok(Table { name: "loaded", title, columns: &LOADED, rows, notes })
}
