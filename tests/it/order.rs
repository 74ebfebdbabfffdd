//! Two gateways, door and motion within milliseconds of each other, committed in either order: which
//! automation fires with `ordered:` and which without. The table is printed (`--nocapture`).

use gable_devices::Timestamp;
use gable_rules::{Effect, Hlc, Input, InputKind, LogIndex, Message, NodeId, Origin, SourceFile, State};
use std::collections::BTreeMap;

const HOME: &str = include_str!("../../examples/homes/entered-left/home.yaml");
const START: i64 = 1_700_000_000_000;

/// The home, and what was published so far.
struct Home {
    state: State,
    now: i64,
    index: u64,
    sequences: BTreeMap<u64, u64>,
    published: Vec<String>,
}

impl Home {
    fn new(text: &str) -> Home {
        let mut home =
            Home { state: State::new(), now: 0, index: 0, sequences: BTreeMap::new(), published: Vec::new() };
        let file = SourceFile { name: "home.yaml".into(), text: text.into() };
        home.apply(1, 0, InputKind::Configure(vec![file]));
        assert!(home.state.problems().is_empty(), "{:?}", home.state.problems());
        home
    }

    fn apply(&mut self, node: u64, heard: i64, kind: InputKind) {
        self.index += 1;
        let sequence = self.sequences.entry(node).or_default();
        *sequence += 1;
        let origin = Origin { node: NodeId(node), boot: 1, sequence: *sequence };
        let heard = Hlc { wall: Timestamp(START + heard), counter: 0 };
        let input = Input { at: Timestamp(START + self.now), origin, heard, kind };
        // Whatever is not in a snapshot is lost before each input.
        self.state = State::restore(&self.state.snapshot()).unwrap();
        for effect in self.state.apply(LogIndex(self.index), &input) {
            if let Effect::CommandQueued { publish, .. } = effect {
                self.published.push(publish.topic);
            }
        }
    }

    fn wait_until(&mut self, at: i64) {
        while let Some((deadline, timer_id)) =
            self.state.next_deadline().filter(|next| next.0.0 <= START + at)
        {
            self.now = self.now.max(deadline.0 - START);
            self.apply(1, self.now, InputKind::TimerDue(timer_id));
        }
        self.now = at;
    }

    fn hear(&mut self, node: u64, heard: i64, topic: &str, payload: &str) {
        let (topic, payload) = (topic.to_owned(), payload.as_bytes().to_vec());
        self.apply(node, heard, InputKind::Message(Message { topic, payload, ..Message::default() }));
    }
}

/// Lets the door open at node 1 and somebody move at node 2 `offset` later (or before), with the
/// entries in this order, and returns what was published of it all.
fn play(text: &str, offset: i64, is_door_first_in_log: bool, delay: i64) -> Vec<String> {
    let mut home = Home::new(text);
    let (door, motion) = (1000 + 0.max(-offset), 1000 + 0.max(offset));
    let mut inputs = [(1, door, "hall/door"), (2, motion, "hall/motion")];
    if !is_door_first_in_log {
        inputs.swap(0, 1);
    }
    home.wait_until(door.max(motion) + 1);
    for (n, (node, heard, topic)) in inputs.into_iter().enumerate() {
        if n == 1 {
            home.wait_until(home.now + delay);
        }
        home.hear(node, heard, topic, "ON");
    }
    home.wait_until(10_000);
    home.published
}

/// The home as it is, and with what it asks for taken out.
fn without_order() -> String {
    let is_order = |line: &&str| {
        let key = line.trim_start();
        key.starts_with("ordered:") || key.starts_with("concurrent:")
    };
    HOME.lines().filter(|line| !is_order(line)).map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_right_automation_fires_in_the_order_of_what_happened() {
    let plain = without_order();
    let mut totals = [[0u32; 2]; 2];
    println!("\n offset  log order      with ordered: 50ms      without");
    for offset in [2, 3, 5, 7, 9, 20, 45] {
        for sign in [1, -1] {
            for is_door_first_in_log in [true, false] {
                let right = if sign == 1 { "home/entered" } else { "home/left" };
                let is_hit = |published: &[String]| published == [right];
                let ordered = play(HOME, sign * offset, is_door_first_in_log, 0);
                let at_once = play(&plain, sign * offset, is_door_first_in_log, 0);
                for (n, published) in [&ordered, &at_once].into_iter().enumerate() {
                    totals[n][usize::from(!is_hit(published))] += 1;
                }
                let order = if is_door_first_in_log { "door, motion" } else { "motion, door" };
                println!(
                    "{:>4} ms  {order}   {:<22}  {}",
                    sign * offset,
                    ordered.join(" "),
                    at_once.join(" ")
                );
                assert!(is_hit(&ordered), "{offset} {sign} {order}: {ordered:?}");
                let is_swapped = is_door_first_in_log != (sign == 1);
                assert_eq!(is_hit(&at_once), !is_swapped, "{offset} {sign} {order}: {at_once:?}");
            }
        }
    }
    println!(
        "hits / misses: with ordered {} / {}, without {} / {}\n",
        totals[0][0], totals[0][1], totals[1][0], totals[1][1]
    );
    assert_eq!(totals, [[28, 0], [14, 14]]);
}

#[test]
fn what_the_clocks_can_not_tell_goes_to_the_safe_side() {
    for offset in [-1, 0, 1] {
        for is_door_first_in_log in [true, false] {
            // The example takes a tie for somebody who entered, and never for somebody who left.
            assert_eq!(play(HOME, offset, is_door_first_in_log, 0), ["home/entered"], "{offset}");
        }
    }
}

#[test]
fn a_late_message_takes_its_place_when_it_comes() {
    for (offset, right) in [(5, "home/entered"), (-5, "home/left")] {
        for delay in [40, 60, 200, 2000] {
            let is_door_first_in_log = offset < 0;
            let published = play(HOME, offset, is_door_first_in_log, delay);
            assert_eq!(published, [right], "{offset} {delay}");
            let at_once = play(&without_order(), offset, is_door_first_in_log, delay);
            assert_ne!(at_once, [right], "{offset} {delay}");
        }
    }
}
