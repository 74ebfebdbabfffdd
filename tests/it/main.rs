//! The integration tests, one binary.

mod e2e;
// Their helpers are tests as well, which clippy knows by this attribute alone.
#[cfg(test)]
mod ha_cases;
#[cfg(test)]
mod scenarios;
mod mutations;
mod tidy;
