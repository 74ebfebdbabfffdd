//! What can go wrong with a database, and what stops it for good.

use super::Identity;
use std::error::Error as _;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;

/// Why a database can not be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("can not use the data folder {}", folder.display())]
    Folder {
        folder: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is in use by another process: stop that one, or choose another data folder", path.display())]
    InUse { path: PathBuf },
    #[error(
        "the data folder {folder} belongs to {found}, not to {expected}: start it with its own settings, \
         or give this node an empty folder"
    )]
    OtherOwner { folder: String, found: Box<Identity>, expected: Box<Identity> },
    /// What was read is not what was written; the text names the row or the file.
    #[error("{0}")]
    Corrupt(String),
    #[error("{what} has format {version}, which a later release wrote: install that release again")]
    Version { what: String, version: u8 },
    #[error("can not encode {what}")]
    Encode {
        what: String,
        #[source]
        source: postcard::Error,
    },
    #[error("the disk below the data folder is full: free some space and start the node again")]
    DiskFull,
    #[error("can not open {}", path.display())]
    Open {
        path: PathBuf,
        #[source]
        source: Box<redb::Error>,
    },
    #[error("the database can not go on")]
    Redb(#[source] Box<redb::Error>),
    #[error("the database panicked: {0}")]
    Panicked(String),
    /// The caller broke a rule of the log; the text says which.
    #[error("{0}")]
    Misused(String),
    /// An earlier failure stopped the store; the text is its reason.
    #[error("the store has stopped: {0}")]
    Stopped(Arc<str>),
}

impl Error {
    /// Adds to a report of damage what a person can do about it.
    pub(crate) fn advise(self, advice: &str) -> Error {
        match self {
            Error::Corrupt(text) => Error::Corrupt(format!("{text}: {advice}")),
            error => error,
        }
    }

    /// Tells the error with all its causes in one line.
    pub(crate) fn in_full(&self) -> String {
        let mut text = self.to_string();
        let mut source = self.source();
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
        text
    }
}

impl From<redb::Error> for Error {
    fn from(error: redb::Error) -> Error {
        match error {
            redb::Error::Corrupted(text) => Error::Corrupt(text),
            redb::Error::Io(error) if error.kind() == io::ErrorKind::StorageFull => Error::DiskFull,
            error => Error::Redb(Box::new(error)),
        }
    }
}

macro_rules! from_redb {
    ($($name:ident),*) => {
        $(impl From<redb::$name> for Error {
            fn from(error: redb::$name) -> Error {
                Error::from(redb::Error::from(error))
            }
        })*
    };
}

from_redb!(CommitError, CompactionError, DatabaseError, StorageError, TableError, TransactionError);

impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        let kind = match &error {
            Error::DiskFull => io::ErrorKind::StorageFull,
            Error::Corrupt(_) => io::ErrorKind::InvalidData,
            Error::Misused(_) => io::ErrorKind::InvalidInput,
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, error.in_full())
    }
}

/// The first failure of a database. It stays: after a failed fsync the kernel may drop the dirty
/// pages and report success to the next one, so a second try proves nothing.
#[derive(Clone, Debug)]
pub(crate) struct Health(Arc<watch::Sender<Option<Arc<str>>>>);

impl Health {
    pub(crate) fn new() -> Health {
        Health(Arc::new(watch::Sender::new(None)))
    }

    /// Fails if the database has failed before.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match &*self.0.borrow() {
            None => Ok(()),
            Some(reason) => Err(Error::Stopped(reason.clone())),
        }
    }

    /// Stops the database for good. The first reason stays, for later ones follow from it.
    pub(crate) fn fail(&self, error: &Error) {
        self.0.send_if_modified(|reason| {
            let first = reason.is_none();
            if first {
                *reason = Some(error.in_full().into());
            }
            first
        });
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.0.subscribe()
    }
}
