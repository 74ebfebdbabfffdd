//! The tests of this binary: the seeds, the planted faults, and that runs can be repeated.

use crate::arguments::Selection;
use crate::campaign::{self, Outcome, Task};
use crate::console::say;
use crate::faults::Edge;
use crate::plant::PLANTS;
use std::time::Instant;

/// The seeds of every test run.
const SEEDS: std::ops::Range<u64> = 1..76;
/// Planted faults are shown with this seed.
const PLANT_SEED: u64 = 1;
/// Seeds that are run twice.
const REPEATED: [(u64, Edge); 4] =
    [(3, Edge::Attach), (14, Edge::Attach), (3, Edge::Server), (14, Edge::Server)];

/// A test gets the number of processes to run at a time and returns whether it passed.
type Test = fn(usize) -> bool;

const TESTS: [(&str, Test); 3] = [
    ("planted_faults_are_noticed", plants),
    ("a_seed_repeats_exactly", determinism),
    ("no_seed_breaks_an_invariant", seeds),
];

/// Runs the selected tests. Returns whether all passed.
pub(crate) fn run(selection: &Selection, jobs: usize) -> bool {
    let begun = Instant::now();
    let selected: Vec<_> = TESTS.iter().filter(|(name, _)| selection.includes(name)).collect();
    say(&format!("\nrunning {} tests", selected.len()));
    let mut failed = 0;
    for (name, test) in &selected {
        let passed = test(jobs);
        failed += usize::from(!passed);
        say(&format!("test {name} ... {}", if passed { "ok" } else { "FAILED" }));
    }
    let result = if failed == 0 { "ok" } else { "FAILED" };
    let (passed, left_out) = (selected.len() - failed, TESTS.len() - selected.len());
    let seconds = begun.elapsed().as_secs_f64();
    say(&format!(
        "\ntest result: {result}. {passed} passed; {failed} failed; 0 ignored; 0 measured; {left_out} filtered out; finished in {seconds:.2}s\n"
    ));
    failed == 0
}

/// Names the selected tests, one a line.
pub(crate) fn list(selection: &Selection) -> bool {
    for (name, _) in TESTS.iter().filter(|(name, _)| selection.includes(name)) {
        say(&format!("{name}: test"));
    }
    true
}

fn seeds(jobs: usize) -> bool {
    campaign::run(SEEDS, None, jobs)
}

/// Every planted fault has to be noticed by the invariant that is there for it.
fn plants(jobs: usize) -> bool {
    let tasks = PLANTS.map(|(_, plant, _)| Task { seed: PLANT_SEED, plant: Some(plant), edge: None });
    let outcomes = campaign::run_all(&tasks, jobs, &|_| {});
    let missed: Vec<_> = outcomes.iter().filter(|outcome| !is_noticed(outcome)).collect();
    for outcome in &missed {
        let name = outcome.task.plant.map(|plant| plant.to_string()).unwrap_or_default();
        say(&format!("the planted fault {name} was not noticed as it should be:\n{}", outcome.output));
    }
    say(&format!("simulation: {} of {} planted faults noticed", tasks.len() - missed.len(), tasks.len()));
    missed.is_empty()
}

fn is_noticed(outcome: &Outcome) -> bool {
    let Some(plant) = outcome.task.plant else { return false };
    let wanted = format!("violated: {}:", plant.noticed_by());
    !outcome.passed && outcome.output.lines().any(|line| line.starts_with(&wanted))
}

/// A seed in two fresh processes has to leave the same trace.
fn determinism(jobs: usize) -> bool {
    let tasks = REPEATED.map(|(seed, edge)| Task { seed, plant: None, edge: Some(edge) });
    let trace_of =
        |outcome: Outcome| outcome.output.rsplit_once("trace ").map(|(_, trace)| trace.trim().to_owned());
    let runs = || campaign::run_all(&tasks, jobs, &|_| {}).into_iter().map(trace_of).collect::<Vec<_>>();
    let (first, second) = (runs(), runs());
    let same = first == second && first.iter().all(Option::is_some);
    if !same {
        say(&format!("two runs of the seeds {REPEATED:?} differ: {first:?} and {second:?}"));
    }
    same
}
