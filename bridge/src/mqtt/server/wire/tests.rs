//! Packets against the specification.
