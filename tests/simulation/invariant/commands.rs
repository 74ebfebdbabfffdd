//! Each promised command reaches the broker at least once, unless it was given up for a reason
//! that the log tells.

use crate::trace::{Event, Trace};
use gable_devices::Publish;
use gable_rules::{CommandId, Effect};
use std::collections::BTreeMap;
use std::time::Duration;

/// Checks every command of the log against what the broker got.
pub(crate) fn check(trace: &Trace) -> Result<(), String> {
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
