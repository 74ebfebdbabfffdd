//! The functional core of Gable: what the home is, as a pure function of its log.
//!
//! [`State::apply`] takes one committed [`Input`] and returns the [`Effect`]s that follow. Every
//! node runs it over the same log and reaches the same bytes; nothing here reads a clock, draws a
//! random number or does I/O.

mod effect;
mod ids;
mod input;

pub use effect::{Effect, Ended, Refusal};
pub use ids::{CommandId, Id, LogIndex, NodeId, RunId, TimerId};
pub use input::{Hlc, Input, InputKind, Message, Origin, SourceFile};
