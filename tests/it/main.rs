//! The integration tests, one binary.

// Their helpers are tests as well, which clippy knows by this attribute alone.
#[cfg(test)]
mod corpus;
mod e2e;
#[cfg(test)]
mod ha_cases;
mod mutations;
#[cfg(test)]
mod order;
#[cfg(test)]
mod scenarios;
mod tidy;
