//! What enters the core. This is the format of the log: variants are added, never renumbered.

use crate::broker::{AccessChange, BrokerLimits, ClientInput, Publication};
use crate::{Calendar, CommandId, ErrandId, ErrandOutcome, NodeId, TimerId};
use gable_devices::{QoS, Timestamp};
use serde::{Deserialize, Serialize};

/// One committed input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// The home's time, stamped by the leader when it proposed the entry.
    pub at: Timestamp,
    pub origin: Origin,
    pub heard: Hlc,
    pub kind: InputKind,
}

/// Who proposed an input, and as which of its proposals.
///
/// A node numbers its inputs from 1 without gaps in each boot, and the state takes each number
/// once and in order. So any retry is safe: what was seen is a duplicate, and what came too early
/// is refused and sent again after its predecessors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Origin {
    pub node: NodeId,
    /// Grows with each start of the node.
    pub boot: u64,
    pub sequence: u64,
}

/// A hybrid logical clock stamp of the node that heard the input (Kulkarni et al., 2014): close to
/// its wall clock, and later than everything that the node had seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Hlc {
    pub wall: Timestamp,
    pub counter: u32,
}

/// The kinds of input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum InputKind {
    /// An MQTT message was heard.
    Message(Message),
    /// The leader found a timer's deadline passed.
    TimerDue(TimerId),
    /// The broker beside the origin took over a command (PUBACK where it gives one).
    CommandSent(CommandId),
    /// The home's files, whole: entities and automations are replaced by what they say.
    Configure(Vec<SourceFile>),
    /// The origin's link to its broker came up or went down.
    Link { up: bool },
    /// The leader missed a node's answers, or hears it again.
    NodeSeen { node: NodeId, up: bool },
    /// The leader computed the home's clock and sun for some time ahead.
    Calendar(Calendar),
    /// The origin began to lead.
    Leading,
    /// A person lets an automation fire again that the storm guard has set apart.
    Release { automation: String },
    /// A node has tried an errand; `attempt` counts the failures before this try.
    ErrandDone { errand_id: ErrandId, attempt: u32, outcome: ErrandOutcome },
    /// The origin begins to serve MQTT clients, or ceases to.
    Serve(Option<BrokerLimits>),
    /// A client of the origin did something.
    Client(ClientInput),
    /// A person changes who may do what with MQTT.
    Access(AccessChange),
}

/// An MQTT message, raw: only `apply` sees it in order with what changed its meaning.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub topic: String,
    pub payload: Vec<u8>,
    pub qos: QoS,
    pub retain: bool,
    /// With one broker shared by all nodes every node hears every message, and only the topic's
    /// owner proposes it. This one is proposed in place of an owner that fell silent, which may
    /// have proposed it as well.
    pub takeover: bool,
    /// Under which packet id the origin's broker delivered it; 0 at QoS 0 and where no broker did.
    /// It shows a delivery that the broker repeats after the origin has started anew.
    pub packet_id: u16,
    /// Whether the other nodes publish it to their brokers, so that it is heard there as well.
    pub is_relayed: bool,
}

/// One YAML file of the home: its name as people know it, and its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFile {
    pub name: String,
    pub text: String,
}

impl Message {
    /// The message as its publisher gave it to a broker.
    pub(crate) fn to_publication(&self) -> Publication {
        Publication {
            topic: self.topic.clone(),
            payload: self.payload.clone(),
            qos: self.qos,
            retain: self.retain,
            ..Publication::default()
        }
    }
}
