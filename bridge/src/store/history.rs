//! The history: every committed message and every effect, for people and programs that look back.
//!
//! It is written behind: applying never waits for its disk. What a crash takes is rebuilt from the
//! log, because the last log index it holds is committed with the rows, and no snapshot is built
//! before the history has reached it ([`History::flush_through`]). Reads see rows that still wait
//! to be written, so that whoever saw a message committed finds it here.

mod chunk;
mod page;
mod row;
mod writer;

pub use chunk::Chunk;
pub use page::{Filter, Page};
pub use row::{Kind, Position, PositionError, Row};

use super::database::Database;
use super::{Error, Identity, Metrics, Mode};
use gable_devices::Millis;
use gable_rules::{Effect, Input, LogIndex};
use std::fmt;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::watch;
use writer::Shared;

/// The file in the data folder.
const FILE: &str = "history.redb";
const ADVICE: &str =
    "remove the files history.redb* in the data folder, and the node fetches its history again";

/// How a history is opened.
#[derive(Clone, Debug)]
pub struct Options {
    pub identity: Identity,
    pub mode: Mode,
    /// Bytes of rows to keep; the file is larger, up to about twice as much.
    pub keep_bytes: u64,
    /// How long a row is kept, in the home's time.
    pub keep_for: Millis,
    /// How long a row may wait for others to be committed with. A longer time spares the disk that
    /// the log shares, and costs nothing but memory and a longer rebuild after a crash.
    pub linger: Duration,
}

impl Options {
    /// The usual options for the history of `identity`: 256 MiB, 30 days, one commit a second.
    pub fn new(identity: Identity) -> Options {
        Options {
            identity,
            mode: Mode::Thread,
            keep_bytes: 256 << 20,
            keep_for: Millis::from_secs(30 * 24 * 3600),
            linger: Duration::from_secs(1),
        }
    }
}

/// The history of one node. Clones are the same history.
///
/// When the last clone is dropped, what waits is written and the file is closed.
#[derive(Clone)]
pub struct History(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    mode: Mode,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl History {
    /// Opens the history in `folder`, and creates both if they are missing.
    pub fn open(folder: &Path, options: Options) -> Result<History, Error> {
        let open = || History::start(Database::open_file(folder, FILE)?, folder, options);
        open().map_err(|error: Error| error.advise(ADVICE))
    }

    /// Opens the history on any backend.
    pub fn open_backend(backend: impl redb::StorageBackend, options: Options) -> Result<History, Error> {
        let name = Path::new(FILE);
        History::start(Database::open(backend, name)?, name, options)
    }

    fn start(database: Database, folder: &Path, options: Options) -> Result<History, Error> {
        let mode = options.mode;
        let shared = Arc::new(Shared::recover(database, folder, options)?);
        let thread = match mode {
            Mode::Inline => None,
            Mode::Thread => {
                let served = shared.clone();
                let thread = std::thread::Builder::new()
                    .name("history".to_owned())
                    .spawn(move || served.run())
                    .map_err(|source| Error::Folder { folder: folder.to_owned(), source })?;
                Some(thread)
            }
        };
        Ok(History(Arc::new(Inner { shared, mode, thread: Mutex::new(thread) })))
    }

    /// Takes in an applied log entry: its inputs, and the effects of each. Entries come in the
    /// order of the log; one that the history already holds is passed over.
    ///
    /// Waits only while more rows wait for the disk than memory shall hold.
    pub async fn record(
        &self,
        log_index: LogIndex,
        inputs: &[Input],
        effects: &[Vec<Effect>],
    ) -> Result<(), Error> {
        let shared = &self.0.shared;
        if log_index.0 <= shared.pending().recorded {
            return Ok(());
        }
        let rows = row::rows(log_index, inputs, effects)?.into_iter().map(Arc::new).collect();
        let mut persisted = shared.persisted.subscribe();
        loop {
            shared.database.health.check()?;
            if shared.pending().has_room() {
                break;
            }
            // The sender lives as long as `shared`.
            let _ = persisted.changed().await;
        }
        let is_many = shared.push(log_index.0, rows);
        if self.0.mode == Mode::Inline && is_many {
            shared.commit_all()?;
        }
        Ok(())
    }

    /// Waits until the rows of all entries up to `log_index` are on the disk. Whoever builds a
    /// snapshot calls it first: the log behind the snapshot may be purged, and the history could
    /// not be rebuilt from it any more.
    ///
    /// The entries up to there that were not recorded are taken to have nothing to tell.
    pub async fn flush_through(&self, log_index: LogIndex) -> Result<(), Error> {
        let shared = &self.0.shared;
        let goal = log_index.0;
        shared.push(goal, Vec::new());
        if self.0.mode == Mode::Inline {
            return shared.commit_all();
        }
        let mut persisted = shared.persisted.subscribe();
        loop {
            shared.database.health.check()?;
            if *persisted.borrow_and_update() >= goal {
                return Ok(());
            }
            shared.hurry();
            let _ = persisted.changed().await;
        }
    }

    /// Learns that the state was taken over from a snapshot that reaches to `log_index`, at a start
    /// or from a peer. What the history does not hold up to there becomes a gap, to be filled from
    /// a peer; see [`History::gaps`].
    pub async fn restored(&self, log_index: LogIndex) -> Result<(), Error> {
        let recorded = self.0.shared.pending().recorded;
        if log_index.0 <= recorded {
            return Ok(());
        }
        self.flush_through(LogIndex(recorded)).await?;
        self.0.shared.skip_to(log_index.0)
    }

    /// Returns the log index up to which entries were recorded.
    pub fn recorded(&self) -> LogIndex {
        LogIndex(self.0.shared.pending().recorded)
    }

    /// Returns the log index from which on rows are kept, apart from gaps; what is older has been
    /// removed.
    pub fn kept_from(&self) -> LogIndex {
        LogIndex(self.0.shared.kept_from.load(Ordering::Acquire))
    }

    /// Returns what the history has cost since it was opened.
    pub fn metrics(&self) -> Metrics {
        self.0.shared.database.counters.read()
    }

    /// Returns where the reason appears if the history stops for good.
    pub fn fatal(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.0.shared.database.health.watch()
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "History of {}", self.0.shared.options.identity)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        match thread {
            Some(thread) => {
                self.shared.close();
                // The writer catches what redb throws; if it died all the same, there is nothing
                // left to wait for.
                drop(thread.join());
            }
            // What can not be written is rebuilt from the log at the next start.
            None => drop(self.shared.commit_all()),
        }
    }
}
