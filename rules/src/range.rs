//! `above:` and `below:` of numeric triggers and conditions.

use crate::condition::Scene;
use crate::entity::{UNAVAILABLE, UNKNOWN};
use crate::reader::Reader;
use crate::text::plain_text;
use crate::trace::Saw;
use crate::view::View;
use gable_devices::yaml::{Fields, Node};
use gable_devices::{Context, Data, EntityId, Template};

/// A range that a number out of a state is held against; both ends are outside of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Range {
    pub(crate) above: Option<Limit>,
    pub(crate) below: Option<Limit>,
    pub(crate) attribute: Option<String>,
    pub(crate) value_template: Option<Template>,
}

/// One end of a range.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Limit {
    Number(f64),
    /// The number that another entity reports.
    Entity(EntityId),
}

impl Limit {
    fn read(reader: &mut Reader, node: &Node, path: &str) -> Option<Limit> {
        if let Ok(number) = node.number(path) {
            return Some(Limit::Number(number));
        }
        if node.as_text().is_none_or(|text| !text.contains('.')) {
            return reader.keep(node.number(path)).map(Limit::Number);
        }
        reader.entity_id(node, path).map(Limit::Entity)
    }

    /// The form in which templates see it.
    pub(crate) fn to_data(limit: Option<&Limit>) -> Data {
        match limit {
            None => Data::Null,
            Some(Limit::Number(number)) => Data::Float(*number),
            Some(Limit::Entity(entity_id)) => Data::Text(entity_id.to_string()),
        }
    }

    /// The number, or none while the entity has no value.
    fn number(&self, scene: &Scene<'_>) -> Result<Option<f64>, String> {
        match self {
            Limit::Number(number) => Ok(Some(*number)),
            Limit::Entity(entity_id) => {
                let (state, _) = scene.state(entity_id)?;
                to_number(&Data::Text(state.into_owned()))
                    .map_err(|text| format!("{entity_id} is no number but `{text}`"))
            }
        }
    }
}

impl Range {
    /// Reads the keys that triggers and conditions share.
    pub(crate) fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<Range> {
        let mut limit = |fields: &mut Fields<'_>, key| {
            let node = fields.get(key)?;
            Limit::read(reader, node, &fields.path_of(key))
        };
        let (above, below) = (limit(fields, "above"), limit(fields, "below"));
        if !fields.has("above") && !fields.has("below") {
            fields.fail("needs `above` or `below`");
        }
        if let (Some(Limit::Number(above)), Some(Limit::Number(below))) = (&above, &below)
            && above > below
        {
            fields.fail(format!("no number is above {above} and below {below} at once"));
        }
        let attribute = fields.text("attribute");
        let path = fields.path_of("value_template");
        let value_template = fields.get("value_template").and_then(|node| reader.template(node, &path));
        Some(Range { above, below, attribute, value_template })
    }

    /// Whether the entity's number lies inside; an error if it has none.
    pub(crate) fn holds(&self, scene: &Scene<'_>, entity_id: &EntityId, view: &View) -> Result<bool, String> {
        if self.attribute.as_ref().is_some_and(|name| !view.attributes.contains_key(name)) {
            return Ok(false);
        }
        let value = match &self.value_template {
            None => view.read(self.attribute.as_deref()),
            Some(template) => {
                let mut context = Context::from(scene.context.variables().clone());
                context.set("state", view.to_data(entity_id));
                Data::Text(template.render(&context).map_err(|error| error.to_string())?)
            }
        };
        scene.saw(|| Saw::new(self.subject(entity_id), plain_text(&value), self.wanted(scene)));
        let number = to_number(&value).map_err(|text| format!("{entity_id} is no number but `{text}`"))?;
        let Some(number) = number else { return Ok(false) };
        if let Some(below) = &self.below
            && below.number(scene)?.is_none_or(|below| number >= below)
        {
            return Ok(false);
        }
        if let Some(above) = &self.above
            && above.number(scene)?.is_none_or(|above| number <= above)
        {
            return Ok(false);
        }
        Ok(true)
    }

    /// What is held against the limits, in words.
    fn subject(&self, entity_id: &EntityId) -> String {
        match (&self.value_template, &self.attribute) {
            (Some(template), _) => format!("{entity_id} {}", template.text()),
            (None, Some(name)) => format!("{entity_id} {name}"),
            (None, None) => entity_id.to_string(),
        }
    }

    /// The limits, in words, with the numbers that they have now.
    fn wanted(&self, scene: &Scene<'_>) -> String {
        let limit = |word: &str, limit: &Limit| match limit {
            Limit::Number(number) => format!("{word} {number}"),
            Limit::Entity(entity_id) => {
                let state = scene.entity(entity_id).map(|entity| entity.state()).unwrap_or("not there");
                format!("{word} {entity_id} ({state})")
            }
        };
        let above = self.above.as_ref().map(|above| limit("above", above));
        let below = self.below.as_ref().map(|below| limit("below", below));
        above.into_iter().chain(below).collect::<Vec<_>>().join(", ")
    }
}

/// The number in a value: none where Home Assistant knows that there is none yet, and an error with
/// the text where it expects one.
fn to_number(value: &Data) -> Result<Option<f64>, String> {
    match value {
        Data::Null => Ok(None),
        Data::Bool(bool) => Ok(Some(f64::from(u8::from(*bool)))),
        Data::Text(text) if text == UNKNOWN || text == UNAVAILABLE || text == "None" => Ok(None),
        other => match other.to_number() {
            Some(number) => Ok(Some(number)),
            None => Err(crate::text::shorten(match other {
                Data::Text(text) => text.clone(),
                other => other.to_json().to_string(),
            })),
        },
    }
}
