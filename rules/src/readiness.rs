//! Whether an automation may fire at all.

use crate::{Quarantine, State};

/// How ready an automation is to fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness<'s> {
    /// It fires.
    On,
    /// It is turned off.
    Off,
    /// The storm guard has set it apart.
    Quarantined(&'s Quarantine),
    /// The files declare it with a mistake.
    Broken,
    /// It holds something that Gable does not run.
    Unsupported,
    /// The files declare none of this id.
    Unknown,
}

impl State {
    /// Returns how ready an automation is to fire.
    pub fn readiness(&self, automation: &str) -> Readiness<'_> {
        let has = |ids: &[String]| ids.iter().any(|id| id == automation);
        if let Some(declared) = self.home.automation(automation) {
            let is_on = self.rows.standings.get(automation).is_some_and(|standing| standing.is_on);
            return match self.quarantine(automation) {
                Some(quarantine) => Readiness::Quarantined(quarantine),
                None if is_on || declared.is_script => Readiness::On,
                None => Readiness::Off,
            };
        }
        match () {
            () if has(&self.home.broken) => Readiness::Broken,
            () if has(&self.home.unsupported) => Readiness::Unsupported,
            () => Readiness::Unknown,
        }
    }
}
