//! Promised deadlines. A timer is a row; the leader only says that its time has come.

use crate::{CommandId, RunId, TimerId};
use gable_devices::{Data, EntityId, Timestamp};
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
}

/// A trigger that fires unless its entity changes its mind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TriggerFor {
    pub key: TriggerKey,
    /// What the entity held when the timer was set, and what it was before.
    pub(crate) held: Data,
    pub(crate) previous: Data,
    /// The `trigger` variable of the run to come.
    pub(crate) trigger: Data,
}

/// One entity of one trigger of one automation: what has memory of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TriggerKey {
    pub automation: String,
    /// The trigger's place in its automation, from 0.
    pub trigger: u32,
    pub entity_id: EntityId,
}

/// The rows, and the order in which they fall due.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timers {
    rows: BTreeMap<TimerId, Timer>,
    by_deadline: BTreeSet<(Timestamp, TimerId)>,
}

impl Timers {
    pub(crate) fn insert(&mut self, timer_id: TimerId, timer: Timer) {
        self.by_deadline.insert((timer.deadline, timer_id));
        let previous = self.rows.insert(timer_id, timer);
        assert!(previous.is_none(), "timer ids come from the log and never repeat");
    }

    pub(crate) fn remove(&mut self, timer_id: TimerId) -> Option<Timer> {
        let timer = self.rows.remove(&timer_id)?;
        self.by_deadline.remove(&(timer.deadline, timer_id));
        Some(timer)
    }

    pub(crate) fn get(&self, timer_id: TimerId) -> Option<&Timer> {
        self.rows.get(&timer_id)
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
        let rows = BTreeMap::<TimerId, Timer>::deserialize(deserializer)?;
        let by_deadline = rows.iter().map(|(timer_id, timer)| (timer.deadline, *timer_id)).collect();
        Ok(Timers { rows, by_deadline })
    }
}
