//! Where a run stands in its actions.

use crate::action::{Action, Sequence};
use gable_devices::Data;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// The path to an action: for each action around it, from the outermost inwards, its place and the
/// branch taken, and then the place in the innermost sequence.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cursor {
    pub(crate) outer: Vec<Frame>,
    /// The place in the innermost sequence.
    pub(crate) place: u32,
    /// How many of the frames belong to the run that this one branched off from (`parallel:`).
    floor: u32,
}

/// An action that a run is inside of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Frame {
    place: u32,
    branch: u32,
    /// What a `repeat:` has to remember.
    pub(crate) pass: Option<Pass>,
}

/// One pass of a `repeat:`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pass {
    /// From 1.
    pub(crate) index: u32,
    /// How many there will be, where that is known.
    pub(crate) count: Option<u32>,
    /// What `for_each:` goes through.
    pub(crate) items: Vec<Data>,
    /// The `repeat` variable of the loop around.
    pub(crate) around: Option<Data>,
}

/// What a run finds where its cursor points.
pub(crate) enum Spot<'h> {
    Action(&'h Action),
    /// A pass of this `repeat:` has ended.
    EndOfPass(&'h Action),
    End,
}

impl Cursor {
    /// Moves on past the ends of sequences to what is to be done next.
    pub(crate) fn settle<'h>(&mut self, actions: &'h Sequence) -> Spot<'h> {
        loop {
            // A path that leads nowhere can not come from these actions; it counts as their end.
            let Some((around, sequence)) = self.locate(actions) else { return Spot::End };
            if let Some(action) = sequence.at(self.place) {
                return Spot::Action(action);
            }
            match (self.is_at_floor(), self.outer.last(), around) {
                (true, _, _) | (_, None, _) | (_, _, None) => return Spot::End,
                (false, Some(Frame { pass: Some(_), .. }), Some(repeat)) => return Spot::EndOfPass(repeat),
                (false, Some(_), Some(_)) => {
                    self.leave();
                }
            }
        }
    }

    /// The innermost sequence, and the action that it stands in.
    fn locate<'h>(&self, actions: &'h Sequence) -> Option<(Option<&'h Action>, &'h Sequence)> {
        let start = (None, actions);
        self.outer.iter().try_fold(start, |(_, sequence), frame| {
            let action = sequence.at(frame.place)?;
            Some((Some(action), action.branch(frame.branch)?))
        })
    }

    /// The path of the action here, or of the action around (`is_end`), as files say it:
    /// `actions[0].choose[1].sequence[0]`.
    pub(crate) fn path(&self, actions: &Sequence, is_end: bool) -> String {
        let mut path = "actions".to_owned();
        let mut sequence = Some(actions);
        let around = self.outer.len().saturating_sub(usize::from(is_end));
        // Writing to a text does not fail.
        for frame in self.outer.iter().take(around) {
            let action = sequence.and_then(|sequence| sequence.at(frame.place));
            let key = action.map(|action| action.branch_key(frame.branch)).unwrap_or_default();
            let _ = write!(path, "[{}].{key}", frame.place);
            sequence = action.and_then(|action| action.branch(frame.branch));
        }
        let innermost = self.outer.get(around).map_or(self.place, |frame| frame.place);
        let _ = write!(path, "[{innermost}]");
        path
    }

    /// The action that the cursor points at.
    pub(crate) fn action<'h>(&self, actions: &'h Sequence) -> Option<&'h Action> {
        self.locate(actions)?.1.at(self.place)
    }

    /// Whether leaving the innermost sequence would end the run.
    pub(crate) fn is_at_floor(&self) -> bool {
        u32::try_from(self.outer.len()).is_ok_and(|depth| depth <= self.floor)
    }

    pub(crate) fn advance(&mut self) {
        self.place = self.place.saturating_add(1);
    }

    pub(crate) fn enter(&mut self, branch: u32, pass: Option<Pass>) {
        self.outer.push(Frame { place: self.place, branch, pass });
        self.place = 0;
    }

    /// Goes on behind the action around; returns what a `repeat:` there had to remember.
    pub(crate) fn leave(&mut self) -> Option<Pass> {
        let frame = self.outer.pop()?;
        self.place = frame.place.saturating_add(1);
        frame.pass
    }

    /// Goes to the end of the innermost sequence.
    pub(crate) fn skip_to_end(&mut self) {
        self.place = u32::MAX;
    }

    /// The pass that the innermost frame is in.
    pub(crate) fn pass_mut(&mut self) -> Option<&mut Pass> {
        self.outer.last_mut()?.pass.as_mut()
    }

    /// Begins the innermost sequence again.
    pub(crate) fn rewind(&mut self) {
        self.place = 0;
    }

    /// The cursor of a run that does one branch of the action here, and no more.
    pub(crate) fn branch_off(&self, branch: u32) -> Cursor {
        let mut cursor = self.clone();
        cursor.enter(branch, None);
        cursor.floor = u32::try_from(cursor.outer.len()).unwrap_or(u32::MAX);
        cursor
    }
}
