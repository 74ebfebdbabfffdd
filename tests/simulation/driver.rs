//! Breaks and mends the cluster: the hand that holds the simulation.

use crate::dice::Dice;
use crate::faults::{Fault, Target};
use crate::node;
use crate::trace::Event;
use crate::world::{Disks, NODES, Place, World};
use gable::store::lossy::Lossy;
use gable_rules::{LogIndex, NodeId};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use turmoil::Sim;

/// The simulated network with its hosts, and what is broken in it.
pub(crate) struct Driver {
    pub(crate) world: Rc<World>,
    sim: Sim<'static>,
    dice: Dice,
    /// Nodes that are away, and when they come back.
    away: BTreeMap<NodeId, Duration>,
    /// Links that are broken, and until when.
    broken: BTreeMap<(NodeId, NodeId), Duration>,
    /// Nodes that are about to end by themselves, and how long they stay away then.
    ending: BTreeMap<NodeId, Duration>,
    /// A node that came back empty, and what it has to reach before it counts as refilled.
    refilling: Option<(NodeId, LogIndex)>,
    /// When all nodes lose what they wrote since then, and what they fall back to.
    roll_back: Option<(Duration, [Disks; 3])>,
}

impl Driver {
    pub(crate) fn new(world: Rc<World>, sim: Sim<'static>) -> Driver {
        let dice = Dice::new(world.seed, "driver");
        let (away, broken, ending) = Default::default();
        Driver { world, sim, dice, away, broken, ending, refilling: None, roll_back: None }
    }

    /// Lets a millisecond pass.
    pub(crate) fn step(&mut self) -> Result<(), String> {
        self.sim.step().map_err(|error| error.to_string())?;
        let now = self.sim.elapsed();
        self.world.elapsed.set(now);
        self.notice_ends(now);
        self.mend(now);
        self.roll_back(now);
        Ok(())
    }

    pub(crate) fn now(&self) -> Duration {
        self.sim.elapsed()
    }

    /// Breaks something, unless it is broken already.
    pub(crate) fn inject(&mut self, fault: Fault) {
        match fault {
            Fault::Crash(target, span) => {
                self.on_target(target, fault, |driver, node| driver.crash(node, span))
            }
            Fault::CrashAll(span) => {
                self.world.fault(fault.to_string());
                NODES.into_iter().for_each(|node| self.crash(node, span));
            }
            Fault::CutLog(target, n, span) => {
                self.on_target(target, fault, |driver, node| {
                    driver.cut(node, span, |disks| disks.log.cut_after(n))
                });
            }
            Fault::CutHistory(target, n, span) => self.on_target(target, fault, |driver, node| {
                driver.cut(node, span, |disks| disks.history.cut_after(n));
            }),
            Fault::Stop(target, span) => self.on_target(target, fault, |driver, node| {
                driver.ending.insert(node, span);
                driver.world.place(node).stop.borrow().notify_one();
            }),
            Fault::Wipe(target, span) => self.wipe(target, fault, span),
            Fault::Isolate(target, span) => self.on_target(target, fault, |driver, node| {
                let others = NODES.into_iter().filter(|other| *other != node);
                others.for_each(|other| driver.break_link(node, other, span, &Sim::partition));
            }),
            Fault::Partition(a, b, span) => self.on_link(a, b, fault, span, &Sim::partition),
            Fault::OneWay(a, b, span) => self.on_link(a, b, fault, span, &Sim::partition_oneway),
            Fault::Hold(a, b, span) => self.on_link(a, b, fault, span, &Sim::hold),
            Fault::Slow(a, b, ms, span) => self.on_link(a, b, fault, span, &|sim, a, b| {
                sim.set_link_max_message_latency(a, b, Duration::from_millis(ms));
            }),
            Fault::Skew(node, ms) => {
                self.world.fault(fault.to_string());
                self.skew(node, ms);
            }
            Fault::RollBack(span) => {
                self.world.fault(fault.to_string());
                self.roll_back = Some((self.now() + span, NODES.map(|node| self.images(node))));
            }
            Fault::BreakDisk(node) => {
                self.world.fault(fault.to_string());
                self.world.place(node).disks.borrow().log.cut_after(0);
            }
        }
    }

    /// Mends everything.
    pub(crate) fn heal(&mut self) {
        self.world.fault("all faults end".to_owned());
        let now = self.now();
        self.away.values_mut().for_each(|back| *back = now);
        self.broken.values_mut().for_each(|end| *end = now);
        // A cut that no write has met yet would end its node some time later.
        let is_doomed = |node: &NodeId| self.world.place(*node).doomed.get();
        let doomed: Vec<_> = NODES.into_iter().filter(is_doomed).collect();
        doomed.into_iter().for_each(|node| self.crash(node, Duration::ZERO));
        NODES.into_iter().for_each(|node| self.skew(node, 0));
        self.mend(now);
    }

    /// Cuts a node off from now on.
    pub(crate) fn cut_off(&mut self, node: NodeId) {
        let others = NODES.into_iter().filter(|other| *other != node);
        others.for_each(|other| self.sim.partition(node::name_of(node), node::name_of(other)));
    }

    /// Whether all nodes run and nothing is broken.
    pub(crate) fn is_whole(&self) -> bool {
        self.away.is_empty() && self.broken.is_empty() && self.ending.is_empty()
    }

    /// Returns the leader of the latest term that runs.
    fn leader(&self) -> Option<NodeId> {
        let trace = self.world.trace.borrow();
        trace.events().rev().find_map(|(_, event)| match event {
            Event::Leads { node, .. } => Some(*node),
            _ => None,
        })
    }

    fn is_up(&self, node: NodeId) -> bool {
        !self.away.contains_key(&node) && !self.ending.contains_key(&node)
    }

    fn on_target(&mut self, target: Target, fault: Fault, act: impl FnOnce(&mut Self, NodeId)) {
        let node = match target {
            Target::Node(node) => Some(node),
            Target::Leader => self.leader(),
        };
        if let Some(node) = node.filter(|node| self.is_up(*node)) {
            self.world.fault(format!("node {node}: {fault}"));
            act(self, node);
        }
    }

    fn on_link(&mut self, a: NodeId, b: NodeId, fault: Fault, span: Duration, act: Act<'_>) {
        if !self.broken.contains_key(&(a.min(b), a.max(b))) {
            self.world.fault(fault.to_string());
            self.break_link(a, b, span, act);
        }
    }

    fn break_link(&mut self, a: NodeId, b: NodeId, span: Duration, act: Act<'_>) {
        let link = (a.min(b), a.max(b));
        if let std::collections::btree_map::Entry::Vacant(free) = self.broken.entry(link) {
            free.insert(self.sim.elapsed() + span);
            act(&self.sim, node::name_of(a), node::name_of(b));
        }
    }

    /// Takes a node's power. What its disks had not synced is kept, lost or torn.
    fn crash(&mut self, node: NodeId, span: Duration) {
        if self.away.contains_key(&node) {
            return;
        }
        self.ending.remove(&node);
        self.away.insert(node, self.now() + span);
        let place = self.world.place(node);
        {
            let mut disks = place.disks.borrow_mut();
            let (log, history) = (disks.log.crash(self.dice.roll()), disks.history.crash(self.dice.roll()));
            *disks = Disks { log, history };
        }
        place.forget();
        self.sim.crash(node::name_of(node));
    }

    /// Lets a disk of the node fail in the middle of its work; the node has to end then.
    fn cut(&mut self, node: NodeId, span: Duration, cut: impl FnOnce(&Disks)) {
        let place = self.world.place(node);
        place.doomed.set(true);
        cut(&place.disks.borrow());
        self.ending.insert(node, span);
    }

    fn images(&self, node: NodeId) -> Disks {
        let disks = self.world.place(node).disks.borrow();
        Disks { log: Lossy::holding(disks.log.image()), history: Lossy::holding(disks.history.image()) }
    }

    fn roll_back(&mut self, now: Duration) {
        if let Some((_, images)) = self.roll_back.take_if(|(at, _)| *at <= now) {
            for (node, disks) in NODES.into_iter().zip(images) {
                self.crash(node, Duration::from_millis(300));
                self.world.place(node).disks.replace(disks);
            }
        }
    }

    /// Empties a node's disks, if no other node's loss could make that a loss of data: with two
    /// disks gone nobody promises anything.
    fn wipe(&mut self, target: Target, fault: Fault, span: Duration) {
        if self.is_refilling() || !self.is_whole() {
            return;
        }
        self.on_target(target, fault, |driver, node| {
            driver.crash(node, span);
            driver.world.place(node).disks.replace(Disks::default());
            let conditions = driver.world.places.values().filter_map(Place::condition);
            let goal = conditions.map(|condition| condition.applied).max().unwrap_or_default();
            driver.refilling = Some((node, goal));
        });
    }

    fn is_refilling(&mut self) -> bool {
        let Some((node, goal)) = self.refilling else { return false };
        let condition = self.world.place(node).condition();
        let refilled = condition.is_some_and(|condition| condition.applied >= goal);
        if refilled {
            self.refilling = None;
        }
        !refilled
    }

    fn skew(&self, node: NodeId, ms: i64) {
        let place = self.world.place(node);
        place.skew_ms.set(ms);
        if let Some(live) = &*place.live.borrow() {
            live.replica.clock().set_skew_ms(ms);
        }
    }

    /// A node that ended by itself lies where it fell until it is started again.
    fn notice_ends(&mut self, now: Duration) {
        for node in NODES {
            if self.away.contains_key(&node) || self.sim.is_host_running(node::name_of(node)) {
                continue;
            }
            let span = self.ending.get(&node).copied().unwrap_or(Duration::from_millis(300));
            let is_cut = self.world.place(node).doomed.get();
            if is_cut {
                self.crash(node, span);
            } else {
                self.ending.remove(&node);
                self.world.place(node).forget();
                self.away.insert(node, now + span);
            }
        }
    }

    fn mend(&mut self, now: Duration) {
        let mended: Vec<_> =
            self.broken.iter().filter(|(_, end)| **end <= now).map(|(link, _)| *link).collect();
        for (a, b) in mended {
            self.broken.remove(&(a, b));
            let (a, b) = (node::name_of(a), node::name_of(b));
            self.sim.release(a.as_str(), b.as_str());
            self.sim.repair(a.as_str(), b.as_str());
            self.sim.set_link_max_message_latency(a, b, self.world.conditions.latency);
        }
        let back: Vec<_> =
            self.away.iter().filter(|(_, back)| **back <= now).map(|(node, _)| *node).collect();
        for node in back {
            self.away.remove(&node);
            self.sim.bounce(node::name_of(node));
        }
    }
}

/// What is done to a link of the simulated network.
type Act<'a> = &'a dyn Fn(&Sim<'static>, String, String);
