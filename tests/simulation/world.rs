//! What all parts of a run share: disks, mailboxes, broker, trace.
//!
//! Everything runs in one thread, so cells suffice. A node's memory dies with it; what is here is
//! the world outside: what it wrote to its disks, and what others saw of it.

use crate::client::Link;
use crate::dice::Dice;
use crate::faults::{Conditions, Edge};
use crate::plant::Plant;
use crate::trace::{Entry, Event, Seen, Ticket, Trace, is_taken};
use gable::raft::Replica;
use gable::store::history::History;
use gable::store::lossy::Lossy;
use gable_devices::Timestamp;
use gable_rules::{LogIndex, Message, NodeId, Purpose, State, Status};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};

/// The members of the cluster.
pub(crate) const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

/// Stands for the host of the devices, where links are meant.
pub(crate) const CLIENTS: NodeId = NodeId(0);

/// The shared parts of a run.
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) plant: Option<Plant>,
    pub(crate) edge: Edge,
    pub(crate) conditions: Conditions,
    pub(crate) trace: RefCell<Trace>,
    /// The driver's clock, for what happens outside of a host.
    pub(crate) elapsed: Cell<Duration>,
    pub(crate) places: BTreeMap<NodeId, Place>,
    pub(crate) broker: Broker,
    /// The MQTT clients that are connected, and where.
    pub(crate) connected: RefCell<BTreeMap<String, NodeId>>,
    /// Connections behind which nobody is any more.
    pub(crate) silent: RefCell<Vec<Link>>,
    /// At rest: clients that are new to everything look at what is retained.
    pub(crate) inspecting: Cell<bool>,
    /// Where the messages of devices are in the log, as far as any node has applied it.
    indices: RefCell<BTreeMap<Ticket, LogIndex>>,
    /// The highest index that any device has been told of.
    pub(crate) acknowledged: Cell<LogIndex>,
    /// The workload ends: devices finish what they have begun.
    pub(crate) closing: Cell<bool>,
    /// How many devices still have something to hand in.
    pub(crate) busy_devices: Cell<usize>,
}

/// Where a node lives: what stays of it when it dies, and how others reach it while it lives.
pub(crate) struct Place {
    pub(crate) node: NodeId,
    pub(crate) disks: RefCell<Disks>,
    pub(crate) skew_ms: Cell<i64>,
    pub(crate) mailbox: RefCell<Option<mpsc::Sender<Delivery>>>,
    pub(crate) live: RefCell<Option<Live>>,
    /// The node's log time as it was a moment ago: only in its host does time exist.
    pub(crate) home_time: Cell<Timestamp>,
    /// Asks the node to stop in order.
    pub(crate) stop: RefCell<Rc<Notify>>,
    /// A cut disk is about to end the node.
    pub(crate) doomed: Cell<bool>,
    starts: Cell<u64>,
}

/// The two files of a node.
#[derive(Clone, Default)]
pub(crate) struct Disks {
    pub(crate) log: Lossy,
    pub(crate) history: Lossy,
}

/// A running node's handles. They must be gone before the node is started again.
#[derive(Clone)]
pub(crate) struct Live {
    pub(crate) replica: Replica,
    pub(crate) history: History,
}

/// How a node is, as far as the driver has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) applied: LogIndex,
    /// Promised commands that no broker has yet.
    pub(crate) pending: usize,
    /// A deadline has passed and its timer has not fired.
    pub(crate) overdue: bool,
    pub(crate) history_complete: bool,
    /// Messages that wait for MQTT clients, and wills that wait whether theirs come back.
    pub(crate) queued: usize,
}

/// A message on its way from a device to a node.
pub(crate) struct Delivery {
    pub(crate) ticket: Ticket,
    pub(crate) message: Message,
    /// Answered when the message is committed; dropped when the node dies.
    pub(crate) acknowledge: oneshot::Sender<()>,
}

/// The broker that all nodes share, as far as commands to devices go.
#[derive(Default)]
pub(crate) struct Broker {
    queues: RefCell<BTreeMap<String, VecDeque<Vec<u8>>>>,
    arrived: Notify,
}

impl World {
    pub(crate) fn new(seed: u64, edge: Edge, plant: Option<Plant>) -> Rc<World> {
        let place = |node| {
            let place = Place {
                node,
                disks: RefCell::default(),
                skew_ms: Cell::new(0),
                mailbox: RefCell::default(),
                live: RefCell::default(),
                home_time: Cell::default(),
                stop: RefCell::default(),
                doomed: Cell::new(false),
                starts: Cell::new(0),
            };
            (node, place)
        };
        Rc::new(World {
            seed,
            plant,
            edge,
            conditions: Conditions::draw(seed, plant.is_some()),
            trace: RefCell::new(Trace::new(seed)),
            elapsed: Cell::new(Duration::ZERO),
            places: NODES.into_iter().map(place).collect(),
            broker: Broker::default(),
            connected: RefCell::default(),
            silent: RefCell::default(),
            inspecting: Cell::new(false),
            indices: RefCell::default(),
            acknowledged: Cell::default(),
            closing: Cell::new(false),
            busy_devices: Cell::new(0),
        })
    }

    /// Returns the simulated time.
    pub(crate) fn now(&self) -> Duration {
        turmoil::sim_elapsed().unwrap_or(self.elapsed.get())
    }

    /// Adds to the trace what happened now.
    pub(crate) fn record(&self, event: Event) {
        let now = self.now();
        match &event {
            Event::Applied { entry, .. } if self.edge == Edge::Server => self.note_indices(entry),
            Event::Client { seen: Seen::Acknowledged { ticket }, .. } => {
                let index = self.indices.borrow().get(ticket).copied().unwrap_or_default();
                self.acknowledged.set(self.acknowledged.get().max(index));
            }
            _ => {}
        }
        self.trace.borrow_mut().push(now, event);
    }

    fn note_indices(&self, entry: &Entry) {
        let mut indices = self.indices.borrow_mut();
        for (input, effects) in &entry.inputs {
            if let Some(ticket) = Ticket::of_input(input).filter(|_| is_taken(effects)) {
                indices.insert(ticket, entry.index);
            }
        }
    }

    /// Adds what the driver did to the trace.
    pub(crate) fn fault(&self, text: String) {
        self.record(Event::Fault(text));
    }

    pub(crate) fn place(&self, node: NodeId) -> &Place {
        &self.places[&node]
    }
}

impl Place {
    /// Returns another seed for every start of the node.
    pub(crate) fn next_seed(&self, seed: u64) -> u64 {
        self.starts.set(self.starts.get() + 1);
        Dice::new(seed ^ (self.node.0 << 56), "node").roll() ^ self.starts.get()
    }

    /// Returns how the node is, if it runs.
    pub(crate) fn condition(&self) -> Option<Condition> {
        let live = self.live.borrow();
        let replica = &live.as_ref()?.replica;
        let now = self.home_time.get();
        Some(replica.read(|state| Condition {
            applied: *replica.applied().borrow(),
            pending: state.outbox().filter(|row| row.status == Status::Pending).count(),
            overdue: state.next_deadline().is_some_and(|(deadline, _)| deadline < now),
            history_complete: replica.history_complete(),
            queued: state.broker().queue_len() + waiting_wills(state),
        }))
    }

    /// Lets go of a node that is gone.
    pub(crate) fn forget(&self) {
        self.mailbox.take();
        self.live.take();
        self.doomed.set(false);
        // An order to stop that came too late must not meet the next start.
        self.stop.take();
    }
}

fn waiting_wills(state: &State) -> usize {
    state.timers().filter(|(_, timer)| matches!(timer.purpose, Purpose::Will(_))).count()
}

impl Broker {
    /// Takes a message over; the device that subscribed to the topic will have it.
    pub(crate) fn publish(&self, topic: &str, payload: Vec<u8>) {
        // Bounded by the run's length; topics without a device are few.
        self.queues.borrow_mut().entry(topic.to_owned()).or_default().push_back(payload);
        self.arrived.notify_waiters();
    }

    /// Waits for the next message on `topic`.
    pub(crate) async fn next(&self, topic: &str) -> Vec<u8> {
        loop {
            // Listens before it looks, so that nothing slips through between the two.
            let arrived = self.arrived.notified();
            let next = self.queues.borrow_mut().get_mut(topic).and_then(VecDeque::pop_front);
            match next {
                Some(payload) => return payload,
                None => arrived.await,
            }
        }
    }
}
