//! Declarations, payloads and commands, from text to text. The payloads have the shapes that
//! Zigbee2MQTT, Tasmota and ESPHome send.

mod climates;
mod commands;
mod corpus;
mod covers;
mod declarations;
mod fans;
mod lights;
mod payloads;
mod settings;
mod sirens_and_valves;
mod trackers_and_updates;

use super::*;
use crate::Event;
use crate::{Report, yaml};

/// Reads one file's `mqtt:` section.
fn read(section: &str) -> (Entities, Vec<String>) {
    let node = yaml::parse("home.yaml", section).unwrap();
    let (entities, problems) = Entities::from_nodes([&node]);
    (entities, problems.iter().map(Problem::to_string).collect())
}

/// Reads a section that has to be right.
#[track_caller]
fn entities(section: &str) -> Entities {
    let (entities, problems) = read(section);
    assert_eq!(problems, [""; 0]);
    entities
}

fn id(text: &str) -> EntityId {
    text.parse().unwrap()
}

/// `on brightness=128`, `! a problem`, ...
fn show(result: &Result<Event, DecodeError>) -> String {
    let event = match result {
        Ok(event) => event,
        Err(error) => return format!("! {error}"),
    };
    let what = match &event.report {
        Report::Update { state, attributes } => show_value(state.as_deref(), attributes),
        Report::Happened { attributes } => show_value(Some("<now>"), attributes),
        Report::Unknown => "unknown".to_owned(),
        Report::Described { attributes } => format!("described: {}", show_value(None, attributes)),
        Report::Available { source, online } => format!("available[{source}]={online}"),
    };
    format!("{} {what}", event.entity_id)
}

fn show_value(state: Option<&str>, attributes: &BTreeMap<String, Data>) -> String {
    let attributes = attributes.iter().map(|(name, data)| format!("{name}={}", data.to_json()));
    state.map(str::to_owned).into_iter().chain(attributes).collect::<Vec<_>>().join(" ")
}
