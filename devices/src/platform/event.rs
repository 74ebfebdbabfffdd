//! `event`: something that happens and leaves no state: a button pressed, a gesture made.

use super::property::text_list;
use super::{Heard, Kind, PAYLOAD_NONE, Reported, Role, Source, Update, shorten};
use crate::Data;
use crate::entity::Fault;
use crate::yaml::Fields;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub(crate) struct Event {
    state: Source,
    types: Vec<String>,
}

const TYPE: &str = "event_type";

impl Event {
    pub(super) fn read(fields: &mut Fields<'_>) -> Option<Event> {
        fields.require("state_topic");
        fields.require("event_types");
        let state = Source::read(fields, "state_topic", Some("value_template"));
        let types = fields.texts("event_types");
        Some(Event { state: state?, types })
    }
}

impl Kind for Event {
    fn sources(&self) -> Vec<(&str, Role)> {
        vec![(&self.state.filter, Role::State)]
    }

    fn decode(&self, heard: &Heard<'_, '_>, update: &mut Update) -> Result<(), Fault> {
        let Some(found) = heard.payload.render(self.state.template.as_ref())? else { return Ok(()) };
        if found == PAYLOAD_NONE || found == "{}" {
            return Ok(());
        }
        let json = serde_json::from_str::<serde_json::Value>(&found).map_err(|_| Fault::NotJson)?;
        let Data::Map(event) = json.into() else { return Err(Fault::NotObject) };
        let name = event.get(TYPE).and_then(Data::as_text).unwrap_or_default();
        if !self.types.iter().any(|known| known == name) {
            let expected = format!("an `{TYPE}` out of {}", self.types.join(", "));
            return Err(Fault::Unexpected { found: shorten(name), expected });
        }
        update.attributes.extend(event);
        update.state = Some(Reported::Now);
        Ok(())
    }

    fn add_attributes(&self, attributes: &mut BTreeMap<String, Data>) {
        attributes.insert("event_types".to_owned(), text_list(&self.types));
    }
}
