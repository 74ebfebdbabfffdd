//! `and`, `or`, `not`. An error inside makes the whole an error unless the rest has decided.

use super::{Condition, Scene};
use crate::reader::Reader;
use gable_devices::yaml::Fields;

/// Several conditions taken together.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Logic {
    And(Vec<Condition>),
    Or(Vec<Condition>),
    /// None of them holds.
    Not(Vec<Condition>),
}

impl Logic {
    pub(super) fn read(
        reader: &mut Reader,
        fields: &mut Fields<'_>,
        make: fn(Vec<Condition>) -> Logic,
    ) -> Option<Logic> {
        let node = fields.require("conditions")?;
        Some(make(Condition::read_all(reader, node, &fields.path_of("conditions"))))
    }

    pub(super) fn holds(&self, scene: &Scene<'_>) -> Result<bool, String> {
        match self {
            Logic::And(conditions) => Ok(!any(conditions, scene, false)?),
            Logic::Or(conditions) => any(conditions, scene, true),
            Logic::Not(conditions) => Ok(!any(conditions, scene, true)?),
        }
    }
}

/// Whether all of them hold, where an error is a no; with the reason for a no.
pub(crate) fn all_hold(conditions: &[Condition], scene: &Scene<'_>) -> Result<(), String> {
    match any(conditions, scene, false) {
        Ok(false) => Ok(()),
        Ok(true) => Err("a condition is not fulfilled".to_owned()),
        Err(error) => Err(format!("a condition can not be asked: {error}")),
    }
}

/// Whether any of the conditions is `wanted`. Errors count only if none is.
fn any(conditions: &[Condition], scene: &Scene<'_>, wanted: bool) -> Result<bool, String> {
    let mut first_error = None;
    let enabled = |(_, condition): &(usize, &Condition)| **condition != Condition::Disabled;
    for (n, condition) in conditions.iter().enumerate().filter(enabled) {
        match scene.ask(n, condition) {
            Ok(holds) if holds == wanted => return Ok(true),
            Ok(_) => {}
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    first_error.map_or(Ok(false), Err)
}
