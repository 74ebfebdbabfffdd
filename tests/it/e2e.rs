//! End to end: real processes, real brokers, real kills.

mod check;
mod discovery;
mod errors;
mod kills;
mod motion;
mod webhook;
mod why;
