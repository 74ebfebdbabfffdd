//! Topic aliases (section 3.3.2.3.4): numbers that stand for topics on one connection.

use super::End;
use super::refused;
use crate::mqtt::server::wire::ReasonCode;
use std::collections::BTreeMap;
use std::num::NonZeroU16;

/// A number that stands for a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alias {
    pub number: NonZeroU16,
    /// Whether the client was told what it stands for.
    pub is_known: bool,
}

/// What the client's numbers stand for.
#[derive(Debug)]
pub(super) struct AliasesIn {
    max: u16,
    topics: BTreeMap<NonZeroU16, String>,
}

impl AliasesIn {
    pub(super) fn new(max: u16) -> AliasesIn {
        AliasesIn { max, topics: BTreeMap::new() }
    }

    /// Fills in a topic that only a number names, and notes what a number stands for.
    pub(super) fn resolve(&mut self, topic: &mut String, alias: Option<NonZeroU16>) -> Result<(), End> {
        let Some(alias) = alias else { return Ok(()) };
        // [MQTT-3.2.2-18]
        if alias.get() > self.max {
            return Err(refused(ReasonCode::TOPIC_ALIAS_INVALID, "a topic alias above the maximum"));
        }
        if !topic.is_empty() {
            self.topics.insert(alias, topic.clone());
        } else if let Some(known) = self.topics.get(&alias) {
            topic.clone_from(known);
        } else {
            return Err(refused(ReasonCode::PROTOCOL_ERROR, "a topic alias that stands for nothing"));
        }
        Ok(())
    }
}

/// What the server's numbers stand for: the first topics that are sent have one.
#[derive(Debug)]
pub(super) struct AliasesOut {
    max: u16,
    numbers: BTreeMap<String, NonZeroU16>,
}

impl AliasesOut {
    pub(super) fn new(max: u16) -> AliasesOut {
        AliasesOut { max, numbers: BTreeMap::new() }
    }

    pub(super) fn of(&mut self, topic: &str) -> Option<Alias> {
        if let Some(number) = self.numbers.get(topic) {
            return Some(Alias { number: *number, is_known: true });
        }
        let next = u16::try_from(self.numbers.len()).ok()?.checked_add(1)?;
        let number = NonZeroU16::new(next).filter(|_| next <= self.max)?;
        self.numbers.insert(topic.to_owned(), number);
        Some(Alias { number, is_known: false })
    }

    /// The packet that was to tell the client of the newest number was not sent.
    pub(super) fn forget(&mut self, topic: &str) {
        self.numbers.remove(topic);
    }
}
