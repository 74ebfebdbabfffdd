//! What the home has done within the last second: topics that it published to, entities that it
//! commanded. What is heard of those may be its own echo, and only echoes make a storm.

use gable_devices::{Millis, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// For how long something heard may be the echo of something done.
const SPAN: Millis = Millis(1000);

/// How many topics and entities are remembered. While more are fresh, further ones are not
/// remembered, and their echoes count as news.
const ECHOES_MAX: usize = 4096;

/// When the home last did something, by topic or entity id.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Echoes(BTreeMap<String, Timestamp>);

impl Echoes {
    pub(crate) fn note(&mut self, now: Timestamp, name: &str) {
        if let Some(at) = self.0.get_mut(name) {
            *at = now;
            return;
        }
        if self.0.len() >= ECHOES_MAX {
            self.0.retain(|_, at| now.since(*at).0 <= SPAN.0);
        }
        if self.0.len() < ECHOES_MAX {
            self.0.insert(name.to_owned(), now);
        }
    }

    /// Whether the home did something there lately.
    pub(crate) fn are_due(&self, now: Timestamp, name: &str) -> bool {
        self.0.get(name).is_some_and(|at| now.since(*at).0 <= SPAN.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn echoes_fade_and_are_bounded() {
        let mut echoes = Echoes::default();
        echoes.note(Timestamp(0), "light/set");
        assert!(echoes.are_due(Timestamp(1000), "light/set"));
        assert!(!echoes.are_due(Timestamp(1001), "light/set"));
        assert!(!echoes.are_due(Timestamp(0), "light"));
        for n in 0..2 * ECHOES_MAX {
            echoes.note(Timestamp(2000), &n.to_string());
        }
        assert_eq!(echoes.0.len(), ECHOES_MAX);
        echoes.note(Timestamp(4000), "late");
        assert_eq!(echoes.0.len(), 1, "what has faded makes room");
    }
}
