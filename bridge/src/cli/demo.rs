//! `gable demo`: a home that survives, to look at.
//!
//! Three nodes as processes of their own, each with its own broker; a simulated home whose devices
//! change to another broker when theirs dies; a timeline; a kill. In the end the devices' record is
//! compared with what every node remembers, and what was lost is counted.

mod audit;
mod cluster;
mod teller;

use super::client::Client;
use super::events::Reader;
use super::failure::{Exit, Failure};
use crate::simulate::Simulation;
use audit::Verdict;
use cluster::Cluster;
use gable_devices::sim::{self, Device};
use serde_json::{Value, json};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use teller::Teller;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

/// How long the nodes may take to agree.
const PATIENCE: Duration = Duration::from_secs(10);
/// The play with a kill takes so long; a shorter `--duration` does not cut it.
const PLAY_S: u64 = 22;

const EXAMPLES: &str = "\
Examples:
  gable demo                      half a minute with a kill
  gable demo --duration 0         until Ctrl-C, to join in with mosquitto_pub and mosquitto_sub
  gable demo --nodes 5 --no-chaos
  gable demo --json | jq -r 'select(.summary)'

Exit code 1 if anything was lost.";

/// See a home survive: nodes, simulated devices, a timeline, and the leader is killed.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// How many nodes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=9))]
    nodes: u64,
    /// How many seconds; 0 goes on until Ctrl-C
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    duration: u64,
    /// Kill nothing
    #[arg(long)]
    no_chaos: bool,
    /// What chance is drawn from: equal seeds give equal devices
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print every event and the summary as JSON, one object a line
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<ExitCode, Failure> {
    let teller = Teller::new(args.json);
    let mut cluster = Cluster::prepare(args.nodes)?;
    let result = perform(&args, &teller, &mut cluster).await;
    cluster.stop().await;
    match result {
        Ok(verdict) if verdict.is_clean() => Ok(ExitCode::SUCCESS),
        Ok(_) => {
            teller.note(&format!("the nodes' logs and data: {}", cluster.keep().display()));
            Ok(ExitCode::from(Exit::No as u8))
        }
        Err(failure) => {
            teller.note(&format!("the nodes' logs and data: {}", cluster.keep().display()));
            Err(failure)
        }
    }
}

/// The demo with its nodes; Ctrl-C ends it early, and the audit still follows.
async fn perform(args: &Args, teller: &Teller, cluster: &mut Cluster) -> Result<Verdict, Failure> {
    let begun = Instant::now();
    teller.scene(&format!("{} start, each a process with its own MQTT broker", nodes(args.nodes)));
    let interrupted = super::stop_signal();
    tokio::pin!(interrupted);
    tokio::select! {
        ready = cluster.start_all() => ready?,
        _ = &mut interrupted => return Ok(Verdict::default()),
    }
    let (leader, term) = cluster.leader().await?;
    teller.scene(&format!(
        "ready after {:.1} s: {} leads (term {term})",
        begun.elapsed().as_secs_f64(),
        teller.node(cluster.id(leader))
    ));
    teller.invitation(cluster);
    let brokers: Vec<String> = cluster.addresses().map(|(_, addresses)| addresses.mqtt.to_string()).collect();
    let simulation = Simulation::start(home(args.seed), &brokers);
    let watching = Watching::start(cluster.clients()?, teller);
    let mut stage = Stage { args, teller, cluster, simulation: &simulation, dead: None, gap: None };
    let played = tokio::select! {
        played = stage.play() => played,
        _ = &mut interrupted => Ok(()),
    };
    let gap = stage.gap;
    let verdict = conclude(teller, cluster, simulation, watching, gap).await?;
    played?;
    Ok(verdict)
}

/// The home's devices. Who acts in the play waits for his cue; the others live by themselves.
fn home(seed: u64) -> Vec<Device> {
    let has_cues = |device: &Device| [MOTION, DOOR, PRESENCE].contains(&device.client_id());
    sim::home(seed)
        .into_iter()
        .map(|device| if has_cues(&device) { device.by_hand() } else { device })
        .collect()
}

const MOTION: &str = "sim-hall_motion";
const DOOR: &str = "sim-front_door_contact";
const PRESENCE: &str = "sim-hall_presence";
const THERMOMETER: &str = "sim-hall_temperature";

/// What happens on stage, and when.
#[derive(Clone, Copy, Debug)]
enum Act {
    Poke(&'static str, &'static str),
    Kill,
    Revive,
}

/// The play: second, act.
const PLAY: [(u64, Act); 9] = [
    (1, Act::Poke(MOTION, "somebody walks through the hall")),
    (4, Act::Poke(DOOR, "somebody opens the front door; it closes by itself after 5 s")),
    (6, Act::Kill),
    (13, Act::Revive),
    (15, Act::Poke(PRESENCE, "somebody sits down in the hall")),
    (16, Act::Poke(MOTION, "somebody walks through the hall")),
    (17, Act::Poke(THERMOMETER, "somebody opens a window, or turns the heating up")),
    (18, Act::Poke(PRESENCE, "the hall is left; the door is locked 4 s later")),
    (PLAY_S, Act::Poke(DOOR, "somebody opens the front door")),
];

/// What goes on when the play is over.
const ENCORE: [(u64, Act); 4] = [
    (8, Act::Poke(MOTION, "somebody walks through the hall")),
    (16, Act::Poke(DOOR, "somebody opens the front door")),
    (24, Act::Poke(THERMOMETER, "the weather changes")),
    (30, Act::Poke(PRESENCE, "somebody comes or goes")),
];

/// All that an act may touch.
struct Stage<'a> {
    args: &'a Args,
    teller: &'a Teller,
    cluster: &'a mut Cluster,
    simulation: &'a Simulation,
    dead: Option<usize>,
    /// How long nobody led.
    gap: Option<Duration>,
}

impl Stage<'_> {
    async fn play(&mut self) -> Result<(), Failure> {
        let begun = Instant::now();
        let has_chaos = !self.args.no_chaos && self.cluster.len() >= 3;
        if !self.args.no_chaos && !has_chaos {
            self.teller.note("with fewer than three nodes no node may die, so none is killed");
        }
        for (second, act) in PLAY {
            sleep_until(begun + Duration::from_secs(second)).await;
            if has_chaos || matches!(act, Act::Poke(..)) {
                self.act(act).await?;
            }
            if !has_chaos && self.is_over(begun) {
                return Ok(());
            }
        }
        for round in 0.. {
            for (second, act) in ENCORE {
                let next = begun + Duration::from_secs(PLAY_S + round * 32 + second);
                let end = begun + Duration::from_secs(self.args.duration.max(PLAY_S + 1));
                if self.args.duration != 0 && next >= end {
                    sleep_until(end).await;
                    return Ok(());
                }
                sleep_until(next).await;
                self.act(act).await?;
            }
        }
        Ok(())
    }

    fn is_over(&self, begun: Instant) -> bool {
        self.args.duration != 0 && begun.elapsed() >= Duration::from_secs(self.args.duration)
    }

    async fn act(&mut self, act: Act) -> Result<(), Failure> {
        match act {
            Act::Poke(client_id, what) => {
                self.teller.scene(what);
                self.simulation.poke(client_id);
                Ok(())
            }
            Act::Kill => self.kill().await,
            Act::Revive => self.revive().await,
        }
    }

    async fn kill(&mut self) -> Result<(), Failure> {
        let (place, _) = self.cluster.leader().await?;
        self.teller.scene(&format!(
            "{} leads and is killed with its broker (kill -9), while the door's timer runs",
            self.teller.node(self.cluster.id(place))
        ));
        self.cluster.kill(place);
        self.dead = Some(place);
        let killed = Instant::now();
        let (heir, term) = self.cluster.leader().await?;
        let gap = killed.elapsed();
        self.gap = Some(gap);
        self.teller.scene(&format!(
            "{} leads after {} ms (term {term})",
            self.teller.node(self.cluster.id(heir)),
            gap.as_millis()
        ));
        Ok(())
    }

    async fn revive(&mut self) -> Result<(), Failure> {
        let Some(place) = self.dead.take() else { return Ok(()) };
        let node = self.teller.node(self.cluster.id(place));
        self.teller.scene(&format!("{node} starts again"));
        let begun = Instant::now();
        self.cluster.start_all().await?;
        match self.cluster.agreement(PATIENCE, false).await {
            Some((index, hash)) => self.teller.scene(&format!(
                "{node} has caught up after {:.1} s: entry {index}, state {hash} on every node",
                begun.elapsed().as_secs_f64()
            )),
            None => return Err(anyhow::anyhow!("the nodes do not agree within {PATIENCE:?}").into()),
        }
        Ok(())
    }
}

/// Reads the history while it grows and tells it.
struct Watching {
    seen: Arc<Mutex<Vec<Value>>>,
    task: JoinHandle<()>,
}

impl Watching {
    fn start(clients: Vec<Client>, teller: &Teller) -> Watching {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut reader = Reader::new(clients, Some("0".to_owned()), 0);
        let (noted, teller) = (seen.clone(), teller.clone());
        let task = tokio::spawn(async move {
            loop {
                match reader.next(true).await {
                    Ok(page) => {
                        noted
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .extend(page.events.iter().cloned());
                        teller.events(page.events, page.now_ms);
                    }
                    // The next node is asked.
                    Err(_) => sleep(Duration::from_millis(50)).await,
                }
            }
        });
        Watching { seen, task }
    }

    fn finish(self) -> Vec<Value> {
        self.task.abort();
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Lets the home come to rest, compares, and tells what was lost.
async fn conclude(
    teller: &Teller,
    cluster: &mut Cluster,
    simulation: Simulation,
    watching: Watching,
    gap: Option<Duration>,
) -> Result<Verdict, Failure> {
    teller.scene("the home comes to rest; what was lost?");
    // A node that is still dead from the play has to remember as well.
    cluster.start_all().await?;
    // Commands that are under way are confirmed while the devices are still there.
    let settled = cluster.agreement(PATIENCE, true).await;
    let record = simulation.record();
    simulation.stop().await;
    let settled = cluster.agreement(PATIENCE, false).await.or(settled);
    let histories = cluster.histories().await?;
    let seen = watching.finish();
    teller.finish();
    let now_ms = histories.iter().flatten().filter_map(|event| event["at_ms"].as_i64()).max().unwrap_or(0);
    let verdict = Verdict::new(&seen, &histories, &record, now_ms);
    let commands: u64 = record.commands.values().sum();
    if teller.is_json() {
        let mut summary = verdict.to_json();
        summary["commands"]["received"] = commands.into();
        summary["leaderless_ms"] = gap.map(|gap| gap.as_millis() as u64).into();
        summary["nodes"] = histories.len().into();
        if let Some((index, hash)) = &settled {
            summary["applied_index"] = (*index).into();
            summary["state_hash"] = hash.as_str().into();
        }
        teller.object(&json!({ "summary": summary }));
    } else {
        teller.verdict(&verdict, commands, gap, histories.len(), settled);
    }
    Ok(verdict)
}

fn nodes(count: u64) -> String {
    if count == 1 { "one node".to_owned() } else { format!("{count} nodes") }
}
