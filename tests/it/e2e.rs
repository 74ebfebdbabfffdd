//! End to end: real processes, real brokers, real kills.

#[cfg(target_os = "linux")]
mod address;
mod check;
mod discovery;
mod errors;
mod kills;
mod motion;
mod relay;
// Its helpers are tests as well, which clippy knows by this attribute alone.
#[cfg(test)]
mod server;
#[cfg(target_os = "linux")]
mod silence;
mod webhook;
mod why;
