//! A short stand-in for a message where many are remembered to be compared.

use std::hash::{DefaultHasher, Hash, Hasher};

/// A hash of topic and payload: MQTT messages carry no identity, so equal content is the best
/// there is. It never leaves the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint(u64);

impl Fingerprint {
    pub(super) fn of(topic: &str, payload: &[u8]) -> Fingerprint {
        let mut hasher = DefaultHasher::new();
        (topic, payload).hash(&mut hasher);
        Fingerprint(hasher.finish())
    }
}
