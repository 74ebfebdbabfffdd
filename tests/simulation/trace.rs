//! What happened in a run, in its order: all that the invariants look at.
//!
//! The trace is also what two runs of one seed are compared by, so nothing in it may depend on
//! addresses, threads or the real time.

mod seen;

pub(crate) use seen::{Ending, Reception, Seen};

use crate::dice::Dice;
use crate::faults::Edge;
use gable::store::history::Position;
use gable_devices::Timestamp;
use gable_rules::broker::{ClientAction, Publication};
use gable_rules::{CommandId, Effect, Input, InputKind, LogIndex, NodeId};
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::rc::Rc;
use std::time::Duration;

/// An input's place in the log: the entry, and the input in it.
pub(crate) type Place = (LogIndex, usize);

/// The events of a run.
#[derive(Debug)]
pub(crate) struct Trace {
    pub(crate) seed: u64,
    pub(crate) events: Vec<(Duration, Event)>,
    /// What the nodes' wall clocks show at the start.
    pub(crate) epoch: Timestamp,
    /// Whether wall clocks were wrong in this run.
    pub(crate) skewed: bool,
    /// How devices reached the nodes.
    pub(crate) edge: Edge,
    digest: Digest,
}

/// One thing that happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// The driver broke or mended something.
    Fault(String),
    Started {
        node: NodeId,
        boot: u64,
    },
    /// A node ended by itself; `expected` if its disk was cut.
    Died {
        node: NodeId,
        expected: bool,
        reason: String,
    },
    /// A device handed a message to a node, which will propose it.
    HandedIn {
        node: NodeId,
        ticket: Ticket,
    },
    /// The node told the device that the message is committed and applied.
    Acknowledged {
        node: NodeId,
        ticket: Ticket,
        index: LogIndex,
        settled: String,
    },
    /// A node applied an entry, perhaps again after a restart.
    Applied {
        node: NodeId,
        entry: Rc<Entry>,
        hash: u64,
    },
    /// A node took over a snapshot.
    Installed {
        node: NodeId,
        index: LogIndex,
        hash: u64,
    },
    Leads {
        node: NodeId,
        term: u64,
    },
    /// A linearizable read saw the log up to `index`, when `known` had been acknowledged to somebody
    /// before it began.
    Read {
        node: NodeId,
        known: LogIndex,
        index: LogIndex,
    },
    /// A node gave a command to the broker.
    Published {
        node: NodeId,
        command_id: CommandId,
        topic: String,
        payload: Vec<u8>,
    },
    /// What a node's history shows from its beginning.
    History {
        node: NodeId,
        rows: Vec<Row>,
        last: bool,
    },
    /// An MQTT client did or saw something, in its `connection`-th connection.
    Client {
        client: u32,
        connection: u32,
        seen: Seen,
    },
    /// A node is about to tell a client that its message is taken: PUBACK or PUBREC.
    Acknowledges {
        node: NodeId,
        client: u32,
        packet_id: u16,
    },
    /// What a client that is new to everything got at a node as retained, by topic.
    Retained {
        node: NodeId,
        messages: BTreeMap<String, Vec<u8>>,
    },
    /// The log on a node's disk ends there.
    Persisted {
        node: NodeId,
        last: LogIndex,
    },
    /// Whether the cluster came to rest after the faults.
    Rested {
        problem: Option<String>,
    },
}

/// An applied log entry: its inputs and what followed from each.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) index: LogIndex,
    pub(crate) inputs: Vec<(Input, Vec<Effect>)>,
}

/// Who handed in which message for the how manieth time. It is in the message's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket {
    pub(crate) device: u32,
    pub(crate) message: u32,
    pub(crate) attempt: u32,
}

/// A row of a history, shortened to what has to be equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) position: Position,
    /// The row as a whole.
    pub(crate) digest: u64,
    /// The ticket, if the row is a device's message.
    pub(crate) ticket: Option<Ticket>,
}

/// Returns the name under which the MQTT clients of the simulation connect.
pub(crate) fn client_id(client: u32) -> String {
    format!("client{client}")
}

/// Returns the client of that name.
pub(crate) fn client_of(client_id: &str) -> Option<u32> {
    client_id.strip_prefix("client")?.parse().ok()
}

/// Whether an input was taken.
pub(crate) fn is_taken(effects: &[Effect]) -> bool {
    !matches!(effects.first(), Some(Effect::Refused(_)))
}

/// Returns what a client publishes by an input.
pub(crate) fn publication_of(input: &Input) -> Option<&Publication> {
    match &input.kind {
        InputKind::Client(client) => match &client.action {
            ClientAction::Publish { publication, .. } => Some(publication),
            _ => None,
        },
        _ => None,
    }
}

impl Ticket {
    /// Returns the ticket of the message that an input brings.
    pub(crate) fn of_input(input: &Input) -> Option<Ticket> {
        match &input.kind {
            InputKind::Message(message) => Ticket::of(&message.payload),
            _ => Ticket::of(&publication_of(input)?.payload),
        }
    }

    /// Returns the ticket that a payload carries.
    pub(crate) fn of(payload: &[u8]) -> Option<Ticket> {
        let payload: serde_json::Value = serde_json::from_slice(payload).ok()?;
        let ticket = payload.get("ticket")?.as_str()?;
        let mut numbers = ticket.split('.').map(|number| number.parse().ok());
        let (device, message, attempt) = (numbers.next()??, numbers.next()??, numbers.next()??);
        Some(Ticket { device, message, attempt })
    }
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.device, self.message, self.attempt)
    }
}

impl Trace {
    pub(crate) fn new(seed: u64) -> Trace {
        let epoch = Timestamp(0);
        let (edge, digest) = (Edge::Attach, Digest::new());
        Trace { seed, events: Vec::new(), epoch, skewed: false, edge, digest }
    }

    /// Adds an event that happened at simulated time `at`.
    pub(crate) fn push(&mut self, at: Duration, event: Event) {
        // Writing into a digest can not fail.
        let _ = write!(self.digest, "{} {event:?};", at.as_micros());
        self.events.push((at, event));
    }

    /// Returns a number that two runs share only if everything in them happened alike.
    pub(crate) fn digest(&self) -> u64 {
        self.digest.0
    }

    /// Returns the events with the simulated time of each.
    pub(crate) fn events(&self) -> impl DoubleEndedIterator<Item = (Duration, &Event)> {
        self.events.iter().map(|(at, event)| (*at, event))
    }

    /// Returns the log as the nodes applied it, with the time at which the first of them did. Where
    /// they differ, which `agreement` notices, the first one counts.
    pub(crate) fn log(&self) -> BTreeMap<LogIndex, (Duration, &Entry)> {
        let mut log = BTreeMap::new();
        for (at, event) in self.events() {
            if let Event::Applied { entry, .. } = event {
                log.entry(entry.index).or_insert((at, &**entry));
            }
        }
        log
    }

    /// Returns the inputs of the log that were taken, each with its place: the entry's index and the
    /// input's number in it.
    pub(crate) fn taken(&self) -> impl Iterator<Item = (Place, &Input, &[Effect])> {
        let inputs = self.log().into_iter().flat_map(|(index, (_, entry))| {
            let inputs = entry.inputs.iter().enumerate();
            inputs.map(move |(number, (input, effects))| ((index, number), input, effects.as_slice()))
        });
        inputs.filter(|(_, _, effects)| is_taken(effects))
    }

    /// Returns what MQTT clients did and saw: the client, its connection, what.
    pub(crate) fn seen(&self) -> impl Iterator<Item = (u32, u32, &Seen)> {
        self.events.iter().filter_map(|(_, event)| match event {
            Event::Client { client, connection, seen } => Some((*client, *connection, seen)),
            _ => None,
        })
    }

    /// Returns all effects of the log in their order, each with its input and the time at which it
    /// was first seen.
    pub(crate) fn effects(&self) -> impl Iterator<Item = (Duration, &Input, &Effect)> {
        let inputs = self
            .log()
            .into_values()
            .flat_map(|(at, entry)| entry.inputs.iter().map(move |(input, effects)| (at, input, effects)));
        inputs.flat_map(|(at, input, effects)| effects.iter().map(move |effect| (at, input, effect)))
    }

    /// Returns dice for damaging this trace.
    pub(crate) fn dice(&self, purpose: &str) -> Dice {
        Dice::new(self.seed, purpose)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Fault(text) => write!(f, "-- {text}"),
            Event::Started { node, boot } => write!(f, "node {node} starts, boot {boot}"),
            Event::Died { node, reason, .. } => write!(f, "node {node} ends: {reason}"),
            Event::HandedIn { node, ticket } => write!(f, "node {node} is handed {ticket}"),
            Event::Acknowledged { node, ticket, index, settled } => {
                write!(f, "node {node} acknowledges {ticket} at {index}: {settled}")
            }
            Event::Applied { node, entry, hash } => {
                write!(f, "node {node} applies {} -> {hash:016x}", entry.index)?;
                entry.inputs.iter().try_for_each(|input| write!(f, "{}", Line(input)))
            }
            Event::Installed { node, index, hash } => {
                write!(f, "node {node} takes over a snapshot at {index} -> {hash:016x}")
            }
            Event::Leads { node, term } => write!(f, "node {node} leads term {term}"),
            Event::Read { node, known, index } => {
                write!(f, "node {node} reads at {index}, {known} was known")
            }
            Event::Published { node, command_id, topic, .. } => {
                write!(f, "node {node} publishes {command_id} on {topic}")
            }
            Event::History { node, rows, .. } => {
                write!(f, "node {node} shows {} rows of history", rows.len())
            }
            Event::Client { client, connection, seen } => write!(f, "client {client} ({connection}) {seen}"),
            Event::Acknowledges { node, client, packet_id } => {
                write!(f, "node {node} acknowledges what client {client} sent as {packet_id}")
            }
            Event::Retained { node, messages } => {
                write!(f, "node {node} shows {} retained messages", messages.len())
            }
            Event::Persisted { node, last } => write!(f, "node {node} has the log on its disk up to {last}"),
            Event::Rested { problem: None } => write!(f, "the cluster is at rest"),
            Event::Rested { problem: Some(problem) } => write!(f, "the cluster is not at rest: {problem}"),
        }
    }
}

/// One input of an applied entry, as people read it.
struct Line<'a>(&'a (Input, Vec<Effect>));

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (input, effects) = self.0;
        let origin = input.origin;
        write!(f, "\n      {} {}/{}/{} ", input.at.0, origin.node, origin.boot, origin.sequence)?;
        match &input.kind {
            InputKind::Message(message) => {
                write!(f, "{} {}", message.topic, String::from_utf8_lossy(&message.payload))?;
            }
            InputKind::Configure(_) => f.write_str("Configure")?,
            InputKind::Client(client) => {
                write!(f, "{} ({}): ", client.client_id, client.connection)?;
                match publication_of(input) {
                    Some(it) => write!(f, "{} {}", it.topic, String::from_utf8_lossy(&it.payload))?,
                    None => write!(f, "{:?}", client.action)?,
                }
            }
            other => write!(f, "{other:?}")?,
        }
        effects.iter().try_for_each(|effect| write!(f, "\n        {effect:?}"))
    }
}

/// The 64-bit FNV-1a of what is written into it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Digest(pub(crate) u64);

impl Digest {
    pub(crate) fn new() -> Digest {
        Digest(0xcbf2_9ce4_8422_2325)
    }

    /// Returns the digest of a value's debug text.
    pub(crate) fn of(value: &impl fmt::Debug) -> u64 {
        let mut digest = Digest::new();
        let _ = write!(digest, "{value:?}");
        digest.0
    }
}

impl fmt::Write for Digest {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Ok(())
    }
}
