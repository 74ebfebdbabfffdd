//! At equal index every node applied the same entry, and reached the same state.

use crate::trace::{Event, Trace};
use gable_rules::LogIndex;
use std::collections::BTreeMap;

/// Checks every entry that any node applied, and every snapshot that one took over.
pub(crate) fn check(trace: &Trace) -> Result<(), String> {
    let mut hashes = BTreeMap::new();
    let mut entries = BTreeMap::new();
    for (_, event) in trace.events() {
        match event {
            Event::Applied { node, entry, hash } => {
                let (first, same) = *entries.entry(entry.index).or_insert((node, entry));
                if same != entry {
                    let index = entry.index;
                    return Err(format!("nodes {first} and {node} applied different entries at {index}"));
                }
                compare(&mut hashes, *node, entry.index, *hash)?;
            }
            Event::Installed { node, index, hash } => installed(&mut hashes, *node, *index, *hash)?,
            _ => {}
        }
    }
    Ok(())
}

type Hashes = BTreeMap<LogIndex, (gable_rules::NodeId, u64)>;

fn compare(hashes: &mut Hashes, node: gable_rules::NodeId, index: LogIndex, hash: u64) -> Result<(), String> {
    let (first, same) = *hashes.entry(index).or_insert((node, hash));
    if same == hash {
        return Ok(());
    }
    Err(format!("nodes {first} and {node} differ at {index}: state {same:016x} and {hash:016x}"))
}

/// A snapshot may end with an entry that changed nothing, such as a new leader's first: the state
/// is that of the last entry with inputs.
fn installed(
    hashes: &mut Hashes,
    node: gable_rules::NodeId,
    index: LogIndex,
    hash: u64,
) -> Result<(), String> {
    let Some((applied, (first, same))) = hashes.range(..=index).next_back().map(|(at, seen)| (*at, *seen))
    else {
        return Ok(());
    };
    if same == hash {
        return Ok(());
    }
    Err(format!(
        "node {node} took over a snapshot at {index} with state {hash:016x}, but node {first} had {same:016x} at {applied}"
    ))
}
