//! Gable as the broker, beside Mosquitto in the same run: latency, throughput, connections, memory.
//!
//! All brokers run from the beginning to the end and are measured in turn, so that what else the
//! machine does meets them alike. The nodes are real processes that sync what they write.

mod connections;
mod latency;
mod load;
mod neighbours;
mod peer;

use super::clients::{self, COMMANDS, HOME, Publisher, Subscriber};
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

const COMMANDS_COLUMNS: [&str; 6] = ["broker", "p50 ms", "p95 ms", "p99 ms", "unanswered", "goal p50"];

/// A way of messages through a broker.
#[derive(Clone, Copy, Debug)]
struct Route {
    name: &'static str,
    is_gable: bool,
    publish_at: SocketAddr,
    subscribe_at: SocketAddr,
    /// The process where messages are published.
    process_id: u32,
}

/// All that runs.
struct Brokers {
    mosquitto: Option<Mosquitto>,
    one: LocalCluster,
    three: LocalCluster,
}

pub(super) async fn measure(bench: &Bench) -> Result<Measured, Failure> {
    let mut brokers = Brokers {
        mosquitto: Mosquitto::start(&bench.folder("broker-mosquitto")?).await,
        one: LocalCluster::prepare(&bench.folder("broker-one")?, 1, HOME)?,
        three: LocalCluster::prepare(&bench.folder("broker-three")?, 3, HOME)?,
    };
    progress("broker: starts one node, and three".to_owned());
    brokers.one.start_all(START_LIMIT).await?;
    brokers.three.start_all(START_LIMIT).await?;
    // Before there was a load that memory is kept for.
    let memory = connections::measure_memory(bench, &brokers.routes().await?).await?;
    let (commands, unanswered) = commands(bench, &brokers.routes().await?).await?;
    let (latency, lost) = latency::measure(bench, &brokers.routes().await?).await?;
    let load = load::measure(bench, &brokers.routes().await?).await?;
    let connects = connections::measure(bench, &brokers.routes().await?).await?;
    let neighbours = neighbours::measure(bench, &brokers.routes().await?).await?;
    let tables = vec![commands, latency, load, connects, neighbours, memory];
    Ok(Measured { tables, lost: lost + unanswered })
}

impl Brokers {
    /// The ways that are measured, with the leader where it is now.
    async fn routes(&self) -> Result<Vec<Route>, Failure> {
        let leader = self.three.leader(START_LIMIT).await?;
        let (leads, follows) = (&self.three.nodes[leader], &self.three.nodes[(leader + 1) % 3]);
        let mosquitto = self.mosquitto.iter().map(|mosquitto| Route {
            name: "Mosquitto",
            is_gable: false,
            publish_at: mosquitto.address,
            subscribe_at: mosquitto.address,
            process_id: mosquitto.process_id(),
        });
        let gable = [
            ("Gable, one node", &self.one.nodes[0], &self.one.nodes[0]),
            ("Gable, three: at the leader", leads, leads),
            ("Gable, three: follower > leader", follows, leads),
        ];
        let gable = gable.into_iter().map(|(name, publish, subscribe)| Route {
            name,
            is_gable: true,
            publish_at: publish.addresses.mqtt,
            subscribe_at: subscribe.addresses.mqtt,
            process_id: publish.process_id().unwrap_or_default(),
        });
        Ok(mosquitto.chain(gable).collect())
    }
}

/// From a motion to the command that an automation answers it with.
async fn commands(bench: &Bench, routes: &[Route]) -> Result<(Table, u64), Failure> {
    let count = if bench.is_quick { 100 } else { 500 };
    let (mut rows, mut lost) = (Vec::new(), 0);
    for route in routes.iter().filter(|route| route.is_gable) {
        progress(format!("broker: {}, motions answered by commands", route.name));
        let (mut repeats, mut unanswered) = (Vec::new(), 0);
        for _ in 0..bench.repeats {
            let mut subscriber = Subscriber::connect(&[route.subscribe_at], COMMANDS).await?;
            let publisher = Publisher::connect(route.publish_at, "bench-speaks").await?;
            let publish = |id: u64| publisher.event(id);
            let answers = clients::at_rate(PER_SECOND, count, 1, &mut subscriber, publish).await?;
            unanswered += answers.unanswered;
            repeats.push(Samples::new(answers.took.into_values().flatten()));
        }
        lost += unanswered;
        let percentile = |percent| Spread::of_percentile(&repeats, percent);
        rows.push(vec![
            Cell::text(route.name),
            Cell::spread(percentile(50)),
            Cell::spread(percentile(95)),
            Cell::spread(percentile(99)),
            Cell::text(unanswered.to_string()),
            Cell::goal(Wanted::AtMost(0.7), percentile(50).map(|spread| spread.median)),
        ]);
    }
    let title = format!("Motion published to command received, {PER_SECOND} a second, QoS 1");
    let notes =
        vec!["The automation runs on the commit of the motion, and the command goes out with it.".to_owned()];
    Ok((Table { name: "broker_commands", title, columns: &COMMANDS_COLUMNS, rows, notes }, lost))
}
