//! What follows from an input. Effects tell; the rows in the state promise.

use crate::{CommandId, ErrandId, NodeId, Origin, Purpose, RunId, TimerId};
use gable_devices::{EntityId, Millis, Publish, Timestamp};
use serde::{Deserialize, Serialize};

/// One consequence of an input, the same on every node.
///
/// An effect wakes whoever has to act and feeds history and timeline. Nobody may rely on hearing
/// it: what must survive is a row in the state before the effect is returned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Effect {
    /// The input was not taken; nothing changed.
    Refused(Refusal),
    EntityChanged {
        entity_id: EntityId,
        from: String,
        to: String,
    },
    RunStarted {
        run_id: RunId,
        automation: String,
        trigger: String,
    },
    /// A trigger fired, yet no run began; `reason` says why (condition, mode, `max`).
    RunSkipped {
        automation: String,
        reason: String,
    },
    RunEnded {
        run_id: RunId,
        automation: String,
        ended: Ended,
    },
    /// A row was added to the outbox. `entity_id` is none for a plain publish.
    CommandQueued {
        command_id: CommandId,
        entity_id: Option<EntityId>,
        publish: Publish,
        run_id: Option<RunId>,
    },
    CommandSent {
        command_id: CommandId,
    },
    CommandConfirmed {
        command_id: CommandId,
        entity_id: Option<EntityId>,
    },
    CommandExpired {
        command_id: CommandId,
        entity_id: Option<EntityId>,
    },
    CommandSuperseded {
        command_id: CommandId,
        by: CommandId,
    },
    TimerSet {
        timer_id: TimerId,
        deadline: Timestamp,
        reason: TimerReason,
    },
    TimerFired {
        timer_id: TimerId,
        deadline: Timestamp,
    },
    TimerCancelled {
        timer_id: TimerId,
    },
    /// The home's files were taken over; the numbers count what runs and what is broken.
    Configured {
        entities: u32,
        automations: u32,
        broken: u32,
    },
    /// Something that a person should know: an undecodable payload, an action that failed.
    Notice {
        subject: String,
        text: String,
    },
    /// A run waits for its turn behind an earlier one (mode `queued`).
    RunQueued {
        run_id: RunId,
        automation: String,
        trigger: String,
    },
    /// A node came or went, or its link to its broker did; topics may have other owners now.
    NodeChanged {
        node: NodeId,
        up: bool,
        link: bool,
    },
    /// Another node leads now.
    LeaderChanged {
        node: NodeId,
    },
    /// The storm guard has set an automation apart: it does not fire until it is released.
    Quarantined {
        automation: String,
        reason: String,
    },
    /// An automation that was set apart may fire again.
    Released {
        automation: String,
    },
    /// An HTTP call was promised.
    ErrandQueued {
        errand_id: ErrandId,
        service: String,
        run_id: Option<RunId>,
    },
    ErrandDone {
        errand_id: ErrandId,
        status: u16,
    },
    /// An HTTP call was given up.
    ErrandFailed {
        errand_id: ErrandId,
        service: String,
        text: String,
    },
    /// A device announced an entity that the home did not have.
    EntityAnnounced {
        entity_id: EntityId,
    },
    /// A device withdrew an entity that it had announced.
    EntityWithdrawn {
        entity_id: EntityId,
    },
    /// An MQTT client connected to a node.
    ClientConnected {
        client_id: String,
        node: NodeId,
        session_present: bool,
    },
    ClientDisconnected {
        client_id: String,
        departure: Departure,
    },
}

/// How an MQTT client's connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Departure {
    /// It said so, and did not want its will to be published.
    Left,
    /// Its connection broke, or it did not speak in time.
    Lost,
    /// It has a newer connection.
    TakenOver,
    /// The node that held it died, and it did not come back in time.
    NodeLost,
    /// Its user is gone or has another password.
    Expelled,
}

/// Why an input was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// Seen before.
    Duplicate(Origin),
    /// An earlier input of the same origin is missing; `expected` is its sequence.
    Gap { origin: Origin, expected: u64 },
    /// The timer is gone or not yet due, the command is settled, the client's connection is gone: a late or
    /// doubled report.
    Stale,
    /// A takeover of a message that its owner had proposed as well, or what a client repeats at QoS 2.
    AlreadyHeard,
    /// The input can not be right; the text says why.
    Invalid(String),
}

/// What a timer is for, as far as a reader of the timeline wants to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TimerReason {
    TriggerFor {
        automation: String,
    },
    RunDelay {
        run_id: RunId,
    },
    CommandExpiry {
        command_id: CommandId,
    },
    OffDelay {
        entity_id: EntityId,
    },
    ExpireAfter {
        entity_id: EntityId,
    },
    WaitTimeout {
        run_id: RunId,
    },
    /// Templates that ask for the time.
    Minute,
    /// A time, time pattern or sun trigger.
    Schedule {
        automation: String,
    },
    /// The next thing that the sun does.
    Sun,
    /// A timer helper.
    Helper {
        entity_id: EntityId,
    },
    /// What is held back to be put in order (`ordered:`).
    Window {
        window: Millis,
    },
    /// An attempt of a `trigger: sequence`.
    Sequence {
        automation: String,
    },
    /// An entity is away, and a trigger's `for:` may yet go on (`for_gap:`).
    ForGap {
        automation: String,
    },
    /// The next attempt at an HTTP call.
    Errand {
        errand_id: ErrandId,
    },
    /// The delay of an MQTT client's will.
    Will {
        client_id: String,
    },
    SessionExpiry {
        client_id: String,
    },
    /// The time in which a dead node's clients may come back.
    Grace {
        node: NodeId,
    },
    /// The expiry of retained messages and of those that wait in sessions.
    MessageExpiry,
}

impl From<&Purpose> for TimerReason {
    fn from(purpose: &Purpose) -> TimerReason {
        match purpose {
            Purpose::TriggerFor(trigger) => {
                TimerReason::TriggerFor { automation: trigger.key.listener.to_string() }
            }
            Purpose::RunDelay(run_id) => TimerReason::RunDelay { run_id: *run_id },
            Purpose::CommandExpiry(command_id) => TimerReason::CommandExpiry { command_id: *command_id },
            Purpose::OffDelay(entity_id) => TimerReason::OffDelay { entity_id: entity_id.clone() },
            Purpose::ExpireAfter(entity_id) => TimerReason::ExpireAfter { entity_id: entity_id.clone() },
            Purpose::WaitTimeout(run_id) => TimerReason::WaitTimeout { run_id: *run_id },
            Purpose::Minute => TimerReason::Minute,
            Purpose::Schedule(key) => TimerReason::Schedule { automation: key.listener.to_string() },
            Purpose::Sun => TimerReason::Sun,
            Purpose::Errand(errand_id) => TimerReason::Errand { errand_id: *errand_id },
            Purpose::Helper(entity_id) => TimerReason::Helper { entity_id: entity_id.clone() },
            Purpose::Window(window) => TimerReason::Window { window: *window },
            Purpose::Sequence(listener) => TimerReason::Sequence { automation: listener.to_string() },
            Purpose::Will(client_id) => TimerReason::Will { client_id: client_id.clone() },
            Purpose::SessionExpiry(client_id) => TimerReason::SessionExpiry { client_id: client_id.clone() },
            Purpose::Grace(node) => TimerReason::Grace { node: *node },
            Purpose::MessageExpiry => TimerReason::MessageExpiry,
            Purpose::ForGap(gap) => TimerReason::ForGap { automation: gap.key.listener.to_string() },
        }
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ended {
    Finished,
    /// A condition inside the actions was false, `stop:` was reached, or it was turned off.
    Stopped,
    /// Mode `restart` began a new run, or the automation was edited or removed.
    Replaced,
    /// An action failed; the text says why.
    Failed(String),
}
