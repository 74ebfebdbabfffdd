//! `sensor`: a number with a unit, or a text.

use super::{Heard, Kind, PAYLOAD_NONE, Reported, Role, STATE_MAX, Source, Update, shorten};
use crate::Data;
use crate::entity::Fault;
use crate::yaml::Fields;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub(crate) struct Sensor {
    state: Source,
    /// Whether its states have to be numbers: it has a unit, a state class, or a device class that
    /// measures.
    is_numeric: bool,
    /// The states an enumeration allows; empty if it is none.
    options: Vec<String>,
    attributes: BTreeMap<String, Data>,
}

/// Device classes whose states are not numbers.
const TEXT_CLASSES: [&str; 3] = ["date", "enum", "timestamp"];

impl Sensor {
    pub(super) fn read(fields: &mut Fields<'_>) -> Option<Sensor> {
        fields.require("state_topic");
        fields.accept(&["last_reset_value_template"]);
        let state = Source::read(fields, "state_topic", Some("value_template"));
        let class = fields.text("device_class");
        let options = fields.texts("options");
        let precision = fields.integer("suggested_display_precision");
        let mut attributes = BTreeMap::new();
        for key in ["unit_of_measurement", "state_class"] {
            if let Some(text) = fields.text(key) {
                attributes.insert(key.to_owned(), Data::Text(text));
            }
        }
        if !options.is_empty() {
            let list = options.iter().map(|option| option.as_str().into()).collect();
            attributes.insert("options".to_owned(), Data::List(list));
        }
        let is_text_class = class.as_deref().is_some_and(|class| TEXT_CLASSES.contains(&class));
        let measures = class.is_some() || precision.is_some() || attributes.contains_key("state_class");
        let is_numeric = !is_text_class && (measures || attributes.contains_key("unit_of_measurement"));
        Some(Sensor { state: state?, is_numeric, options, attributes })
    }
}

impl Kind for Sensor {
    fn sources(&self) -> Vec<(&str, Role)> {
        vec![(&self.state.filter, Role::State)]
    }

    fn decode(&self, heard: &Heard<'_, '_>, update: &mut Update) -> Result<(), Fault> {
        let Some(found) = heard.payload.render(self.state.template.as_ref())? else { return Ok(()) };
        if found == PAYLOAD_NONE {
            update.state = Some(Reported::Unknown);
            return Ok(());
        }
        if self.is_numeric && !found.trim().parse().is_ok_and(f64::is_finite) {
            return Err(Fault::NotNumber(shorten(&found)));
        }
        if !self.options.is_empty() && !self.options.contains(&found) {
            return Err(Fault::Unexpected { found: shorten(&found), expected: self.options.join(" or ") });
        }
        if found.chars().count() > STATE_MAX {
            return Err(Fault::TooLong);
        }
        update.state = Some(Reported::State(found));
        Ok(())
    }

    fn add_attributes(&self, attributes: &mut BTreeMap<String, Data>) {
        attributes.extend(self.attributes.clone());
    }
}
