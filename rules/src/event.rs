//! Events of the home: what actions fire, what helpers report, and what event triggers hear.

use gable_devices::Data;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One event, which is over as soon as it was heard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) event_type: String,
    pub(crate) data: BTreeMap<String, Data>,
}

impl Event {
    /// The form in which templates see it, as `trigger.event`.
    pub(crate) fn to_data(&self) -> Data {
        Data::Map(BTreeMap::from([
            ("event_type".to_owned(), Data::Text(self.event_type.clone())),
            ("data".to_owned(), Data::Map(self.data.clone())),
        ]))
    }
}
