//! `input_text:`: a text of some length.

use super::Told;
use crate::action::Failure;
use crate::entity::UNKNOWN;
use gable_devices::yaml::Fields;
use gable_devices::{Data, Value};
use std::collections::BTreeMap;

/// The longest state that there is.
const LENGTH_MAX: i64 = 255;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct InputText {
    min: i64,
    max: i64,
    initial: Option<String>,
    pattern: Option<String>,
    mode: String,
}

impl InputText {
    pub(super) fn read(fields: &mut Fields<'_>) -> Option<InputText> {
        let min = fields.integer("min").unwrap_or(0);
        let max = fields.integer("max").unwrap_or(100);
        let initial = fields.text("initial");
        let pattern = fields.text("pattern");
        let mode = fields.choice("mode", &[("text", "text"), ("password", "password")]).unwrap_or("text");
        fields.accept(&["unit_of_measurement"]);
        if !(0..=LENGTH_MAX).contains(&min) || !(min..=LENGTH_MAX).contains(&max) {
            fields.fail(format!("`min` and `max` are lengths from 0 to {LENGTH_MAX}, in this order"));
        }
        let text = InputText { min, max, initial, pattern, mode: mode.to_owned() };
        if text.initial.as_ref().is_some_and(|initial| !text.fits(initial)) {
            fields.fail(format!("`initial` is not from {min} to {max} characters long"));
        }
        Some(text)
    }

    fn fits(&self, text: &str) -> bool {
        i64::try_from(text.chars().count()).is_ok_and(|length| (self.min..=self.max).contains(&length))
    }

    pub(super) fn first(&self) -> Value {
        self.value(self.initial.clone().unwrap_or_else(|| UNKNOWN.to_owned()))
    }

    pub(super) fn serve(&self, told: &Told<'_>) -> Result<Value, Failure> {
        if told.service != "set_value" {
            return Err(told.unknown());
        }
        Ok(self.value(told.text("value")?))
    }

    /// Why a text is passed over: so it is in Home Assistant, and the run goes on.
    pub(super) fn misfit(&self, data: &BTreeMap<String, Data>) -> Option<String> {
        let text = crate::text::plain_text(data.get("value")?);
        let is_misfit = !self.fits(&text);
        is_misfit.then(|| format!("`{text}` is not from {} to {} characters long", self.min, self.max))
    }

    pub(super) fn value(&self, state: String) -> Value {
        let attributes = BTreeMap::from([
            ("min".to_owned(), Data::Int(self.min)),
            ("max".to_owned(), Data::Int(self.max)),
            ("pattern".to_owned(), self.pattern.clone().map_or(Data::Null, Data::Text)),
            ("mode".to_owned(), Data::Text(self.mode.clone())),
        ]);
        Value { state, attributes }
    }
}
