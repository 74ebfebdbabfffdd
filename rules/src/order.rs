//! What happens at different nodes within milliseconds, put back into its order for the automations
//! that ask (`ordered:`).
//!
//! The log orders what happens by when it was committed; each node stamps it by when it was heard. An
//! automation with `ordered: 50ms` gets what happens from a buffer, in the order of the stamps, once
//! log time has passed stamp and window. All other automations act at once.

use crate::event::Event;
use crate::timer::{Purpose, Slot};
use crate::trigger::Change;
use crate::work::{Happening, Work};
use crate::{Hlc, Input, Message, NodeId};
use gable_devices::{Millis, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The longest window.
pub(crate) const WINDOW_MAX: Millis = Millis::from_secs(10);

/// How much one window holds back. At more the earliest is handed over before its time, and what
/// comes with an earlier stamp after that is late.
const HELD_BACK_MAX: usize = 256;

/// How far ahead of log time a stamp is believed. One that lies further ahead comes from a clock that
/// is wrong, and would make everything after it late: it counts as of now.
const AHEAD_MAX: Millis = Millis::from_secs(10);

/// When and where something was heard, and which it was of what one input brought about: the order in
/// which things happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Heard {
    pub(crate) at: Hlc,
    pub(crate) node: NodeId,
    boot: u64,
    sequence: u64,
    /// From 1; 0 is the input itself.
    pub(crate) n: u32,
}

/// How two things that happened stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    Before,
    /// Heard by two nodes whose clocks can not tell which was first.
    Concurrent,
    After,
}

impl Heard {
    pub(crate) fn of(input: &Input) -> Heard {
        let origin = input.origin;
        Heard { at: input.heard, node: origin.node, boot: origin.boot, sequence: origin.sequence, n: 0 }
    }

    /// How this stands to something `earlier`, where clocks of two nodes differ by less than `error`.
    pub(crate) fn relation_to(&self, earlier: &Heard, error: Millis) -> Relation {
        let apart = self.at.wall.0.abs_diff(earlier.at.wall.0);
        if self.node != earlier.node && apart < error.0 {
            Relation::Concurrent
        } else if self > earlier {
            Relation::After
        } else {
            Relation::Before
        }
    }
}

/// What is being looked at, and by whom.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Look {
    pub(crate) heard: Heard,
    /// The triggers of this window look; where there is none, those that act at once.
    pub(crate) window: Option<Millis>,
    /// Whether it came after its window, or after something later was handed over.
    pub(crate) is_late: bool,
}

/// Something that happened, in a form that can wait.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Deferred {
    Message(Message),
    Change(Change),
    Event(Event),
}

/// What is held back, by window.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Reorder(BTreeMap<Millis, Buffer>);

/// What one window holds back.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Buffer {
    waiting: BTreeMap<Heard, Waiting>,
    /// The latest of what was handed over.
    handed: Option<Heard>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Waiting {
    due: Timestamp,
    is_late: bool,
    what: Deferred,
}

impl Buffer {
    fn first_due(&self) -> Option<Timestamp> {
        self.waiting.values().map(|waiting| waiting.due).min()
    }

    /// The latest of what is due.
    fn latest_due(&self, now: Timestamp) -> Option<Heard> {
        self.waiting.iter().rev().find(|(_, waiting)| waiting.due <= now).map(|(heard, _)| *heard)
    }

    fn pop_up_to(&mut self, last: &Heard) -> Option<(Heard, Waiting)> {
        let first = self.waiting.first_entry().filter(|first| first.key() <= last)?.remove_entry();
        self.handed = self.handed.max(Some(first.0));
        Some(first)
    }
}

impl Work<'_> {
    /// Holds back what is being looked at for the triggers of one window.
    pub(crate) fn defer(&mut self, window: Millis, what: Deferred) {
        let now = self.rows.now;
        let mut heard = self.look.heard;
        if heard.at.wall > now.after(AHEAD_MAX) {
            heard.at = Hlc { wall: now, counter: 0 };
        }
        let due = heard.at.wall.min(now).after(window);
        let buffer = self.rows.reorder.0.entry(window).or_default();
        let is_late = due <= now || buffer.handed.is_some_and(|handed| heard < handed);
        let is_full = buffer.waiting.len() >= HELD_BACK_MAX;
        let first = buffer.waiting.first_key_value().map(|(first, _)| *first);
        buffer.waiting.insert(heard, Waiting { due, is_late, what });
        if is_late {
            // What is earlier and still waits goes first.
            self.hand_over(window, &heard);
        } else if is_full && let Some(first) = first {
            self.hand_over(window, &first.min(heard));
        }
        self.watch_window(window);
    }

    /// The time of a window's next has come.
    pub(crate) fn on_window_due(&mut self, window: Millis) {
        let now = self.rows.now;
        let last = self.rows.reorder.0.get(&window).and_then(|buffer| buffer.latest_due(now));
        if let Some(last) = last {
            self.hand_over(window, &last);
        }
        self.watch_window(window);
    }

    /// Hands over all that is no later than `last`.
    fn hand_over(&mut self, window: Millis, last: &Heard) {
        while let Some((heard, waiting)) =
            self.rows.reorder.0.get_mut(&window).and_then(|buffer| buffer.pop_up_to(last))
        {
            let look = Look { heard, window: Some(window), is_late: waiting.is_late };
            self.look_again(Happening::Deferred(look, waiting.what));
        }
    }

    /// Keeps the window's timer at its next deadline.
    fn watch_window(&mut self, window: Millis) {
        let slot = Slot::Window(window);
        let set = self.rows.timers.in_slot(&slot).map(|(_, timer)| timer.deadline);
        match self.rows.reorder.0.get(&window).and_then(Buffer::first_due) {
            None => self.cancel_slot(&slot),
            Some(due) if set != Some(due) => {
                self.set_timer(due, Purpose::Window(window));
            }
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_of_two_nodes_tell_no_order_below_their_error() {
        use Relation::{After, Before, Concurrent};
        let heard = |node, wall| Heard {
            at: Hlc { wall: Timestamp(wall), counter: 0 },
            node: NodeId(node),
            ..Heard::default()
        };
        let check = |earlier: (u64, i64), later: (u64, i64), expected| {
            let (earlier, later) = (heard(earlier.0, earlier.1), heard(later.0, later.1));
            assert_eq!(later.relation_to(&earlier, Millis(2)), expected, "{earlier:?} {later:?}");
        };
        check((1, 10), (2, 12), After);
        check((1, 12), (2, 10), Before);
        check((1, 10), (2, 11), Concurrent);
        check((2, 11), (1, 10), Concurrent);
        check((1, 10), (2, 10), Concurrent);
        // One node knows the order of what it heard.
        check((1, 10), (1, 11), After);
        check((1, 11), (1, 10), Before);
        check((1, 10), (1, 10), Before);
    }
}
