//! The home's files, compiled: entities, automations, and what is wrong with either.

use gable_devices::yaml;
use std::fmt;

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// What it stands in is out of use until it is mended.
    Error,
    /// Probably not what was meant; it is in use.
    Warning,
}

/// One thing that is wrong in the home's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub severity: Severity,
    /// The automation that it concerns.
    pub automation: Option<String>,
    /// The place, what is wrong there, and what was perhaps meant.
    pub what: yaml::Problem,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.severity, self.what)
    }
}

/// What is to be said about a home's files.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    pub entities: usize,
    /// The automations that run.
    pub automations: usize,
    /// The automations that are broken.
    pub broken: usize,
    /// In the order of the files.
    pub problems: Vec<Problem>,
}

/// Compiles the files only to say what is wrong with them.
pub fn check(_sources: &[crate::SourceFile]) -> Report {
    Report::default()
}
