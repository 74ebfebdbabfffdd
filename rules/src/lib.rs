//! The functional core of Gable: what the home is, as a pure function of its log.
//!
//! [`State::apply`] takes one committed [`Input`] and returns the [`Effect`]s that follow. Every
//! node runs it over the same log and reaches the same bytes; nothing here reads a clock, draws a
//! random number or does I/O.

mod action;
mod apply;
mod attach;
mod automation;
mod cache;
mod calendar;
mod clock;
mod condition;
mod configure;
mod deliveries;
mod echoes;
mod effect;
mod entity;
mod event;
mod fnv;
mod guard;
mod helper;
mod home;
mod ids;
mod input;
mod listener;
mod nodes;
mod outbox;
mod range;
mod react;
mod reader;
mod readiness;
pub mod replay;
mod route_cache;
mod run;
mod scene;
mod schedule;
mod script;
mod seen;
mod service;
mod snapshot;
mod span;
mod standing;
mod start;
mod state;
mod sun;
mod takeover;
mod text;
mod timer;
pub mod trace;
mod trigger;
mod values;
mod view;
mod watch;
mod work;
mod world;

pub use cache::{Cache, Counters, Policy, PolicyError};
pub use calendar::{Calendar, DeclaredPlace, OffsetChange, Place, Position, SunEvent, SunMoment, SunTable};
pub use effect::{Effect, Ended, Refusal, TimerReason};
pub use entity::EntityState;
pub use guard::{Quarantine, RUNS_PER_SECOND};
pub use home::{Missing, Problem, Reference, Report, Severity, check, references};
pub use ids::{CommandId, Id, IdError, LogIndex, NodeId, RunId, TimerId};
pub use input::{Hlc, Input, InputKind, Message, Origin, SourceFile};
pub use listener::{Listener, Owner};
pub use nodes::Node;
pub use outbox::{COMMAND_DEADLINE, OUTBOX_MAX, OutboxRow, Status};
pub use readiness::Readiness;
pub use run::{ACTIONS_PER_RUN_MAX, Cursor, RUNS_MAX, Run, Wait};
pub use schedule::ScheduleKey;
pub use snapshot::SnapshotError;
pub use state::State;
pub use timer::{Purpose, Timer, TriggerFor, TriggerKey};
pub use work::{ACTIONS_PER_INPUT_MAX, CHAIN_MAX};
