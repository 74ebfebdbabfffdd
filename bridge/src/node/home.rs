//! The home's files on this node, and when they are offered to the cluster.
//!
//! The files in force are those in the replicated state. The last edit wins, on whichever node it
//! was made: a node offers its files when they differ from those in force *and* changed since it
//! offered them last, or when a person asks for it by SIGHUP, or when the state has none yet. So a
//! node with an old copy does not put it into force only because it comes to lead, which would
//! change the home in the middle of a failover. The hash of what was offered last is kept in the
//! data folder, so that an edit made while the node was down counts as well.

use crate::home_files::{Collector, Error};
use gable_rules::SourceFile;
use sha2::{Digest, Sha256};
use std::io;
use std::path::{Path, PathBuf};

/// Remembers what was offered last; beside the log in the data folder.
const OFFERED_FILE: &str = "home-files.sha256";

/// The files and folders that the settings name.
#[derive(Debug)]
pub(super) struct HomeFiles {
    paths: Vec<PathBuf>,
    collector: Collector,
    offered_path: PathBuf,
    offered: Option<String>,
}

impl HomeFiles {
    pub(super) fn new(paths: Vec<PathBuf>, data_dir: &Path) -> HomeFiles {
        let offered_path = data_dir.join(OFFERED_FILE);
        // Without the note the node is new, and does not change a home that runs.
        let offered = std::fs::read_to_string(&offered_path).ok().map(|text| text.trim().to_owned());
        HomeFiles { paths, collector: Collector::default(), offered_path, offered }
    }

    /// Reads the files, and all that they refer to.
    pub(super) fn read(&mut self) -> Result<Vec<SourceFile>, Error> {
        Ok(self.collector.collect(&self.paths)?.files)
    }

    /// Whether `local` has to be put into force in place of `in_force`.
    pub(super) fn wants(&self, local: &[SourceFile], in_force: &[SourceFile], is_leader: bool) -> bool {
        match &self.offered {
            _ if local == in_force => false,
            // The first files of a cluster. A node whose disk was emptied does not lead, and sees
            // the files in force as soon as it has caught up.
            _ if in_force.is_empty() => is_leader,
            // A node that is new to a running home takes what is in force.
            None => false,
            Some(offered) => *offered != hash(local),
        }
    }

    /// Remembers that `files` were offered, or are in force anyway.
    pub(super) fn note_offered(&mut self, files: &[SourceFile]) -> io::Result<()> {
        let hash = hash(files);
        if self.offered.as_deref() == Some(hash.as_str()) {
            return Ok(());
        }
        self.offered = Some(hash.clone());
        std::fs::write(&self.offered_path, hash + "\n")
    }
}

fn hash(files: &[SourceFile]) -> String {
    let mut hasher = Sha256::new();
    for file in files {
        for part in [&file.name, &file.text] {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Vec<SourceFile> {
        vec![SourceFile { name: "home.yaml".into(), text: text.into() }]
    }

    #[test]
    fn only_an_edit_is_offered_also_one_made_while_the_node_was_down() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = HomeFiles::new(vec![], folder.path());
        assert!(files.wants(&file("a"), &[], true), "the first files");
        assert!(!files.wants(&file("a"), &[], false), "the leader offers them");
        assert!(!files.wants(&file("a"), &file("b"), true), "new to a running home");
        files.note_offered(&file("a")).unwrap();
        assert!(!files.wants(&file("a"), &file("a"), true), "in force");
        assert!(!files.wants(&file("a"), &file("b"), true), "another node's edit is newer");
        assert!(files.wants(&file("c"), &file("b"), false), "edited here");

        let files = HomeFiles::new(vec![], folder.path());
        assert!(!files.wants(&file("a"), &file("b"), true), "remembered over a restart");
        assert!(files.wants(&file("c"), &file("b"), false), "edited while down");
    }

    #[test]
    fn a_missing_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("home.yaml");
        let error = HomeFiles::new(vec![path.clone()], folder.path()).read().unwrap_err();
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    }
}
