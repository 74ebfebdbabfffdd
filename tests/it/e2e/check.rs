//! `gable check` on a folder as people have one: packages, includes, secrets, blueprints.

use gable_tests::programs;
use serde_json::Value as Json;
use std::fs;
use std::process::Command;
use tempfile::TempDir;

const FILES: [(&str, &str); 7] = [
    (
        "configuration.yaml",
        "homeassistant:\n  time_zone: Europe/Berlin\n  packages: !include_dir_named packages\n\
         automation: !include automations.yaml\nscript: !include_dir_merge_named scripts\ntts: [{platform: cloud}]\n",
    ),
    ("secrets.yaml", "hook: https://example.org/hook/of-nobody-else\npin: \"48151\"\n"),
    (
        "automations.yaml",
        "- id: lamp\n  triggers: {trigger: mqtt, topic: bell}\n  actions:\n    - action: script.tell\n      \
         data: {pin: !secret pin}\n- use_blueprint: {path: own/motion.yaml, input: {lamp: switch.lamp}}\n",
    ),
    ("scripts/tell.yaml", "tell:\n  sequence: [{action: notify.phone, data: {message: \"{{ pin }}\"}}]\n"),
    (
        "packages/lamp.yaml",
        "mqtt: {switch: {name: Lamp, default_entity_id: switch.lamp, command_topic: lamp/set}}\n\
         notify: [{platform: rest, name: phone, resource: !secret hook}]\n",
    ),
    (
        "blueprints/automation/own/motion.yaml",
        "blueprint:\n  name: Motion\n  domain: automation\n  input:\n    lamp: {selector: {entity: {domain: switch}}}\n\
         alias: Motion\ntriggers: {trigger: mqtt, topic: motion}\n\
         actions: {action: switch.turn_on, target: {entity_id: !input lamp}}\n",
    ),
    ("notes.txt", "nobody reads this: ["),
];

/// Checks the folder after `changes`, each `(file, from, to)`; returns the exit code, what was said,
/// and the same as JSON.
#[track_caller]
fn check(changes: &[(&str, &str, &str)]) -> (Option<i32>, String, Json) {
    let folder = TempDir::new().expect("a temporary folder can be made");
    for (name, text) in FILES {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("it stands in the folder")).expect("it can be made");
        let mut changed = text.to_owned();
        for (_, from, to) in changes.iter().filter(|(file, _, _)| *file == name) {
            assert!(changed.contains(from), "`{from}` is not in {name}");
            changed = changed.replace(from, to);
        }
        fs::write(path, changed).expect("the temporary folder can be written");
    }
    let gable = |arguments: &[&str]| {
        let mut command = Command::new(programs().join("gable"));
        command.arg("check").args(arguments).current_dir(folder.path()).output().expect("gable is built")
    };
    let (output, json) = (gable(&["."]), gable(&["--json", "."]));
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let json_text = String::from_utf8_lossy(&json.stdout).into_owned();
    for secret in ["of-nobody-else", "48151"] {
        assert!(
            !said.contains(secret) && !json_text.contains(secret),
            "{secret} is shown:\n{said}{json_text}"
        );
    }
    assert_eq!(output.status.code(), json.status.code(), "{said}");
    (output.status.code(), said, serde_json::from_str(&json_text).expect("--json gives JSON"))
}

/// Expects the change to be refused, at a place and with these words.
#[track_caller]
fn check_refuses(file: &str, from: &str, to: &str, words: &[&str]) {
    let (code, said, _) = check(&[(file, from, to)]);
    assert_eq!(code, Some(1), "{said}");
    for word in words {
        assert!(said.contains(word), "expected `{word}` in:\n{said}");
    }
}

#[test]
fn a_sound_folder_is_sound_and_what_is_left_alone_is_counted() {
    let (code, said, json) = check(&[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("automations: 2 run, 0 broken; 1 blueprint\n"), "{said}");
    assert!(said.contains("configuration.yaml:6:1: info: the section `tts` is not run by Gable"), "{said}");
    assert!(said.ends_with("1 entity, 2 automations (0 broken): 0 errors, 0 warnings\n"), "{said}");
    assert_eq!((&json["automations"], &json["entities"], &json["broken"]), (&2.into(), &1.into(), &0.into()));
    assert_eq!(json["missing"][0]["word"], "tts");
}

#[test]
fn mistakes_are_placed_in_the_file_that_holds_them() {
    check_refuses(
        "packages/lamp.yaml",
        "command_topic",
        "comand_topic",
        &["packages/lamp.yaml:1:", "did you mean `command_topic`?"],
    );
    check_refuses(
        "automations.yaml",
        "!secret pin",
        "!secret pim",
        &["automations.yaml:5:19: error: automation `lamp`", "no secret `pim`", "did you mean `pin`?"],
    );
    check_refuses(
        "automations.yaml",
        "lamp: switch.lamp",
        "lamb: switch.lamp",
        &[
            "automations.yaml:6:",
            "the input `lamp` is missing",
            "has no input `lamb`",
            "did you mean `lamp`?",
        ],
    );
    check_refuses(
        "automations.yaml",
        "own/motion.yaml",
        "own/motoin.yaml",
        &["automations.yaml:6:", "did you mean `blueprints/automation/own/motion.yaml`?"],
    );
    check_refuses(
        "configuration.yaml",
        "Europe/Berlin",
        "Europe/Berln",
        &[
            "configuration.yaml:2:14: error: homeassistant.time_zone: there is no time zone `Europe/Berln`",
            "did you mean `Europe/Berlin`?",
        ],
    );
}

#[test]
fn what_does_not_run_is_told_with_what_helps() {
    let speaks = ("scripts/tell.yaml", "notify.phone", "tts.speak");
    let (code, said, json) = check(&[speaks]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("Gable does not run the service `tts.speak`"), "{said}");
    assert!(said.contains("what helps:\n"), "{said}");
    assert!(json["advice"].as_array().is_some_and(|advice| !advice.is_empty()), "{json}");
    let forwarded = "home_assistant: {url: 'http://ha', token: !secret hook}\ntts:";
    let (code, said, _) = check(&[speaks, ("configuration.yaml", "tts:", forwarded)]);
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("tts.speak"), "{said}");
}
