//! `binary_sensor`: on or off, as a door, a motion or a presence is.

use super::{Heard, Kind, Role, Source, Update, decode_word};
use crate::Millis;
use crate::entity::Fault;
use crate::yaml::Fields;

#[derive(Clone, Debug)]
pub(crate) struct BinarySensor {
    state: Source,
    on: String,
    off: String,
    off_delay: Option<Millis>,
}

impl BinarySensor {
    pub(super) fn read(fields: &mut Fields<'_>) -> Option<BinarySensor> {
        fields.require("state_topic");
        let state = Source::read(fields, "state_topic", Some("value_template"));
        let on = fields.text("payload_on").unwrap_or_else(|| "ON".to_owned());
        let off = fields.text("payload_off").unwrap_or_else(|| "OFF".to_owned());
        // Home Assistant takes whole seconds here; the other notations mean what they say.
        let off_delay = fields.duration("off_delay");
        Some(BinarySensor { state: state?, on, off, off_delay })
    }
}

impl Kind for BinarySensor {
    fn sources(&self) -> Vec<(&str, Role)> {
        vec![(&self.state.filter, Role::State)]
    }

    fn decode(&self, heard: &Heard<'_, '_>, update: &mut Update) -> Result<(), Fault> {
        decode_word(heard.payload, Some(&self.state), [(self.on.as_str(), "on"), (&self.off, "off")], update)
    }

    fn off_delay(&self) -> Option<Millis> {
        self.off_delay
    }
}
