//! Triggers: what starts an automation. One kind, one file; this enum is the table of contents.

pub(crate) mod event;
pub(crate) mod homeassistant;
pub(crate) mod mqtt;
pub(crate) mod node;
pub(crate) mod numeric_state;
pub(crate) mod sequence;
pub(crate) mod state;
pub(crate) mod sun;
pub(crate) mod template;
pub(crate) mod time;
pub(crate) mod time_pattern;

use crate::action::variables::Variables;
use crate::reader::{Reader, UnknownKind};
use crate::span::Span;
use crate::view::View;
use gable_devices::yaml::{Fields, Node};
use gable_devices::{Data, EntityId, Millis};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

use event::EventTrigger;
use homeassistant::HomeAssistantTrigger;
use mqtt::MqttTrigger;
use node::NodeTrigger;
use numeric_state::NumericStateTrigger;
use sequence::SequenceTrigger;
use state::StateTrigger;
use sun::SunTrigger;
use template::TemplateTrigger;
use time::TimeTrigger;
use time_pattern::TimePatternTrigger;

/// One trigger of an automation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Trigger {
    /// Its `id`, or its place as text.
    pub(crate) id: String,
    pub(crate) place: u32,
    pub(crate) alias: Option<String>,
    pub(crate) is_enabled: bool,
    /// The window in which what happens is put in order for it, where that is its own: it is a step
    /// of a sequence with `ordered:`.
    pub(crate) ordered: Option<Millis>,
    /// What it adds to what the run knows.
    pub(crate) variables: Variables,
    pub(crate) kind: TriggerKind,
}

/// What a trigger listens to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TriggerKind {
    Mqtt(MqttTrigger),
    State(StateTrigger),
    NumericState(NumericStateTrigger),
    Template(TemplateTrigger),
    Event(EventTrigger),
    Time(TimeTrigger),
    TimePattern(TimePatternTrigger),
    Sun(SunTrigger),
    HomeAssistant(HomeAssistantTrigger),
    Node(NodeTrigger),
    Sequence(SequenceTrigger),
}

const SUPPORTED: &[&str] = &[
    "mqtt",
    "state",
    "numeric_state",
    "template",
    "event",
    "time",
    "time_pattern",
    "sun",
    "homeassistant",
    "node",
    "sequence",
];
const NOT_YET: &[&str] = &[
    "calendar",
    "conversation",
    "device",
    "geo_location",
    "persistent_notification",
    "tag",
    "webhook",
    "zone",
];

/// What happened to an entity, as its triggers see it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Change {
    pub(crate) entity_id: EntityId,
    pub(crate) from: View,
    pub(crate) to: View,
}

/// What a trigger makes of a change.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reaction {
    Nothing,
    /// It fires with this `trigger` variable.
    Fire(Data),
    /// It fires after this span unless the entity changes its mind.
    Hold(Span, Data),
}

impl Trigger {
    /// Reads a list of triggers, or a single one. Lists inside lists count as one list.
    pub(crate) fn read_all(reader: &mut Reader, node: &Node, path: &str) -> Vec<Trigger> {
        let mut nodes = Vec::new();
        flatten(node, path, &mut nodes);
        let nodes = (0..).zip(nodes);
        nodes.filter_map(|(place, (node, path))| Trigger::read(reader, node, &path, place)).collect()
    }

    /// Reads one trigger in either spelling.
    fn read(reader: &mut Reader, node: &Node, path: &str, place: u32) -> Option<Trigger> {
        let mut fields = reader.fields(node, path)?;
        let unsupported_before = reader.unsupported.len();
        let kind = read_kind(reader, &mut fields);
        let is_enabled = reader.is_enabled(&mut fields);
        if !is_enabled {
            reader.forget_unsupported(unsupported_before);
        }
        let kind = kind.ok()?;
        let id = fields.text("id").unwrap_or_else(|| place.to_string());
        let alias = fields.text("alias");
        let variables = Variables::read(reader, &mut fields, "variables");
        reader.finish(fields);
        Some(Trigger { id, place, alias, is_enabled, ordered: None, variables, kind: kind? })
    }

    /// The entities whose changes it has to see.
    pub(crate) fn entity_ids(&self) -> &[EntityId] {
        match &self.kind {
            TriggerKind::Mqtt(_) => &[],
            TriggerKind::State(trigger) => &trigger.entity_ids,
            TriggerKind::NumericState(trigger) => &trigger.entity_ids,
            TriggerKind::Time(trigger) => &trigger.entity_ids,
            TriggerKind::Template(_)
            | TriggerKind::Event(_)
            | TriggerKind::TimePattern(_)
            | TriggerKind::Sun(_)
            | TriggerKind::HomeAssistant(_)
            | TriggerKind::Node(_) => &[],
            TriggerKind::Sequence(trigger) => &trigger.entity_ids,
        }
    }

    /// The topic filters whose messages it has to see, as far as its file says them.
    pub(crate) fn topic_filters(&self) -> Vec<&str> {
        match &self.kind {
            TriggerKind::Mqtt(trigger) => trigger.plain_topic().into_iter().collect(),
            TriggerKind::Sequence(trigger) => {
                trigger.steps.iter().flat_map(|step| step.trigger.topic_filters()).collect()
            }
            TriggerKind::State(_)
            | TriggerKind::NumericState(_)
            | TriggerKind::Template(_)
            | TriggerKind::Event(_)
            | TriggerKind::Time(_)
            | TriggerKind::TimePattern(_)
            | TriggerKind::Sun(_)
            | TriggerKind::HomeAssistant(_)
            | TriggerKind::Node(_) => Vec::new(),
        }
    }

    /// Those topic filters when it listens for a run with these variables.
    pub(crate) fn rendered_topics(
        &self,
        variables: &BTreeMap<String, Data>,
    ) -> Result<Vec<Cow<'_, str>>, String> {
        match &self.kind {
            TriggerKind::Mqtt(trigger) => Ok(vec![trigger.topic(variables)?]),
            TriggerKind::Sequence(trigger) => {
                let steps = trigger.steps.iter().map(|step| step.trigger.rendered_topics(variables));
                Ok(steps.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
            }
            TriggerKind::State(_)
            | TriggerKind::NumericState(_)
            | TriggerKind::Template(_)
            | TriggerKind::Event(_)
            | TriggerKind::Time(_)
            | TriggerKind::TimePattern(_)
            | TriggerKind::Sun(_)
            | TriggerKind::HomeAssistant(_)
            | TriggerKind::Node(_) => Ok(Vec::new()),
        }
    }

    /// Whether its file does not say all of them.
    pub(crate) fn renders_topics(&self) -> bool {
        match &self.kind {
            TriggerKind::Mqtt(trigger) => trigger.plain_topic().is_none(),
            TriggerKind::Sequence(trigger) => trigger.steps.iter().any(|step| step.trigger.renders_topics()),
            TriggerKind::State(_)
            | TriggerKind::NumericState(_)
            | TriggerKind::Template(_)
            | TriggerKind::Event(_)
            | TriggerKind::Time(_)
            | TriggerKind::TimePattern(_)
            | TriggerKind::Sun(_)
            | TriggerKind::HomeAssistant(_)
            | TriggerKind::Node(_) => false,
        }
    }

    /// Its steps, if it is a sequence.
    pub(crate) fn sequence(&self) -> Option<&SequenceTrigger> {
        match &self.kind {
            TriggerKind::Sequence(sequence) => Some(sequence),
            TriggerKind::Mqtt(_)
            | TriggerKind::State(_)
            | TriggerKind::NumericState(_)
            | TriggerKind::Template(_)
            | TriggerKind::Event(_)
            | TriggerKind::Time(_)
            | TriggerKind::TimePattern(_)
            | TriggerKind::Sun(_)
            | TriggerKind::HomeAssistant(_)
            | TriggerKind::Node(_) => None,
        }
    }

    /// The types of the events that it has to see.
    pub(crate) fn event_types(&self) -> &[String] {
        match &self.kind {
            TriggerKind::Event(trigger) => &trigger.event_types,
            TriggerKind::Sequence(trigger) => &trigger.event_types,
            TriggerKind::Mqtt(_)
            | TriggerKind::State(_)
            | TriggerKind::NumericState(_)
            | TriggerKind::Template(_)
            | TriggerKind::Time(_)
            | TriggerKind::TimePattern(_)
            | TriggerKind::Sun(_)
            | TriggerKind::HomeAssistant(_)
            | TriggerKind::Node(_) => &[],
        }
    }

    /// Whether it has to see what happens to the home and its nodes.
    pub(crate) fn is_of_home(&self) -> bool {
        matches!(self.kind, TriggerKind::HomeAssistant(_) | TriggerKind::Node(_))
    }

    /// Builds the `trigger` variable: what is the same for all kinds, and what this kind adds.
    pub(crate) fn variable<const N: usize>(&self, description: String, own: [(&str, Data); N]) -> Data {
        let alias = self.alias.clone().map_or(Data::Null, Data::Text);
        let mut map = BTreeMap::from([
            ("id".to_owned(), Data::Text(self.id.clone())),
            ("idx".to_owned(), Data::Text(self.place.to_string())),
            ("alias".to_owned(), alias),
            ("description".to_owned(), Data::Text(description)),
        ]);
        map.extend(own.map(|(key, data)| (key.to_owned(), data)));
        Data::Map(map)
    }
}

fn flatten<'n>(node: &'n Node, path: &str, nodes: &mut Vec<(&'n Node, String)>) {
    match node.as_list() {
        None => nodes.push((node, path.to_owned())),
        Some(items) => {
            items.iter().enumerate().for_each(|(n, item)| flatten(item, &format!("{path}[{n}]"), nodes));
        }
    }
}

/// Reads what belongs to the kind; an error if there is none, so that its keys mean nothing.
fn read_kind(reader: &mut Reader, fields: &mut Fields<'_>) -> Result<Option<TriggerKind>, UnknownKind> {
    let Some((key, node)) = fields.get_any(&["trigger", "platform"]) else {
        let message = "says no kind: expected `trigger: state` or the like";
        reader.problems.push(fields.node().problem(fields.path(), message));
        return Err(UnknownKind);
    };
    let path = fields.path_of(key);
    let kind = reader.keep(node.text(&path)).ok_or(UnknownKind)?;
    Ok(match kind.as_str() {
        "mqtt" => MqttTrigger::read(reader, fields).map(TriggerKind::Mqtt),
        "state" => StateTrigger::read(reader, fields).map(TriggerKind::State),
        "numeric_state" => NumericStateTrigger::read(reader, fields).map(TriggerKind::NumericState),
        "template" => TemplateTrigger::read(reader, fields).map(TriggerKind::Template),
        "event" => EventTrigger::read(reader, fields).map(TriggerKind::Event),
        "time" => TimeTrigger::read(reader, fields).map(TriggerKind::Time),
        "time_pattern" => TimePatternTrigger::read(reader, fields).map(TriggerKind::TimePattern),
        "sun" => SunTrigger::read(reader, fields).map(TriggerKind::Sun),
        "homeassistant" => HomeAssistantTrigger::read(reader, fields).map(TriggerKind::HomeAssistant),
        "node" => NodeTrigger::read(fields).map(TriggerKind::Node),
        "sequence" => SequenceTrigger::read(reader, fields).map(TriggerKind::Sequence),
        other => {
            reader.unknown_kind(node, &path, "trigger", other, (SUPPORTED, NOT_YET));
            return Err(UnknownKind);
        }
    })
}
