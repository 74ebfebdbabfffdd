//! What people write, with some thousand slips in it: the loader and the templates neither panic
//! nor take long. `tests/fuzz` does the same without an end.
//!
//! Everything is seeded, so a failure names the text that caused it and comes again.

use gable_devices::{Context, Data, Template};
use gable_rules::{SourceFile, check, references};
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

const HOMES: usize = 3000;
const TEMPLATES: usize = 6000;
/// No text may take longer, also on a busy machine in a build without optimisation. The texts are
/// small, so anything near it is a loop that grows.
const SLOWEST: Duration = Duration::from_secs(5);
/// Nobody reads more about a small home.
const PROBLEMS_MAX: usize = 2000;

const HOME: &str = "=== configuration.yaml
homeassistant:
  packages: !include_dir_named packages
automation: !include automations.yaml
automation more: !include_dir_merge_list more
script: &s {hall: {sequence: [{delay: 5}]}}
mqtt:
  - light: &l {name: Bulb, command_topic: !secret topic, state_topic: bulb}
  - light: {<<: *l, name: Other}
=== automations.yaml
- alias: one
  mode: restart
  trigger:
    - platform: state
      entity_id: light.bulb, light.other
      to: ['on', off]
      for: {minutes: 1}
    - platform: numeric_state
      entity_id: sensor.x
      above: 5
  condition: \"{{ trigger.to_state.state == 'on' }}\"
  action:
    - service: light.turn_on
      data_template: {entity_id: light.bulb, brightness: \"{{ 5 | int }}\"}
    - choose:
        - conditions: [{condition: state, entity_id: light.bulb, state: 'on'}]
          sequence: [{delay: 00:00:05}]
    - repeat: {count: 3, sequence: [{stop: done}]}
- use_blueprint: {path: own/motion.yaml, input: {topic: a/b, pause: 7}}
=== packages/hall.yaml
timer: {door: {duration: 60}}
automation: [!include ../more/a.yaml]
=== more/a.yaml
- triggers: [{trigger: mqtt, topic: a/#}]
  actions: [{action: mqtt.publish, data: {topic: x, payload: 1}}]
=== secrets.yaml
topic: bulb/set
=== blueprints/automation/own/motion.yaml
blueprint:
  name: Motion
  domain: automation
  input: {topic: , pause: {default: 5, selector: {number: {min: 1}}}}
triggers: [{trigger: mqtt, topic: !input topic}]
actions: [{delay: !input pause}]
";

const TEMPLATE: &str = "{% set n = 3 %}{% for i in range(n) %}{{ i | float(0) * 2 }}{% endfor %}\
{% macro m(a) %}{{ a.b.c | default('x') }}{% endmacro %}{{ m(value_json) }}\
{{ states('sensor.x') | float(0) > 5 and is_state('light.a', 'on') }}{{ now() }}\
{{ '%s' | format(value) ~ [1, 2][0] ~ {'a': 1}['a'] | tojson }}{{ value.split(',')[1:] | join('-') }}";

/// Pieces that mean something to one of the readers.
const PIECES: [&str; 40] = [
    "!include ",
    "!secret ",
    "!input ",
    "!include_dir_named ",
    "&a ",
    "*a",
    "<<: ",
    "- ",
    ": ",
    "\n",
    "  ",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "'",
    "|",
    ">",
    "#",
    "---\n",
    "=== ",
    "../",
    "automations.yaml",
    "0x",
    "1e999",
    "-",
    "99999999999",
    "\u{0}",
    "\u{feff}",
    "\u{1f600}",
    "\t",
    "{{ ",
    " }}",
    "{% for i in range(999999999) %}",
    "{% endfor %}",
    " * ",
    ".",
    "|int",
    "~",
];

/// Linear congruential (Knuth's constants): the same slips on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit.max(1)
    }

    /// A few slips: something taken out, something put in, something said twice.
    fn mutate(&mut self, text: &str) -> String {
        let mut chars: Vec<char> = text.chars().collect();
        for _ in 0..=self.below(6) {
            let from = self.below(chars.len() + 1);
            let to = (from + self.below(24)).min(chars.len());
            let part: Vec<char> = match self.below(4) {
                0 => Vec::new(),
                1 => PIECES[self.below(PIECES.len())].chars().collect(),
                2 => chars[from..to].iter().chain(&chars[from..to]).copied().collect(),
                _ => {
                    let other = self.below(chars.len() + 1);
                    chars[other..(other + to - from).min(chars.len())].to_vec()
                }
            };
            chars.splice(from..to, part);
        }
        chars.into_iter().collect()
    }
}

fn files(text: &str) -> Vec<SourceFile> {
    let parts = text.split("=== ").filter(|part| !part.is_empty());
    let file = |part: &str| {
        let (name, text) = part.split_once('\n').unwrap_or((part, ""));
        SourceFile { name: name.trim().to_owned(), text: text.to_owned() }
    };
    parts.map(file).collect()
}

/// Runs `read` on `count` mutations of `text`.
fn check_all(text: &str, count: usize, read: impl Fn(&str) -> usize) {
    for seed in 0..count {
        let mutation = Dice(seed as u64).mutate(text);
        let started = Instant::now();
        let told = catch_unwind(AssertUnwindSafe(|| read(&mutation)));
        let mut shown = format!("seed {seed}: ");
        let _ = write!(shown, "{mutation:?}");
        assert!(told.is_ok(), "it panics. {shown}");
        assert!(told.unwrap_or_default() <= PROBLEMS_MAX, "too much is told. {shown}");
        assert!(started.elapsed() < SLOWEST, "{:?}. {shown}", started.elapsed());
    }
}

#[test]
fn homes_with_slips_are_read_in_bounded_time() {
    let whole = check(&files(HOME));
    assert!(whole.automations > 0 && whole.entities == 2, "{whole:?}");
    check_all(HOME, HOMES, |text| {
        let files = files(text);
        files.iter().for_each(|file| drop(references(file)));
        check(&files).problems.len()
    });
}

#[test]
fn templates_with_slips_are_rendered_in_bounded_time() {
    assert!(Template::parse(TEMPLATE).is_ok());
    let value = Data::Text("a,b,c".to_owned());
    check_all(TEMPLATE, TEMPLATES, |text| {
        if let Ok(template) = Template::parse(text) {
            let rendered = template.render(&Context::new([("value", value.clone())]));
            assert!(rendered.map_or(0, |text| text.len()) <= 1 << 20);
        }
        0
    });
}
