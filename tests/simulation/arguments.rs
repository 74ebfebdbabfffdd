//! The command line: our own flags, and those that `cargo test` and `cargo nextest` hand to tests.

use crate::faults::Edge;
use crate::plant::Plant;
use std::ops::Range;

/// What to do and how.
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) job: Job,
    pub(crate) jobs: usize,
    pub(crate) plant: Option<Plant>,
    /// The edge of all runs; else each seed draws its own.
    pub(crate) edge: Option<Edge>,
    /// Print all events of a run.
    pub(crate) verbose: bool,
    /// Which of the nodes' own log lines to print.
    pub(crate) log: Option<String>,
}

/// What to do.
#[derive(Debug)]
pub(crate) enum Job {
    /// Run one seed in this process.
    One(u64),
    /// Run seeds in processes of their own.
    Seeds(Range<u64>),
    /// Run the tests that are selected.
    Suite(Selection),
    /// Name the tests that are selected.
    List(Selection),
}

/// Which tests are meant, in the words of the usual test programs.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    filters: Vec<String>,
    skipped: Vec<String>,
    exact: bool,
    ignored_only: bool,
}

/// Flags of the usual test programs that take a value which says nothing here.
const IGNORED_WITH_VALUE: [&str; 6] =
    ["--test-threads", "--color", "--format", "--logfile", "--shuffle-seed", "-Z"];

impl Arguments {
    /// Reads the arguments after the program's name.
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Arguments, String> {
        let mut arguments = arguments.flat_map(split);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut parsed = Arguments {
            job: Job::Suite(Selection::default()),
            jobs: cores,
            plant: None,
            edge: None,
            verbose: false,
            log: None,
        };
        let mut selection = Selection::default();
        let (mut list, mut job) = (false, None);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "--seed" => job = Some(Job::One(number(&value()?)?)),
                "--seeds" => job = Some(Job::Seeds(range(&value()?)?)),
                "--jobs" => parsed.jobs = number(&value()?)?.max(1) as usize,
                "--plant" => parsed.plant = Some(plant(&value()?)?),
                "--edge" => parsed.edge = Some(edge(&value()?)?),
                "--log" => parsed.log = Some(value()?),
                "--verbose" => parsed.verbose = true,
                "--list" => list = true,
                "--exact" => selection.exact = true,
                "--ignored" => selection.ignored_only = true,
                "--skip" => selection.skipped.push(value()?),
                flag if IGNORED_WITH_VALUE.contains(&flag) => drop(value()?),
                flag if flag.starts_with('-') => {}
                filter => selection.filters.push(filter.to_owned()),
            }
        }
        parsed.job = match job {
            Some(job) => job,
            None if parsed.plant.is_some() => Job::One(1),
            None if list => Job::List(selection),
            None => Job::Suite(selection),
        };
        Ok(parsed)
    }
}

impl Selection {
    /// Whether the test of that name is meant.
    pub(crate) fn includes(&self, name: &str) -> bool {
        let matches =
            |pattern: &String| if self.exact { name == pattern } else { name.contains(pattern.as_str()) };
        !self.ignored_only
            && (self.filters.is_empty() || self.filters.iter().any(matches))
            && !self.skipped.iter().any(matches)
    }
}

/// Makes two arguments of `--flag=value`.
fn split(argument: String) -> Vec<String> {
    match argument.split_once('=') {
        Some((flag, value)) if flag.starts_with("--") => vec![flag.to_owned(), value.to_owned()],
        _ => vec![argument],
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("`{text}` is not a number"))
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let (start, end) = text.split_once("..").ok_or(format!("`{text}` is not a range such as 1..1001"))?;
    Ok(number(start)?..number(end)?)
}

fn edge(name: &str) -> Result<Edge, String> {
    let found = Edge::ALL.iter().find(|(known, _)| *known == name).map(|(_, edge)| *edge);
    found.ok_or_else(|| format!("there is no edge `{name}`: it is one of attach, server"))
}

fn plant(name: &str) -> Result<Plant, String> {
    let known = || crate::plant::PLANTS.map(|(name, ..)| name).join(", ");
    Plant::named(name).ok_or_else(|| format!("there is no plant `{name}`: it is one of {}", known()))
}
