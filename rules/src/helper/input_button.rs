//! `input_button:`: its state is when it was last pressed.

use super::Told;
use crate::action::Failure;
use crate::entity::UNKNOWN;
use gable_devices::{Data, Value};
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct InputButton;

impl InputButton {
    pub(super) fn first(&self) -> Value {
        Value { state: UNKNOWN.to_owned(), attributes: BTreeMap::new() }
    }

    pub(super) fn serve(&self, told: &Told<'_>) -> Result<Value, Failure> {
        match told.service {
            "press" => {
                let state = crate::text::plain_text(&Data::Time(told.world.now()));
                Ok(Value { state, attributes: BTreeMap::new() })
            }
            _ => Err(told.unknown()),
        }
    }
}
