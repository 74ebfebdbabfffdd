//! `condition: state`: an entity is in one of some states, perhaps for some time.

use super::Scene;
use crate::reader::Reader;
use crate::span::Span;
use crate::text::{plain_text, timedelta_text};
use crate::trace::Saw;
use gable_devices::yaml::{Fields, Node};
use gable_devices::{Data, EntityId};

/// Which entities, and which states.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StateCondition {
    entity_ids: Vec<EntityId>,
    states: Vec<Wanted>,
    attribute: Option<String>,
    hold: Option<Span>,
    /// `match: any`: one of the entities is enough.
    is_any: bool,
}

/// What the state, or the attribute, may be.
#[derive(Clone, Debug, PartialEq)]
enum Wanted {
    /// A state, or a value of an attribute.
    Value(Data),
    /// Whatever this helper is at.
    OfHelper(EntityId),
}

impl Wanted {
    fn read(reader: &mut Reader, node: &Node, path: &str, is_attribute: bool) -> Option<Wanted> {
        // A state is always text, while an attribute may hold anything.
        let value = if is_attribute { node.to_data() } else { Data::Text(reader.state_text(node, path)?) };
        let helper = value.as_text().filter(|text| names_helper(text));
        match helper.map(|text| text.to_owned()) {
            Some(text) => reader.entity_id_in(node, path, &text).map(Wanted::OfHelper),
            None => Some(Wanted::Value(value)),
        }
    }

    fn is(&self, scene: &Scene<'_>, value: &Data) -> Result<bool, String> {
        Ok(match self {
            Wanted::Value(wanted) => is_equal(wanted, value),
            Wanted::OfHelper(entity_id) => value.as_text() == Some(&*scene.state(entity_id)?.0),
        })
    }

    fn text(&self) -> String {
        match self {
            Wanted::Value(value) => plain_text(value),
            Wanted::OfHelper(entity_id) => entity_id.to_string(),
        }
    }
}

/// Whether a text is the id of a helper whose state Home Assistant takes in its place.
fn names_helper(text: &str) -> bool {
    const DOMAINS: [&str; 5] =
        ["input_select.", "input_text.", "input_number.", "input_boolean.", "input_datetime."];
    DOMAINS.iter().any(|domain| text.starts_with(domain)) && text.parse::<EntityId>().is_ok()
}

/// Equality as in Python: of numbers and booleans by value, and never of a number and a text.
fn is_equal(a: &Data, b: &Data) -> bool {
    let number = |data: &Data| match data {
        Data::Bool(bool) => Some(f64::from(u8::from(*bool))),
        Data::Int(_) | Data::Float(_) => data.to_number(),
        Data::Null
        | Data::Text(_)
        | Data::List(_)
        | Data::Tuple(_)
        | Data::Map(_)
        | Data::Time(_)
        | Data::LocalTime(..)
        | Data::Spelled(..) => None,
    };
    match (number(a), number(b)) {
        (Some(a), Some(b)) => a == b,
        (None, None) => a.means(b),
        (Some(_), None) | (None, Some(_)) => false,
    }
}

impl StateCondition {
    pub(super) fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<StateCondition> {
        let entity_ids = reader.entity_ids_of(fields);
        let path = fields.path_of("state");
        let node = fields.require("state");
        let items = node.map(|node| node.list_or_single()).unwrap_or_default();
        let is_attribute = fields.has("attribute");
        let read = |item| Wanted::read(reader, item, &path, is_attribute);
        let states = items.iter().filter_map(read).collect();
        Some(StateCondition {
            entity_ids,
            states,
            attribute: fields.text("attribute"),
            hold: Span::read(reader, fields, "for"),
            is_any: fields.choice("match", &[("all", false), ("any", true)]).unwrap_or(false),
        })
    }

    pub(super) fn holds(&self, scene: &Scene<'_>) -> Result<bool, String> {
        for entity_id in &self.entity_ids {
            if self.holds_for(scene, entity_id)? == self.is_any {
                return Ok(self.is_any);
            }
        }
        Ok(!self.is_any)
    }

    fn holds_for(&self, scene: &Scene<'_>, entity_id: &EntityId) -> Result<bool, String> {
        let (current, last_changed) = scene.state(entity_id)?;
        let wanted = || self.states.iter().map(Wanted::text).collect::<Vec<_>>().join(" or ");
        let value = match &self.attribute {
            None => {
                scene.saw(|| Saw::new(entity_id.as_str(), &*current, wanted()));
                Some(Data::Text(current.into_owned()))
            }
            Some(name) => {
                let value = scene.view(entity_id)?.attributes.get(name).cloned();
                scene.saw(|| {
                    let found = value.as_ref().map_or_else(|| "(no such attribute)".to_owned(), plain_text);
                    Saw::new(format!("{entity_id} {name}"), found, wanted())
                });
                value
            }
        };
        let mut is_state = false;
        for wanted in value.iter().flat_map(|_| &self.states) {
            is_state |= wanted.is(scene, value.as_ref().unwrap_or(&Data::Null))?;
        }
        let hold = self.hold.as_ref().map(|hold| hold.render(scene.context)).transpose()?;
        let held = scene.rows.now.since(last_changed);
        if let Some(hold) = hold {
            scene.saw(|| Saw::new(format!("{entity_id} for"), timedelta_text(held), timedelta_text(hold)));
        }
        Ok(is_state && hold.is_none_or(|hold| held >= hold))
    }
}
