//! Watches the home's files and offers edits to the cluster.

use super::home::HomeFiles;
use crate::raft::{Replica, Settled};
use crate::telemetry::causes;
use gable_rules::{InputKind, Severity, SourceFile};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tracing::{debug, error, info, warn};

/// How often the files are read again; they are small, and no file system has to tell.
const INTERVAL: Duration = Duration::from_secs(2);

/// The task that keeps the files in force up to date.
pub(super) struct Reload {
    pub(super) files: HomeFiles,
    pub(super) replica: Replica,
    /// Until the log is applied the state does not show what is in force.
    pub(super) recovered: watch::Receiver<bool>,
    /// A person asked to put this node's files into force.
    pub(super) asked: Arc<Notify>,
}

impl Reload {
    /// Runs until the replica stops.
    pub(super) async fn run(mut self) {
        let mut leading = self.replica.leading();
        let mut applied = self.replica.applied();
        let mut told = Told::default();
        // What is wrong with the files is told before anything else happens.
        drop(self.read(&mut told));
        if self.recovered.wait_for(|recovered| *recovered).await.is_err() {
            return;
        }
        let mut is_asked = false;
        loop {
            applied.mark_unchanged();
            if let Some(local) = self.read(&mut told)
                && self.offer(local, is_asked, &mut told).await.is_err()
            {
                return;
            }
            let nothing_in_force = self.replica.read(|state| state.sources().is_empty());
            is_asked = tokio::select! {
                () = self.asked.notified() => true,
                () = tokio::time::sleep(INTERVAL) => false,
                changed = leading.changed() => if changed.is_err() { return } else { false },
                // At the first start of a cluster the files should be in force at once.
                changed = applied.changed(), if nothing_in_force => if changed.is_err() { return } else { false },
            };
        }
    }

    /// Reads the files, and tells what is wrong with them when they have changed.
    fn read(&mut self, told: &mut Told) -> Option<Vec<SourceFile>> {
        let local = match self.files.read() {
            Ok(local) => local,
            Err(error) => {
                let error = causes(&error);
                if told.unreadable.as_ref() != Some(&error) {
                    warn!(node = %self.replica.node(), error, "kept the home's files in force");
                    told.unreadable = Some(error);
                }
                return None;
            }
        };
        told.unreadable = None;
        if told.files.as_deref() != Some(local.as_slice()) {
            let report = gable_rules::check(&local);
            for problem in &report.problems {
                match problem.severity {
                    Severity::Error => {
                        error!(node = %self.replica.node(), problem = %problem.what, "a mistake in the home's files")
                    }
                    Severity::Warning => {
                        warn!(node = %self.replica.node(), problem = %problem.what, "a doubt about the home's files")
                    }
                    Severity::Unsupported => {
                        warn!(node = %self.replica.node(), problem = %problem.what, "an automation is out of use")
                    }
                    Severity::Info => {
                        debug!(node = %self.replica.node(), problem = %problem.what, "a part of the home's files is not for Gable")
                    }
                }
            }
            // A problem of a whole file is one that keeps it from being read at all.
            told.is_unusable = report
                .problems
                .iter()
                .any(|problem| problem.severity == Severity::Error && problem.what.path.is_empty());
            told.files = Some(local.clone());
            told.difference = false;
        }
        Some(local)
    }

    async fn offer(&mut self, local: Vec<SourceFile>, is_asked: bool, told: &mut Told) -> Result<(), ()> {
        let node = self.replica.node();
        let in_force = self.replica.read(|state| state.sources().to_vec());
        if local != in_force && !in_force.is_empty() && told.is_unusable {
            if !std::mem::replace(&mut told.difference, true) || is_asked {
                error!(node = %node, "the home's files here can not be read as YAML: kept those in force");
            }
            return Ok(());
        }
        if self.files.wants(&local, &in_force, self.replica.is_leader()) || (is_asked && local != in_force) {
            let configure = InputKind::Configure(local.clone());
            match self.replica.propose(configure).await {
                Ok(committed) => match committed.outcome {
                    Settled::Applied | Settled::Duplicate => {
                        info!(node = %node, log_index = committed.index.0, files = local.len(), "put the home's files into force");
                    }
                    Settled::Refused(why) => error!(node = %node, why, "the home's files were refused"),
                },
                Err(_) => return Err(()),
            }
        } else if local != in_force && !in_force.is_empty() && !std::mem::replace(&mut told.difference, true)
        {
            warn!(node = %node, "the home's files here differ from those in force, which were edited on another node: edit them, or send SIGHUP, to put these into force");
        }
        if !in_force.is_empty() || self.replica.is_leader() {
            self.note(&local);
        }
        Ok(())
    }

    fn note(&mut self, local: &[SourceFile]) {
        if let Err(error) = self.files.note_offered(local) {
            warn!(node = %self.replica.node(), error = %error, "cannot note which of the home's files were offered: an edit made while this node is down may be missed");
        }
    }
}

/// What was said already, so that it is not said every two seconds.
#[derive(Default)]
struct Told {
    files: Option<Vec<SourceFile>>,
    unreadable: Option<String>,
    is_unusable: bool,
    difference: bool,
}
