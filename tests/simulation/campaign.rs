//! Many seeds, each in a process of its own, as many at a time as there are cores.

use crate::console::say;
use crate::faults::Edge;
use crate::plant::Plant;
use std::ops::Range;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

/// One run in a process of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Task {
    pub(crate) seed: u64,
    pub(crate) plant: Option<Plant>,
    /// The edge, if the seed shall not draw it.
    pub(crate) edge: Option<Edge>,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) task: Task,
    pub(crate) passed: bool,
    pub(crate) output: String,
}

/// Runs all seeds and tells of those that fail. Returns whether none does.
pub(crate) fn run(seeds: Range<u64>, edge: Option<Edge>, jobs: usize) -> bool {
    let begun = Instant::now();
    let count = seeds.clone().count();
    let tasks: Vec<_> = seeds.map(|seed| Task { seed, plant: None, edge }).collect();
    let done = AtomicUsize::new(0);
    let outcomes = run_all(&tasks, jobs, &|outcome| {
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        if !outcome.passed {
            say(&format!("seed {} FAILED\n{}", outcome.task.seed, outcome.output));
        } else if done.is_multiple_of(25) {
            say(&format!("{done} of {count} seeds"));
        }
    });
    let failed: Vec<_> =
        outcomes.iter().filter(|outcome| !outcome.passed).map(|outcome| outcome.task.seed).collect();
    let seconds = begun.elapsed().as_secs();
    say(&format!("simulation: {count} seeds, {} failures, {seconds} s", failed.len()));
    if !failed.is_empty() {
        say(&format!("failed: {failed:?}"));
    }
    failed.is_empty()
}

/// Runs tasks, and hands each outcome on as soon as it is there. Returns them in the tasks' order.
pub(crate) fn run_all(tasks: &[Task], jobs: usize, seen: &(dyn Fn(&Outcome) + Sync)) -> Vec<Outcome> {
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..jobs.min(tasks.len()) {
            scope.spawn(|| {
                while let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = run_one(*task);
                    let mut outcomes = outcomes.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    seen(&outcome);
                    outcomes.push(outcome);
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    outcomes.sort_by_key(|outcome| tasks.iter().position(|task| *task == outcome.task));
    outcomes
}

fn run_one(task: Task) -> Outcome {
    let program = std::env::current_exe().expect("a running program has a path");
    let mut command = Command::new(program);
    command.args(["--seed", &task.seed.to_string()]);
    if let Some(plant) = task.plant {
        command.args(["--plant", &plant.to_string()]);
    }
    if let Some(edge) = task.edge {
        command.args(["--edge", &edge.to_string()]);
    }
    match command.output() {
        Ok(output) => {
            let text = [output.stdout, output.stderr].concat();
            let output_text = String::from_utf8_lossy(&text).into_owned();
            Outcome { task, passed: output.status.success(), output: output_text }
        }
        Err(error) => Outcome { task, passed: false, output: format!("it could not be started: {error}") },
    }
}
