//! What goes wrong in a run, and when: all of it drawn from the seed.

use crate::dice::Dice;
use crate::world::{CLIENTS, NODES};
use gable_rules::NodeId;
use std::fmt;
use std::ops::Range;
use std::time::Duration;

/// A thing that the driver breaks. Those that last are mended after their span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The node loses its power, for so long.
    Crash(Target, Duration),
    /// All nodes lose their power at once.
    CrashAll(Duration),
    /// The power fails in the middle of the log's disk's n-th write from now.
    CutLog(Target, u64, Duration),
    /// As before, of the history's disk.
    CutHistory(Target, u64, Duration),
    /// The node is told to stop, and hands over in order.
    Stop(Target, Duration),
    /// The node comes back with empty disks.
    Wipe(Target, Duration),
    /// No message passes between the node and any other.
    Isolate(Target, Duration),
    /// No message passes between the two.
    Partition(NodeId, NodeId, Duration),
    /// No message passes from the first to the second.
    OneWay(NodeId, NodeId, Duration),
    /// Messages between the two wait, and arrive all at once.
    Hold(NodeId, NodeId, Duration),
    /// Messages between the two take longer, at most so many milliseconds.
    Slow(NodeId, NodeId, u64, Duration),
    /// The node's wall clock is wrong by so many milliseconds from now on.
    Skew(NodeId, i64),
    /// The node's disk fails, and nobody is to blame: only a plant does that.
    BreakDisk(NodeId),
    /// All nodes lose their power, and with it what they wrote since so long ago, although they had
    /// been told that it is safe: only a plant does that.
    RollBack(Duration),
}

/// How devices reach the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edge {
    /// By a broker of their own, of which each node is a client; both are modelled.
    Attach,
    /// As MQTT clients of the nodes, each of which is the real server.
    Server,
}

impl Edge {
    /// The edges by their names.
    pub(crate) const ALL: [(&str, Edge); 2] = [("attach", Edge::Attach), ("server", Edge::Server)];

    /// Draws a run's edge.
    pub(crate) fn draw(seed: u64) -> Edge {
        if Dice::new(seed, "edge").chance(50) { Edge::Server } else { Edge::Attach }
    }
}

impl fmt::Display for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Edge::ALL.iter().find(|(_, edge)| edge == self).map_or("?", |(name, _)| name))
    }
}

/// Whom a fault hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Node(NodeId),
    /// Whoever leads when it happens.
    Leader,
}

/// What kind of run it is. Runs differ in more than the order of their faults, because some faults
/// hide others: a cluster that loses nodes all the time is never slow for long.
#[derive(Clone, Debug)]
pub(crate) struct Conditions {
    /// Wall clocks are wrong at times. In the other half of the runs they are right, and there no
    /// timer may be early by them.
    pub(crate) skewed: bool,
    /// How long a message takes when nothing is wrong, at most.
    pub(crate) latency: Duration,
    /// A snapshot is taken after so many entries, and so many stay behind it.
    pub(crate) snapshot_entries: u64,
    pub(crate) kept_entries: u64,
    /// How often faults come, in ms.
    pause: Range<u64>,
    /// Which of a hundred faults are drawn; the others are drawn again.
    kinds: Range<u64>,
}

impl Conditions {
    /// Draws the conditions of a run; a plant is shown under usual ones.
    pub(crate) fn draw(seed: u64, usual: bool) -> Conditions {
        let mut dice = Dice::new(seed, "conditions");
        if usual {
            let latency = Duration::from_millis(3);
            let (pause, kinds) = (500..1300, 0..100);
            return Conditions {
                skewed: false,
                latency,
                snapshot_entries: 80,
                kept_entries: 60,
                pause,
                kinds,
            };
        }
        let pause = dice.pick(&[(300, 900), (500, 1300), (500, 1300), (1000, 3000)]);
        // Everything, losses of nodes only, or losses of messages only.
        let kinds = dice.pick(&[(0, 100), (0, 100), (0, 55), (55, 100)]);
        Conditions {
            skewed: dice.chance(50),
            latency: Duration::from_millis(dice.pick(&[1, 3, 3, 10, 25])),
            snapshot_entries: dice.within(30..200),
            kept_entries: dice.within(40..120),
            pause: pause.0..pause.1,
            kinds: kinds.0..kinds.1,
        }
    }
}

/// The cluster is founded before the first fault.
const CALM: Duration = Duration::from_millis(1500);

/// Returns the faults of a run in their order, none of them after `until`.
pub(crate) fn plan(
    seed: u64,
    edge: Edge,
    until: Duration,
    conditions: &Conditions,
) -> Vec<(Duration, Fault)> {
    let mut dice = Dice::new(seed, "faults");
    let mut faults = Vec::new();
    if edge == Edge::Server {
        faults.extend(between_clients(seed, until));
    }
    let mut at = CALM;
    loop {
        at += dice.millis(conditions.pause.clone());
        if at >= until {
            faults.sort_by_key(|(at, _)| *at);
            return faults;
        }
        faults.push((at, draw(&mut dice, conditions)));
    }
}

/// Draws what goes wrong between clients and nodes.
fn between_clients(seed: u64, until: Duration) -> Vec<(Duration, Fault)> {
    let mut dice = Dice::new(seed, "clients' network");
    let mut faults = Vec::new();
    let mut at = CALM;
    loop {
        at += dice.millis(400..4000);
        if at >= until {
            return faults;
        }
        let (node, short, long) = (dice.pick(&NODES), dice.millis(50..700), dice.millis(300..3500));
        let fault = match dice.within(0..100) {
            0..40 => Fault::Partition(CLIENTS, node, long),
            40..55 => Fault::OneWay(CLIENTS, node, long),
            55..70 => Fault::OneWay(node, CLIENTS, long),
            70..90 => Fault::Hold(CLIENTS, node, short),
            _ => Fault::Slow(CLIENTS, node, dice.within(10..150), long),
        };
        faults.push((at, fault));
    }
}

/// Draws a fault. Half of them stop a node, because that is what the promises are about.
fn draw(dice: &mut Dice, conditions: &Conditions) -> Fault {
    let target = if dice.chance(50) { Target::Leader } else { Target::Node(dice.pick(&NODES)) };
    let (a, b) = pair(dice);
    let short = dice.millis(50..700);
    let long = dice.millis(300..2500);
    match dice.within(conditions.kinds.clone()) {
        0..26 => Fault::Crash(target, if dice.chance(50) { short } else { long }),
        26..31 => Fault::CrashAll(short),
        31..42 => Fault::CutLog(target, dice.within(0..24), short),
        42..46 => Fault::CutHistory(target, dice.within(0..24), short),
        46..51 => Fault::Stop(target, short),
        51..55 => Fault::Wipe(target, short),
        55..66 => Fault::Isolate(target, long),
        66..74 => Fault::Partition(a, b, long),
        74..80 => Fault::OneWay(a, b, long),
        80..89 => Fault::Hold(a, b, short),
        89..94 => Fault::Slow(a, b, dice.within(10..150), long),
        _ if conditions.skewed => Fault::Skew(a, dice.within(0..20_000) as i64 - 10_000),
        _ => Fault::Isolate(target, short),
    }
}

fn pair(dice: &mut Dice) -> (NodeId, NodeId) {
    let first = dice.within(0..3) as usize;
    let second = (first + dice.within(1..3) as usize) % NODES.len();
    (NODES[first], NODES[second])
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Crash(target, span) => write!(f, "crash {target} for {span:?}"),
            Fault::CrashAll(span) => write!(f, "crash all for {span:?}"),
            Fault::CutLog(target, n, _) => write!(f, "cut the log's disk of {target} at its write {n}"),
            Fault::CutHistory(target, n, _) => {
                write!(f, "cut the history's disk of {target} at its write {n}")
            }
            Fault::Stop(target, span) => write!(f, "stop {target} for {span:?}"),
            Fault::Wipe(target, span) => write!(f, "wipe {target}, which is away for {span:?}"),
            Fault::Isolate(target, span) => write!(f, "isolate {target} for {span:?}"),
            Fault::Partition(a, b, span) => write!(f, "cut {} from {} for {span:?}", Who(a), Who(b)),
            Fault::OneWay(a, b, span) => write!(f, "cut the way from {} to {} for {span:?}", Who(a), Who(b)),
            Fault::Hold(a, b, span) => {
                write!(f, "hold what {} and {} send each other for {span:?}", Who(a), Who(b))
            }
            Fault::Slow(a, b, ms, span) => {
                write!(f, "slow {} and {} down to {ms} ms for {span:?}", Who(a), Who(b))
            }
            Fault::RollBack(span) => write!(f, "crash all, and lose the last {span:?} of their disks"),
            Fault::BreakDisk(node) => write!(f, "break the disk of {node}"),
            Fault::Skew(node, ms) => write!(f, "set the wall clock of {node} wrong by {ms} ms"),
        }
    }
}

/// An end of a link, as people read it.
struct Who<'a>(&'a NodeId);

impl fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self.0 == CLIENTS { f.write_str("the clients") } else { self.0.fmt(f) }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Node(node) => write!(f, "node {node}"),
            Target::Leader => f.write_str("the leader"),
        }
    }
}
