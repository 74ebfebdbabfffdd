//! Planted faults: each shows that one invariant notices what it is for.
//!
//! Where the real parts can be made to fail, they are; where they can not, one record of an
//! otherwise real run is falsified afterwards.

mod clients;
mod shares;

use crate::faults::Edge;
use crate::trace::{Entry, Event, Trace};
use gable_rules::{Effect, LogIndex, NodeId};
use std::fmt;
use std::rc::Rc;

/// A fault that an invariant has to notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plant {
    /// All disks report syncs that they do not make, and the power fails everywhere.
    LyingDisks,
    /// All disks lose what they had synced last.
    LostWrites,
    /// A device hands an acknowledged message in again, under the same number.
    RepeatedMessage,
    /// One node's state differs from the others' at one entry.
    StrayState,
    /// One node's history lacks a row.
    TornHistory,
    /// A timer is told to fire a second time.
    DoubledTimer,
    /// A timer is found to have fired before its deadline.
    EarlyTimer,
    /// A second node leads a term.
    SecondLeader,
    /// A read is found to have missed what was known.
    OldRead,
    /// The dispatcher reports commands that it did not publish.
    UnsentCommand,
    /// One node stays cut off after the faults.
    LastingCut,
    /// A node's disk fails without anybody having cut it.
    BrokenDisk,
    /// A node is found to have acknowledged a message as soon as it was sent.
    EarlyAck,
    /// A node is found to have acknowledged a message before it had applied it.
    UnappliedAck,
    /// A session's client is found to have missed a message.
    LostDelivery,
    /// A client is found to have got a message again that nothing marks.
    UnmarkedCopy,
    /// Two messages are found to have come the wrong way round.
    SwappedDeliveries,
    /// A node is found to show an old retained message.
    OldRetained,
    /// A will is found to have been published again.
    DoubledWill,
    /// Two members of a group are found to have got one message.
    DoubledShare,
    /// A message of a group is found to have reached none of its members.
    LostShare,
    /// A member is found to have got a message for which others were there.
    MisplacedShare,
}

/// All plants, by their names, with the invariant that has to notice each.
pub(crate) const PLANTS: [(&str, Plant, &str); 22] = [
    ("lying-disks", Plant::LyingDisks, "survival"),
    ("lost-writes", Plant::LostWrites, "inputs"),
    ("repeated-message", Plant::RepeatedMessage, "inputs"),
    ("stray-state", Plant::StrayState, "agreement"),
    ("torn-history", Plant::TornHistory, "histories"),
    ("doubled-timer", Plant::DoubledTimer, "timers"),
    ("early-timer", Plant::EarlyTimer, "timers"),
    ("second-leader", Plant::SecondLeader, "leaders"),
    ("old-read", Plant::OldRead, "reads"),
    ("unsent-command", Plant::UnsentCommand, "commands"),
    ("lasting-cut", Plant::LastingCut, "rest"),
    ("broken-disk", Plant::BrokenDisk, "survival"),
    ("early-ack", Plant::EarlyAck, "commits"),
    ("unapplied-ack", Plant::UnappliedAck, "commits"),
    ("lost-delivery", Plant::LostDelivery, "sessions"),
    ("unmarked-copy", Plant::UnmarkedCopy, "sessions"),
    ("swapped-deliveries", Plant::SwappedDeliveries, "order"),
    ("old-retained", Plant::OldRetained, "retained"),
    ("doubled-will", Plant::DoubledWill, "wills"),
    ("doubled-share", Plant::DoubledShare, "shared"),
    ("lost-share", Plant::LostShare, "shared"),
    ("misplaced-share", Plant::MisplacedShare, "shared"),
];

impl Plant {
    /// Returns the plant of that name.
    pub(crate) fn named(name: &str) -> Option<Plant> {
        PLANTS.iter().find(|(known, ..)| *known == name).map(|(_, plant, _)| *plant)
    }

    /// Returns the invariant that has to notice it.
    pub(crate) fn noticed_by(self) -> &'static str {
        PLANTS.iter().find(|(_, plant, _)| *plant == self).map_or("", |(.., invariant)| invariant)
    }

    /// Returns the edge with which it is shown.
    pub(crate) fn edge(self) -> Edge {
        match self {
            Plant::EarlyAck
            | Plant::UnappliedAck
            | Plant::LostDelivery
            | Plant::UnmarkedCopy
            | Plant::SwappedDeliveries
            | Plant::OldRetained
            | Plant::DoubledWill
            | Plant::DoubledShare
            | Plant::LostShare
            | Plant::MisplacedShare => Edge::Server,
            Plant::LyingDisks
            | Plant::LostWrites
            | Plant::RepeatedMessage
            | Plant::StrayState
            | Plant::TornHistory
            | Plant::DoubledTimer
            | Plant::EarlyTimer
            | Plant::SecondLeader
            | Plant::OldRead
            | Plant::UnsentCommand
            | Plant::LastingCut
            | Plant::BrokenDisk => Edge::Attach,
        }
    }

    /// Falsifies the record of a run, for the plants that the real parts can not be made to show.
    pub(crate) fn falsify(self, trace: &mut Trace) {
        match self {
            Plant::StrayState => stray_state(trace),
            Plant::TornHistory => torn_history(trace),
            Plant::DoubledTimer => doubled_timer(trace),
            Plant::EarlyTimer => early_timer(trace),
            Plant::SecondLeader => second_leader(trace),
            Plant::OldRead => old_read(trace),
            Plant::EarlyAck => clients::early_ack(trace),
            Plant::UnappliedAck => clients::unapplied_ack(trace),
            Plant::LostDelivery => clients::lost_delivery(trace),
            Plant::UnmarkedCopy => clients::unmarked_copy(trace),
            Plant::SwappedDeliveries => clients::swapped_deliveries(trace),
            Plant::OldRetained => clients::old_retained(trace),
            Plant::DoubledWill => clients::doubled_will(trace),
            Plant::DoubledShare => shares::doubled(trace),
            Plant::LostShare => shares::lost(trace),
            Plant::MisplacedShare => shares::misplaced(trace),
            Plant::LyingDisks
            | Plant::LostWrites
            | Plant::RepeatedMessage
            | Plant::UnsentCommand
            | Plant::LastingCut
            | Plant::BrokenDisk => {}
        }
    }
}

impl fmt::Display for Plant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = PLANTS.iter().find(|(_, plant, _)| plant == self).map_or("?", |(name, ..)| name);
        f.write_str(name)
    }
}

fn stray_state(trace: &mut Trace) {
    let mut dice = trace.dice("stray-state");
    let applied = trace.events.iter_mut().filter_map(|(_, event)| match event {
        Event::Applied { hash, .. } => Some(hash),
        _ => None,
    });
    // Behind the middle of the run, so that other nodes have applied the entry as well.
    let mut hashes: Vec<_> = applied.collect();
    let at = hashes.len() / 2 + dice.within(0..20) as usize;
    if let Some(hash) = hashes.get_mut(at) {
        **hash ^= 1;
    }
}

fn torn_history(trace: &mut Trace) {
    let mut dice = trace.dice("torn-history");
    let last = trace.events.iter_mut().rev().find_map(|(_, event)| match event {
        Event::History { rows, last: true, .. } if !rows.is_empty() => Some(rows),
        _ => None,
    });
    if let Some(rows) = last {
        let at = dice.within(0..rows.len() as u64) as usize;
        rows.remove(at);
    }
}

/// Lets the log end with an entry in which a timer fires that has fired before.
fn doubled_timer(trace: &mut Trace) {
    let Some((position, entry)) = fired(trace) else { return };
    let last = trace.log().last_key_value().map_or(entry.index, |(index, _)| *index);
    let doubled = Rc::new(Entry { index: LogIndex(last.0 + 1), ..entry });
    let (at, Event::Applied { node, .. }) = &trace.events[position] else { return };
    let event = (*at, Event::Applied { node: *node, entry: doubled, hash: 0 });
    trace.events.push(event);
}

/// Stamps the entry in which a timer fired with a time before its deadline.
fn early_timer(trace: &mut Trace) {
    let Some((_, fired)) = fired(trace) else { return };
    for (_, event) in &mut trace.events {
        if let Event::Applied { entry, .. } = event
            && entry.index == fired.index
        {
            let mut early = fired.clone();
            early.inputs.iter_mut().for_each(|(input, _)| input.at.0 -= 1000);
            *entry = Rc::new(early);
        }
    }
}

/// Returns the first entry in which a timer fired, and its place in the trace.
fn fired(trace: &Trace) -> Option<(usize, Entry)> {
    let is_fired = |effect: &Effect| matches!(effect, Effect::TimerFired { .. });
    let mut events = trace.events.iter().enumerate();
    events.find_map(|(position, (_, event))| match event {
        Event::Applied { entry, .. }
            if entry.inputs.iter().any(|(_, effects)| effects.iter().any(is_fired)) =>
        {
            Some((position, Entry::clone(entry)))
        }
        _ => None,
    })
}

fn second_leader(trace: &mut Trace) {
    let led = trace.events.iter().position(|(_, event)| matches!(event, Event::Leads { .. }));
    let Some(position) = led else { return };
    let (at, Event::Leads { node, term }) = &trace.events[position] else { return };
    let other = Event::Leads { node: NodeId(node.0 % 3 + 1), term: *term };
    let at = *at;
    trace.events.insert(position + 1, (at, other));
}

fn old_read(trace: &mut Trace) {
    let read = trace.events.iter_mut().find_map(|(_, event)| match event {
        Event::Read { index, known, .. } if *known > LogIndex(0) => Some((index, known)),
        _ => None,
    });
    if let Some((index, known)) = read {
        index.0 = known.0 - 1;
    }
}
