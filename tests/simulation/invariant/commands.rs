//! Each promised command reaches the broker at least once, unless it was given up for a reason
//! that the log tells. Where the nodes are the broker it reaches the device itself.

use crate::clients::BULB;
use crate::faults::Edge;
use crate::trace::{Event, Reception, Seen, Trace, client_of};
use gable_devices::Publish;
use gable_rules::broker::ClientAction;
use gable_rules::{CommandId, Effect, InputKind};
use std::collections::BTreeMap;
use std::time::Duration;

/// Where the bulb is told what to do, at QoS 2 and in a session that is kept.
const TO_BULB: &str = "sim/bulb/set";

/// Checks every command of the log against what the broker or the device got.
pub(crate) fn check(trace: &Trace) -> Result<(), String> {
    match trace.edge {
        Edge::Attach => attached(trace),
        Edge::Server => served(trace),
    }
}

/// The bulb gets every command that is decided after it has subscribed, once and in their order.
fn served(trace: &Trace) -> Result<(), String> {
    let mut is_subscribed = false;
    let mut promised: Vec<&[u8]> = Vec::new();
    for (_, input, effects) in trace.taken() {
        if let InputKind::Client(client) = &input.kind
            && matches!(client.action, ClientAction::Subscribe { .. })
        {
            is_subscribed |= client_of(&client.client_id) == Some(BULB);
        }
        let queued = effects.iter().filter_map(|effect| match effect {
            Effect::CommandQueued { publish, .. } if publish.topic == TO_BULB => Some(&*publish.payload),
            _ => None,
        });
        promised.extend(queued.filter(|_| is_subscribed));
    }
    let got = trace.seen().filter_map(|(_, _, seen)| match seen {
        Seen::Received(Reception { topic, payload, is_new: true, qos: 2, .. }) if topic == TO_BULB => {
            Some(payload.as_slice())
        }
        _ => None,
    });
    let got: Vec<&[u8]> = got.collect();
    if got == promised {
        return Ok(());
    }
    let same = got.iter().zip(&promised).take_while(|(got, promised)| got == promised).count();
    let (got, promised) = (got.len(), promised.len());
    Err(format!("the bulb got {got} commands of {promised}; the first {same} are as promised"))
}

fn attached(trace: &Trace) -> Result<(), String> {
    let published = published(trace);
    let mut open: BTreeMap<CommandId, &Publish> = BTreeMap::new();
    for (at, _, effect) in trace.effects() {
        match effect {
            Effect::CommandQueued { command_id, publish, .. } => {
                open.insert(*command_id, publish);
            }
            Effect::CommandSent { command_id } => sent(&published, &mut open, *command_id, at)?,
            // Without having been sent: the device reported what was wanted by itself.
            Effect::CommandConfirmed { command_id, .. }
            | Effect::CommandExpired { command_id, .. }
            | Effect::CommandSuperseded { command_id, .. } => drop(open.remove(command_id)),
            _ => {}
        }
    }
    match open.keys().find(|command_id| !published.contains_key(command_id)) {
        None => Ok(()),
        Some(command_id) => Err(format!("command {command_id} was never published")),
    }
}

type Published<'a> = BTreeMap<CommandId, (Duration, &'a str, &'a [u8])>;

/// Returns the first publish of each command.
fn published(trace: &Trace) -> Published<'_> {
    let mut published = BTreeMap::new();
    for (at, event) in trace.events() {
        if let Event::Published { command_id, topic, payload, .. } = event {
            published.entry(*command_id).or_insert((at, topic.as_str(), payload.as_slice()));
        }
    }
    published
}

fn sent(
    published: &Published<'_>,
    open: &mut BTreeMap<CommandId, &Publish>,
    command_id: CommandId,
    at: Duration,
) -> Result<(), String> {
    let Some(promised) = open.remove(&command_id) else {
        return Err(format!("command {command_id} is sent, but it was not waiting"));
    };
    match published.get(&command_id) {
        Some((when, topic, payload)) if *when <= at => {
            if (*topic, *payload) == (promised.topic.as_str(), promised.payload.as_slice()) {
                return Ok(());
            }
            Err(format!("command {command_id} was published as something else, on {topic}"))
        }
        _ => Err(format!("command {command_id} is called sent in the log, and the broker did not have it")),
    }
}
