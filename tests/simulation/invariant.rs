//! The invariants: what has to hold in every run, one file each.
//!
//! Each is a function of the recorded trace alone. It returns the first thing that is wrong, as a
//! sentence with the indices and numbers that a person needs to look further.

mod agreement;
mod commands;
mod commits;
mod histories;
mod inputs;
mod leaders;
mod order;
mod reads;
mod rest;
mod retained;
mod sessions;
mod shared;
mod survival;
mod timers;
mod wills;

use crate::trace::Trace;

/// A function that tells what is wrong in a trace.
pub(crate) type Check = fn(&Trace) -> Result<(), String>;

/// All invariants by their names.
pub(crate) const INVARIANTS: [(&str, Check); 15] = [
    ("survival", survival::check),
    ("agreement", agreement::check),
    ("leaders", leaders::check),
    ("inputs", inputs::check),
    ("reads", reads::check),
    ("timers", timers::check),
    ("commands", commands::check),
    ("commits", commits::check),
    ("sessions", sessions::check),
    ("shared", shared::check),
    ("order", order::check),
    ("retained", retained::check),
    ("wills", wills::check),
    ("histories", histories::check),
    ("rest", rest::check),
];

/// Returns all that is wrong in a trace: the invariant's name and the sentence.
pub(crate) fn violations(trace: &Trace) -> Vec<(&'static str, String)> {
    let checked = INVARIANTS.iter().map(|(name, check)| (*name, check(trace)));
    checked.filter_map(|(name, result)| result.err().map(|sentence| (name, sentence))).collect()
}
