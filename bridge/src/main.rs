//! The command `gable`.

fn main() {}
