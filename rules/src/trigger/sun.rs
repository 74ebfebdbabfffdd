//! `trigger: sun`: fires at sunrise or sunset, or some time before or after it.

use super::Trigger;
use crate::calendar::SunEvent;
use crate::reader::Reader;
use crate::schedule::recurrence::Recurrence;
use crate::text::offset_text;
use gable_devices::Data;
use gable_devices::yaml::Fields;

/// What the sun has to do, and how much later, in milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SunTrigger {
    event: SunEvent,
    offset: i64,
}

/// The words for what the sun does.
pub(crate) const EVENTS: [(&str, SunEvent); 2] =
    [("sunrise", SunEvent::Rising), ("sunset", SunEvent::Setting)];

impl SunTrigger {
    pub(super) fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<SunTrigger> {
        fields.require("event");
        let event = fields.choice("event", &EVENTS);
        let offset = reader.offset(fields, "offset").unwrap_or(0);
        Some(SunTrigger { event: event?, offset })
    }

    pub(crate) fn recurrence(&self) -> Recurrence {
        Recurrence::Sun { event: self.event, offset: self.offset }
    }

    /// The `trigger` variable of the run to come.
    pub(crate) fn variable(&self, trigger: &Trigger) -> Data {
        let word = EVENTS.iter().find(|(_, event)| *event == self.event).map_or("", |(word, _)| word);
        let (description, offset) = match self.offset {
            0 => (word.to_owned(), Data::Int(0)),
            offset => (format!("{word} with offset"), Data::Text(offset_text(offset))),
        };
        trigger
            .variable(description, [("platform", "sun".into()), ("event", word.into()), ("offset", offset)])
    }
}
