//! The home's story, one line a happening: what was heard, which automation it started, what was
//! commanded, and when the device confirmed.
//!
//! Reads the events of `GET /api/history?kind=all` in their order. A line about an automation is held
//! back until its commands are settled, or for [`HOLD_MS`].

use super::palette::Palette;
use gable_devices::Timestamp;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};

/// How long a line waits for the devices' confirmations.
const HOLD_MS: i64 = 3_000;
/// How many settled commands, runs and timers are remembered for later events about them. The
/// oldest are forgotten first: a very late event is then told without its beginning.
const REMEMBERED_MAX: usize = 1_000;

/// Turns events into lines.
#[derive(Debug)]
pub(super) struct Timeline {
    palette: Palette,
    /// The events of the input that is being read; they are told together.
    group: Vec<Value>,
    open: Vec<Story>,
    commands: Memory<CommandNote>,
    runs: Memory<String>,
    timers: Memory<TimerNote>,
}

/// An automation's run from one input on, until its commands are settled.
#[derive(Debug)]
struct Story {
    at_ms: i64,
    node: u64,
    cause: String,
    automation: String,
    run_id: String,
    commands: Vec<Command>,
    /// `waits 5.0 s`, `stopped by a condition`, `failed: ...`
    remark: Option<String>,
}

#[derive(Debug)]
struct Command {
    command_id: String,
    what: String,
    outcome: Option<String>,
}

#[derive(Debug)]
struct CommandNote {
    at_ms: i64,
    what: String,
}

#[derive(Debug)]
struct TimerNote {
    set_at_ms: i64,
    node: u64,
}

impl Timeline {
    pub(super) fn new(palette: Palette) -> Timeline {
        Timeline {
            palette,
            group: Vec::new(),
            open: Vec::new(),
            commands: Memory::default(),
            runs: Memory::default(),
            timers: Memory::default(),
        }
    }

    /// Takes the next event and returns the lines that can be told now.
    pub(super) fn push(&mut self, event: Value) -> Vec<String> {
        let mut lines = Vec::new();
        let of = |event: &Value| number(event, "index");
        if self.group.first().is_some_and(|first| of(first) != of(&event)) {
            lines = self.tell_group();
        }
        lines.extend(self.tell_held(number(&event, "at_ms")));
        self.group.push(event);
        lines
    }

    /// Tells what was read so far, as no more events are there; `now_ms` is the home's time.
    pub(super) fn pause(&mut self, now_ms: i64) -> Vec<String> {
        let mut lines = self.tell_group();
        lines.extend(self.tell_held(now_ms));
        lines
    }

    /// Tells everything, settled or not.
    pub(super) fn finish(&mut self) -> Vec<String> {
        self.pause(i64::MAX)
    }

    /// Tells one input and its effects.
    fn tell_group(&mut self) -> Vec<String> {
        let group = std::mem::take(&mut self.group);
        let Some(first) = group.first() else { return Vec::new() };
        let (at_ms, node) = (number(first, "at_ms"), unsigned(first, "node"));
        let mut lines = Vec::new();
        let mut cause = cause(&group);
        let confirmed: Vec<&str> = group
            .iter()
            .filter(|event| is(event, "command_confirmed"))
            .map(|event| text(event, "entity_id"))
            .collect();
        for event in group.iter().filter(|event| is(event, "timer_fired")) {
            if let Some(note) = self.timers.get(text(event, "timer_id")) {
                let late_ms = at_ms - number(event, "deadline_ms");
                cause = Some(format!(
                    "timer of {} due, {late_ms} ms late (set on {})",
                    seconds(number(event, "deadline_ms") - note.set_at_ms),
                    self.palette.node(note.node)
                ));
            }
        }
        let mut told_cause = false;
        for event in &group {
            match text(event, "effect") {
                "run_started" => {
                    told_cause = true;
                    self.begin(event, at_ms, node, cause.clone());
                }
                "run_skipped" => {
                    told_cause = true;
                    let cause = cause.as_deref().unwrap_or("trigger");
                    let what = format!(
                        "{cause} -> automation {} skipped: {}",
                        text(event, "automation"),
                        text(event, "reason")
                    );
                    lines.push(self.line(at_ms, node, &self.palette.dim(&what)));
                }
                "command_queued" => told_cause |= self.queue(event, at_ms, node, cause.as_deref()),
                "timer_set" => {
                    if let Some(line) = self.set_timer(event, &group, at_ms, node) {
                        told_cause = true;
                        lines.push(line);
                    }
                }
                "run_ended" => self.end(event),
                "command_confirmed" => lines.extend(self.settle(event, at_ms, node, Settled::Confirmed)),
                "command_expired" => lines.extend(self.settle(event, at_ms, node, Settled::Expired)),
                "command_superseded" => lines.extend(self.settle(event, at_ms, node, Settled::Superseded)),
                _ => {}
            }
        }
        for event in &group {
            lines.extend(self.aside(event, at_ms, node, told_cause, &confirmed));
        }
        lines.extend(self.tell_settled());
        lines
    }

    fn begin(&mut self, event: &Value, at_ms: i64, node: u64, cause: Option<String>) {
        let (automation, run_id) = (text(event, "automation").to_owned(), text(event, "run_id").to_owned());
        let cause = cause.unwrap_or_else(|| text(event, "trigger").to_owned());
        self.runs.insert(run_id.clone(), automation.clone());
        self.open.push(Story { at_ms, node, cause, automation, run_id, commands: Vec::new(), remark: None });
    }

    /// Adds a command to its run's story; a run that went on after a delay gets a new one.
    fn queue(&mut self, event: &Value, at_ms: i64, node: u64, cause: Option<&str>) -> bool {
        let command_id = text(event, "command_id").to_owned();
        let target = event["entity_id"].as_str().unwrap_or(text(event, "topic"));
        let what = format!("{target} {}", short_payload(&event["payload"]));
        self.commands.insert(command_id.clone(), CommandNote { at_ms, what: what.clone() });
        let run_id = text(event, "run_id");
        // A story of an earlier input is told as it is; what follows is another line.
        let known = self.open.iter().position(|story| story.run_id == run_id && story.at_ms == at_ms);
        let position = known.unwrap_or_else(|| {
            let automation = self.runs.get(run_id).cloned().unwrap_or_else(|| "(earlier)".to_owned());
            let cause = cause.unwrap_or("goes on").to_owned();
            let run_id = run_id.to_owned();
            self.open.push(Story {
                at_ms,
                node,
                cause,
                automation,
                run_id,
                commands: Vec::new(),
                remark: None,
            });
            self.open.len() - 1
        });
        self.open[position].commands.push(Command { command_id, what, outcome: None });
        true
    }

    /// Remembers a timer. A run's delay is told with the run, a `for:` by itself, and the expiry of
    /// a command not at all.
    fn set_timer(&mut self, event: &Value, group: &[Value], at_ms: i64, node: u64) -> Option<String> {
        self.timers.insert(text(event, "timer_id").to_owned(), TimerNote { set_at_ms: at_ms, node });
        let span_ms = number(event, "deadline_ms") - at_ms;
        match text(event, "reason") {
            "run_delay" => {
                let story = self.open.iter_mut().rev().find(|story| story.at_ms == at_ms)?;
                story.remark = Some(format!("waits {}", seconds(span_ms)));
                None
            }
            "trigger_for" => {
                let cause = cause(group).unwrap_or_else(|| "trigger".to_owned());
                let automation = text(event, "automation");
                let what =
                    format!("{cause} -> automation {automation} in {}, unless it changes", seconds(span_ms));
                Some(self.line(at_ms, node, &what))
            }
            _ => None,
        }
    }

    fn end(&mut self, event: &Value) {
        let remark = match &event["ended"] {
            Value::String(ended) if ended == "stopped" => Some("stopped by a condition".to_owned()),
            Value::String(ended) if ended == "replaced" => Some("replaced by a newer run".to_owned()),
            Value::Object(ended) => ended
                .get("failed")
                .and_then(Value::as_str)
                .map(|why| self.palette.red(&format!("failed: {why}"))),
            _ => None,
        };
        let run_id = text(event, "run_id");
        if let Some(story) = self.open.iter_mut().rev().find(|story| story.run_id == run_id) {
            story.remark = remark;
        }
    }

    /// Notes how a command ended; if its line is gone already, that is a line of its own.
    fn settle(&mut self, event: &Value, at_ms: i64, node: u64, settled: Settled) -> Option<String> {
        let command_id = text(event, "command_id");
        let note = self.commands.get(command_id)?;
        let took = at_ms - note.at_ms;
        let outcome = match settled {
            Settled::Confirmed => self.palette.green(&format!("confirmed in {took} ms")),
            Settled::Expired => self.palette.red(&format!("not confirmed within {}", seconds(took))),
            Settled::Superseded => self.palette.dim("superseded"),
        };
        let command = self
            .open
            .iter_mut()
            .flat_map(|story| &mut story.commands)
            .find(|command| command.command_id == command_id);
        match command {
            Some(command) => {
                command.outcome = Some(outcome);
                None
            }
            None => {
                let what = format!("{} -> {outcome}", note.what);
                Some(self.line(at_ms, node, &what))
            }
        }
    }

    /// What stands beside the stories: plain changes of values, settings, notices.
    fn aside(
        &self,
        event: &Value,
        at_ms: i64,
        node: u64,
        told_cause: bool,
        confirmed: &[&str],
    ) -> Option<String> {
        let what = match text(event, "effect") {
            // The story says so: as the cause, or as the confirmation.
            "entity_changed" if told_cause || confirmed.contains(&text(event, "entity_id")) => return None,
            // The sun moves on every few minutes; told is what it does.
            "entity_changed" if text(event, "entity_id") == "sun.sun" && event["from"] == event["to"] => {
                return None;
            }
            "entity_changed" => self.palette.dim(&format!(
                "{}  {} -> {}",
                text(event, "entity_id"),
                text(event, "from"),
                text(event, "to")
            )),
            "configured" => format!(
                "home's files in force: {} entities, {} automations, {} broken",
                number(event, "entities"),
                number(event, "automations"),
                number(event, "broken")
            ),
            "notice" => self.palette.yellow(&format!("{}: {}", text(event, "subject"), text(event, "text"))),
            _ => return None,
        };
        Some(self.line(at_ms, node, &what))
    }

    fn tell_settled(&mut self) -> Vec<String> {
        self.tell_where(|story| story.commands.iter().all(|command| command.outcome.is_some()))
    }

    fn tell_held(&mut self, now_ms: i64) -> Vec<String> {
        self.tell_where(|story| now_ms.saturating_sub(story.at_ms) > HOLD_MS)
    }

    fn tell_where(&mut self, is_ripe: impl Fn(&Story) -> bool) -> Vec<String> {
        let (ripe, open) = std::mem::take(&mut self.open).into_iter().partition(is_ripe);
        self.open = open;
        let ripe: Vec<Story> = ripe;
        ripe.iter().map(|story| self.tell(story)).collect()
    }

    fn tell(&self, story: &Story) -> String {
        let palette = self.palette;
        let mut parts = vec![story.cause.clone(), format!("automation {}", palette.bold(&story.automation))];
        let outcomes: Vec<Option<&String>> =
            story.commands.iter().map(|command| command.outcome.as_ref()).collect();
        let waiting = palette.yellow("not confirmed yet");
        for (number, command) in story.commands.iter().enumerate() {
            parts.push(palette.cyan(&command.what));
            // Equal outcomes in a row are told once, behind the last of them.
            if outcomes.get(number + 1) != Some(&outcomes[number]) {
                parts.push(command.outcome.clone().unwrap_or_else(|| waiting.clone()));
            }
        }
        parts.extend(story.remark.clone());
        self.line(story.at_ms, story.node, &parts.join(" -> "))
    }

    fn line(&self, at_ms: i64, node: u64, what: &str) -> String {
        let time = crate::calendar::time_of_day(Timestamp(at_ms));
        format!("{}  {}  {what}", self.palette.dim(&time), self.palette.node(node))
    }
}

enum Settled {
    Confirmed,
    Expired,
    Superseded,
}

/// What an input was, in words: the change it brought, else the message.
fn cause(group: &[Value]) -> Option<String> {
    let change = group.iter().find(|event| is(event, "entity_changed"));
    let message = group.iter().find(|event| text(event, "kind") == "message");
    match (change, message) {
        (Some(change), _) => Some(format!("{} {}", text(change, "entity_id"), text(change, "to"))),
        (None, Some(message)) => {
            Some(format!("message {} {}", text(message, "topic"), short_payload(&message["payload"])))
        }
        (None, None) => None,
    }
}

/// A payload for a person in a hurry: the `state` of an object, else a short beginning.
fn short_payload(payload: &Value) -> String {
    const LENGTH_MAX: usize = 48;
    let shown = match payload {
        Value::String(text) => text.clone(),
        Value::Object(object) if object.len() == 1 && object.contains_key("state") => {
            return short_payload(&object["state"]);
        }
        other => other.to_string(),
    };
    match shown.char_indices().nth(LENGTH_MAX) {
        Some((end, _)) => format!("{}...", &shown[..end]),
        None => shown,
    }
}

fn seconds(millis: i64) -> String {
    format!("{:.1} s", millis as f64 / 1000.0)
}

fn is(event: &Value, effect: &str) -> bool {
    text(event, "effect") == effect
}

fn text<'e>(event: &'e Value, key: &str) -> &'e str {
    event[key].as_str().unwrap_or("")
}

fn number(event: &Value, key: &str) -> i64 {
    event[key].as_i64().unwrap_or(0)
}

fn unsigned(event: &Value, key: &str) -> u64 {
    event[key].as_u64().unwrap_or(0)
}

/// A map that forgets its oldest entries.
#[derive(Debug)]
struct Memory<V> {
    entries: BTreeMap<String, V>,
    order: VecDeque<String>,
}

impl<V> Default for Memory<V> {
    fn default() -> Memory<V> {
        Memory { entries: BTreeMap::new(), order: VecDeque::new() }
    }
}

impl<V> Memory<V> {
    fn insert(&mut self, key: String, value: V) {
        if self.entries.insert(key.clone(), value).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.entries.remove(&oldest);
        }
    }

    fn get(&self, key: &str) -> Option<&V> {
        self.entries.get(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tells `script` (one event a line: index, milliseconds, node and the event's own fields).
    #[track_caller]
    fn check(script: &str, expected: &str) {
        let mut timeline = Timeline::new(Palette::plain());
        let mut told = Vec::new();
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (index, rest) = line.split_once(' ').unwrap();
            let (at_ms, rest) = rest.split_once(' ').unwrap();
            let (node, fields) = rest.split_once(' ').unwrap();
            let mut event: Value = serde_json::from_str(fields).unwrap();
            event["index"] = index.parse::<u64>().unwrap().into();
            event["at_ms"] = at_ms.parse::<i64>().unwrap().into();
            event["node"] = node.parse::<u64>().unwrap().into();
            told.extend(timeline.push(event));
        }
        told.extend(timeline.finish());
        let told = told.iter().map(|line| format!("{line}\n")).collect::<String>();
        let expected: String = expected.lines().map(|line| format!("{}\n", line.trim())).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn motion_to_confirmed_light_is_one_line() {
        check(
            r#"
            5 1000 2 {"kind":"message","topic":"hall/motion","payload":"ON"}
            5 1000 2 {"kind":"effect","effect":"entity_changed","entity_id":"binary_sensor.hall_motion","from":"off","to":"on"}
            5 1000 2 {"kind":"effect","effect":"run_started","run_id":"5:0","automation":"hall_light","trigger":"t"}
            5 1000 2 {"kind":"effect","effect":"command_queued","command_id":"5:1","entity_id":"light.hall_bulb","topic":"t","payload":{"state":"ON"},"run_id":"5:0"}
            5 1000 2 {"kind":"effect","effect":"timer_set","timer_id":"5:2","deadline_ms":31000,"reason":"command_expiry"}
            5 1000 2 {"kind":"effect","effect":"run_ended","run_id":"5:0","automation":"hall_light","ended":"finished"}
            6 1014 3 {"kind":"message","topic":"hall/bulb","payload":"ON"}
            6 1014 3 {"kind":"effect","effect":"entity_changed","entity_id":"light.hall_bulb","from":"off","to":"on"}
            6 1014 3 {"kind":"effect","effect":"command_confirmed","command_id":"5:1","entity_id":"light.hall_bulb"}
            "#,
            "00:00:01.000  n2  binary_sensor.hall_motion on -> automation hall_light -> light.hall_bulb ON -> confirmed in 14 ms",
        );
    }

    #[test]
    fn a_timer_is_told_when_it_is_set_and_when_it_is_due() {
        check(
            r#"
            5 1000 1 {"kind":"message","topic":"door","payload":"open"}
            5 1000 1 {"kind":"effect","effect":"entity_changed","entity_id":"binary_sensor.door","from":"off","to":"on"}
            5 1000 1 {"kind":"effect","effect":"timer_set","timer_id":"5:0","deadline_ms":6000,"reason":"trigger_for","automation":"close_door"}
            9 6003 3 {"kind":"effect","effect":"timer_fired","timer_id":"5:0","deadline_ms":6000}
            9 6003 3 {"kind":"effect","effect":"run_started","run_id":"9:0","automation":"close_door","trigger":"t"}
            9 6003 3 {"kind":"effect","effect":"command_queued","command_id":"9:1","entity_id":"cover.door","topic":"t","payload":"CLOSE","run_id":"9:0"}
            "#,
            "00:00:01.000  n1  binary_sensor.door on -> automation close_door in 5.0 s, unless it changes
             00:00:06.003  n3  timer of 5.0 s due, 3 ms late (set on n1) -> automation close_door -> cover.door CLOSE -> not confirmed yet",
        );
    }

    #[test]
    fn a_change_that_starts_nothing_and_a_skipped_run_are_told_too() {
        check(
            r#"
            5 1000 1 {"kind":"message","topic":"t","payload":21.5}
            5 1000 1 {"kind":"effect","effect":"entity_changed","entity_id":"sensor.t","from":"21.4","to":"21.5"}
            5 1500 1 {"kind":"effect","effect":"entity_changed","entity_id":"sun.sun","from":"above_horizon","to":"above_horizon"}
            6 2000 2 {"kind":"message","topic":"m","payload":"x"}
            6 2000 2 {"kind":"effect","effect":"run_skipped","automation":"a","reason":"a condition is false"}
            "#,
            "00:00:01.000  n1  sensor.t  21.4 -> 21.5
             00:00:02.000  n2  message m x -> automation a skipped: a condition is false",
        );
    }
}
