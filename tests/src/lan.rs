//! Machines on one network: network namespaces that a switch in a namespace of its own connects.
//!
//! They need root's rights, and `ip` (iproute2).

use crate::{has_peer, wait};
use nix::ifaddrs::getifaddrs;
use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::net::IpAddr;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

static LANS: AtomicUsize = AtomicUsize::new(0);

/// Some machines, called by their places from 0. Machine 0 has the addresses 10.77.0.1 and fd77::1,
/// and so on; each has them on its interface `eth0`.
pub struct Lan {
    name: String,
    machines: usize,
}

impl Lan {
    /// Whether this process may make networks: where not, it is a skip that is printed, in CI a
    /// failure.
    #[track_caller]
    #[expect(clippy::print_stderr, reason = "a skip has to be seen")]
    pub fn is_permitted() -> bool {
        if !has_peer("ip") {
            return false;
        }
        let probe = new_name();
        let made = try_ip(&["netns", "add", &probe]);
        let entered = made.clone().and_then(|()| try_ip(&["netns", "exec", &probe, "true"]));
        let _ = try_ip(&["netns", "del", &probe]);
        let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
        assert!(entered.is_ok() || !in_ci, "network namespaces are not permitted, and in CI they must be");
        if let Err(why) = &entered {
            eprintln!("skipped: network namespaces are not permitted: {why}");
        }
        entered.is_ok()
    }

    /// Makes the machines and connects them.
    pub fn new(machines: usize) -> Lan {
        let lan = Lan { name: new_name(), machines };
        let switch = lan.switch();
        ip(&["netns", "add", &switch]);
        ip(&[
            "-n",
            &switch,
            "link",
            "add",
            "switch",
            "type",
            "bridge",
            "stp_state",
            "0",
            "mcast_snooping",
            "0",
        ]);
        ip(&["-n", &switch, "link", "set", "switch", "up"]);
        for n in 0..machines {
            let (machine, port) = (lan.namespace(n), port(n));
            ip(&["netns", "add", &machine]);
            ip(&["-n", &machine, "link", "set", "lo", "up"]);
            ip(&["-n", &switch, "link", "add", &port, "type", "veth", "peer", "eth0", "netns", &machine]);
            ip(&["-n", &switch, "link", "set", &port, "master", "switch", "up"]);
            ip(&["-n", &machine, "link", "set", "eth0", "up"]);
            ip(&["-n", &machine, "address", "add", &format!("10.77.0.{}/24", n + 1), "dev", "eth0"]);
            ip(&["-n", &machine, "address", "add", &format!("fd77::{}/64", n + 1), "dev", "eth0", "nodad"]);
        }
        lan
    }

    /// The network namespace of a machine.
    pub fn namespace(&self, machine: usize) -> String {
        format!("{}-{}", self.name, machine + 1)
    }

    fn switch(&self) -> String {
        format!("{}-switch", self.name)
    }

    /// Cuts a machine off, without its noticing.
    pub fn unplug(&self, machine: usize) {
        ip(&["-n", &self.switch(), "link", "set", &port(machine), "nomaster"]);
    }

    /// Connects it again.
    pub fn plug(&self, machine: usize) {
        ip(&["-n", &self.switch(), "link", "set", &port(machine), "master", "switch"]);
    }

    /// Sets an address up at a machine, for ever.
    pub fn add_address(&self, machine: usize, address: &str) {
        ip(&["-n", &self.namespace(machine), "address", "add", address, "dev", "eth0"]);
    }

    /// The machines that have the address now.
    pub fn holders(&self, address: IpAddr) -> Vec<usize> {
        (0..self.machines).filter(|n| inside(&self.namespace(*n), || has(address))).collect()
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        // Links go with their namespaces.
        for namespace in (0..self.machines).map(|n| self.namespace(n)).chain([self.switch()]) {
            let _ = try_ip(&["netns", "del", &namespace]);
        }
    }
}

fn port(machine: usize) -> String {
    format!("port{}", machine + 1)
}

/// A name that no other process has: names of those that were killed stay until the machine restarts.
fn new_name() -> String {
    format!("gable{}-{}", std::process::id(), LANS.fetch_add(1, Ordering::Relaxed))
}

#[track_caller]
fn ip(arguments: &[&str]) {
    if let Err(why) = try_ip(arguments) {
        panic!("{why}");
    }
}

fn try_ip(arguments: &[&str]) -> Result<(), String> {
    let program = crate::find("ip").ok_or("`ip` is not installed")?;
    let output = Command::new(program).args(arguments).output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stderr);
    output
        .status
        .success()
        .then_some(())
        .ok_or_else(|| format!("ip {}: {}", arguments.join(" "), said.trim()))
}

/// Does something in a namespace: in a thread of its own, for it stays there.
pub fn inside<T: Send>(namespace: &str, action: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            enter(namespace);
            action()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Moves this thread, and those that it starts, into a namespace for good.
pub fn enter(namespace: &str) {
    let file = open(namespace);
    setns(file, CloneFlags::CLONE_NEWNET).expect("a namespace that was made can be entered");
}

fn open(namespace: &str) -> File {
    File::open(format!("/var/run/netns/{namespace}")).expect("the namespace was made")
}

/// Whether an interface of this thread's namespace has the address.
fn has(address: IpAddr) -> bool {
    let entries = getifaddrs().expect("a namespace has interfaces");
    entries.filter_map(|entry| entry.address).any(|found| {
        let v4 = found.as_sockaddr_in().map(|found| IpAddr::from(found.ip()));
        let v6 = found.as_sockaddr_in6().map(|found| IpAddr::from(found.ip()));
        v4.or(v6) == Some(address)
    })
}

/// Since when which machines had an address.
type Changes = Arc<Mutex<Vec<(Instant, Vec<usize>)>>>;

/// Watches who has an address, at about a thousand looks a second.
pub struct Watch {
    stop: Arc<AtomicBool>,
    changes: Changes,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Watches the first `machines` of a network.
    pub fn start(lan: &Lan, machines: usize, address: IpAddr) -> Watch {
        let (stop, changes) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let files: Vec<File> = (0..machines).map(|n| open(&lan.namespace(n))).collect();
        let (stopping, told) = (stop.clone(), changes.clone());
        let thread = std::thread::spawn(move || {
            while !stopping.load(Ordering::Relaxed) {
                let look = |n: &usize| {
                    setns(&files[*n], CloneFlags::CLONE_NEWNET).expect("the namespace is open");
                    has(address)
                };
                let holders: Vec<usize> = (0..files.len()).filter(look).collect();
                let mut told = told.lock().expect("nobody panics while holding it");
                if told.last().map(|(_, last)| last) != Some(&holders) {
                    told.push((Instant::now(), holders));
                }
                drop(told);
                // The rate of the looks, not a wait for something.
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        Watch { stop, changes, thread: Some(thread) }
    }

    /// Who has it now.
    pub fn now(&self) -> Vec<usize> {
        let changes = self.changes.lock().expect("nobody panics while holding it");
        changes.last().map(|(_, holders)| holders.clone()).unwrap_or_default()
    }

    /// Waits until the claim about those who have it is true, and returns who they are.
    #[track_caller]
    pub fn wait_until(&self, what: &str, deadline: Duration, claim: impl Fn(&[usize]) -> bool) -> Vec<usize> {
        wait::until(what, deadline, || {
            let holders = self.now();
            if claim(&holders) { Ok(holders) } else { Err(format!("held by {holders:?}")) }
        })
    }

    /// How long more than one had it since `from`, all times together.
    pub fn doubled_since(&self, from: Instant) -> Duration {
        let changes = self.changes.lock().expect("nobody panics while holding it");
        let ends = changes.iter().skip(1).map(|(at, _)| *at).chain([Instant::now()]);
        let doubled = changes.iter().zip(ends).filter(|((_, holders), _)| holders.len() > 1);
        doubled.map(|((at, _), end)| end.saturating_duration_since((*at).max(from))).sum()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It panics only if the test has failed already.
            let _ = thread.join();
        }
    }
}
