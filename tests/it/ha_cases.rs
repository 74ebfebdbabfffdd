//! Automations recorded from a real Home Assistant, played to the core in simulated time.
//!
//! Each case is a folder of automations, discovery messages, timed messages in, and what Home
//! Assistant published; where it needs them also helpers and scripts (`package.yaml`) and what the
//! broker kept (`retained.jsonl`). `case.json` says what it is about, how exact its times are, and
//! whether it was recorded or written from the documentation.
//!
//! The cases of `tests/ha_cases` are always played, those of the folder that `GABLE_HA_CASES` names
//! if it is there (`GABLE_HA_CASE` plays those alone whose names begin so). A case that is listed below may differ, and says so; any other that differs fails.

mod player;

use gable_rules::{Severity, SourceFile, check};
use player::Player;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The cases of the repository that may differ, and why.
const OWN_MAY_DIFFER: &[(&str, &str)] = &[
    (
        "templates_rare",
        "no md5, sha1, version, area_name, is_hidden_entity, look-ahead, `combine` in depth, `loop.previtem`, `dictsort` by place, \
         blanks in ASCII JSON, state of what is no id; `shuffle` adds its seed, `expand` keeps the order",
    ),
    (
        "told_when_read",
        "by design: what can not be run is told when the file is read, and no half of it runs",
    ),
];

/// The cases kept elsewhere that may differ, and why.
const SHARED_MAY_DIFFER: &[(&str, &str)] = &[];

#[test]
fn automations_do_what_home_assistant_did() {
    check_folder(&own_folder(), OWN_MAY_DIFFER);
}

#[test]
fn automations_of_a_folder_elsewhere_do_what_home_assistant_did() {
    match shared_folder() {
        Some(folder) => check_folder(&folder, SHARED_MAY_DIFFER),
        None => println!("no further cases here (set GABLE_HA_CASES); nothing to compare"),
    }
}

#[test]
fn each_case_says_whether_it_was_recorded() {
    let mut namespaces = BTreeSet::new();
    for path in cases(&own_folder()) {
        let about = read_json(&path.join("case.json"));
        let name = path.display();
        assert!(about["what"].is_string(), "{name}: what is it about?");
        match &about["recorded"] {
            Value::String(version) => assert!(version.starts_with("Home Assistant "), "{name}: {version}"),
            Value::Null => assert!(about["reason"].is_string(), "{name}: why was it not recorded?"),
            other => panic!("{name}: recorded: {other}"),
        }
        assert!(namespaces.insert(about["ns"].to_string()), "{name}: {} is taken", about["ns"]);
    }
}

/// Plays all cases of a folder; those that are listed may differ.
#[track_caller]
fn check_folder(folder: &Path, may_differ: &[(&str, &str)]) {
    let only = std::env::var("GABLE_HA_CASE").ok();
    let (mut same, mut failures) = (Vec::new(), Vec::new());
    let cases = cases(folder);
    assert!(!cases.is_empty(), "no case was found in {}", folder.display());
    for path in cases {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if only.as_ref().is_some_and(|only| !name.starts_with(only.as_str())) {
            continue;
        }
        let differences = play(&path);
        let reason = may_differ.iter().find(|(listed, _)| *listed == name).map(|(_, reason)| reason);
        match (differences.is_empty(), reason) {
            (true, None) => same.push(name),
            (true, Some(_)) => println!("{name} is the same by now: it needs no place on the list"),
            (false, Some(reason)) => {
                println!("{name} differs: {reason}");
                if only.is_some() {
                    differences.iter().for_each(|difference| println!("    {difference}"));
                }
            }
            (false, None) => {
                failures.extend(differences.iter().map(|difference| format!("{name}: {difference}")))
            }
        }
    }
    println!("the same, {}: {}", same.len(), same.join(" "));
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

fn own_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("ha_cases")
}

fn shared_folder() -> Option<PathBuf> {
    let folder = match std::env::var_os("GABLE_HA_CASES") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/ha/cases"),
    };
    folder.is_dir().then_some(folder)
}

fn cases(folder: &Path) -> Vec<PathBuf> {
    let mut cases: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| path.join("automations.yaml").is_file());
    cases.sort();
    cases
}

/// One published message, and when; no time for what was published before the messages began.
#[derive(Clone, Debug)]
struct Published {
    at: Option<i64>,
    payload: String,
    qos: u64,
    retain: bool,
}

/// What a folder says beside automations and devices.
struct Case {
    /// The automations are there while the home starts, not only when all entities are.
    attaches_at_start: bool,
    /// By which devices announce their entities.
    announcements: Vec<Value>,
    retained: Vec<Value>,
}

/// Plays one case and returns the differences.
fn play(path: &Path) -> Vec<String> {
    let about: Value = read_json(&path.join("case.json"));
    let mut devices = Vec::new();
    if let Ok(text) = fs::read_to_string(path.join("package.yaml")) {
        devices.push(SourceFile { name: "package.yaml".into(), text });
    }
    let mut all = devices.clone();
    let text = fs::read_to_string(path.join("automations.yaml")).unwrap();
    all.push(SourceFile { name: "automations.yaml".into(), text });
    let report = check(&all);
    let is_grave = |severity| matches!(severity, Severity::Error | Severity::Unsupported);
    let problems = report.problems.iter().filter(|problem| is_grave(problem.severity));
    let mut differences: Vec<String> = problems.map(|problem| problem.to_string()).collect();
    let case = Case {
        attaches_at_start: about["attach"] == "start",
        announcements: read_json(&path.join("devices.json")).as_array().cloned().unwrap_or_default(),
        retained: read_lines(&path.join("retained.jsonl")),
    };
    let mut player = Player::start(&case, devices, all);
    for line in read_lines(&path.join("trace.jsonl")) {
        player.advance_to(line["t"].as_i64().unwrap());
        player.hear(&line);
    }
    player.advance_by(about["tail_ms"].as_i64().unwrap_or(2000));
    let tolerance = about["tol_ms"].as_i64().unwrap_or(200);
    differences.extend(compare(&player.published, &expected(path), tolerance));
    differences
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
    let topics: BTreeSet<&String> = published.keys().chain(expected.keys()).collect();
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
