//! End to end: real processes, real brokers, real kills.

mod errors;
mod kills;
mod motion;
