//! What other nodes brought into the log while this one was away from the shared broker, which has
//! queued the same messages for it.

use crate::raft::Replica;
use crate::store::Error;
use crate::store::history::{Filter, History, Kind, Position};
use gable_devices::{Millis, Timestamp};
use gable_rules::{LogIndex, NodeId};

/// The absence begins this long before the log learned of it.
const NOTICE_MAX: Millis = Millis::from_secs(10);

/// How many rows are read at a time.
const PAGE: usize = 1_000;

/// A message that another node proposed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Missed {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
}

/// Reads what others brought in, from when this node ceased to listen up to the entry `end`.
pub(super) async fn missed(replica: &Replica, me: NodeId, end: LogIndex) -> Vec<Missed> {
    let left = replica.read(|state| state.nodes().find(|(node, _)| *node == me).map(|(_, node)| node.since));
    let Some(left) = left else { return Vec::new() };
    let history = replica.history().clone();
    let read = tokio::task::spawn_blocking(move || read(&history, me, earlier(left), end));
    match read.await {
        Ok(Ok(missed)) => missed,
        Ok(Err(error)) => {
            tracing::warn!(%error, "cannot read what was missed: messages may count twice");
            Vec::new()
        }
        // The runtime ends.
        Err(_) => Vec::new(),
    }
}

fn earlier(left: Timestamp) -> Timestamp {
    Timestamp(left.0.saturating_sub_unsigned(NOTICE_MAX.0))
}

fn read(history: &History, me: NodeId, since: Timestamp, end: LogIndex) -> Result<Vec<Missed>, Error> {
    let mut missed = Vec::new();
    let mut after = Position::before(first_since(history, since, end)?);
    loop {
        let page = history.page(after, PAGE, Filter::Messages)?;
        for row in &page.rows {
            if row.position.log_index > end.0 {
                return Ok(missed);
            }
            if let Kind::Message(message) = &row.kind
                && row.node != me
            {
                missed.push(Missed { topic: message.topic.clone(), payload: message.payload.clone() });
            }
        }
        if page.rows.len() < PAGE {
            return Ok(missed);
        }
        after = page.next;
    }
}

/// Finds the log entry from which on no message is older than `since`. Times in the log never go back.
fn first_since(history: &History, since: Timestamp, end: LogIndex) -> Result<u64, Error> {
    let (mut low, mut high) = (history.kept_from().0.max(1), end.0 + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let page = history.page(Position::before(middle), 1, Filter::Messages)?;
        match page.rows.first() {
            Some(row) if row.at < since => low = row.position.log_index + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}
