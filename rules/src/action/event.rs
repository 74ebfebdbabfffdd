//! `event:`: fires an event that event triggers hear.

use super::Failure;
use crate::event::Event;
use crate::reader::Reader;
use crate::text::{DataText, Text};
use gable_devices::yaml::Fields;
use gable_devices::{Context, Data};

/// The event, any part of which may be a template.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EventAction {
    event_type: Text,
    data: Vec<DataText>,
}

impl EventAction {
    pub(super) fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<EventAction> {
        let path = fields.path_of("event");
        let event_type = fields.get("event").and_then(|node| reader.text(node, &path));
        let mut data = Vec::new();
        for key in ["event_data", "event_data_template"] {
            if let Some(node) = fields.get(key) {
                let path = fields.path_of(key);
                if reader.keep(node.expect_map(&path)).is_some() {
                    data.extend(DataText::read(reader, node, &path));
                }
            }
        }
        Some(EventAction { event_type: event_type?, data })
    }

    /// The event of one run.
    pub(crate) fn render(&self, context: &Context) -> Result<Event, Failure> {
        let event_type = self.event_type.render(context).map_err(Failure::mistake)?;
        let mut event = Event { event_type, data: Default::default() };
        for data in &self.data {
            if let Data::Map(map) = data.render(context).map_err(Failure::mistake)?.into_meaning() {
                event.data.extend(map);
            }
        }
        Ok(event)
    }
}
