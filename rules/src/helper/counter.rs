//! `counter:`: a whole number that goes up and down.

use super::Told;
use crate::action::Failure;
use gable_devices::yaml::Fields;
use gable_devices::{Data, Value};
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Counter {
    initial: i64,
    step: i64,
    minimum: Option<i64>,
    maximum: Option<i64>,
}

impl Counter {
    pub(super) fn read(fields: &mut Fields<'_>) -> Option<Counter> {
        let initial = fields.integer("initial").unwrap_or(0);
        let step = fields.integer("step").unwrap_or(1);
        let (minimum, maximum) = (fields.integer("minimum"), fields.integer("maximum"));
        // Its value is always kept, so the other choice of `restore` has no meaning here.
        fields.accept(&["restore"]);
        if initial < 0 || step < 1 {
            fields.fail("`initial` is a number from 0 on, and `step` one from 1 on");
        }
        if let (Some(minimum), Some(maximum)) = (minimum, maximum)
            && minimum > maximum
        {
            fields.fail("`maximum` is less than `minimum`");
            return None;
        }
        Some(Counter { initial, step, minimum, maximum })
    }

    pub(super) fn first(&self) -> Value {
        self.value(self.initial)
    }

    pub(super) fn fit(&self, current: &Value) -> Value {
        self.value(current.state.parse().unwrap_or(self.initial))
    }

    pub(super) fn serve(&self, told: &Told<'_>) -> Result<Value, Failure> {
        let count: i64 = told.current.state.parse().unwrap_or(self.initial);
        Ok(self.value(match told.service {
            "increment" => count.saturating_add(self.step),
            "decrement" => count.saturating_sub(self.step),
            "reset" => self.initial,
            "set_value" => {
                let number = told.number("value")?;
                if number.fract() != 0.0 || self.bounded(number as i64) != number as i64 {
                    return Err(Failure::refusal(format!("{number} is not a number that it may have")));
                }
                number as i64
            }
            _ => return Err(told.unknown()),
        }))
    }

    fn bounded(&self, count: i64) -> i64 {
        let count = self.minimum.map_or(count, |minimum| count.max(minimum));
        self.maximum.map_or(count, |maximum| count.min(maximum))
    }

    fn value(&self, count: i64) -> Value {
        let mut attributes = BTreeMap::from([
            ("initial".to_owned(), Data::Int(self.initial)),
            ("step".to_owned(), Data::Int(self.step)),
        ]);
        let bounds = [("minimum", self.minimum), ("maximum", self.maximum)];
        let bounds =
            bounds.into_iter().filter_map(|(name, bound)| Some((name.to_owned(), Data::Int(bound?))));
        attributes.extend(bounds);
        Value { state: self.bounded(count).to_string(), attributes }
    }
}
