//! What simulated devices said and heard, to be compared with what the nodes remember.

use gable_devices::Publish;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// One message as a device sent it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Said {
    pub topic: String,
    pub payload: Vec<u8>,
    pub retain: bool,
}

/// The sum of what happened so far.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// How often a device sent or wanted to send each message.
    pub said: BTreeMap<Said, u64>,
    /// How often each message was acknowledged by a broker.
    pub acknowledged: BTreeMap<Said, u64>,
    /// How often each command (topic and payload) arrived.
    pub commands: BTreeMap<(String, Vec<u8>), u64>,
}

/// Where all devices note it.
#[derive(Debug, Default)]
pub(super) struct Recorder(Mutex<Record>);

impl Recorder {
    pub(super) fn said(&self, publish: &Publish) {
        self.with(|record| *record.said.entry(Said::from(publish)).or_default() += 1);
    }

    pub(super) fn acknowledged(&self, said: Said) {
        self.with(|record| *record.acknowledged.entry(said).or_default() += 1);
    }

    pub(super) fn commanded(&self, topic: &str, payload: &[u8]) {
        self.with(|record| *record.commands.entry((topic.to_owned(), payload.to_vec())).or_default() += 1);
    }

    pub(super) fn record(&self) -> Record {
        self.with(|record| record.clone())
    }

    fn with<T>(&self, change: impl FnOnce(&mut Record) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl From<&Publish> for Said {
    fn from(publish: &Publish) -> Said {
        Said { topic: publish.topic.clone(), payload: publish.payload.clone(), retain: publish.retain }
    }
}
