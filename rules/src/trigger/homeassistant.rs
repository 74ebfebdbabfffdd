//! `trigger: homeassistant`: fires when the home starts.
//!
//! The home of several nodes starts when files are in force for the first time after no node was
//! up: once, and not again when a single node is started anew while others go on. It never shuts
//! down, so `shutdown` is taken, with a warning, and never fires.

use super::Trigger;
use crate::reader::Reader;
use gable_devices::Data;
use gable_devices::yaml::Fields;

/// Whether it is the start that fires it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HomeAssistantTrigger {
    pub(crate) is_start: bool,
}

impl HomeAssistantTrigger {
    pub(super) fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<HomeAssistantTrigger> {
        let node = fields.require("event")?;
        let is_start = fields.choice("event", &[("start", true), ("shutdown", false)])?;
        if !is_start {
            let message = "a home of several nodes does not shut down, so this never fires";
            reader.warnings.push(node.problem(&fields.path_of("event"), message));
        }
        Some(HomeAssistantTrigger { is_start })
    }

    /// The `trigger` variable of the run to come.
    pub(crate) fn variable(&self, trigger: &Trigger) -> Data {
        let own = [("platform", "homeassistant".into()), ("event", "start".into())];
        trigger.variable("Home Assistant starting".to_owned(), own)
    }
}
