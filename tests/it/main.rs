//! The integration tests, one binary.

mod e2e;
mod ha_cases;
mod scenarios;
mod tidy;
