//! Conditions: what has to hold. One kind, one file; this enum is the table of contents.
//!
//! A condition is true, false, or an error (an entity that does not exist, a word where a number
//! was expected). An error counts as not fulfilled, also inside `not`, as in Home Assistant.

pub(crate) mod logic;
pub(crate) mod numeric_state;
pub(crate) mod state;
pub(crate) mod sun;
pub(crate) mod template;
pub(crate) mod time;
pub(crate) mod trigger;

use crate::entity::EntityState;
use crate::home::Home;
use crate::reader::{Reader, UnknownKind};
use crate::standing;
use crate::state::Rows;
use crate::trace::Recorder;
use crate::view::View;
use gable_devices::yaml::{Fields, Kind, Node};
use gable_devices::{Context, Entities, EntityId, Timestamp, is_template};
use std::borrow::Cow;
use std::cell::RefCell;

use logic::Logic;
use numeric_state::NumericStateCondition;
use state::StateCondition;
use sun::SunCondition;
use template::TemplateCondition;
use time::TimeCondition;
use trigger::TriggerCondition;

/// One condition.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Condition {
    State(StateCondition),
    NumericState(NumericStateCondition),
    Template(TemplateCondition),
    Trigger(TriggerCondition),
    Logic(Logic),
    Time(TimeCondition),
    Sun(SunCondition),
    /// `enabled: false`: it is passed over, and keeps its place.
    Disabled,
}

const SUPPORTED: &[&str] =
    &["state", "numeric_state", "template", "trigger", "time", "sun", "and", "or", "not"];
const NOT_YET: &[&str] = &["zone", "device"];

/// The home at the moment a condition is asked, and the variables of its run.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub(crate) rows: &'a Rows,
    pub(crate) home: &'a Home,
    pub(crate) declared: &'a Entities,
    pub(crate) context: &'a Context,
    /// Where it is noted what conditions see, if anybody keeps it.
    pub(crate) record: Option<&'a RefCell<Recorder>>,
}

impl<'a> Scene<'a> {
    /// The row of an entity, or why it can not be asked.
    pub(crate) fn entity(&self, entity_id: &EntityId) -> Result<&'a EntityState, String> {
        self.rows.entities.get(entity_id).ok_or_else(|| format!("{entity_id} does not exist"))
    }

    /// The state of an entity and since when it has it, or why it can not be asked.
    pub(crate) fn state(&self, entity_id: &EntityId) -> Result<(Cow<'a, str>, Timestamp), String> {
        match self.rows.entities.get(entity_id) {
            Some(entity) => Ok((Cow::Borrowed(entity.state()), entity.last_changed)),
            None => self.view(entity_id).map(|view| (Cow::Owned(view.state), view.last_changed)),
        }
    }

    /// What automations see of the entity.
    pub(crate) fn view(&self, entity_id: &EntityId) -> Result<View, String> {
        if let Some(entity) = self.rows.entities.get(entity_id) {
            return Ok(View::new(entity, self.declared.get(entity_id)));
        }
        let running = |id: &str| self.rows.runs.count_of(id);
        let own = standing::view(self.home, &self.rows.standings, running, entity_id);
        own.ok_or_else(|| format!("{entity_id} does not exist"))
    }
}

impl Condition {
    /// Reads a list of conditions, or a single one.
    pub(crate) fn read_all(reader: &mut Reader, node: &Node, path: &str) -> Vec<Condition> {
        let items = node.list_or_single();
        let is_list = node.as_list().is_some();
        let item_path = |n: usize| if is_list { format!("{path}[{n}]") } else { path.to_owned() };
        items
            .iter()
            .enumerate()
            .filter_map(|(n, item)| Condition::read(reader, item, &item_path(n)))
            .collect()
    }

    /// Reads one condition, in full or as a shorthand.
    pub(crate) fn read(reader: &mut Reader, node: &Node, path: &str) -> Option<Condition> {
        match &node.kind {
            Kind::Text(_) | Kind::Bool(_) if node.tag.is_none() => {
                TemplateCondition::read_shorthand(reader, node, path).map(Condition::Template)
            }
            Kind::List(_) => Some(Condition::Logic(Logic::And(Condition::read_all(reader, node, path)))),
            _ => {
                let mut fields = reader.fields(node, path)?;
                let unsupported_before = reader.unsupported.len();
                let condition = read_kind(reader, &mut fields);
                let is_enabled = reader.is_enabled(&mut fields);
                if !is_enabled {
                    reader.forget_unsupported(unsupported_before);
                }
                let condition = condition.ok()?;
                fields.accept(&["alias"]);
                reader.finish(fields);
                condition.map(|condition| if is_enabled { condition } else { Condition::Disabled })
            }
        }
    }

    /// Whether it is fulfilled; an error if that can not be said.
    pub(crate) fn holds(&self, scene: &Scene<'_>) -> Result<bool, String> {
        match self {
            Condition::State(condition) => condition.holds(scene),
            Condition::NumericState(condition) => condition.holds(scene),
            Condition::Template(condition) => condition.holds(scene),
            Condition::Trigger(condition) => Ok(condition.holds(scene)),
            Condition::Logic(logic) => logic.holds(scene),
            Condition::Time(condition) => condition.holds(scene),
            Condition::Sun(condition) => condition.holds(scene),
            Condition::Disabled => Ok(true),
        }
    }

    /// Its kind, as files say it.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Condition::State(_) => "state",
            Condition::NumericState(_) => "numeric_state",
            Condition::Template(_) => "template",
            Condition::Trigger(_) => "trigger",
            Condition::Logic(Logic::And(_)) => "and",
            Condition::Logic(Logic::Or(_)) => "or",
            Condition::Logic(Logic::Not(_)) => "not",
            Condition::Disabled => "disabled",
            Condition::Time(_) => "time",
            Condition::Sun(_) => "sun",
        }
    }
}

/// Reads what belongs to the kind; an error if there is none, so that its keys mean nothing.
pub(crate) fn read_kind(
    reader: &mut Reader,
    fields: &mut Fields<'_>,
) -> Result<Option<Condition>, UnknownKind> {
    for (key, make) in
        [("and", Logic::And as fn(Vec<Condition>) -> Logic), ("or", Logic::Or), ("not", Logic::Not)]
    {
        if !fields.has("condition")
            && let Some(node) = fields.get(key)
        {
            let conditions = Condition::read_all(reader, node, &fields.path_of(key));
            return Ok(Some(Condition::Logic(make(conditions))));
        }
    }
    let Some(node) = fields.get("condition") else {
        let message = "says no kind: expected `condition: state` or the like";
        reader.problems.push(fields.node().problem(fields.path(), message));
        return Err(UnknownKind);
    };
    let path = fields.path_of("condition");
    let kind = reader.keep(node.text(&path)).ok_or(UnknownKind)?;
    Ok(match kind.as_str() {
        "state" => StateCondition::read(reader, fields).map(Condition::State),
        "numeric_state" => NumericStateCondition::read(reader, fields).map(Condition::NumericState),
        "template" => TemplateCondition::read(reader, fields).map(Condition::Template),
        "trigger" => TriggerCondition::read(reader, fields).map(Condition::Trigger),
        "time" => TimeCondition::read(reader, fields).map(Condition::Time),
        "sun" => SunCondition::read(reader, fields).map(Condition::Sun),
        "and" => Logic::read(reader, fields, Logic::And).map(Condition::Logic),
        "or" => Logic::read(reader, fields, Logic::Or).map(Condition::Logic),
        "not" => Logic::read(reader, fields, Logic::Not).map(Condition::Logic),
        // `condition: "{{ ... }}"`, which Home Assistant takes as a template as well.
        text if is_template(text) => {
            TemplateCondition::read_shorthand(reader, node, &path).map(Condition::Template)
        }
        other => {
            reader.unknown_kind(node, &path, "condition", other, (SUPPORTED, NOT_YET));
            return Err(UnknownKind);
        }
    })
}
