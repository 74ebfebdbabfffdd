//! Gable is the broker: three nodes that are one, real clients, real kills.

mod abuse;
mod clients;
mod commit;
mod home;
mod kills;
mod retained;
mod sessions;
mod users;
mod wills;

/// A home that minds its own business.
const HOME: &str = "input_boolean:\n  guests: {}\n";
