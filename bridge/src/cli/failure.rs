//! How a command ends when it does not end well: what happened, what to do next, and a number.

use std::fmt;
use std::io::Write;
use std::process::ExitCode;

/// The exit codes of `gable`; the help text of the command tells them too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The command did its work and the answer is no: broken files, a node that is not ready,
    /// something lost in the demo.
    No = 1,
    /// Wrong flags or settings; trying again unchanged does not help. clap exits with it as well.
    Usage = 2,
    /// The node could not start: a port in use, a data folder of another node.
    Start = 3,
    /// The node stopped because going on would be wrong; a supervisor should start it again.
    Fatal = 4,
    /// Nobody answered at the address.
    Unreachable = 5,
}

/// A failure as it is told: one line what, one line what to do next.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    error: anyhow::Error,
    hint: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, error: impl Into<anyhow::Error>, hint: impl Into<String>) -> Failure {
        Failure { exit, error: error.into(), hint: hint.into() }
    }

    /// Tells the failure on stderr and gives its exit code.
    pub(crate) fn report(&self) -> ExitCode {
        // Without a reader there is still the exit code.
        let _ = writeln!(std::io::stderr(), "{self}");
        ExitCode::from(self.exit as u8)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gable: {}", causes(&self.error))?;
        if self.hint.is_empty() { Ok(()) } else { write!(f, "\n  try: {}", self.hint) }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        Failure { exit: Exit::No, error, hint: String::new() }
    }
}

/// An error and its causes in one line; a cause that its effect has told already is left out.
pub(crate) fn causes(error: &anyhow::Error) -> String {
    let mut told = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        if told.is_empty() {
            told = text;
        } else if !told.contains(&text) {
            told = format!("{told}: {text}");
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_tells_each_cause_once_and_what_to_do() {
        let error =
            anyhow::anyhow!("address in use").context("cannot listen: address in use").context("no http");
        let failure = Failure::new(Exit::Start, error, "stop the other program");
        assert_eq!(
            failure.to_string(),
            "gable: no http: cannot listen: address in use\n  try: stop the other program"
        );
    }
}
