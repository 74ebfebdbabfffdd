//! The integration tests, one binary.

mod e2e;
mod tidy;
