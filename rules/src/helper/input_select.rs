//! `input_select:`: one of some options.

use super::Told;
use crate::action::Failure;
use crate::text::plain_text;
use gable_devices::yaml::Fields;
use gable_devices::{Data, Value};
use std::collections::BTreeMap;

/// The attribute that holds the options, also those that a service has set.
const OPTIONS: &str = "options";

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct InputSelect {
    options: Vec<String>,
    initial: Option<String>,
}

impl InputSelect {
    pub(super) fn read(fields: &mut Fields<'_>) -> Option<InputSelect> {
        fields.require(OPTIONS)?;
        let options = fields.texts(OPTIONS);
        let initial = fields.text("initial");
        if options.is_empty() {
            fields.fail("`options` names none");
        }
        if let Some(initial) = initial.as_ref().filter(|initial| !options.contains(initial)) {
            fields.fail(format!("`initial: {initial}` is not one of the options"));
        }
        Some(InputSelect { options, initial })
    }

    pub(super) fn first(&self) -> Value {
        let first = self.initial.as_ref().or(self.options.first());
        value(first.cloned().unwrap_or_default(), &self.options)
    }

    pub(super) fn fit(&self, current: &Value) -> Value {
        if self.options.contains(&current.state) {
            value(current.state.clone(), &self.options)
        } else {
            self.first()
        }
    }

    pub(super) fn serve(&self, told: &Told<'_>) -> Result<Value, Failure> {
        let options = match told.current.attributes.get(OPTIONS) {
            Some(Data::List(options) | Data::Tuple(options)) => options.iter().map(plain_text).collect(),
            _ => self.options.clone(),
        };
        let place = options.iter().position(|option| *option == told.current.state);
        let cycle = !matches!(told.data.get("cycle"), Some(Data::Bool(false)));
        let last = options.len().saturating_sub(1);
        let chosen = match told.service {
            "select_option" => {
                let option = told.text("option")?;
                if !options.contains(&option) {
                    let text = format!("`{option}` is not one of {}", options.join(", "));
                    return Err(Failure::refusal(text));
                }
                return Ok(value(option, &options));
            }
            "set_options" => return set_options(told),
            "select_next" => match place {
                Some(place) if place < last => place + 1,
                Some(place) if !cycle => place,
                Some(_) | None => 0,
            },
            "select_previous" => match place {
                Some(0) if !cycle => 0,
                Some(0) | None => last,
                Some(place) => place - 1,
            },
            "select_first" => 0,
            "select_last" => last,
            _ => return Err(told.unknown()),
        };
        Ok(value(options.get(chosen).cloned().unwrap_or_default(), &options))
    }
}

/// Takes other options, until the helper is declared in another way.
fn set_options(told: &Told<'_>) -> Result<Value, Failure> {
    let options: Vec<String> = match told.data.get(OPTIONS).map(Data::meaning) {
        Some(Data::List(options) | Data::Tuple(options)) => options.iter().map(plain_text).collect(),
        Some(Data::Text(option)) => vec![option.clone()],
        _ => Vec::new(),
    };
    let Some(first) = options.first() else {
        return Err(Failure::mistake("`options` names none"));
    };
    let kept = options.iter().find(|option| **option == told.current.state);
    Ok(value(kept.unwrap_or(first).clone(), &options))
}

fn value(state: String, options: &[String]) -> Value {
    let options = options.iter().cloned().map(Data::Text).collect();
    Value { state, attributes: BTreeMap::from([(OPTIONS.to_owned(), Data::List(options))]) }
}
