//! `input_number:`: a number between two others.

use super::Told;
use crate::action::Failure;
use gable_devices::yaml::{Fields, float_text};
use gable_devices::{Data, Value};
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct InputNumber {
    min: f64,
    max: f64,
    step: f64,
    initial: Option<f64>,
    mode: String,
    unit: Option<String>,
}

impl InputNumber {
    pub(super) fn read(fields: &mut Fields<'_>) -> Option<InputNumber> {
        fields.require("min");
        fields.require("max");
        let (min, max) = (fields.number("min"), fields.number("max"));
        let step = fields.number("step").unwrap_or(1.0);
        let initial = fields.number("initial");
        let mode = fields.choice("mode", &[("slider", "slider"), ("box", "box")]).unwrap_or("slider");
        let unit = fields.text("unit_of_measurement");
        let (min, max) = (min?, max?);
        if min >= max {
            fields.fail("`max` is not more than `min`");
        }
        if step <= 0.0 {
            fields.fail("`step` is not more than 0");
        }
        if initial.is_some_and(|initial| !(min..=max).contains(&initial)) {
            fields.fail("`initial` is not between `min` and `max`");
        }
        Some(InputNumber { min, max, step, initial, mode: mode.to_owned(), unit })
    }

    pub(super) fn first(&self) -> Value {
        self.value(self.initial.unwrap_or(self.min))
    }

    pub(super) fn fit(&self, current: &Value) -> Value {
        let number = current.state.parse().unwrap_or(self.min);
        self.value(number.clamp(self.min, self.max))
    }

    pub(super) fn serve(&self, told: &Told<'_>) -> Result<Value, Failure> {
        let current = told.current.state.parse().unwrap_or(self.min);
        let number = match told.service {
            "set_value" => {
                let number = told.number("value")?;
                if !(self.min..=self.max).contains(&number) {
                    let text = format!("{number} is not between {} and {}", self.min, self.max);
                    return Err(Failure::mistake(text));
                }
                number
            }
            "increment" => (current + self.step).min(self.max),
            "decrement" => (current - self.step).max(self.min),
            _ => return Err(told.unknown()),
        };
        Ok(self.value(number))
    }

    fn value(&self, number: f64) -> Value {
        let mut attributes = BTreeMap::from([
            ("initial".to_owned(), self.initial.map_or(Data::Null, Data::Float)),
            ("min".to_owned(), Data::Float(self.min)),
            ("max".to_owned(), Data::Float(self.max)),
            ("step".to_owned(), Data::Float(self.step)),
            ("mode".to_owned(), Data::Text(self.mode.clone())),
        ]);
        let unit = self.unit.clone().map(|unit| ("unit_of_measurement".to_owned(), Data::Text(unit)));
        attributes.extend(unit);
        Value { state: float_text(number), attributes }
    }
}
