//! Words for whoever watches.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a program for the terminal")]

/// Prints a line.
pub(crate) fn say(line: &str) {
    println!("{line}");
}

/// Prints a line that is not part of the result.
pub(crate) fn complain(line: &str) {
    eprintln!("simulation: {line}");
}
