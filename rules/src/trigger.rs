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

/// What a trigger has to see.
#[derive(Default)]
struct Ears<'a> {
    entity_ids: &'a [EntityId],
    event_types: &'a [String],
    /// Those that listen to topics: it, or its steps.
    mqtt: Vec<&'a MqttTrigger>,
    /// Whether it has to see what happens to the home and its nodes.
    is_of_home: bool,
    timed: Option<Timed<'a>>,
}

/// A trigger that fires at instants (`schedule.rs`).
#[derive(Clone, Copy)]
pub(crate) enum Timed<'a> {
    Time(&'a TimeTrigger),
    Pattern(&'a TimePatternTrigger),
    Sun(&'a SunTrigger),
}

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

    /// What it has to see: the one place that asks each kind.
    fn ears(&self) -> Ears<'_> {
        let none = Ears::default();
        match &self.kind {
            TriggerKind::Mqtt(trigger) => Ears { mqtt: vec![trigger], ..none },
            TriggerKind::State(trigger) => Ears { entity_ids: &trigger.entity_ids, ..none },
            TriggerKind::NumericState(trigger) => Ears { entity_ids: &trigger.entity_ids, ..none },
            // Templates are watched by what they saw (`watch.rs`).
            TriggerKind::Template(_) => none,
            TriggerKind::Event(trigger) => Ears { event_types: &trigger.event_types, ..none },
            TriggerKind::Time(trigger) => {
                Ears { entity_ids: &trigger.entity_ids, timed: Some(Timed::Time(trigger)), ..none }
            }
            TriggerKind::TimePattern(trigger) => Ears { timed: Some(Timed::Pattern(trigger)), ..none },
            TriggerKind::Sun(trigger) => Ears { timed: Some(Timed::Sun(trigger)), ..none },
            TriggerKind::HomeAssistant(_) | TriggerKind::Node(_) => Ears { is_of_home: true, ..none },
            TriggerKind::Sequence(trigger) => Ears {
                entity_ids: &trigger.entity_ids,
                event_types: &trigger.event_types,
                mqtt: trigger.steps.iter().flat_map(|step| step.trigger.ears().mqtt).collect(),
                ..none
            },
        }
    }

    /// The entities whose changes it has to see.
    pub(crate) fn entity_ids(&self) -> &[EntityId] {
        self.ears().entity_ids
    }

    /// The types of the events that it has to see.
    pub(crate) fn event_types(&self) -> &[String] {
        self.ears().event_types
    }

    /// Whether it has to see what happens to the home and its nodes.
    pub(crate) fn is_of_home(&self) -> bool {
        self.ears().is_of_home
    }

    /// What gives its instants, if some do.
    pub(crate) fn timed(&self) -> Option<Timed<'_>> {
        self.ears().timed
    }

    /// The topic filters whose messages it has to see, as far as its file says them.
    pub(crate) fn topic_filters(&self) -> impl Iterator<Item = &str> {
        self.ears().mqtt.into_iter().filter_map(MqttTrigger::plain_topic)
    }

    /// Those topic filters when it listens for a run with these variables.
    pub(crate) fn rendered_topics(
        &self,
        variables: &BTreeMap<String, Data>,
    ) -> Result<Vec<Cow<'_, str>>, String> {
        self.ears().mqtt.into_iter().map(|trigger| trigger.topic(variables)).collect()
    }

    /// Whether its file does not say all of them.
    pub(crate) fn renders_topics(&self) -> bool {
        self.ears().mqtt.iter().any(|trigger| trigger.plain_topic().is_none())
    }

    /// Its steps, if it is a sequence.
    pub(crate) fn sequence(&self) -> Option<&SequenceTrigger> {
        if let TriggerKind::Sequence(sequence) = &self.kind { Some(sequence) } else { None }
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
