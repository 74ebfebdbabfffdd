//! What survives a crash: the Raft log with votes and snapshots, and the history beside it.
//!
//! [`Store`] is one redb file per node with one writer. Whoever writes puts a request into its
//! queue; the writer takes all that waits, commits it with one fsync, and answers. What was
//! answered is on the disk. The first failure stops the store for good, and the node with it.
//!
//! The state of the home is not here: it is rebuilt from snapshot and log at each start.

mod cache;
mod database;
mod disk;
mod error;
pub mod history;
mod log;
pub mod lossy;
mod metrics;
mod queue;
mod recover;
mod snapshot;
mod tables;
mod tail;
mod writer;

pub use cache::ReadCache;
pub use disk::measure_fsync_p99;
pub use error::Error;
pub use log::{LogReader, LogStore};
pub use metrics::Metrics;

use database::Database;
use gable_rules::NodeId;
use queue::Queue;
use serde::{Deserialize, Serialize};
use snapshot::Current;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::{oneshot, watch};
use writer::{Change, Request, Shared, Waiter, Writer};

/// The file in the data folder.
const FILE: &str = "raft.redb";
/// Requests may fill the writer's queue with this many bytes. When it is full, whoever appends
/// waits: the leader then takes no new inputs until its disk has caught up.
const QUEUE_BYTES: u32 = 32 << 20;
const TAIL_BYTES: usize = 8 << 20;
/// A node that forgot what it promised could let two leaders be elected, so it must not go on under
/// its id.
const ADVICE: &str = "move the data folder away and start again: the other nodes refill this one";

/// Whose data a folder holds. It is written once, when the folder is first used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub cluster: String,
    pub node: NodeId,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {} of cluster `{}`", self.node, self.cluster)
    }
}

/// Who calls the writer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// A thread of its own, so that many requests share one fsync.
    #[default]
    Thread,
    /// Whoever has a request, before he goes on: without threads a simulation repeats exactly.
    Inline,
}

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct Options {
    pub identity: Identity,
    pub mode: Mode,
    /// Bytes of the newest entries that are kept in memory for the streams to the peers.
    pub tail_bytes: usize,
}

impl Options {
    /// The usual options for the data of `identity`.
    pub fn new(identity: Identity) -> Options {
        Options { identity, mode: Mode::Thread, tail_bytes: TAIL_BYTES }
    }
}

/// The Raft log of one node on its disk. Clones are the same store.
///
/// When the last clone is dropped, what waits is written and the file is closed.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    identity: Identity,
    boot: AtomicU64,
    seat: AtomicBool,
    snapshot: tokio::sync::Mutex<Current>,
    lane: Lane,
}

enum Lane {
    Thread { queue: Arc<Queue<Request>>, thread: Option<JoinHandle<()>> },
    Inline(Mutex<Writer>),
}

impl Store {
    /// Opens the store in `folder`, and creates both if they are missing.
    ///
    /// Everything that the file holds is checked. A folder of another node or cluster is refused,
    /// and left as it is.
    pub fn open(folder: &Path, options: Options) -> Result<Store, Error> {
        let open = || Store::start(Database::open_file(folder, FILE)?, folder, options);
        open().map_err(|error: Error| error.advise(ADVICE))
    }

    /// Opens the store on any backend.
    pub fn open_backend(backend: impl redb::StorageBackend, options: Options) -> Result<Store, Error> {
        let name = Path::new(FILE);
        let database = Database::open(backend, name)?;
        Store::start(database, name, options)
    }

    fn start(database: Database, folder: &Path, options: Options) -> Result<Store, Error> {
        let recovered = recover::recover(&database, folder, &options)?;
        let shared = Arc::new(Shared::new(database, recovered.tail));
        let writer = Writer::new(shared.clone());
        let lane = match options.mode {
            Mode::Inline => Lane::Inline(Mutex::new(writer)),
            Mode::Thread => {
                let queue = Arc::new(Queue::new(QUEUE_BYTES));
                let served = queue.clone();
                let thread = std::thread::Builder::new()
                    .name("raft-log".to_owned())
                    .spawn(move || writer::run(writer, &served))
                    .map_err(|source| Error::Folder { folder: folder.to_owned(), source })?;
                Lane::Thread { queue, thread: Some(thread) }
            }
        };
        Ok(Store(Arc::new(Inner {
            shared,
            identity: options.identity,
            boot: AtomicU64::new(recovered.boot),
            seat: AtomicBool::new(recovered.seat),
            snapshot: tokio::sync::Mutex::new(recovered.snapshot),
            lane,
        })))
    }

    /// Returns the log for openraft.
    pub fn log(&self) -> LogStore {
        LogStore::new(self.clone())
    }

    /// Returns which start of this node this is: 1 at the first, more at each later one.
    pub fn boot(&self) -> u64 {
        self.0.boot.load(Ordering::Acquire)
    }

    /// Returns whether this node may vote: whether its disk holds all that it ever promised.
    pub fn has_seat(&self) -> bool {
        self.0.seat.load(Ordering::Acquire)
    }

    /// Lets this node vote, now and after every later start: it founds a cluster, or has been
    /// refilled. Until then it stays an emptied one, however often it starts.
    ///
    /// The number of this start, and with it that of every later one, is raised to `boot` at least.
    /// A node whose disk was emptied counts from 1 again, but its earlier life used up some numbers.
    pub async fn take_seat(&self, boot: u64) -> Result<(), Error> {
        self.0.shared.database.health.check()?;
        let boot = boot.max(self.boot());
        let (sender, receiver) = oneshot::channel();
        self.submit(Request { change: Change::Seat { boot }, waiter: Waiter::Caller(sender) }).await;
        receiver.await.unwrap_or_else(|_| Err(Error::Stopped("its writer has ended".into())))?;
        self.0.boot.fetch_max(boot, Ordering::AcqRel);
        self.0.seat.store(true, Ordering::Release);
        Ok(())
    }

    /// Returns whose data this is.
    pub fn identity(&self) -> &Identity {
        &self.0.identity
    }

    /// Returns what the store has cost since it was opened.
    pub fn metrics(&self) -> Metrics {
        self.0.shared.database.counters.read()
    }

    /// Returns where the reason appears if the store stops for good. Whoever runs the node has to
    /// end it then.
    pub fn fatal(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.0.shared.database.health.watch()
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }

    pub(crate) fn snapshot(&self) -> &tokio::sync::Mutex<Current> {
        &self.0.snapshot
    }

    /// Hands a request to the writer.
    pub(crate) async fn submit(&self, request: Request) {
        match &self.0.lane {
            Lane::Thread { queue, .. } => {
                let (weight, urgent) = (request.weight(), request.is_urgent());
                queue.push(request, weight, urgent).await;
            }
            Lane::Inline(_) => self.submit_later(request),
        }
    }

    /// Hands the writer a request that nobody waits for, and that folds into the one before it.
    pub(crate) fn submit_later(&self, request: Request) {
        match &self.0.lane {
            Lane::Thread { queue, .. } => queue.push_or_merge(request, Request::merge),
            Lane::Inline(writer) => {
                writer.lock().unwrap_or_else(PoisonError::into_inner).commit(vec![request]);
            }
        }
    }

    pub(crate) fn stop_if_corrupt<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        log::stop_if_corrupt(&self.0.shared, result)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store of {}", self.0.identity)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        match &mut self.lane {
            Lane::Thread { queue, thread } => {
                queue.close();
                // The writer catches what redb throws; if it died all the same, there is nothing
                // left to wait for.
                let _: Option<Result<(), _>> = thread.take().map(JoinHandle::join);
            }
            Lane::Inline(writer) => writer.get_mut().unwrap_or_else(PoisonError::into_inner).flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::types::Vote;
    use openraft::storage::{RaftLogReader, RaftLogStorage};

    fn options(node: u64) -> Options {
        Options::new(Identity { cluster: "home".to_owned(), node: NodeId(node) })
    }

    #[track_caller]
    fn check_error(folder: &Path, options: Options, expected: &[&str]) {
        let error = Store::open(folder, options).expect_err("the folder must be refused").in_full();
        for part in expected {
            assert!(error.contains(part), "`{error}` does not say `{part}`");
        }
    }

    #[test]
    fn each_open_is_a_new_boot() {
        let folder = tempfile::tempdir().unwrap();
        let boots: Vec<u64> =
            (0..3).map(|_| Store::open(folder.path(), options(1)).unwrap().boot()).collect();
        assert_eq!(boots, [1, 2, 3]);
    }

    #[test]
    fn a_seat_lasts_and_starts_count_on_from_it() {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let store = Store::open(folder.path(), options(1)).unwrap();
            assert!(!store.has_seat());
            store.take_seat(40).await.unwrap();
            store.take_seat(30).await.unwrap();
            assert_eq!((store.boot(), store.has_seat()), (40, true));
        });
        let store = Store::open(folder.path(), options(1)).unwrap();
        assert_eq!((store.boot(), store.has_seat()), (41, true));
    }

    #[test]
    fn a_folder_of_another_node_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        drop(Store::open(folder.path(), options(1)).unwrap());
        let path = folder.path().display().to_string();
        check_error(
            folder.path(),
            options(2),
            &["belongs to node 1 of cluster `home`", &path, "empty folder"],
        );
        let foreign = Options::new(Identity { cluster: "other".to_owned(), node: NodeId(1) });
        check_error(folder.path(), foreign, &["not to node 1 of cluster `other`"]);
        assert_eq!(Store::open(folder.path(), options(1)).unwrap().boot(), 2);
    }

    #[test]
    fn a_folder_in_use_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let _first = Store::open(folder.path(), options(1)).unwrap();
        check_error(folder.path(), options(1), &["raft.redb is in use", "another data folder"]);
    }

    #[test]
    fn a_folder_that_can_not_be_made_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "not a folder").unwrap();
        check_error(&file.join("data"), options(1), &["can not use the data folder", "file/data"]);
    }

    #[test]
    fn a_file_of_something_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        std::fs::write(&path, "certainly no database".repeat(1000)).unwrap();
        check_error(folder.path(), options(1), &["raft.redb"]);
    }

    #[test]
    fn a_start_that_was_cut_off_is_no_damage() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("raft.redb.new"), vec![0; 70_000]).unwrap();
        assert_eq!(Store::open(folder.path(), options(1)).unwrap().boot(), 1);
        assert!(!folder.path().join("raft.redb.new").exists());
    }

    #[test]
    fn a_damaged_store_stays_refused_until_someone_looks() {
        let folder = tempfile::tempdir().unwrap();
        drop(Store::open(folder.path(), options(1)).unwrap());
        let path = folder.path().join(FILE);
        let mut image = std::fs::read(&path).unwrap();
        // Zeroes every page but the first, which holds redb's header.
        image[4096..].fill(0);
        std::fs::write(&path, &image).unwrap();
        check_error(folder.path(), options(1), &["raft.redb is damaged", "the other nodes refill this one"]);
        check_error(folder.path(), options(1), &["raft.redb is damaged", "the other nodes refill this one"]);
        assert!(folder.path().join("raft.redb.damaged").exists());
    }

    #[test]
    fn a_vote_costs_one_fsync_and_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let store = Store::open(folder.path(), options(1)).unwrap();
            let before = store.metrics();
            store.log().save_vote(&Vote::new(3, 1)).await.unwrap();
            let after = store.metrics();
            assert_eq!(after.fsyncs - before.fsyncs, 1);
            assert_eq!(after.commits - before.commits, 1);
        });
        runtime.block_on(async {
            let store = Store::open(folder.path(), options(1)).unwrap();
            let vote = store.log().get_log_reader().await.read_vote().await.unwrap();
            assert_eq!(vote, Some(Vote::new(3, 1)));
        });
    }
}
