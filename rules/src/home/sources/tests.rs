//! Homes of several files: what they hold together, and what is said about what is wrong in them.

use crate::home::Home;
use crate::{Severity, SourceFile};

/// Files from one text: `=== NAME` before each.
pub(crate) fn files(text: &str) -> Vec<SourceFile> {
    let parts = text.split("=== ").filter(|part| !part.trim().is_empty());
    let file = |part: &str| {
        let (name, text) = part.split_once('\n').unwrap();
        SourceFile { name: name.trim().to_owned(), text: text.to_owned() }
    };
    parts.map(file).collect()
}

/// Compiles the files; says which automations run and what is wrong.
#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let (home, _) = Home::compile(&files(text));
    let mut lines = Vec::new();
    let runs: Vec<&str> = home.automations.iter().map(|automation| automation.id.as_str()).collect();
    lines.push(format!("runs: {}", runs.join(" ")));
    if !home.broken.is_empty() {
        lines.push(format!("broken: {}", home.broken.join(" ")));
    }
    if !home.unsupported.is_empty() {
        lines.push(format!("unsupported: {}", home.unsupported.join(" ")));
    }
    let told = home.problems.iter().filter(|problem| problem.severity != Severity::Info);
    lines.extend(told.map(ToString::to_string));
    assert_eq!(lines, expected, "{text}");
}

/// An automation that is sound.
fn sound(alias: &str) -> String {
    format!("alias: {alias}, trigger: {{platform: mqtt, topic: a}}, action: {{delay: 1}}")
}

#[test]
fn includes_bring_files_together() {
    let [one, two, three] = ["one", "two", "three"].map(|alias| format!("{{{}}}", sound(alias)));
    check(
        &format!(
            "=== configuration.yaml\nautomation: !include automations.yaml\n=== automations.yaml\n- {one}\n- {two}\n"
        ),
        &["runs: one two"],
    );
    check(
        &format!(
            "=== configuration.yaml\nautomation: !include_dir_list auto\n=== auto/b.yaml\n{two}\n=== auto/a.yaml\n{one}\n=== auto/c.yaml\n- {three}\n"
        ),
        &["runs: one two three"],
    );
    check(
        &format!(
            "=== configuration.yaml\nautomation: !include_dir_merge_list auto\nautomation more: [{three}]\n=== auto/b/x.yaml\n- {two}\n=== auto/z.yaml\n- {one}\n"
        ),
        &["runs: one two three"],
    );
    check(
        &format!(
            "=== configuration.yaml\nhomeassistant:\n  packages: !include_dir_named packages\nautomation: [{one}]\n=== packages/hall.yaml\nautomation: !include ../shared/two.yaml\n=== shared/two.yaml\n{two}\n=== packages/empty.yaml\n"
        ),
        &["runs: one two"],
    );
    check(
        &format!(
            "=== a.yaml\nautomation: [{one}]\n=== b.yml\n- {two}\n=== c.yaml\n{}\n",
            &three[1..three.len() - 1].replace(", trigger", "\ntrigger").replace(", action", "\naction")
        ),
        &["runs: one two three"],
    );
}

#[test]
fn what_is_wrong_with_an_include_is_told_at_the_include() {
    let one = format!("{{{}}}", sound("one"));
    check(
        &format!(
            "=== configuration.yaml\nautomation: !include automation.yaml\n=== automations.yaml\n- {one}\n"
        ),
        &[
            "runs: one",
            "error: configuration.yaml:1:13: there is no file `automation.yaml` in the home's folder (did you mean `automations.yaml`?)",
        ],
    );
    check(
        &format!(
            "=== configuration.yaml\nautomation:\n  - {one}\n  - !include ../outside.yaml\n  - !include /etc/passwd\n"
        ),
        &[
            "runs: one",
            "broken: automation automation_2",
            "error: configuration.yaml:3:5: automation[1]: `../outside.yaml` leads out of the home's folder, or is absolute; write it relative to this file",
            "error: configuration.yaml:4:5: automation[2]: `/etc/passwd` leads out of the home's folder, or is absolute; write it relative to this file",
        ],
    );
    check(
        "=== a.yaml\nautomation: !include b.yaml\n=== b.yaml\n- !include a.yaml\n",
        &[
            "runs: ",
            "broken: automation",
            "error: b.yaml:1:3: automation[0]: files include one another in a circle: a.yaml -> b.yaml -> a.yaml",
        ],
    );
    check(
        &format!(
            "=== configuration.yaml\nautomation: !include_dir_merge_list auto\nscript: !include_dir_merge_named none\n=== auto/a.yaml\n- {one}\n- alias: two\n  trigger: []\n  action: {{delay: soon}}\n=== auto/b.yaml\n- {{a: [}}\n=== auto/c.yaml\nx: 1\n"
        ),
        &[
            "runs: one",
            "broken: two",
            "warning: configuration.yaml:2:9: no YAML file stands in the folder `none`",
            "error: auto/a.yaml:4:19: automation[1].action.delay: `soon` is not a duration: expected `HH:MM`, `HH:MM:SS`, or seconds",
            "error: auto/b.yaml:1:8: not YAML: while parsing a node, did not find expected node content",
            "warning: auto/c.yaml:1:1: `auto/c.yaml` is no list, so this include leaves it out, as Home Assistant does",
        ],
    );
}

#[test]
fn secrets_are_looked_up_upwards_and_never_shown() {
    let with = |topic: &str| {
        format!("{{alias: s, trigger: {{platform: mqtt, topic: {topic}}}, action: {{delay: 1}}}}")
    };
    check(
        &format!(
            "=== configuration.yaml\nautomation: [{}]\nhomeassistant: {{packages: {{hall: !include hall/p.yaml}}}}\n\
             === hall/p.yaml\nautomation: [{}]\n=== secrets.yaml\ntop: a/b\n=== hall/secrets.yaml\nhall: c/d\n",
            with("!secret top").replace("alias: s", "alias: one"),
            with("!secret hall").replace("alias: s", "alias: two"),
        ),
        &["runs: one two"],
    );
    check(
        &format!(
            "=== a.yaml\nautomation: [{}]\n=== secrets.yaml\npassword: hunter2\n",
            with("!secret pasword")
        ),
        &[
            "runs: ",
            "broken: s",
            "error: a.yaml:1:58: automation[0].trigger.topic: there is no secret `pasword` in secrets.yaml (did you mean `password`?)",
        ],
    );
    check(
        "=== a.yaml\nautomation: [{alias: s, mode: !secret m, trigger: [], action: {delay: !secret d}}]\n\
         === secrets.yaml\nm: hunter2\nd: abc\nlist: 5\n",
        &[
            "runs: ",
            "broken: s",
            "error: a.yaml:1:31: automation[0].mode: `<secret m>` is not one of single, restart, queued, parallel",
            "error: a.yaml:1:71: automation[0].action.delay: `<secret d>` is not a duration: expected `HH:MM`, `HH:MM:SS`, or seconds",
        ],
    );
    check(
        "=== a.yaml\nautomation: []\n=== secrets.yaml\npassword: !!int hunter2\n",
        &[
            "runs: ",
            "error: secrets.yaml:1:11: can not be read as YAML; what stands here is a secret and is not shown",
        ],
    );
    check(
        &format!("=== a.yaml\nautomation: [{}]\n", with("!env_var TOPIC")),
        &[
            "runs: ",
            "broken: s",
            "error: a.yaml:1:58: automation[0].trigger.topic: `!env_var` differs between nodes, which all have to read the same home; use `!secret`",
        ],
    );
}

#[test]
fn packages_merge_as_in_home_assistant() {
    let [one, two] = ["one", "two"].map(|alias| format!("{{{}}}", sound(alias)));
    check(
        &format!(
            "=== configuration.yaml\nhomeassistant:\n  packages:\n    hall:\n      automation: {two}\n      timer: {{door: }}\n      \
             homeassistant: {{time_zone: UTC, customize: {{}}}}\n    odd: 5\nautomation: {one}\ntimer:\n  door: {{duration: 5}}\n  Big Door:\n"
        ),
        &[
            "runs: one two",
            "error: configuration.yaml:5:15: homeassistant.packages.hall.timer.door: `timer.door` is declared already at configuration.yaml:10:3",
            "warning: configuration.yaml:6:34: homeassistant.packages.hall.homeassistant: `time_zone` counts only outside of packages, as in Home Assistant",
            "error: configuration.yaml:7:10: homeassistant.packages.odd: a package is a mapping of sections such as `automation:`",
            "error: configuration.yaml:11:3: timer.Big Door: a name consists of small letters, digits and `_` (did you mean `big_door`?)",
        ],
    );
}

#[test]
fn sections_of_other_integrations_are_told_once() {
    let text =
        "=== a.yaml\nfrontend:\nautomaton: []\nsensor: []\n=== b.yaml\nsensor: []\nautomation more: []\n";
    let (home, _) = Home::compile(&files(text));
    let told: Vec<String> = home.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "info: a.yaml:1:1: the section `frontend` is not run by Gable",
            "error: a.yaml:2:1: unknown section `automaton` (did you mean `automation`?)",
            "info: a.yaml:3:1: the section `sensor` is not run by Gable (2 times)",
        ]
    );
}

#[test]
fn a_repeated_key_breaks_its_automation_only() {
    check(
        &format!("=== a.yaml\n- {{{}}}\n- {{{}, alias: again}}\n", sound("one"), sound("two")),
        &[
            "runs: one",
            "broken: automation",
            "error: a.yaml:2:73: automation[1].alias: the key `alias` stands a second time in this mapping; the first is on line 2",
        ],
    );
    check(
        "=== a.yaml\nautomation: []\nautomation: []\n",
        &[
            "runs: ",
            "error: a.yaml:2:1: the key `automation` stands a second time in this mapping; the first is on line 1",
        ],
    );
}

const BLUEPRINT: &str = "=== blueprints/automation/own/motion.yaml
blueprint:
  name: Motion
  domain: automation
  input:
    topic: {selector: {text: }}
    more:
      name: More
      input:
        pause: {default: 5, selector: {number: {min: 1, max: 60}}}
        mode: {default: single, selector: {select: {options: [single, restart]}}}
mode: !input mode
triggers: [{trigger: mqtt, topic: !input topic}]
actions: [{delay: !input pause}]
";

#[test]
fn blueprints_are_filled() {
    let using = |input: &str| {
        format!(
            "=== a.yaml\n- alias: one\n  use_blueprint: {{path: own/motion.yaml, input: {input}}}\n{BLUEPRINT}"
        )
    };
    check(&using("{topic: a/b}"), &["runs: one"]);
    check(
        &using("{pause: 90, tpic: x}"),
        &[
            "runs: ",
            "broken: one",
            "error: a.yaml:2:18: automation[0].use_blueprint: the input `topic` is missing: the blueprint asks for it at blueprints/automation/own/motion.yaml:5:5",
            "warning: a.yaml:2:57: automation[0].use_blueprint.input.pause: 90 is above the largest offered, 60",
            "warning: a.yaml:2:61: automation[0].use_blueprint.input.tpic: the blueprint `blueprints/automation/own/motion.yaml` has no input `tpic` (did you mean `topic`?)",
        ],
    );
    check(
        &using("{topic: a/b, pause: soon, mode: fast}"),
        &[
            "runs: ",
            "broken: one",
            "error: a.yaml:2:69: automation[0].use_blueprint.input.pause: expected a number, found a text",
            "warning: a.yaml:2:81: automation[0].use_blueprint.input.mode: `fast` is not one of single, restart",
        ],
    );
    check(
        &using("{topic: a/+/#/b}"),
        &[
            "runs: ",
            "broken: one",
            "error: a.yaml:2:57: automation[0].triggers[0].topic: `a/+/#/b` is not a topic filter: `#` stands alone in the last level only",
        ],
    );
    check(
        &using("{topic: a}").replace("delay: !input pause", "dealy: !input pause"),
        &[
            "runs: ",
            "broken: one",
            "error: a.yaml:2:18: automation[0].actions[0]: says no kind: expected `action:`, `delay:` or the like (at blueprints/automation/own/motion.yaml:13:11, in the blueprint) (did you mean `delay`?)",
        ],
    );
    check(
        &using("{topic: a}").replace("path: own/motion", "path: own/motoin"),
        &[
            "runs: ",
            "broken: one",
            "error: a.yaml:2:18: automation[0].use_blueprint: there is no blueprint `blueprints/automation/own/motoin.yaml` (did you mean `blueprints/automation/own/motion.yaml`?)",
        ],
    );
    check(
        &using("{topic: a}").replace("!input pause", "!input puase"),
        &[
            "runs: ",
            "broken: one",
            "error: a.yaml:2:18: automation[0].use_blueprint: the blueprint `blueprints/automation/own/motion.yaml` is broken",
            "error: blueprints/automation/own/motion.yaml:13:19: actions[0].delay: the blueprint declares no input `puase` (did you mean `pause`?)",
        ],
    );
    check(
        &using("{topic: a}")
            .replace("trigger: mqtt, topic: !input topic", "trigger: webhook, topic: !input topic"),
        &[
            "runs: ",
            "unsupported: one",
            "unsupported: a.yaml:2:18: automation[0].triggers[0].trigger: Gable does not run the trigger `webhook` (at blueprints/automation/own/motion.yaml:12:22, in the blueprint)",
        ],
    );
}

#[test]
fn what_the_files_take_as_secret_is_confidential() {
    let (home, _) = Home::compile(&files(
        "=== configuration.yaml
homeassistant: {time_zone: !secret zone}
mqtt: {switch: {name: !secret lamp, command_topic: a, default_entity_id: switch.lamp}}
home_assistant: {url: 'http://ha:8123', token: plain-token}
notify:
  - {platform: rest, name: phone, resource: 'https://x/hook-1', headers: {Authorization: Bearer abcdefgh}}
input_text: {code: {initial: !secret code}}
automation:
  - {alias: A, trigger: {platform: mqtt, topic: a}, action: {service: switch.turn_on, entity_id: !secret id}}
=== secrets.yaml
zone: Europe/Berlin
lamp: Reading lamp
code: 4711
id: switch.lamp
unused: never-used
",
    ));
    let said = "Europe/Berlin switch.lamp never-used | plain-token Bearer abcdefgh https://x/hook-1 4711 Reading lamp";
    let expected = "Europe/Berlin switch.lamp never-used | <secret home_assistant.token> <secret notify.phone> \
                    <secret notify.phone> <secret code> <secret lamp>";
    assert_eq!(home.confidential.hide(said), expected);
}

#[test]
fn services_of_others_are_forwarded_where_home_assistant_is_known() {
    let automation = "automation: [{alias: A, trigger: {platform: mqtt, topic: a}, action: [{service: tts.speak}, {service: cover.tidy_up}]}]\n";
    check(
        &format!("=== home.yaml\n{automation}"),
        &[
            "runs: ",
            "unsupported: a",
            "unsupported: home.yaml:1:81: automation[0].action[0].service: Gable does not run the service `tts.speak`",
            "unsupported: home.yaml:1:103: automation[0].action[1].service: Gable does not run the service `cover.tidy_up`",
        ],
    );
    check(
        &format!("=== home.yaml\n{automation}home_assistant: {{url: 'http://ha', token: x}}\n"),
        &["runs: a"],
    );
}
