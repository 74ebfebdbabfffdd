//! The storm guard: automations that start too often, or that chase each other, are set apart until
//! a person has looked at them.
//!
//! An automation that is quarantined does not fire; what it has begun goes on to its end. It is
//! released by `gable release`, by `automation.turn_on`, and by an edit of its definition.

use crate::automation::Automation;
use crate::reader::Reader;
use crate::text::shorten;
use crate::work::Work;
use crate::{Effect, LogIndex, Refusal};
use gable_devices::yaml::{Fields, Kind};
use gable_devices::{Millis, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// How many runs an automation may start within [`SPAN`] where it does not say. Then only runs count
/// that echoes of the home's own doing start, so that a busy sensor is no storm.
pub const RUNS_PER_SECOND: u32 = 20;
/// The largest `runs_per_second` taken.
const RUNS_PER_SECOND_MAX: i64 = 10_000;
const SPAN: Millis = Millis(1000);

/// How many starts are remembered in the whole home; beyond that the oldest are forgotten early, so
/// that a home of very many busy automations is guarded less, and not slowed down.
const STARTS_MAX: usize = 100_000;

/// Why an automation is set apart, and since when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    pub since: Timestamp,
    pub index: LogIndex,
    pub reason: String,
}

/// When starts become a storm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StormLimit {
    runs_per_second: u32,
    /// Whether runs count that have nothing to do with what the home did.
    counts_all: bool,
}

/// Who started lately, and who is set apart.
#[derive(Clone, Debug, Default)]
pub(crate) struct Guard {
    /// The starts within the last second, oldest first.
    starts: VecDeque<(Timestamp, String)>,
    /// How many of them each automation has.
    counts: BTreeMap<String, u32>,
    quarantined: BTreeMap<String, Quarantine>,
}

impl Guard {
    pub(crate) fn quarantine(&self, automation: &str) -> Option<&Quarantine> {
        self.quarantined.get(automation)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Quarantine)> {
        self.quarantined.iter().map(|(automation, quarantine)| (automation.as_str(), quarantine))
    }

    /// How many runs an automation has started within the last second.
    fn count(&mut self, now: Timestamp, automation: &str) -> u32 {
        while let Some((at, _)) = self.starts.front()
            && now.since(*at).0 >= SPAN.0
        {
            self.forget_oldest();
        }
        self.counts.get(automation).copied().unwrap_or(0)
    }

    fn add(&mut self, now: Timestamp, automation: &str) {
        self.starts.push_back((now, automation.to_owned()));
        match self.counts.get_mut(automation) {
            Some(count) => *count = count.saturating_add(1),
            None => {
                self.counts.insert(automation.to_owned(), 1);
            }
        }
        if self.starts.len() > STARTS_MAX {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, automation)) = self.starts.pop_front()
            && let Some(count) = self.counts.get_mut(&automation)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.counts.remove(&automation);
            }
        }
    }

    fn forget(&mut self, automation: &str) -> Option<Quarantine> {
        if self.counts.remove(automation).is_some() {
            self.starts.retain(|(_, other)| other != automation);
        }
        self.quarantined.remove(automation)
    }
}

/// Reads `storm_guard:`; none where the automation is not guarded.
pub(crate) fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<StormLimit> {
    let path = fields.path_of("storm_guard");
    let Some(node) = fields.get("storm_guard") else {
        return Some(StormLimit { runs_per_second: RUNS_PER_SECOND, counts_all: false });
    };
    if node.kind == Kind::Bool(false) {
        return None;
    }
    let mut guard = reader.fields(node, &path)?;
    let runs = guard.integer("runs_per_second").unwrap_or(i64::from(RUNS_PER_SECOND));
    if !(1..=RUNS_PER_SECOND_MAX).contains(&runs) {
        guard.fail(format!("`runs_per_second` is a number from 1 to {RUNS_PER_SECOND_MAX}"));
    }
    reader.finish(guard);
    Some(StormLimit { runs_per_second: u32::try_from(runs).ok()?, counts_all: true })
}

impl Work<'_> {
    /// Why an automation does not fire, if it is set apart.
    pub(crate) fn quarantine_reason(&self, automation: &Automation) -> Option<String> {
        let quarantine = self.rows.guard.quarantine(&automation.id)?;
        Some(format!("it is quarantined: {}", quarantine.reason))
    }

    /// Holds an automation back that is about to start one run too many, and sets it apart.
    pub(crate) fn hold_back(&mut self, automation: &Automation) -> Result<(), String> {
        let Some(limit) = self.storm_limit(automation) else { return Ok(()) };
        if self.rows.guard.count(self.rows.now, &automation.id) < limit {
            return Ok(());
        }
        self.quarantine(automation, format!("it would start more than {limit} runs within one second"));
        self.quarantine_reason(automation).map_or(Ok(()), Err)
    }

    /// How many starts like this one are too many, if it counts.
    fn storm_limit(&self, automation: &Automation) -> Option<u32> {
        let limit = automation.storm_limit?;
        (limit.counts_all || self.is_echo()).then_some(limit.runs_per_second)
    }

    /// An automation has started a run.
    pub(crate) fn count_start(&mut self, automation: &Automation) {
        if self.storm_limit(automation).is_some() {
            self.rows.guard.add(self.rows.now, &automation.id);
        }
    }

    /// The chain of automations that trigger each other is too long: the one that would go on with
    /// it is set apart.
    pub(crate) fn quarantine_chain(&mut self, text: &str) {
        let home = self.home;
        let acting = self.notes.automation.as_deref().and_then(|id| home.automation(id));
        if let Some(automation) = acting.filter(|automation| automation.storm_limit.is_some()) {
            self.quarantine(automation, text.to_owned());
        }
    }

    /// Sets an automation apart, unless it is.
    fn quarantine(&mut self, automation: &Automation, reason: String) {
        if self.rows.guard.quarantine(&automation.id).is_some() {
            return;
        }
        let reason = shorten(reason);
        let quarantine = Quarantine { since: self.rows.now, index: self.rows.index, reason: reason.clone() };
        self.rows.guard.quarantined.insert(automation.id.clone(), quarantine);
        self.effect(Effect::Quarantined { automation: automation.id.clone(), reason: reason.clone() });
        self.show_quarantine(automation, Some(reason.clone()));
        let text = format!(
            "{reason}; it is quarantined and does not fire until `gable release {}` or an edit",
            automation.id
        );
        self.notice(automation.id.as_str(), text);
    }

    /// Lets an automation fire again; whether it was set apart.
    pub(crate) fn release(&mut self, automation: &str) -> bool {
        let is_released = self.rows.guard.forget(automation).is_some();
        if is_released {
            self.effect(Effect::Released { automation: automation.to_owned() });
            let home = self.home;
            if let Some(automation) = home.automation(automation) {
                self.show_quarantine(automation, None);
            }
        }
        is_released
    }

    /// A person releases an automation.
    pub(crate) fn on_release(&mut self, automation: &str) {
        if !self.release(automation) {
            let why = format!("{} is not quarantined", shorten(automation.to_owned()));
            self.effect(Effect::Refused(Refusal::Invalid(why)));
        }
    }
}

impl Serialize for Guard {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.starts, &self.quarantined).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Guard {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Guard, D::Error> {
        type Form = (VecDeque<(Timestamp, String)>, BTreeMap<String, Quarantine>);
        let (starts, quarantined) = Form::deserialize(deserializer)?;
        let mut guard = Guard { quarantined, ..Guard::default() };
        starts.iter().for_each(|(at, automation)| guard.add(*at, automation));
        Ok(guard)
    }
}
