//! The store on disks that crash, rot, lie and run full.

#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]

#[path = "store_crash/full.rs"]
mod full;
#[path = "store_crash/history.rs"]
mod history;
#[path = "store_crash/log.rs"]
mod log;
#[path = "store_crash/rot.rs"]
mod rot;
#[path = "store_crash/script.rs"]
mod script;

use gable::raft::types::TypeConfig;
use gable::store::lossy::Lossy;
use gable::store::{Identity, Mode, Options};
use gable_rules::NodeId;
use openraft::RaftTypeConfig;

fn identity() -> Identity {
    Identity { cluster: "home".to_owned(), node: NodeId(1) }
}

fn options() -> Options {
    // Nothing stays in memory once it is on the disk, so that every read goes there.
    Options { mode: Mode::Inline, tail_bytes: 0, ..Options::new(identity()) }
}

/// Runs `future` on the runtime that openraft runs on.
fn run<T: Send>(future: impl Future<Output = T> + Send) -> T {
    type Runtime = <TypeConfig as RaftTypeConfig>::AsyncRuntime;
    <Runtime as openraft::AsyncRuntime>::run(future)
}

/// Returns a disk with an empty database. A crash while it is made is another
/// matter: in a folder the file gets its name when it is complete.
fn formatted() -> Lossy {
    let disk = Lossy::new();
    drop(redb::Database::builder().create_with_backend(disk.clone()).unwrap());
    Lossy::holding(disk.image())
}
