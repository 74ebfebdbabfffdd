//! Shared parts of the tests: real nodes, real brokers, and waiting for conditions.
//!
//! Nothing here sleeps for a guess: every wait has a condition and a deadline, and a test that
//! gives up says what it was waiting for and shows the ends of the nodes' logs.

pub mod broker;
pub mod cluster;
#[cfg(target_os = "linux")]
pub mod lan;
pub mod load;
pub mod mqtt;
pub mod node;
pub mod peers;
pub mod ports;
pub mod roaming;
pub mod wait;

use std::path::PathBuf;

/// The folder of the built programs: the one that the running test was built into.
pub fn programs() -> PathBuf {
    let test = std::env::current_exe().expect("a running test has a path");
    let deps = test.parent().expect("tests are built into a folder");
    deps.parent().expect("tests are built into target/PROFILE/deps").to_owned()
}

/// Whether a program of that name can be run from here.
pub fn is_installed(program: &str) -> bool {
    find(program).is_some()
}

/// Finds a program on the path or where Debian puts servers.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders =
        std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")]);
    folders.map(|folder| folder.join(program)).find(|candidate| candidate.is_file())
}

/// Says whether the tests that need a peer can run: in CI a missing peer is a failure, elsewhere
/// it is a skip that is printed.
#[track_caller]
#[expect(clippy::print_stderr, reason = "a skip has to be seen")]
pub fn has_peer(program: &str) -> bool {
    let installed = is_installed(program);
    let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(installed || !in_ci, "{program} is not installed, and in CI every peer must be");
    if !installed {
        eprintln!("skipped: {program} is not installed");
    }
    installed
}
