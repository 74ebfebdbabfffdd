//! The replicated part of the state as bytes: a version, then postcard.

use crate::state::Rows;
use crate::{State, fnv};

/// The version of the layout of [`Rows`]; raised with any change to it.
const VERSION: u8 = 1;

/// Why bytes are not a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("the snapshot is empty")]
    Empty,
    #[error("the snapshot has version {found}, and this build reads {VERSION}: upgrade Gable")]
    Version { found: u8 },
    #[error("the snapshot is damaged")]
    Damaged(#[source] postcard::Error),
    #[error("the snapshot is damaged: {0} bytes follow its end")]
    Trailing(usize),
}

impl State {
    /// Returns all that is replicated as bytes, the same on every node at the same index.
    pub fn snapshot(&self) -> Vec<u8> {
        let bytes = postcard::to_extend(&self.rows, vec![VERSION]);
        bytes.expect("rows hold no type that postcard can not write, and a Vec takes any length")
    }

    /// Rebuilds a state from [`State::snapshot`]'s bytes.
    pub fn restore(bytes: &[u8]) -> Result<State, SnapshotError> {
        match bytes.split_first() {
            None => Err(SnapshotError::Empty),
            Some((&VERSION, rows)) => {
                let (rows, rest) = postcard::take_from_bytes::<Rows>(rows).map_err(SnapshotError::Damaged)?;
                if !rest.is_empty() {
                    return Err(SnapshotError::Trailing(rest.len()));
                }
                Ok(State::from_rows(rows))
            }
            Some((&found, _)) => Err(SnapshotError::Version { found }),
        }
    }

    /// Returns a hash of the snapshot: the 64-bit FNV-1a of its bytes. Nodes compare it to find one
    /// that went astray.
    pub fn hash(&self) -> u64 {
        fnv::fnv1a(&self.snapshot())
    }
}
