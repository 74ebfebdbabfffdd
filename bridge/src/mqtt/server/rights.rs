//! What a client may do, asked of the state each time: a change counts at once.

use super::session::{Class, Rights};
use crate::raft::Replica;
use gable_broker_config::Topics;
use gable_devices::topic;
use gable_rules::broker::{Right, Who};
use std::sync::Arc;

/// The rights of a client that was let in.
pub(super) struct ClientRights {
    pub(super) replica: Replica,
    pub(super) username: Option<String>,
    pub(super) client_id: String,
    pub(super) classes: Arc<Classes>,
}

/// Which topics go by no log.
#[derive(Debug)]
pub(super) struct Classes {
    relay: Vec<String>,
    local: Vec<String>,
}

impl Classes {
    pub(super) fn new(topics: &Topics) -> Classes {
        Classes { relay: topics.relay.clone(), local: topics.local.clone() }
    }

    fn of(&self, topic: &str) -> Class {
        let has = |filters: &[String]| filters.iter().any(|filter| topic::covers(filter, topic));
        match () {
            () if has(&self.local) => Class::Local,
            () if has(&self.relay) => Class::Relay,
            () => Class::Durable,
        }
    }
}

impl ClientRights {
    /// Whether the client may do something with a topic, or with all that a filter stands for.
    pub(super) fn allow(&self, right: Right, wanted: &str) -> bool {
        let who = Who { username: self.username.as_deref(), client_id: &self.client_id };
        self.replica.read(|state| state.broker().access().allows(who, right, wanted))
    }
}

impl Rights for ClientRights {
    fn may_publish(&self, topic: &str) -> bool {
        // The server's own, and no topics at all.
        let is_reserved = topic.starts_with("$SYS/") || topic.starts_with("$share/");
        !is_reserved && self.allow(Right::Write, topic)
    }

    fn class(&self, topic: &str) -> Class {
        self.classes.of(topic)
    }

    fn may_subscribe(&self, filter: &str) -> bool {
        self.allow(Right::Subscribe, filter)
    }
}
