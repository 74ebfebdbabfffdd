//! How long one message takes in the core, and how that grows with the home.
//!
//! `cargo bench -p gable-tests --bench apply` prints a table: for homes of growing size the time to
//! apply one message that changes one entity and starts one automation, that of one which concerns
//! no automation, and what compiling, snapshot and restore take. Nothing is asserted; figures vary
//! with the machine.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a table for people, of sound homes")]

use gable_devices::Timestamp;
use gable_rules::{
    CommandId, Effect, Hlc, Input, InputKind, LogIndex, Message, NodeId, Origin, SourceFile, State,
};
use std::fmt::Write;
use std::fs;
use std::time::{Duration, Instant};

/// Homes of that many automations, with as many entities.
const SIZES: [usize; 5] = [10, 100, 1_000, 5_000, 10_000];
/// How many messages are timed in each home.
const ROUNDS: usize = 2_000;

fn main() {
    println!("one message through State::apply, µs ({})", machine());
    println!(
        "{:>11} {:>10} {:>10} {:>10} {:>10} {:>12} {:>12} {:>12} {:>11}",
        "automations",
        "fires p50",
        "p99",
        "other p50",
        "p99",
        "compile ms",
        "snapshot ms",
        "restore ms",
        "snapshot kB"
    );
    for size in SIZES {
        measure(size);
    }
}

fn measure(size: usize) {
    let mut bench = Bench::new(size);
    // A first round warms caches and fills what is bounded.
    bench.round(ROUNDS / 4, true);
    let fires = bench.round(ROUNDS, true);
    let other = bench.round(ROUNDS, false);
    let (bytes, snapshot) = timed(|| bench.state.snapshot());
    let (_, restore) = timed(|| State::restore(&bytes).unwrap());
    println!(
        "{size:>11} {:>10.1} {:>10.1} {:>10.1} {:>10.1} {:>12.1} {:>12.2} {:>12.1} {:>11.0}",
        at(&fires, 50),
        at(&fires, 99),
        at(&other, 50),
        at(&other, 99),
        bench.compile.as_secs_f64() * 1e3,
        snapshot.as_secs_f64() * 1e3,
        restore.as_secs_f64() * 1e3,
        bytes.len() as f64 / 1e3,
    );
}

struct Bench {
    state: State,
    size: usize,
    index: u64,
    now: i64,
    compile: Duration,
}

impl Bench {
    fn new(size: usize) -> Bench {
        let mut bench =
            Bench { state: State::new(), size, index: 0, now: 1_700_000_000_000, compile: Duration::ZERO };
        let file = SourceFile { name: "home.yaml".into(), text: home(size) };
        let (effects, compile) = timed(|| bench.apply(InputKind::Configure(vec![file])));
        assert!(
            effects.iter().any(|effect| matches!(effect, Effect::Configured { automations, broken: 0, .. }
                if usize::try_from(*automations) == Ok(size))),
            "{effects:?}"
        );
        bench.compile = compile;
        bench
    }

    /// Applies messages to sensors all over the home; returns the sorted times.
    fn round(&mut self, count: usize, fires: bool) -> Vec<Duration> {
        let mut times = Vec::with_capacity(count);
        for n in 0..count {
            // A prime step visits the entities out of order.
            let sensor = n.wrapping_mul(7_919) % (self.size / 2).max(1);
            let topic = if fires { format!("sensor/{sensor}") } else { format!("other/{sensor}") };
            self.message(&topic, "OFF");
            let (effects, time) = timed(|| self.message(&topic, "ON"));
            times.push(time);
            let commands: Vec<CommandId> = effects.iter().filter_map(queued).collect();
            assert_eq!(commands.len(), usize::from(fires), "{effects:?}");
            for command_id in commands {
                self.apply(InputKind::CommandSent(command_id));
            }
        }
        times.sort();
        times
    }

    fn message(&mut self, topic: &str, payload: &str) -> Vec<Effect> {
        let message = Message { topic: topic.into(), payload: payload.into(), ..Message::default() };
        self.apply(InputKind::Message(message))
    }

    fn apply(&mut self, kind: InputKind) -> Vec<Effect> {
        self.index += 1;
        // Slow enough that no guard against storms sees one.
        self.now += 1_000;
        let at = Timestamp(self.now);
        let origin = Origin { node: NodeId(1), boot: 1, sequence: self.index };
        self.state
            .apply(LogIndex(self.index), &Input { at, origin, heard: Hlc { wall: at, counter: 0 }, kind })
    }
}

fn queued(effect: &Effect) -> Option<CommandId> {
    match effect {
        Effect::CommandQueued { command_id, .. } => Some(*command_id),
        _ => None,
    }
}

/// Half of the entities are sensors, half are lights; each sensor has two automations, of which one
/// waits for what never comes.
fn home(size: usize) -> String {
    let mut text = String::from("mqtt:\n  binary_sensor:\n");
    let pairs = (size / 2).max(1);
    for n in 0..pairs {
        writeln!(
            text,
            "    - {{name: s{n}, default_entity_id: binary_sensor.s{n}, state_topic: sensor/{n}}}"
        )
        .unwrap();
    }
    text += "  light:\n";
    for n in 0..pairs {
        writeln!(text, "    - {{name: l{n}, default_entity_id: light.l{n}, command_topic: light/{n}}}")
            .unwrap();
    }
    text += "automation:\n";
    for n in 0..pairs {
        writeln!(
            text,
            "  - {{id: on{n}, triggers: {{trigger: state, entity_id: binary_sensor.s{n}, to: 'on'}}, \
             conditions: {{condition: state, entity_id: binary_sensor.s{n}, state: 'on'}}, \
             actions: {{action: mqtt.publish, data: {{topic: light/{n}/set, payload: '{{{{ trigger.to_state.state }}}}'}}}}}}\n  \
             - {{id: gone{n}, triggers: {{trigger: state, entity_id: binary_sensor.s{n}, to: unavailable}}, \
             actions: {{action: light.turn_off, target: {{entity_id: light.l{n}}}}}}}"
        )
        .unwrap();
    }
    text
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed())
}

/// A percentile in microseconds.
fn at(sorted: &[Duration], percent: usize) -> f64 {
    sorted.get(sorted.len() * percent / 100).or(sorted.last()).map_or(0.0, |time| time.as_secs_f64() * 1e6)
}

fn machine() -> String {
    let cpus = std::thread::available_parallelism().map_or(1, |n| n.get());
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown CPU");
    format!("{cpus} cores, {}", model.trim_start_matches([' ', '\t', ':']))
}
