//! Helpers: entities that the home itself keeps, declared under `input_boolean:`, `timer:` and the
//! like. One kind, one file; the enum is the table of contents.
//!
//! A helper's row in the state is all there is of it, so it survives what the log survives. What
//! `initial:` says counts once, when the helper comes into being: nothing restarts here.

mod counter;
pub(crate) mod group;
mod input_boolean;
mod input_button;
mod input_datetime;
mod input_number;
mod input_select;
mod input_text;
pub(crate) mod timer;

use crate::action::Failure;
use crate::home::Declared;
use crate::reader::Reader;
use gable_devices::yaml::{Fields, Kind, Node};
use gable_devices::{Data, EntityId, Value, World};
use std::collections::BTreeMap;

use counter::Counter;
use group::GroupHelper;
use input_boolean::InputBoolean;
use input_button::InputButton;
use input_datetime::InputDatetime;
use input_number::InputNumber;
use input_select::InputSelect;
use input_text::InputText;
use timer::TimerHelper;

/// One declared helper.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Helper {
    pub(crate) entity_id: EntityId,
    /// What the declaration alone gives: its name and its icon.
    attributes: BTreeMap<String, Data>,
    pub(crate) kind: HelperKind,
}

/// What it keeps.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum HelperKind {
    InputBoolean(InputBoolean),
    InputNumber(InputNumber),
    InputSelect(InputSelect),
    InputText(InputText),
    InputButton(InputButton),
    InputDatetime(InputDatetime),
    Counter(Counter),
    Timer(TimerHelper),
    Group(GroupHelper),
}

/// What a service sets, and what it was told.
pub(crate) struct Told<'c> {
    pub(crate) service: &'c str,
    pub(crate) data: &'c BTreeMap<String, Data>,
    pub(crate) current: &'c Value,
    pub(crate) world: &'c dyn World,
}

impl Helper {
    pub(crate) fn read(reader: &mut Reader, declared: &Declared) -> Option<Helper> {
        let nothing;
        let node = if declared.node.is_null() {
            nothing = Node { kind: Kind::Map(Vec::new()), ..declared.node.clone() };
            &nothing
        } else {
            &declared.node
        };
        let tags = node.unresolved_tags(&declared.path);
        if !tags.is_empty() {
            reader.problems.extend(tags);
            return None;
        }
        let mut node = node;
        let listed;
        if declared.domain == "group" && (node.as_list().is_some() || node.as_text().is_some()) {
            // `group: {all: [light.a, light.b]}`, the short form.
            let key =
                gable_devices::yaml::Key { text: "entities".to_owned(), location: node.location.clone() };
            listed = Node {
                kind: Kind::Map(vec![(key, node.clone())]),
                location: node.location.clone(),
                tag: None,
            };
            node = &listed;
        }
        let mut fields = reader.fields(node, &declared.path)?;
        let entity_id = format!("{}.{}", declared.domain, declared.object_id).parse();
        let entity_id =
            entity_id.map_err(|error: gable_devices::EntityIdError| fields.fail(error.to_string()));
        let mut attributes = BTreeMap::new();
        if declared.domain != "group" {
            attributes.insert("editable".to_owned(), Data::Bool(false));
        }
        let name =
            fields.text("name").or_else(|| (declared.domain == "group").then(|| declared.object_id.clone()));
        attributes.extend(name.map(|name| ("friendly_name".to_owned(), Data::Text(name))));
        attributes.extend(fields.text("icon").map(|icon| ("icon".to_owned(), Data::Text(icon))));
        let kind = read_kind(reader, &mut fields, &declared.domain);
        reader.finish(fields);
        Some(Helper { entity_id: entity_id.ok()?, attributes, kind: kind? })
    }

    /// The value with which it comes into being.
    pub(crate) fn first(&self, world: &dyn World) -> Value {
        self.dress(match &self.kind {
            HelperKind::InputBoolean(kind) => kind.first(),
            HelperKind::InputNumber(kind) => kind.first(),
            HelperKind::InputSelect(kind) => kind.first(),
            HelperKind::InputText(kind) => kind.first(),
            HelperKind::InputButton(kind) => kind.first(),
            HelperKind::InputDatetime(kind) => kind.first(world),
            HelperKind::Counter(kind) => kind.first(),
            HelperKind::Timer(kind) => kind.first(),
            HelperKind::Group(kind) => kind.first(),
        })
    }

    /// The value that it goes on with after its declaration was edited.
    pub(crate) fn fit(&self, current: &Value, world: &dyn World) -> Value {
        self.dress(match &self.kind {
            HelperKind::InputBoolean(_) | HelperKind::InputButton(_) => {
                Value { state: current.state.clone(), attributes: BTreeMap::new() }
            }
            HelperKind::InputNumber(kind) => kind.fit(current),
            HelperKind::InputSelect(kind) => kind.fit(current),
            HelperKind::InputText(kind) => kind.value(current.state.clone()),
            HelperKind::InputDatetime(kind) => kind.fit(current, world),
            HelperKind::Counter(kind) => kind.fit(current),
            HelperKind::Timer(kind) => kind.fit(current),
            HelperKind::Group(kind) => kind.value(current.state.clone()),
        })
    }

    /// Why a call is passed over with no more than a notice, if it is.
    pub(crate) fn misfit(&self, data: &BTreeMap<String, Data>) -> Option<String> {
        match &self.kind {
            HelperKind::InputText(kind) => kind.misfit(data),
            HelperKind::InputBoolean(_)
            | HelperKind::InputNumber(_)
            | HelperKind::InputSelect(_)
            | HelperKind::InputButton(_)
            | HelperKind::InputDatetime(_)
            | HelperKind::Counter(_)
            | HelperKind::Timer(_)
            | HelperKind::Group(_) => None,
        }
    }

    /// The value after a service was called on it.
    pub(crate) fn serve(&self, told: &Told<'_>) -> Result<Value, Failure> {
        Ok(self.dress(match &self.kind {
            HelperKind::InputBoolean(kind) => kind.serve(told)?,
            HelperKind::InputNumber(kind) => kind.serve(told)?,
            HelperKind::InputSelect(kind) => kind.serve(told)?,
            HelperKind::InputText(kind) => kind.serve(told)?,
            HelperKind::InputButton(kind) => kind.serve(told)?,
            HelperKind::InputDatetime(kind) => kind.serve(told)?,
            HelperKind::Counter(kind) => kind.serve(told)?,
            HelperKind::Timer(_) | HelperKind::Group(_) => return Err(told.unknown()),
        }))
    }

    /// Adds what the declaration gives to every value of this helper.
    pub(crate) fn dress(&self, mut value: Value) -> Value {
        value.attributes.extend(self.attributes.iter().map(|(name, data)| (name.clone(), data.clone())));
        value
    }
}

fn read_kind(reader: &mut Reader, fields: &mut Fields<'_>, domain: &str) -> Option<HelperKind> {
    Some(match domain {
        "input_boolean" => HelperKind::InputBoolean(InputBoolean::read(fields)),
        "input_number" => HelperKind::InputNumber(InputNumber::read(fields)?),
        "input_select" => HelperKind::InputSelect(InputSelect::read(fields)?),
        "input_text" => HelperKind::InputText(InputText::read(fields)?),
        "input_button" => HelperKind::InputButton(InputButton),
        "input_datetime" => HelperKind::InputDatetime(InputDatetime::read(fields)?),
        "counter" => HelperKind::Counter(Counter::read(fields)?),
        "timer" => HelperKind::Timer(TimerHelper::read(fields)),
        "group" => HelperKind::Group(GroupHelper::read(reader, fields)),
        other => {
            fields.fail(format!("`{other}` is no kind of helper"));
            return None;
        }
    })
}

impl Told<'_> {
    fn unknown(&self) -> Failure {
        Failure::mistake(format!("there is no service `{}` for it", self.service))
    }

    /// A number that the call has to give.
    fn number(&self, key: &str) -> Result<f64, Failure> {
        self.optional_number(key)?.ok_or_else(|| Failure::mistake(format!("`{key}` is missing")))
    }

    fn optional_number(&self, key: &str) -> Result<Option<f64>, Failure> {
        match self.data.get(key) {
            None | Some(Data::Null) => Ok(None),
            Some(data) => match data.to_number().filter(|number| number.is_finite()) {
                Some(number) => Ok(Some(number)),
                None => Err(Failure::mistake(format!("`{key}` is not a number"))),
            },
        }
    }

    /// A text that the call has to give; numbers count as their text.
    fn text(&self, key: &str) -> Result<String, Failure> {
        match self.data.get(key) {
            None | Some(Data::Null) => Err(Failure::mistake(format!("`{key}` is missing"))),
            Some(data) => Ok(crate::text::plain_text(data)),
        }
    }
}
