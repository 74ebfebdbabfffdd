//! What was lost: compares what the devices said and heard with what the nodes remember.

use crate::simulate::Record;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The counts, and the losses among them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Messages in the history.
    pub(super) committed: usize,
    /// Events that one node showed once and another does not have, or has in another order.
    pub(super) lost: usize,
    /// Messages that are in the history more often than a device sent them.
    pub(super) doubled: u64,
    /// Acknowledged to a device by a broker that died before the message was committed.
    pub(super) died_with_broker: u64,
    pub(super) commands: Commands,
    pub(super) timers: Timers,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Commands {
    pub(super) promised: usize,
    pub(super) confirmed: usize,
    pub(super) superseded: usize,
    /// Neither confirmed nor superseded.
    pub(super) lost: usize,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Timers {
    pub(super) set: usize,
    pub(super) fired: usize,
    pub(super) cancelled: usize,
    /// Not due when the demo ended.
    pub(super) running: usize,
    pub(super) lost: usize,
    pub(super) early: usize,
    pub(super) doubled: usize,
}

impl Verdict {
    /// Judges. `seen` is what was shown while it happened, `histories` are what the nodes remember
    /// in the end.
    pub(super) fn new(seen: &[Value], histories: &[Vec<Value>], record: &Record, now_ms: i64) -> Verdict {
        let Some(history) = histories.iter().max_by_key(|history| history.len()) else {
            return Verdict::default();
        };
        let lost_on = |other: &[Value]| {
            let shared = history.iter().zip(other).take_while(|(ours, theirs)| ours == theirs).count();
            history.len().max(other.len()) - shared
        };
        let behind = histories.iter().map(|other| lost_on(other)).max().unwrap_or(0);
        let kept: BTreeSet<String> = history.iter().map(Value::to_string).collect();
        let forgotten = seen.iter().filter(|event| !kept.contains(&event.to_string())).count();
        let (doubled, died_with_broker) = compare(history, record);
        Verdict {
            committed: of_kind(history, "message").count(),
            lost: behind + forgotten,
            doubled,
            died_with_broker,
            commands: Commands::count(history),
            timers: Timers::count(history, now_ms),
        }
    }

    /// Whether every promise was kept.
    pub(super) fn is_clean(&self) -> bool {
        let Verdict { lost, doubled, commands, timers, .. } = self;
        *lost == 0
            && *doubled == 0
            && commands.lost == 0
            && timers.lost == 0
            && timers.early == 0
            && timers.doubled == 0
    }

    pub(super) fn to_json(&self) -> Value {
        let Verdict { committed, lost, doubled, died_with_broker, commands, timers } = self;
        json!({
            "clean": self.is_clean(),
            "committed": committed,
            "committed_lost": lost,
            "committed_doubled": doubled,
            "acknowledged_by_broker_never_committed": died_with_broker,
            "commands": {
                "promised": commands.promised,
                "confirmed": commands.confirmed,
                "superseded": commands.superseded,
                "lost": commands.lost,
            },
            "timers": {
                "set": timers.set,
                "fired": timers.fired,
                "cancelled": timers.cancelled,
                "running": timers.running,
                "lost": timers.lost,
                "early": timers.early,
                "doubled": timers.doubled,
            },
        })
    }
}

impl Commands {
    fn count(history: &[Value]) -> Commands {
        let queued = ids(history, "command_queued", "command_id");
        let confirmed = ids(history, "command_confirmed", "command_id");
        let superseded = ids(history, "command_superseded", "command_id");
        let settled = |id: &&String| confirmed.contains_key(*id) || superseded.contains_key(*id);
        Commands {
            promised: queued.len(),
            confirmed: confirmed.len(),
            superseded: superseded.len(),
            lost: queued.keys().filter(|id| !settled(id)).count(),
        }
    }
}

impl Timers {
    /// Counts the timers of automations; those that watch over commands are of no interest here.
    fn count(history: &[Value], now_ms: i64) -> Timers {
        let set: BTreeMap<String, i64> = of_effect(history, "timer_set")
            .filter(|event| event["reason"] == "trigger_for" || event["reason"] == "run_delay")
            .map(|event| (text(event, "timer_id"), event["deadline_ms"].as_i64().unwrap_or(0)))
            .collect();
        let fired = ids(history, "timer_fired", "timer_id");
        let cancelled = ids(history, "timer_cancelled", "timer_id");
        let mut timers = Timers { set: set.len(), ..Timers::default() };
        for (id, deadline_ms) in &set {
            match (fired.get(id), cancelled.contains_key(id)) {
                (Some(times), _) => {
                    timers.fired += 1;
                    timers.doubled += times - 1;
                }
                (None, true) => timers.cancelled += 1,
                (None, false) if *deadline_ms >= now_ms => timers.running += 1,
                (None, false) => timers.lost += 1,
            }
        }
        let is_early = |event: &&Value| event["at_ms"].as_i64() < event["deadline_ms"].as_i64();
        timers.early = of_effect(history, "timer_fired").filter(is_early).count();
        timers
    }
}

/// How many messages were committed more often than said, and how many acknowledged ones never.
///
/// Retained messages are left out: their repetitions tell nothing new and are not committed. So are
/// topics that the home does not listen to.
fn compare(history: &[Value], record: &Record) -> (u64, u64) {
    let mut committed: BTreeMap<(String, String), u64> = BTreeMap::new();
    let mut listened = BTreeSet::new();
    for message in of_kind(history, "message") {
        let topic = text(message, "topic");
        listened.insert(topic.clone());
        *committed.entry((topic, message["payload"].to_string())).or_default() += 1;
    }
    let shown = |payload: &[u8]| {
        let text = String::from_utf8_lossy(payload);
        serde_json::from_str(&text).unwrap_or_else(|_| Value::from(text.as_ref())).to_string()
    };
    let (mut doubled, mut missing) = (0, 0);
    for (said, times) in record.said.iter().filter(|(said, _)| !said.retain && listened.contains(&said.topic))
    {
        let found = committed.get(&(said.topic.clone(), shown(&said.payload))).copied().unwrap_or(0);
        let acknowledged = record.acknowledged.get(said).copied().unwrap_or(0);
        doubled += found.saturating_sub(*times);
        missing += acknowledged.saturating_sub(found);
    }
    (doubled, missing)
}

/// The ids that an effect names, and how often.
fn ids(history: &[Value], effect: &str, key: &str) -> BTreeMap<String, usize> {
    let mut ids = BTreeMap::new();
    for event in of_effect(history, effect) {
        *ids.entry(text(event, key)).or_default() += 1;
    }
    ids
}

fn of_kind<'h>(history: &'h [Value], kind: &str) -> impl Iterator<Item = &'h Value> {
    history.iter().filter(move |event| event["kind"] == kind)
}

fn of_effect<'h>(history: &'h [Value], effect: &str) -> impl Iterator<Item = &'h Value> {
    history.iter().filter(move |event| event["effect"] == effect)
}

fn text(event: &Value, key: &str) -> String {
    event[key].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::Said;

    fn message(index: u64, payload: &str) -> Value {
        json!({ "index": index, "at_ms": 1000, "kind": "message", "topic": "t", "payload": payload })
    }

    fn effect(at_ms: i64, fields: Value) -> Value {
        let mut event = json!({ "index": 1, "at_ms": at_ms, "kind": "effect" });
        event.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        event
    }

    /// Judges two nodes' histories; `sent` is how often the device said "a" and was acknowledged.
    #[track_caller]
    fn check(histories: [Vec<Value>; 2], sent: u64, expected: &str) {
        let said = Said { topic: "t".into(), payload: b"a".to_vec(), retain: false };
        let record = Record {
            said: [(said.clone(), sent)].into(),
            acknowledged: [(said, sent)].into(),
            ..Record::default()
        };
        let verdict = Verdict::new(&[message(1, "a")], &histories, &record, 9_000);
        let Verdict { lost, doubled, died_with_broker, commands, timers, .. } = &verdict;
        let found = format!(
            "lost {lost} doubled {doubled} died {died_with_broker} commands {} timers {}/{}/{}",
            commands.lost, timers.lost, timers.early, timers.doubled
        );
        assert_eq!(found, expected);
        assert_eq!(verdict.is_clean(), expected.replace("died 1", "died 0") == CLEAN);
    }

    const CLEAN: &str = "lost 0 doubled 0 died 0 commands 0 timers 0/0/0";

    #[test]
    fn every_kind_of_loss_is_counted() {
        let one = || vec![message(1, "a")];
        check([one(), one()], 1, CLEAN);
        check([one(), one()], 2, "lost 0 doubled 0 died 1 commands 0 timers 0/0/0");
        check([one(), vec![]], 1, "lost 1 doubled 0 died 0 commands 0 timers 0/0/0");
        check(
            [vec![message(2, "a")], vec![message(2, "a")]],
            1,
            "lost 1 doubled 0 died 0 commands 0 timers 0/0/0",
        );
        let two = || vec![message(1, "a"), message(2, "a")];
        check([two(), two()], 1, "lost 0 doubled 1 died 0 commands 0 timers 0/0/0");
        let queued =
            || vec![message(1, "a"), effect(1, json!({ "effect": "command_queued", "command_id": "1:0" }))];
        check([queued(), queued()], 1, "lost 0 doubled 0 died 0 commands 1 timers 0/0/0");
    }

    #[test]
    fn a_timer_is_lost_early_or_doubled() {
        let set =
            json!({ "effect": "timer_set", "timer_id": "1:0", "deadline_ms": 5000, "reason": "run_delay" });
        let fired = json!({ "effect": "timer_fired", "timer_id": "1:0", "deadline_ms": 5000 });
        let history = |fired_at: &[i64]| -> Vec<Value> {
            let set = [message(1, "a"), effect(1000, set.clone())];
            set.into_iter().chain(fired_at.iter().map(|at| effect(*at, fired.clone()))).collect()
        };
        check([history(&[5001]), history(&[5001])], 1, CLEAN);
        check([history(&[]), history(&[])], 1, "lost 0 doubled 0 died 0 commands 0 timers 1/0/0");
        check([history(&[4999]), history(&[4999])], 1, "lost 0 doubled 0 died 0 commands 0 timers 0/1/0");
        check(
            [history(&[5001, 5002]), history(&[5001, 5002])],
            1,
            "lost 0 doubled 0 died 0 commands 0 timers 0/0/1",
        );
    }
}
