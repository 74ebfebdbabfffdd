//! Runs jobs side by side, each on a node of its own, and tells how far it is.

use super::Checked;
use gable_tests::node::Node;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::Instant;

/// Cases that belong together, in their order, for a node that nobody else uses meanwhile.
pub(crate) struct Job {
    pub(crate) title: String,
    /// Lines for `[mqtt.server]`; none if the cases start their nodes themselves.
    pub(crate) settings: Option<&'static str>,
    /// Prepares a node after its start.
    pub(crate) prepare: fn(&Node),
    pub(crate) cases: Vec<Case>,
}

/// One case.
pub(crate) struct Case {
    /// `suite level name`.
    pub(crate) name: String,
    /// Returns what differs, if anything does. The node is there if the job has settings.
    pub(crate) run: Run,
}

type Run = Box<dyn Fn(Option<&Node>) -> Result<(), String> + Send>;

impl Job {
    /// Drops the cases whose names do not contain `only`; says whether any is left.
    pub(crate) fn keep(&mut self, only: Option<&str>) -> bool {
        if let Some(only) = only {
            self.cases.retain(|case| case.name.contains(only));
        }
        !self.cases.is_empty()
    }

    fn run(self) -> Vec<Checked> {
        let node = self.settings.map(start);
        node.iter().for_each(self.prepare);
        let checked = self
            .cases
            .into_iter()
            .map(|case| Checked { difference: (case.run)(node.as_ref()).err(), name: case.name });
        checked.collect()
    }
}

/// Runs all jobs, `at_once` at a time, and prints a line for each.
pub(crate) fn run(jobs: Vec<Job>, at_once: usize) -> Vec<Checked> {
    let (count, cases) = (jobs.len(), jobs.iter().map(|job| job.cases.len()).sum::<usize>());
    println!("{cases} cases in {count} groups, {at_once} at a time");
    let started = Instant::now();
    let queue = Mutex::new(VecDeque::from(jobs));
    let done = Mutex::new((0_usize, Vec::<Checked>::new()));
    std::thread::scope(|scope| {
        for _ in 0..at_once.min(count) {
            scope.spawn(|| {
                while let Some(job) = take(&queue) {
                    let title = job.title.clone();
                    let names: Vec<String> = job.cases.iter().map(|case| case.name.clone()).collect();
                    // A node that does not start ends its group and no other.
                    let checked =
                        catch_unwind(AssertUnwindSafe(|| job.run())).unwrap_or_else(|_| broken(names));
                    let passed = checked.iter().filter(|one| one.difference.is_none()).count();
                    let mut done = done.lock().expect("no thread panics while it holds this");
                    done.0 += 1;
                    println!(
                        "[{:>4} s {:>4}/{count}] {title}: {passed} of {} as the suite wants",
                        started.elapsed().as_secs(),
                        done.0,
                        checked.len()
                    );
                    done.1.extend(checked);
                }
            });
        }
    });
    done.into_inner().expect("no thread panics while it holds this").1
}

fn take(queue: &Mutex<VecDeque<Job>>) -> Option<Job> {
    queue.lock().expect("no thread panics while it holds this").pop_front()
}

fn broken(names: Vec<String>) -> Vec<Checked> {
    let why = "the node or the suite broke: see above";
    names.into_iter().map(|name| Checked { name, difference: Some(why.to_owned()) }).collect()
}

/// Starts one node that is the broker.
fn start(settings: &'static str) -> Node {
    let mut node = Node::new(1, None);
    let addresses = node.addresses;
    let text = format!(
        "[node]\nid = 1\ndata_dir = \"data\"\n[cluster]\nkey = \"a key for tests on the loopback only\"\n\
         listen = \"{peer}\"\npeers = [{{ id = 1, address = \"{peer}\" }}]\n[http]\nlisten = \"{http}\"\n\
         [home]\nfiles = [\"home.yaml\"]\n[mqtt.server]\nlisten = [\"{mqtt}\"]\n{settings}",
        peer = addresses.peer,
        http = addresses.http,
        mqtt = addresses.mqtt,
    );
    std::fs::write(node.config(), text).expect("the node's folder can be written");
    std::fs::write(node.home(), "").expect("the node's folder can be written");
    node.start();
    node.wait_until_ready();
    gable_tests::wait::until("the broker to serve", gable_tests::node::PATIENCE, || {
        match node.get("/api/status")? {
            status if status["mqtt"]["link_up"] == true => Ok(()),
            status => Err(status.to_string()),
        }
    });
    node
}
