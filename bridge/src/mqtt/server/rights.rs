//! What a client may do.

use super::session::Rights;

/// Nothing is forbidden.
#[derive(Debug)]
pub(super) struct Everything;

impl Rights for Everything {
    fn may_publish(&self, topic: &str) -> bool {
        // The server's own, and no topics at all.
        !topic.starts_with("$SYS/") && !topic.starts_with("$share/")
    }

    fn may_subscribe(&self, _filter: &str) -> bool {
        true
    }
}
