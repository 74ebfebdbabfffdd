//! `device_tracker`: whether a person or a thing is at home, or where else. Zones are not known here:
//! what is neither home nor away is the name of a place, as the device gives it.

use super::{Heard, Kind, PAYLOAD_NONE, Reported, Role, STATE_MAX, Source, Update};
use crate::Data;
use crate::entity::Fault;
use crate::yaml::Fields;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub(crate) struct DeviceTracker {
    state: Option<Source>,
    payload_home: String,
    payload_not_home: String,
    payload_reset: String,
    source_type: String,
}

impl DeviceTracker {
    pub(super) fn read(fields: &mut Fields<'_>) -> Option<DeviceTracker> {
        if !fields.has("state_topic") && !fields.has("json_attributes_topic") {
            fields.fail("neither `state_topic` nor `json_attributes_topic` is there");
        }
        let mut word = |key, default: &str| fields.text(key).unwrap_or_else(|| default.to_owned());
        let payload_home = word("payload_home", "home");
        let payload_not_home = word("payload_not_home", "not_home");
        let payload_reset = word("payload_reset", PAYLOAD_NONE);
        let types = ["bluetooth", "bluetooth_le", "gps", "router"].map(|word| (word, word));
        let source_type = fields.choice("source_type", &types).unwrap_or("gps").to_owned();
        let state = Source::read(fields, "state_topic", Some("value_template"));
        Some(DeviceTracker { state, payload_home, payload_not_home, payload_reset, source_type })
    }
}

impl Kind for DeviceTracker {
    fn sources(&self) -> Vec<(&str, Role)> {
        self.state.iter().map(|state| (state.filter.as_str(), Role::State)).collect()
    }

    fn decode(&self, heard: &Heard<'_, '_>, update: &mut Update) -> Result<(), Fault> {
        let template = self.state.as_ref().and_then(|state| state.template.as_ref());
        let Some(found) = heard.payload.render(template)? else { return Ok(()) };
        if found.chars().count() > STATE_MAX {
            return Err(Fault::TooLong);
        }
        update.state = Some(match () {
            () if found == self.payload_home => Reported::State("home".to_owned()),
            () if found == self.payload_not_home => Reported::State("not_home".to_owned()),
            () if found == self.payload_reset => Reported::Unknown,
            () => Reported::State(found),
        });
        Ok(())
    }

    fn add_attributes(&self, attributes: &mut BTreeMap<String, Data>) {
        attributes.insert("source_type".to_owned(), Data::Text(self.source_type.clone()));
    }
}
