//! `trigger: event`: fires on events of certain types, with certain data.

use super::Trigger;
use crate::event::Event;
use crate::reader::Reader;
use gable_devices::Data;
use gable_devices::yaml::Fields;
use std::collections::BTreeMap;

/// Which events fire it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EventTrigger {
    pub(super) event_types: Vec<String>,
    /// What their data have to hold.
    data: BTreeMap<String, Data>,
}

impl EventTrigger {
    pub(super) fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<EventTrigger> {
        fields.require("event_type")?;
        let event_types = fields.texts("event_type");
        let path = fields.path_of("event_data");
        let data = match fields.get("event_data") {
            Some(node) => reader.keep(node.expect_map(&path)).map(|_| node.to_data()),
            None => None,
        };
        reader.not_yet(fields, &["context"]);
        let data = match data {
            Some(Data::Map(map)) => map,
            _ => BTreeMap::new(),
        };
        Some(EventTrigger { event_types, data })
    }

    /// Whether the event, whose type fits, fires it.
    pub(crate) fn fires(&self, event: &Event) -> bool {
        self.data.iter().all(|(key, wanted)| event.data.get(key).is_some_and(|value| is_equal(value, wanted)))
    }

    /// The `trigger` variable of the run to come.
    pub(crate) fn variable(&self, trigger: &Trigger, event: &Event) -> Data {
        trigger.variable(
            format!("event '{}'", event.event_type),
            [("platform", "event".into()), ("event", event.to_data())],
        )
    }
}

/// Numbers are equal by value, and of a mapping only what is wanted has to be there.
fn is_equal(value: &Data, wanted: &Data) -> bool {
    match (value.meaning(), wanted) {
        (Data::Int(_) | Data::Float(_), Data::Int(_) | Data::Float(_)) => {
            value.to_number() == wanted.to_number()
        }
        (Data::Map(value), Data::Map(wanted)) => {
            wanted.iter().all(|(key, wanted)| value.get(key).is_some_and(|value| is_equal(value, wanted)))
        }
        (value, wanted) => value.means(wanted),
    }
}
