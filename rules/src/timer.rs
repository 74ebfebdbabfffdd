//! Promised deadlines. A timer is a row; the leader only says that its time has come.

use crate::gap::ForGap;
use crate::listener::Listener;
use crate::schedule::ScheduleKey;
use crate::work::Work;
use crate::{CommandId, Effect, ErrandId, NodeId, Refusal, RunId, TimerId, TimerReason};
use gable_devices::{Data, EntityId, Millis, Report, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A promised deadline and what happens then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timer {
    pub deadline: Timestamp,
    pub purpose: Purpose,
}

/// What happens at a deadline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Purpose {
    /// A trigger's `for:` has passed and it fires.
    TriggerFor(TriggerFor),
    /// A run goes on after its `delay:`.
    RunDelay(RunId),
    /// A command was not confirmed in time.
    CommandExpiry(CommandId),
    /// A binary sensor falls back to `off` (`off_delay:`).
    OffDelay(EntityId),
    /// An entity that was not heard of becomes unavailable (`expire_after:`).
    ExpireAfter(EntityId),
    /// A run gives up a `wait_template:` or `wait_for_trigger:`.
    WaitTimeout(RunId),
    /// Templates that ask for the time are rendered again.
    Minute,
    /// An instant of a time, time pattern or sun trigger has come.
    Schedule(ScheduleKey),
    /// The sun does something.
    Sun,
    /// A timer helper finishes.
    Helper(EntityId),
    /// What is held back for the automations with this window (`ordered:`) is handed over.
    Window(Millis),
    /// An attempt of a `trigger: sequence` gives up, or an absence that it waits for has lasted.
    Sequence(Listener),
    /// An entity was away for longer than a trigger's `for_gap:`.
    ForGap(Box<ForGap>),
    /// An HTTP call is tried again.
    Errand(ErrandId),
    /// A client that left did not come back before its will's delay was over.
    Will(String),
    /// A client did not take its session up again in time.
    SessionExpiry(String),
    /// A dead node's clients had their time to come back.
    Grace(NodeId),
    /// Messages are of no more use.
    MessageExpiry,
}

/// A trigger that fires unless its entity changes its mind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TriggerFor {
    pub key: TriggerKey,
    /// What the entity held when the timer was set, and what it was before.
    pub(crate) held: Data,
    pub(crate) previous: Data,
    /// The `trigger` variable of the run to come.
    pub(crate) variable: Data,
}

/// One entity of one trigger, or a trigger as a whole: what has memory of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TriggerKey {
    pub listener: Listener,
    pub entity_id: Option<EntityId>,
}

/// Of what there is one timer at most.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Slot {
    Trigger(TriggerKey),
    OffDelay(EntityId),
    ExpireAfter(EntityId),
    Minute,
    Schedule(ScheduleKey),
    Sun,
    Helper(EntityId),
    Window(Millis),
    ForGap(TriggerKey),
    Will(String),
    SessionExpiry(String),
    Grace(NodeId),
    MessageExpiry,
}

/// The rows, the order in which they fall due, and who has one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timers {
    rows: BTreeMap<TimerId, Timer>,
    by_deadline: BTreeSet<(Timestamp, TimerId)>,
    by_slot: BTreeMap<Slot, TimerId>,
}

impl Purpose {
    fn slot(&self) -> Option<Slot> {
        match self {
            Purpose::TriggerFor(row) => Some(Slot::Trigger(row.key.clone())),
            Purpose::OffDelay(entity_id) => Some(Slot::OffDelay(entity_id.clone())),
            Purpose::ExpireAfter(entity_id) => Some(Slot::ExpireAfter(entity_id.clone())),
            Purpose::Minute => Some(Slot::Minute),
            Purpose::Schedule(key) => Some(Slot::Schedule(key.clone())),
            Purpose::Sun => Some(Slot::Sun),
            Purpose::Helper(entity_id) => Some(Slot::Helper(entity_id.clone())),
            Purpose::Window(window) => Some(Slot::Window(*window)),
            Purpose::ForGap(gap) => Some(Slot::ForGap(gap.key.clone())),
            Purpose::Will(client_id) => Some(Slot::Will(client_id.clone())),
            Purpose::SessionExpiry(client_id) => Some(Slot::SessionExpiry(client_id.clone())),
            Purpose::Grace(node) => Some(Slot::Grace(*node)),
            Purpose::MessageExpiry => Some(Slot::MessageExpiry),
            Purpose::Sequence(_)
            | Purpose::Errand(_)
            | Purpose::RunDelay(_)
            | Purpose::CommandExpiry(_)
            | Purpose::WaitTimeout(_) => None,
        }
    }
}

impl Timers {
    fn insert(&mut self, timer_id: TimerId, timer: Timer) {
        self.by_deadline.insert((timer.deadline, timer_id));
        if let Some(slot) = timer.purpose.slot() {
            self.by_slot.insert(slot, timer_id);
        }
        let previous = self.rows.insert(timer_id, timer);
        assert!(previous.is_none(), "timer ids come from the log and never repeat");
    }

    fn remove(&mut self, timer_id: TimerId) -> Option<Timer> {
        let timer = self.rows.remove(&timer_id)?;
        self.by_deadline.remove(&(timer.deadline, timer_id));
        if let Some(slot) = timer.purpose.slot() {
            self.by_slot.remove(&slot);
        }
        Some(timer)
    }

    pub(crate) fn get(&self, timer_id: TimerId) -> Option<&Timer> {
        self.rows.get(&timer_id)
    }

    pub(crate) fn in_slot(&self, slot: &Slot) -> Option<(TimerId, &Timer)> {
        let timer_id = *self.by_slot.get(slot)?;
        Some((timer_id, self.rows.get(&timer_id)?))
    }

    pub(crate) fn first(&self) -> Option<(Timestamp, TimerId)> {
        self.by_deadline.first().copied()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (TimerId, &Timer)> {
        self.rows.iter().map(|(timer_id, timer)| (*timer_id, timer))
    }
}

impl Serialize for Timers {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.rows.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Timers {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Timers, D::Error> {
        let mut timers = Timers::default();
        for (timer_id, timer) in BTreeMap::<TimerId, Timer>::deserialize(deserializer)? {
            timers.insert(timer_id, timer);
        }
        Ok(timers)
    }
}

impl Work<'_> {
    /// Promises a deadline. What has a slot gives up the timer that it had.
    pub(crate) fn set_timer(&mut self, deadline: Timestamp, purpose: Purpose) -> TimerId {
        if let Some(slot) = purpose.slot() {
            self.cancel_slot(&slot);
        }
        let timer_id = TimerId(self.rows.mint());
        let reason = TimerReason::from(&purpose);
        self.rows.timers.insert(timer_id, Timer { deadline, purpose });
        self.effect(Effect::TimerSet { timer_id, deadline, reason });
        timer_id
    }

    pub(crate) fn cancel_timer(&mut self, timer_id: TimerId) {
        if self.rows.timers.remove(timer_id).is_some() {
            self.effect(Effect::TimerCancelled { timer_id });
        }
    }

    pub(crate) fn cancel_slot(&mut self, slot: &Slot) {
        if let Some((timer_id, _)) = self.rows.timers.in_slot(slot) {
            self.cancel_timer(timer_id);
        }
    }

    /// The leader says that a deadline has passed. It may say so twice, or too early.
    pub(crate) fn on_timer_due(&mut self, timer_id: TimerId) {
        let is_due = self.rows.timers.get(timer_id).is_some_and(|timer| timer.deadline <= self.rows.now);
        let Some(timer) = is_due.then(|| self.rows.timers.remove(timer_id)).flatten() else {
            return self.effect(Effect::Refused(Refusal::Stale));
        };
        self.effect(Effect::TimerFired { timer_id, deadline: timer.deadline });
        match timer.purpose {
            Purpose::TriggerFor(row) => self.on_held(row),
            Purpose::RunDelay(run_id) => self.resume(run_id),
            Purpose::CommandExpiry(command_id) => self.expire_command(command_id),
            Purpose::OffDelay(entity_id) => {
                let attributes = BTreeMap::new();
                let report = Report::Update { state: Some("off".to_owned()), attributes };
                self.report(&entity_id, vec![report], None);
            }
            Purpose::ExpireAfter(entity_id) => self.expire_entity(&entity_id),
            Purpose::WaitTimeout(run_id) => self.on_wait_timeout(run_id),
            Purpose::Minute => self.on_minute(),
            Purpose::Schedule(key) => self.on_scheduled(key, timer.deadline),
            Purpose::Sun => self.follow_sun(),
            Purpose::Errand(errand_id) => self.on_errand_pause(errand_id),
            Purpose::Helper(entity_id) => self.on_timer_helper(&entity_id, timer.deadline),
            Purpose::Window(window) => self.on_window_due(window),
            Purpose::Sequence(listener) => self.on_sequence_timer(&listener, timer_id),
            Purpose::ForGap(gap) => self.on_gap_over(*gap),
            Purpose::Will(client_id) => self.on_will_due(&client_id),
            Purpose::SessionExpiry(client_id) => self.on_session_expired(&client_id),
            Purpose::Grace(node) => self.on_grace_over(node),
            Purpose::MessageExpiry => self.on_messages_expired(),
        }
    }
}
