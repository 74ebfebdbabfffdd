//! `input_boolean:`: on or off.

use super::Told;
use crate::action::Failure;
use gable_devices::Value;
use gable_devices::yaml::Fields;
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct InputBoolean {
    initial: bool,
}

impl InputBoolean {
    pub(super) fn read(fields: &mut Fields<'_>) -> InputBoolean {
        InputBoolean { initial: fields.boolean("initial").unwrap_or(false) }
    }

    pub(super) fn first(&self) -> Value {
        value(self.initial)
    }

    pub(super) fn serve(&self, told: &Told<'_>) -> Result<Value, Failure> {
        Ok(value(match told.service {
            "turn_on" => true,
            "turn_off" => false,
            "toggle" => told.current.state != "on",
            _ => return Err(told.unknown()),
        }))
    }
}

fn value(is_on: bool) -> Value {
    Value { state: if is_on { "on" } else { "off" }.to_owned(), attributes: BTreeMap::new() }
}
