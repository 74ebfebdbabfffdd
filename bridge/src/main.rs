//! The command `gable`: parses the command line and leaves the rest to the library.

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    gable::cli::run(gable::cli::Cli::parse())
}
