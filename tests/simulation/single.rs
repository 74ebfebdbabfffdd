//! One seed in this process, and what to tell about it.

use crate::arguments::Arguments;
use crate::console::{complain, say};
use crate::trace::Trace;
use crate::{invariant, run};
use std::thread;
use std::time::Duration;

/// How many events a failing run shows.
const SHOWN: usize = 40;
/// A run whose simulated time does not pass for so long stands still.
const STUCK: Duration = Duration::from_secs(60);

/// Runs a seed. Returns whether all invariants hold.
pub(crate) fn run(seed: u64, arguments: &Arguments) -> bool {
    if let Some(filter) = &arguments.log {
        show_logs(filter);
    }
    watch_over(seed);
    let trace = run::run(seed, arguments.edge, arguments.plant);
    let violations = invariant::violations(&trace);
    if arguments.verbose {
        show_events(&trace, usize::MAX);
    } else if !violations.is_empty() {
        show_events(&trace, SHOWN);
    }
    let end = trace.events.last().map_or(0.0, |(at, _)| at.as_secs_f64());
    for (name, sentence) in &violations {
        say(&format!("violated: {name}: {sentence}"));
    }
    let result = if violations.is_empty() { "ok" } else { "FAILED" };
    let (events, digest) = (trace.events.len(), trace.digest());
    let edge = trace.edge;
    say(&format!("seed {seed} ({edge}): {result}, {events} events in {end:.1} s, trace {digest:016x}"));
    if !violations.is_empty() {
        let plant = arguments.plant.map(|plant| format!(" --plant {plant}")).unwrap_or_default();
        let edge = arguments.edge.map(|edge| format!(" --edge {edge}")).unwrap_or_default();
        say(&format!(
            "to replay: cargo test -p gable-tests --features simulation --test simulation -- --seed {seed}{edge}{plant}"
        ));
    }
    violations.is_empty()
}

/// Ends the process when it stands still: a loop without a pause takes no simulated time.
fn watch_over(seed: u64) {
    thread::spawn(move || {
        let mut last = run::steps();
        loop {
            thread::park_timeout(STUCK);
            let steps = run::steps();
            if steps == last {
                complain(&format!("seed {seed} stands still after {steps} ms of simulated time"));
                std::process::exit(3);
            }
            last = steps;
        }
    });
}

fn show_events(trace: &Trace, last: usize) {
    let skipped = trace.events.len().saturating_sub(last);
    for (at, event) in trace.events().skip(skipped) {
        say(&format!("{:9.3} {event}", at.as_secs_f64()));
    }
}

/// Shows the nodes' own log lines. The simulated time stands for the real one.
fn show_logs(filter: &str) {
    use tracing_subscriber::fmt;
    let builder = fmt().with_env_filter(filter).with_ansi(false).with_timer(Simulated);
    if builder.with_writer(std::io::stderr).try_init().is_err() {
        complain("the log lines can not be shown");
    }
}

/// Simulated time, as far as it is known where a line is written.
struct Simulated;

impl tracing_subscriber::fmt::time::FormatTime for Simulated {
    fn format_time(&self, writer: &mut tracing_subscriber::fmt::format::Writer<'_>) -> std::fmt::Result {
        let elapsed = turmoil::sim_elapsed().unwrap_or_default();
        write!(writer, "{:9.3}", elapsed.as_secs_f64())
    }
}
