//! Automations recorded from a real Home Assistant, played to the core in simulated time.
//!
//! Each case is a folder of automations, discovery messages, timed messages in, and what Home
//! Assistant published. Cases that need a part of the language which is not supported yet are
//! listed as skipped, with the reason; the ones in [`MUST_RUN`] may not be among them.
//! `GABLE_HA_CASES` names the folder; without one the test says so and passes.

use gable_rules::{
    Effect, Input, InputKind, LogIndex, Message, NodeId, Origin, Severity, SourceFile, State, check,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use gable_devices::Timestamp;

/// What the core supports in full; a case of these that is skipped is a step back.
const MUST_RUN: [&str; 22] = [
    "c01", "c02", "c03", "c05", "c06", "c08", "c09", "c11", "c13", "c14", "c16", "c17", "c18", "c19", "c23",
    "c24", "c34", "c37", "c39", "c40", "c46", "c54",
];

/// One published message, and when.
#[derive(Clone, Debug)]
struct Published {
    at: Option<i64>,
    payload: String,
    qos: u64,
    retain: bool,
}

#[test]
fn automations_do_what_home_assistant_did() {
    let Some(folder) = cases_folder() else {
        println!("no recorded cases here (set GABLE_HA_CASES); nothing to compare");
        return;
    };
    let mut cases: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    let (mut ran, mut skipped, mut failures) = (Vec::new(), Vec::new(), Vec::new());
    for case in cases.iter().filter(|case| case.join("automations.yaml").is_file()) {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        match play(case) {
            Ok(differences) => {
                failures.extend(differences.iter().map(|difference| format!("{name}: {difference}")));
                ran.push(name);
            }
            Err(reason) => skipped.push((name, reason)),
        }
    }
    println!("ran {}: {}", ran.len(), ran.join(" "));
    for (name, reason) in &skipped {
        println!("skipped {name}: {reason}");
        if MUST_RUN.iter().any(|wanted| name.starts_with(wanted)) {
            failures.push(format!("{name} was skipped: {reason}"));
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

fn cases_folder() -> Option<PathBuf> {
    let folder = match std::env::var_os("GABLE_HA_CASES") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/ha/cases"),
    };
    folder.is_dir().then_some(folder)
}

/// Plays one case and returns the differences, or why it can not be played.
fn play(case: &Path) -> Result<Vec<String>, String> {
    let about: Value = read_json(&case.join("case.json"));
    if about["attach"] != "entities" {
        return Err(format!("attached at `{}`", about["attach"]));
    }
    if case.join("package.yaml").exists() {
        return Err("needs helpers (package.yaml)".to_owned());
    }
    let devices = SourceFile { name: "devices.yaml".into(), text: declarations(case)? };
    let text = fs::read_to_string(case.join("automations.yaml")).unwrap();
    let sources = vec![devices.clone(), SourceFile { name: "automations.yaml".into(), text }];
    let report = check(&sources);
    if let Some(problem) = report
        .problems
        .iter()
        .find(|problem| matches!(problem.severity, Severity::Error | Severity::Unsupported))
    {
        return Err(problem.to_string());
    }
    let mut player = Player::new();
    player.apply(InputKind::Configure(vec![devices]));
    let retained = read_lines(&case.join("retained.jsonl"));
    retained.iter().for_each(|message| player.hear(message));
    player.apply(InputKind::Configure(sources));
    // The broker gives what it kept to the subscriptions that automations add.
    retained.iter().for_each(|message| player.hear(message));
    for line in read_lines(&case.join("trace.jsonl")) {
        player.advance_to(line["t"].as_i64().unwrap());
        player.hear(&line);
    }
    player.advance_to(player.now + about["tail_ms"].as_i64().unwrap_or(2000));
    Ok(compare(&player.published, &expected(case), about["tol_ms"].as_i64().unwrap_or(200)))
}

/// Turns discovery messages into the declarations that a person would write.
fn declarations(case: &Path) -> Result<String, String> {
    let mut platforms: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for message in read_json(&case.join("devices.json")).as_array().unwrap() {
        let topic = message["topic"].as_str().unwrap();
        let levels: Vec<&str> = topic.split('/').collect();
        if levels.len() < 4 || levels[1] == "device" {
            return Err("describes whole devices in one message".to_owned());
        }
        platforms.entry(levels[1].to_owned()).or_default().push(message["payload"].clone());
    }
    Ok(serde_json::json!({ "mqtt": platforms }).to_string())
}

/// The core in simulated time: timers are reported due in the order of their deadlines.
struct Player {
    state: State,
    now: i64,
    index: u64,
    published: BTreeMap<String, Vec<Published>>,
}

/// Far enough from zero that nothing happens before time.
const START: i64 = 1_700_000_000_000;

impl Player {
    fn new() -> Player {
        Player { state: State::new(), now: 0, index: 0, published: BTreeMap::new() }
    }

    fn advance_to(&mut self, now: i64) {
        // What is heard in the same millisecond was heard before: the recorded timers began a little late.
        while let Some((deadline, timer_id)) = self.state.next_deadline().filter(|(at, _)| at.0 < START + now)
        {
            self.now = self.now.max(deadline.0 - START);
            self.apply(InputKind::TimerDue(timer_id));
        }
        self.now = now;
    }

    fn hear(&mut self, line: &Value) {
        let payload = match &line["payload"] {
            Value::String(text) => text.clone().into_bytes(),
            json => json.to_string().into_bytes(),
        };
        let topic = line["topic"].as_str().unwrap().to_owned();
        let message = Message { topic, payload, ..Message::default() };
        self.apply(InputKind::Message(message));
    }

    fn apply(&mut self, kind: InputKind) {
        self.index += 1;
        let origin = Origin { node: NodeId(1), boot: 1, sequence: self.index };
        let input = Input { at: Timestamp(START + self.now), origin, heard: Default::default(), kind };
        let effects = self.state.apply(LogIndex(self.index), &input);
        for effect in effects {
            match effect {
                Effect::CommandQueued { command_id, publish, .. } => {
                    let published = Published {
                        at: Some(self.now),
                        payload: String::from_utf8_lossy(&publish.payload).into_owned(),
                        qos: publish.qos as u64,
                        retain: publish.retain,
                    };
                    self.published.entry(publish.topic).or_default().push(published);
                    self.apply(InputKind::CommandSent(command_id));
                }
                Effect::Refused(refusal) => {
                    // A command may be superseded by a later one of the same entry.
                    assert!(matches!(input.kind, InputKind::CommandSent(_)), "{input:?} {refusal:?}");
                }
                _ => {}
            }
        }
    }
}

fn expected(case: &Path) -> BTreeMap<String, Vec<Published>> {
    let mut expected: BTreeMap<String, Vec<Published>> = BTreeMap::new();
    for line in read_lines(&case.join("expected.jsonl")) {
        let published = Published {
            at: line["t"].as_i64(),
            payload: line["payload"].as_str().unwrap().to_owned(),
            qos: line["qos"].as_u64().unwrap(),
            retain: line["retain"].as_bool().unwrap(),
        };
        expected.entry(line["topic"].as_str().unwrap().to_owned()).or_default().push(published);
    }
    expected
}

/// Compares topic by topic and in order inside each: between topics Home Assistant promises none.
fn compare(
    published: &BTreeMap<String, Vec<Published>>,
    expected: &BTreeMap<String, Vec<Published>>,
    tolerance: i64,
) -> Vec<String> {
    let topics: std::collections::BTreeSet<&String> = published.keys().chain(expected.keys()).collect();
    let list = |messages: &[Published]| {
        let text =
            |one: &Published| format!("{:?} {} qos {} retain {}", one.at, one.payload, one.qos, one.retain);
        messages.iter().map(text).collect::<Vec<_>>().join("\n    ")
    };
    let mut differences = Vec::new();
    for topic in topics {
        let found = published.get(topic).map_or(&[][..], Vec::as_slice);
        let wanted = expected.get(topic).map_or(&[][..], Vec::as_slice);
        let is_same = |(found, wanted): (&Published, &Published)| {
            let is_in_time =
                wanted.at.is_none_or(|at| found.at.is_some_and(|found| (found - at).abs() <= tolerance));
            is_in_time
                && (&found.payload, found.qos, found.retain) == (&wanted.payload, wanted.qos, wanted.retain)
        };
        if found.len() != wanted.len() || !found.iter().zip(wanted).all(is_same) {
            differences.push(format!(
                "{topic}\n  expected\n    {}\n  found\n    {}",
                list(wanted),
                list(found)
            ));
        }
    }
    differences
}

fn read_json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn read_lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}
