//! The core as a whole: limits, and what no input may do. What automations do is shown by the golden
//! scenarios in `tests/scenarios`.

use super::*;
use crate::{
    ACTIONS_PER_INPUT_MAX, ACTIONS_PER_RUN_MAX, CommandId, Ended, Hlc, Id, OUTBOX_MAX, OffsetChange, Origin,
    Policy, SnapshotError, SunEvent, SunMoment, SunTable, TimerId,
};
use gable_devices::Timestamp;

/// A home at work: one node, one input an entry.
struct Home {
    state: State,
    index: u64,
    now: i64,
}

impl Home {
    #[track_caller]
    fn new(text: &str) -> Home {
        let mut home = Home { state: State::new(), index: 0, now: 0 };
        home.configure(text);
        assert!(home.state.problems().is_empty(), "{:?}", home.state.problems());
        home
    }

    fn configure(&mut self, text: &str) -> Vec<Effect> {
        let file = SourceFile { name: "home.yaml".into(), text: text.into() };
        self.apply(InputKind::Configure(vec![file]))
    }

    fn hear(&mut self, topic: &str, payload: &str) -> Vec<Effect> {
        let message = Message { topic: topic.into(), payload: payload.into(), ..Message::default() };
        self.apply(InputKind::Message(message))
    }

    fn apply(&mut self, kind: InputKind) -> Vec<Effect> {
        self.index += 1;
        let origin = Origin { node: NodeId(1), boot: 1, sequence: self.index };
        let input = Input { at: Timestamp(self.now), origin, heard: Default::default(), kind };
        self.state.apply(LogIndex(self.index), &input)
    }
}

fn count(effects: &[Effect], is_it: impl Fn(&Effect) -> bool) -> usize {
    effects.iter().filter(|effect| is_it(effect)).count()
}

fn publishes(count: u32) -> String {
    "  - {action: mqtt.publish, data: {topic: out}}\n".repeat(count as usize)
}

#[test]
fn one_input_leads_to_a_bounded_number_of_actions() {
    let text = format!(
        "- alias: many\n  mode: parallel\n  triggers: [{}]\n  actions:\n{}",
        "{trigger: mqtt, topic: go}, ".repeat(3),
        publishes(ACTIONS_PER_INPUT_MAX / 2)
    );
    let mut home = Home::new(&text);
    let effects = home.hear("go", "");
    let queued = count(&effects, |effect| matches!(effect, Effect::CommandQueued { .. }));
    assert_eq!(queued, ACTIONS_PER_INPUT_MAX as usize);
    let failed = |effect: &Effect| matches!(effect, Effect::RunEnded { ended: Ended::Failed(_), .. });
    assert_eq!(count(&effects, failed), 1, "the third run is the one too many");
    assert_eq!(home.state.outbox().count(), OUTBOX_MAX);
    let outbox_notices =
        count(&effects, |effect| matches!(effect, Effect::Notice { subject, .. } if subject == "outbox"));
    assert_eq!(outbox_notices, 1);
    let expired = count(&effects, |effect| matches!(effect, Effect::CommandExpired { .. }));
    assert_eq!(expired, ACTIONS_PER_INPUT_MAX as usize - OUTBOX_MAX);
    assert_eq!(home.state.timers().count(), OUTBOX_MAX, "each row has its timer and no other is left");
}

#[test]
fn branches_count_among_the_runs_that_may_stand_still() {
    let branch = "      - delay: 60\n";
    let text = format!(
        "- alias: many\n  mode: parallel\n  max: 1000\n  triggers: {{trigger: mqtt, topic: go}}\n  actions:\n    - parallel:\n{}",
        branch.repeat(500)
    );
    let mut home = Home::new(&text);
    let mut failed = 0;
    for _ in 0..25 {
        let is_failed = |effect: &Effect| matches!(effect, Effect::RunEnded { ended: Ended::Failed(_), .. });
        failed += count(&home.hear("go", ""), is_failed);
        assert!(home.state.runs().count() <= crate::RUNS_MAX);
    }
    assert_eq!(failed, 6, "19 runs with 500 branches each fit");
}

#[test]
fn what_is_held_back_is_bounded_and_stays_in_order() {
    let text = "- {alias: slow, storm_guard: false, ordered: 50ms, triggers: {trigger: mqtt, topic: go}, \
                actions: {action: mqtt.publish, data: {topic: out, payload: '{{ trigger.payload }}'}}}";
    let mut home = Home::new(text);
    let payloads = |effects: &[Effect]| -> Vec<String> {
        let payload = |effect: &Effect| match effect {
            Effect::CommandQueued { publish, .. } => String::from_utf8(publish.payload.clone()).ok(),
            _ => None,
        };
        effects.iter().filter_map(payload).collect()
    };
    let mut found = Vec::new();
    for n in 0..300 {
        found.extend(payloads(&home.hear("go", &n.to_string())));
    }
    assert_eq!(found.len(), 44, "256 wait, and each one more lets the first one go");
    home.now = 50;
    let (_, timer_id) = home.state.next_deadline().unwrap();
    found.extend(payloads(&home.apply(InputKind::TimerDue(timer_id))));
    let expected: Vec<String> = (0..300).map(|n| n.to_string()).collect();
    assert_eq!(found, expected);
}

#[test]
fn one_run_does_a_bounded_number_of_actions() {
    let half = publishes(ACTIONS_PER_RUN_MAX / 2);
    let text = format!(
        "- alias: long\n  triggers: {{trigger: mqtt, topic: go}}\n  actions:\n{half}  - delay: 1\n{half}"
    );
    let mut home = Home::new(&text);
    home.hear("go", "");
    let delay = home.state.timers().filter(|(_, timer)| timer.deadline == Timestamp(1000));
    let (timer_id, _) = delay.last().expect("the run waits");
    home.now = 1000;
    let effects = home.apply(InputKind::TimerDue(timer_id));
    let failed = |effect: &Effect| matches!(effect, Effect::RunEnded { ended: Ended::Failed(_), .. });
    assert_eq!(count(&effects, failed), 1);
}

#[test]
fn ids_go_on_within_an_entry_and_when_an_index_comes_back() {
    let mut home = Home::new(
        "- {alias: a, triggers: {trigger: mqtt, topic: go}, actions: [{delay: 1}], mode: parallel}",
    );
    let mut ids = Vec::new();
    for (index, sequence) in [(5, 2), (5, 3), (4, 4), (6, 5)] {
        let message = Message { topic: "go".into(), ..Message::default() };
        let origin = Origin { node: NodeId(1), boot: 1, sequence };
        let kind = InputKind::Message(message);
        let input = Input { at: Timestamp(0), origin, heard: Default::default(), kind };
        home.state.apply(LogIndex(index), &input);
        ids = home.state.timers().map(|(timer_id, _)| timer_id.to_string()).collect();
    }
    assert_eq!(ids, ["5:1", "5:3", "5:5", "6:1"]);
}

#[test]
fn log_time_never_goes_back() {
    let mut home = Home::new("");
    home.now = 5000;
    home.hear("a", "");
    home.now = 3000;
    home.hear("a", "");
    assert_eq!(home.state.now(), Timestamp(5000));
    home.now = i64::MAX;
    home.hear("a", "");
    home.now = i64::MIN;
    home.hear("a", "");
    assert_eq!(home.state.now(), Timestamp(i64::MAX));
}

#[test]
fn what_is_no_snapshot_is_refused() {
    assert!(matches!(State::restore(&[]), Err(SnapshotError::Empty)));
    assert!(matches!(State::restore(&[0, 1, 2]), Err(SnapshotError::Version { found: 0 })));
    let mut bytes = State::new().snapshot();
    bytes.push(0);
    assert!(matches!(State::restore(&bytes), Err(SnapshotError::Trailing(1))));
    bytes.truncate(4);
    assert!(matches!(State::restore(&bytes), Err(SnapshotError::Damaged(_))));
}

/// A generator of numbers that are the same in each run (Knuth's MMIX constants).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn pick<'i>(&mut self, items: &[&'i str]) -> &'i str {
        items[usize::try_from(self.below(items.len() as u64)).unwrap()]
    }
}

const ENTITIES: &str = r#"
mqtt:
  binary_sensor:
    - {name: M, default_entity_id: binary_sensor.m, state_topic: m, off_delay: 7, availability_topic: up}
  sensor:
    - {name: S, default_entity_id: sensor.s, state_topic: s, expire_after: 9, value_template: "{{ value_json.v }}", json_attributes_topic: s}
  light:
    - {name: L, default_entity_id: light.l, schema: json, brightness: true, command_topic: l/set, state_topic: l}
  switch:
    - {name: O, default_entity_id: switch.o, command_topic: o/set}
  cover:
    - {name: C, default_entity_id: cover.c, command_topic: c/set, state_topic: c}
"#;

const HELPERS: &str = r#"
timer: {t: {duration: 3}}
counter: {c: {maximum: 4}}
input_boolean: {b: }
group: {g: [light.l, switch.o, group.g]}
script:
  wait: {mode: restart, sequence: [{delay: 2}, {action: script.again}]}
  again: {mode: queued, max: 2, sequence: [{action: counter.increment, target: {entity_id: counter.c}}, {delay: 1}, {action: script.wait}]}
scene: [{name: S, entities: {light.l: "on", timer.t: active, automation.calls: "off"}}]
automation:
  - {alias: calls, mode: parallel, max: 3, triggers: {trigger: mqtt, topic: m}, actions: [{action: script.wait}, {action: timer.start, target: {entity_id: timer.t}}]}
  - {alias: ends, triggers: [{trigger: event, event_type: timer.finished}, {trigger: mqtt, topic: s}], actions: [{scene: scene.s}, {action: homeassistant.toggle, target: {entity_id: [group.g, script.again, automation.calls]}}]}
  - {alias: turns, triggers: [{trigger: state, entity_id: [script.wait, automation.calls, counter.c]}, {trigger: mqtt, topic: l}], actions: [{action: automation.toggle, target: {entity_id: automation.calls}}, {action: automation.trigger, target: {entity_id: all}}, {action: counter.reset, target: {entity_id: counter.c}}]}
"#;

const AUTOMATIONS: [&str; 6] = [
    HELPERS,
    r#"
automation:
  - {alias: held, mode: queued, max: 3, triggers: {trigger: state, entity_id: binary_sensor.m, to: "on", for: 3}, actions: [{action: light.toggle, target: {entity_id: light.l}}, {delay: 4}, {action: light.turn_off, target: {entity_id: light.l}}]}
  - {alias: number, mode: restart, triggers: {trigger: numeric_state, entity_id: sensor.s, above: 3, for: 2}, actions: [{delay: 5}, {action: switch.toggle, target: {entity_id: switch.o}}]}
  - {alias: echo, mode: parallel, triggers: {trigger: mqtt, topic: "+"}, actions: [{action: mqtt.publish, data: {topic: "out/{{ trigger.topic }}", payload: "{{ trigger.payload_json.v }}"}}, {delay: "{{ trigger.payload }}"}]}
"#,
    r#"
automation:
  - {alias: chase, mode: parallel, triggers: {trigger: state, entity_id: switch.o}, actions: [{action: switch.toggle, target: {entity_id: switch.o}}]}
  - {alias: number, mode: restart, triggers: {trigger: numeric_state, entity_id: sensor.s, above: 3, for: 2}, actions: [{delay: 5}, {action: switch.toggle, target: {entity_id: switch.o}}]}
  - {alias: covers, triggers: {trigger: mqtt, topic: m}, conditions: {not: [{condition: state, entity_id: cover.c, state: open, for: 2}]}, actions: [{action: cover.toggle, target: {entity_id: all}}]}
"#,
    r#"
automation:
  - {alias: clock, on_missed: run_all, triggers: [{trigger: time_pattern, seconds: "/7"}, {trigger: sun, event: sunset, offset: -3}], actions: [{delay: 2}]}
  - {alias: times, triggers: [{trigger: time, at: ["00:00:20", sensor.s]}, {trigger: homeassistant, event: start}, {trigger: node, event: left}], conditions: [{condition: time, after: "00:00:05"}, {condition: sun, after: sunrise}], actions: [{delay: 2}]}
  - {alias: waits, mode: parallel, triggers: {trigger: mqtt, topic: "+"}, actions: [{wait_for_trigger: [{trigger: time_pattern, seconds: "/5"}, {trigger: sun, event: sunrise}, {trigger: node, event: joined}], timeout: 4}]}
"#,
    r#"
automation:
  - {alias: steps, mode: parallel, triggers: {trigger: sequence, within: 20s, ordered: 2s, steps: [{trigger: state, entity_id: binary_sensor.m, to: "on", for: 1}, {absent: {trigger: mqtt, topic: l}, for: 3s}, {trigger: mqtt, topic: "+"}]}, actions: [{delay: 2}]}
  - {alias: ordered, mode: restart, ordered: 1s, triggers: [{trigger: mqtt, topic: m}, {trigger: state, entity_id: binary_sensor.m, for: 3, for_gap: 4}], actions: [{wait_for_trigger: {trigger: sequence, within: 9s, steps: [{trigger: mqtt, topic: s}, {trigger: mqtt, topic: "+"}]}, timeout: 9}, {action: light.toggle, target: {entity_id: light.l}}]}
  - {alias: gap, triggers: [{trigger: numeric_state, entity_id: sensor.s, above: 3, for: 2, for_gap: 6}, {trigger: template, value_template: "{{ is_state('binary_sensor.m', 'on') }}"}], actions: [{delay: 5}]}
"#,
    "automation: [{alias: broken}, {alias: also, triggers: [], actions: []}",
];

fn random_kind(numbers: &mut Numbers, state: &State) -> InputKind {
    let topics = ["m", "s", "l", "o", "c", "up", "x", "a/b", "", "+", "$SYS/x", "out/m"];
    let payloads = [
        "ON",
        "OFF",
        "online",
        "offline",
        r#"{"v": 2}"#,
        r#"{"v": 5, "w": [1]}"#,
        r#"{"state":"ON"}"#,
        "open",
        "",
        "3",
        "{",
    ];
    let id = Id { index: LogIndex(numbers.below(40)), n: u32::try_from(numbers.below(6)).unwrap() };
    match numbers.below(14) {
        12 => InputKind::Leading,
        13 => InputKind::Calendar(random_calendar(numbers)),
        0 => {
            let file = |name: &str, text: &str| SourceFile { name: name.into(), text: text.into() };
            InputKind::Configure(vec![file("e.yaml", ENTITIES), file("a.yaml", numbers.pick(&AUTOMATIONS))])
        }
        1 => InputKind::Link { up: numbers.below(2) == 0 },
        2 => InputKind::NodeSeen { node: NodeId(numbers.below(4)), up: numbers.below(2) == 0 },
        3 => InputKind::TimerDue(TimerId(id)),
        4 => InputKind::CommandSent(CommandId(id)),
        5 => state
            .outbox()
            .next()
            .map_or(InputKind::CommandSent(CommandId(id)), |row| InputKind::CommandSent(row.command_id)),
        6 | 7 => state
            .next_deadline()
            .map_or(InputKind::TimerDue(TimerId(id)), |(_, timer_id)| InputKind::TimerDue(timer_id)),
        n => InputKind::Message(Message {
            topic: numbers.pick(&topics).to_owned(),
            payload: numbers.pick(&payloads).into(),
            takeover: n == 11,
            packet_id: u16::try_from(numbers.below(3)).unwrap(),
            ..Message::default()
        }),
    }
}

fn random_calendar(numbers: &mut Numbers) -> Calendar {
    let offset = |numbers: &mut Numbers| i32::try_from(numbers.below(60)).unwrap() - 30;
    let changes = (0..numbers.below(3)).map(|n| {
        let at = Timestamp(i64::try_from(n * 40_000 + numbers.below(40_000)).unwrap());
        OffsetChange { at, offset: offset(numbers) }
    });
    let changes = changes.collect();
    let events = [SunEvent::Rising, SunEvent::Noon, SunEvent::Setting, SunEvent::Midnight];
    let moments = (0..).zip(events).map(|(n, event)| SunMoment { at: Timestamp(n * 30_000 + 5000), event });
    let sun = SunTable { events: moments.collect(), ..SunTable::default() };
    let sun = (numbers.below(4) > 0).then_some(sun);
    Calendar { offset: offset(numbers), changes, sun, ..Calendar::default() }
}

#[test]
fn any_inputs_keep_replicas_equal_and_never_panic() {
    for seed in 0..32 {
        let mut numbers = Numbers(seed);
        let mut replicas = [State::new(), State::new()];
        replicas[0].set_cache(Policy::Fifo, 2);
        let (mut now, mut sequences) = (0, [0; 3]);
        for step in 0..200 {
            now += i64::try_from(numbers.below(3000)).unwrap();
            let node = numbers.below(3);
            let sequence = &mut sequences[usize::try_from(node).unwrap()];
            // Now and then one is sent twice, or too early.
            *sequence += [1, 1, 1, 1, 1, 1, 1, 1, 0, 2][usize::try_from(numbers.below(10)).unwrap()];
            let origin = Origin { node: NodeId(node), boot: 1, sequence: *sequence };
            let kind = random_kind(&mut numbers, &replicas[0]);
            let wall = Timestamp(now - 2500 + i64::try_from(numbers.below(3000)).unwrap());
            let input = Input { at: Timestamp(now), origin, heard: Hlc { wall, counter: 0 }, kind };
            let index = LogIndex(step / 2);
            let effects = replicas[0].apply(index, &input);
            if let Some(Effect::Refused(Refusal::Gap { expected, .. })) = effects.first() {
                sequences[usize::try_from(node).unwrap()] = expected - 1;
            }
            let snapshot = replicas[1].snapshot();
            replicas[1] = State::restore(&snapshot).unwrap();
            assert_eq!(replicas[1].apply(index, &input), effects, "seed {seed} step {step}");
            assert!(replicas[0].snapshot() == replicas[1].snapshot(), "seed {seed} step {step}");
            check_rows(&replicas[0]);
        }
    }
}

/// What has to be true of the rows at any time.
fn check_rows(state: &State) {
    for run in state.runs() {
        if let crate::Wait::Timer(timer_id) = run.wait {
            assert!(state.timer(timer_id).is_some(), "{run:?} waits for a timer that is gone");
        }
    }
    for row in state.outbox() {
        assert!(state.timer(row.expiry).is_some(), "{row:?} has no timer");
    }
    let next = state.timers().map(|(timer_id, timer)| (timer.deadline, timer_id)).min();
    assert_eq!(state.next_deadline(), next);
    for (_, timer) in state.timers() {
        match &timer.purpose {
            crate::Purpose::Minute | crate::Purpose::Window(_) | crate::Purpose::MessageExpiry => {}
            crate::Purpose::Grace(_) => {}
            crate::Purpose::Will(client_id) | crate::Purpose::SessionExpiry(client_id) => {
                let client = state.broker().client(client_id);
                assert!(client.is_some_and(|client| client.connection().is_none()), "{timer:?}");
            }
            crate::Purpose::Sequence(listener) => {
                assert!(state.rows.sequences.contains_key(listener), "{timer:?}");
            }
            crate::Purpose::ForGap(gap) => {
                let entity_id = gap.key.entity_id.as_ref();
                assert!(entity_id.is_some_and(|id| state.entity(id).is_some()), "{timer:?}");
            }
            crate::Purpose::Errand(id) => {
                assert!(state.errands().any(|errand| errand.errand_id == *id), "{timer:?}")
            }
            crate::Purpose::Schedule(key) => match &key.listener.owner {
                crate::Owner::Automation(id) => assert!(state.home.automation(id).is_some(), "{timer:?}"),
                crate::Owner::Run(run_id) => assert!(state.run(*run_id).is_some(), "{timer:?}"),
            },
            crate::Purpose::Sun => assert!(state.calendar().is_some_and(|it| it.sun.is_some()), "{timer:?}"),
            crate::Purpose::RunDelay(run_id) | crate::Purpose::WaitTimeout(run_id) => {
                assert!(state.run(*run_id).is_some(), "{timer:?}")
            }
            crate::Purpose::CommandExpiry(command_id) => {
                assert!(state.command(*command_id).is_some(), "{timer:?}");
            }
            crate::Purpose::OffDelay(id) | crate::Purpose::ExpireAfter(id) | crate::Purpose::Helper(id) => {
                assert!(state.entity(id).is_some(), "{timer:?}");
            }
            crate::Purpose::TriggerFor(row) => {
                let entity_id = row.key.entity_id.as_ref();
                assert!(entity_id.is_some_and(|id| state.entity(id).is_some()), "{row:?}");
            }
        }
    }
}

#[test]
fn damaged_snapshots_never_panic() {
    let mut home = Home::new(&format!("{ENTITIES}{}", AUTOMATIONS[0]));
    for (topic, payload) in [("up", "online"), ("m", "ON"), ("s", r#"{"v": 5}"#), ("l", "3"), ("o", "2")] {
        home.hear(topic, payload);
    }
    let sound = home.state.snapshot();
    let mut numbers = Numbers(1);
    for _ in 0..300 {
        let mut bytes = sound.clone();
        let place = 1 + usize::try_from(numbers.below(bytes.len() as u64 - 1)).unwrap();
        bytes[place] = u8::try_from(numbers.below(256)).unwrap();
        let Ok(mut state) = State::restore(&bytes) else { continue };
        let origin = Origin { node: NodeId(9), boot: 1, sequence: 1 };
        let kind = random_kind(&mut numbers, &state);
        let input = Input { at: Timestamp(99_999), origin, heard: Default::default(), kind };
        state.apply(LogIndex(99), &input);
    }
}
