//! One run: three nodes, their devices and a seed's faults, until the cluster is at rest.

use crate::driver::Driver;
use crate::faults::{self, Edge, Fault};
use crate::node;
use crate::plant::Plant;
use crate::trace::{Entry, Event, Trace, client_of};
use crate::world::{CLIENTS, Condition, NODES, World};
use crate::{clients, devices};
use gable::simulation::{self, Sight};
use gable_devices::Timestamp;
use gable_rules::{LogIndex, NodeId};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Faults and workload take so long,
const FAULTS: Duration = Duration::from_secs(20);
/// and then the cluster may take so long to come to rest.
const HEALING: Duration = Duration::from_secs(15);
/// It is at rest when nothing has changed for so long.
const QUIET: Duration = Duration::from_millis(400);
/// What a node's wall clock shows when the simulation begins: 2027-01-15T08:00:00Z.
const EPOCH: Timestamp = Timestamp(1_800_000_000_000);

/// A run with more events than this does not end: something repeats itself.
const EVENTS_MAX: usize = 100_000;

/// Simulated milliseconds that have passed, for a thread that watches this one.
static STEPS: AtomicU64 = AtomicU64::new(0);

/// Returns how many simulated milliseconds have passed.
pub(crate) fn steps() -> u64 {
    STEPS.load(Ordering::Relaxed)
}

/// Runs one seed and returns what happened.
pub(crate) fn run(seed: u64, edge: Option<Edge>, plant: Option<Plant>) -> Trace {
    let edge = plant.map(Plant::edge).or(edge).unwrap_or_else(|| Edge::draw(seed));
    let world = World::new(seed, edge, plant);
    {
        let mut trace = world.trace.borrow_mut();
        (trace.epoch, trace.skewed, trace.edge) = (EPOCH, world.conditions.skewed, edge);
    }
    let seen = world.clone();
    simulation::watch(move |node, sight| seen.record(event_of(node, sight)));
    let driven = catch_unwind(AssertUnwindSafe(|| drive(&world)));
    let problem = match driven {
        Ok(Ok(())) => None,
        Ok(Err(problem)) => Some(problem),
        Err(panic) => Some(format!("panic: {}", text_of(&*panic))),
    };
    world.record(Event::Rested { problem });
    let mut trace = world.trace.replace(Trace::new(seed));
    if let Some(plant) = plant {
        plant.falsify(&mut trace);
    }
    trace
}

fn drive(world: &Rc<World>) -> Result<(), String> {
    let mut driver = build(world);
    let mut faults = plan(world).into_iter().peekable();
    if world.plant == Some(Plant::LyingDisks) {
        world.places.values().for_each(|place| {
            place.disks.borrow().log.lie();
            place.disks.borrow().history.lie();
        });
    }
    while driver.now() < FAULTS {
        while let Some((_, fault)) = faults.next_if(|(at, _)| *at <= driver.now()) {
            driver.inject(fault);
        }
        step(&mut driver)?;
    }
    world.closing.set(true);
    driver.heal();
    if world.plant == Some(Plant::LastingCut) {
        driver.cut_off(NODES[1]);
    }
    come_to_rest(&mut driver)?;
    if world.edge == Edge::Server {
        world.inspecting.set(true);
        world.busy_devices.set(1);
        come_to_rest(&mut driver)?;
    }
    for (node, place) in &world.places {
        let Some(live) = place.live.borrow().clone() else { continue };
        node::record_history(world, *node, &live.history, true).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Lets a millisecond pass.
fn step(driver: &mut Driver) -> Result<(), String> {
    driver.step()?;
    STEPS.fetch_add(1, Ordering::Relaxed);
    let events = driver.world.trace.borrow().events.len();
    if events > EVENTS_MAX {
        return Err(format!(
            "something repeats itself: {events} events at {:.1} s",
            driver.now().as_secs_f64()
        ));
    }
    Ok(())
}

/// Makes the network, its hosts and the devices.
fn build(world: &Rc<World>) -> Driver {
    let mut sim = turmoil::Builder::new()
        .rng_seed(world.seed)
        .tick_duration(Duration::from_millis(1))
        .simulation_duration(Duration::from_secs(3600))
        .min_message_latency(Duration::ZERO)
        .max_message_latency(world.conditions.latency)
        .tcp_capacity(1 << 16)
        .enable_random_order()
        .build();
    for node in NODES {
        let world = world.clone();
        sim.host(node::name_of(node), move || node::run(world.clone(), node));
    }
    match world.edge {
        Edge::Attach => sim.client(node::name_of(CLIENTS), devices::run(world.clone())),
        Edge::Server => sim.client(node::name_of(CLIENTS), clients::run(world.clone())),
    }
    Driver::new(world.clone(), sim)
}

/// Returns the faults of the run; those of a plant where it needs its own.
fn plan(world: &World) -> Vec<(Duration, Fault)> {
    let second = Duration::from_secs;
    match world.plant {
        None => faults::plan(world.seed, world.edge, FAULTS, &world.conditions),
        Some(Plant::LyingDisks) => vec![(second(8), Fault::CrashAll(Duration::from_millis(500)))],
        Some(Plant::LostWrites) => vec![(second(6), Fault::RollBack(second(1)))],
        Some(Plant::BrokenDisk) => vec![(second(8), Fault::BreakDisk(NODES[2]))],
        Some(_) => vec![(second(5), Fault::Crash(faults::Target::Leader, Duration::from_millis(700)))],
    }
}

/// Lets time pass until all is done and everybody agrees, or the patience ends.
fn come_to_rest(driver: &mut Driver) -> Result<(), String> {
    let deadline = driver.now() + HEALING;
    let mut resting: Option<(Duration, LogIndex)> = None;
    loop {
        step(driver)?;
        let unrest = unrest(driver);
        match (unrest, resting) {
            (Err(problem), _) if driver.now() >= deadline => {
                return Err(format!("{} s after the last fault {problem}", HEALING.as_secs()));
            }
            (Err(_), _) => resting = None,
            (Ok(index), Some((since, same))) if index == same => {
                if driver.now() - since >= QUIET {
                    return Ok(());
                }
            }
            (Ok(index), _) => resting = Some((driver.now(), index)),
        }
    }
}

/// Returns the index that all nodes have reached, or what is still to do.
fn unrest(driver: &Driver) -> Result<LogIndex, String> {
    let world = &driver.world;
    if !driver.is_whole() {
        return Err("not all nodes run".to_owned());
    }
    let mut conditions = Vec::new();
    for (node, place) in &world.places {
        conditions.push(place.condition().ok_or_else(|| format!("node {node} does not run"))?);
    }
    let (first, rest) = conditions.split_first().ok_or("there are no nodes")?;
    if let Some(other) = rest.iter().find(|other| other.applied != first.applied) {
        return Err(format!("one node has applied {}, another {}", first.applied, other.applied));
    }
    match conditions.iter().find_map(to_do) {
        Some(to_do) => Err(to_do.to_owned()),
        None if world.busy_devices.get() > 0 => Err("a device waits for its acknowledgement".to_owned()),
        None => match strangers(world) {
            Some(client_id) => Err(format!("{client_id} and the log disagree on where it is connected")),
            None => Ok(first.applied),
        },
    }
}

/// Returns a client that is connected elsewhere than the log has it.
fn strangers(world: &World) -> Option<String> {
    let live = world.places.values().find_map(|place| place.live.borrow().clone())?;
    let known: BTreeMap<String, NodeId> = live.replica.read(|state| {
        let clients = state.broker().clients();
        let held = clients.filter_map(|(id, client)| Some((id.to_owned(), client.connection()?.id.node)));
        held.collect()
    });
    let connected = world.connected.borrow();
    let clients = connected.keys().chain(known.keys());
    clients.into_iter().find(|client_id| known.get(*client_id) != connected.get(*client_id)).cloned()
}

fn to_do(condition: &Condition) -> Option<&'static str> {
    match condition {
        Condition { pending: 1.., .. } => Some("a command waits to be published"),
        Condition { overdue: true, .. } => Some("a timer is overdue"),
        Condition { queued: 1.., .. } => Some("a message waits for an MQTT client, or a will for its delay"),
        Condition { history_complete: false, .. } => Some("a history has a gap"),
        _ => None,
    }
}

fn event_of(node: NodeId, sight: Sight) -> Event {
    match sight {
        Sight::Applied { applied, hash } => {
            let inputs = applied.inputs().map(|(input, effects)| (input.clone(), effects.to_vec()));
            let entry = Rc::new(Entry { index: applied.index, inputs: inputs.collect() });
            Event::Applied { node, entry, hash }
        }
        Sight::Installed { index, hash } => Event::Installed { node, index, hash },
        Sight::Persisted { last } => Event::Persisted { node, last },
        Sight::Leads { term } => Event::Leads { node, term },
        Sight::Acknowledges { client_id, packet_id } => {
            let client = client_of(&client_id).expect("all clients are the simulation's");
            Event::Acknowledges { node, client, packet_id }
        }
    }
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
