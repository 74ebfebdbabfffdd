//! The kinds of entity. Each file below reads one kind's keys, decodes its payloads and encodes its
//! services; the matches here name every place that a new kind has to touch.

mod binary_sensor;
mod command;
mod cover;
mod light;
mod lock;
mod sensor;
mod source;
mod switch;

use crate::entity::{Fault, Payload};
use crate::yaml::Fields;
use crate::{Data, EncodeError, Encoded, Millis, Report, Value};
use std::collections::BTreeMap;

pub(crate) use command::Call;
pub(crate) use source::{Source, read_filter, read_template};

/// The kinds, by the name that stands before an entity id's dot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Domain {
    BinarySensor,
    Cover,
    Light,
    Lock,
    Sensor,
    Switch,
}

/// What a declaration says in its kind's own keys.
#[derive(Clone, Debug)]
pub(crate) enum Platform {
    BinarySensor(binary_sensor::BinarySensor),
    Cover(cover::Cover),
    Light(light::Light),
    Lock(lock::Lock),
    Sensor(sensor::Sensor),
    Switch(switch::Switch),
}

/// Why an entity listens to a topic. The order is the order of decoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// The n-th availability topic.
    Availability(u16),
    Attributes,
    /// A cover's position comes before its state, which may depend on it.
    Position,
    State,
    Brightness,
}

/// What one message says about one entity, gathered over its roles.
#[derive(Debug, Default)]
pub(crate) struct Update {
    pub(crate) available: Vec<(u16, bool)>,
    pub(crate) state: Option<Reported>,
    pub(crate) attributes: BTreeMap<String, Data>,
}

/// A reported state.
#[derive(Debug, PartialEq)]
pub(crate) enum Reported {
    State(String),
    Unknown,
}

/// The payload by which a device says that it has no value.
const PAYLOAD_NONE: &str = "None";

impl Domain {
    pub(crate) const ALL: [Domain; 6] =
        [Domain::BinarySensor, Domain::Cover, Domain::Light, Domain::Lock, Domain::Sensor, Domain::Switch];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Domain::BinarySensor => "binary_sensor",
            Domain::Cover => "cover",
            Domain::Light => "light",
            Domain::Lock => "lock",
            Domain::Sensor => "sensor",
            Domain::Switch => "switch",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Domain::BinarySensor => "Binary sensor",
            Domain::Cover => "Cover",
            Domain::Light => "Light",
            Domain::Lock => "Lock",
            Domain::Sensor => "Sensor",
            Domain::Switch => "Switch",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Domain> {
        Domain::ALL.into_iter().find(|domain| domain.name() == name)
    }
}

impl Platform {
    pub(crate) fn read(domain: Domain, fields: &mut Fields<'_>) -> Option<Platform> {
        Some(match domain {
            Domain::BinarySensor => Platform::BinarySensor(binary_sensor::BinarySensor::read(fields)?),
            Domain::Cover => Platform::Cover(cover::Cover::read(fields)?),
            Domain::Light => Platform::Light(light::Light::read(fields)?),
            Domain::Lock => Platform::Lock(lock::Lock::read(fields)?),
            Domain::Sensor => Platform::Sensor(sensor::Sensor::read(fields)?),
            Domain::Switch => Platform::Switch(switch::Switch::read(fields)?),
        })
    }

    /// The topic filters it listens to, and why.
    pub(crate) fn sources(&self) -> Vec<(&str, Role)> {
        match self {
            Platform::BinarySensor(binary_sensor) => binary_sensor.sources(),
            Platform::Cover(cover) => cover.sources(),
            Platform::Light(light) => light.sources(),
            Platform::Lock(lock) => lock.sources(),
            Platform::Sensor(sensor) => sensor.sources(),
            Platform::Switch(switch) => switch.sources(),
        }
    }

    pub(crate) fn decode(
        &self,
        role: Role,
        payload: &Payload<'_>,
        current: Option<&Value>,
        update: &mut Update,
    ) -> Result<(), Fault> {
        match self {
            Platform::BinarySensor(binary_sensor) => binary_sensor.decode(payload, update),
            Platform::Cover(cover) => cover.decode(role, payload, current, update),
            Platform::Light(light) => light.decode(role, payload, update),
            Platform::Lock(lock) => lock.decode(payload, update),
            Platform::Sensor(sensor) => sensor.decode(payload, update),
            Platform::Switch(switch) => switch.decode(payload, update),
        }
    }

    pub(crate) fn services(&self) -> &'static [&'static str] {
        match self {
            Platform::BinarySensor(_) | Platform::Sensor(_) => &[],
            Platform::Cover(_) => {
                &["open_cover", "close_cover", "stop_cover", "toggle", "set_cover_position"]
            }
            Platform::Light(_) | Platform::Switch(_) => &["turn_on", "turn_off", "toggle"],
            Platform::Lock(_) => &["lock", "unlock", "open"],
        }
    }

    /// Encodes one of [`Platform::services`].
    pub(crate) fn encode(&self, call: &Call<'_>) -> Result<Encoded, EncodeError> {
        match self {
            Platform::BinarySensor(_) | Platform::Sensor(_) => Err(call.unknown()),
            Platform::Cover(cover) => cover.encode(call),
            Platform::Light(light) => light.encode(call),
            Platform::Lock(lock) => lock.encode(call),
            Platform::Switch(switch) => switch.encode(call),
        }
    }

    pub(crate) fn add_attributes(&self, attributes: &mut BTreeMap<String, Data>) {
        match self {
            Platform::BinarySensor(_) => {}
            Platform::Cover(cover) => cover.add_attributes(attributes),
            Platform::Light(light) => light.add_attributes(attributes),
            Platform::Lock(lock) => lock.add_attributes(attributes),
            Platform::Sensor(sensor) => sensor.add_attributes(attributes),
            Platform::Switch(switch) => switch.add_attributes(attributes),
        }
    }

    pub(crate) fn off_delay(&self) -> Option<Millis> {
        match self {
            Platform::BinarySensor(binary_sensor) => binary_sensor.off_delay(),
            Platform::Cover(_)
            | Platform::Light(_)
            | Platform::Lock(_)
            | Platform::Sensor(_)
            | Platform::Switch(_) => None,
        }
    }
}

impl Update {
    /// The reports to make of it: availability first, since a device that is there may then speak.
    pub(crate) fn into_reports(self) -> impl Iterator<Item = Report> {
        let available =
            self.available.into_iter().map(|(source, online)| Report::Available { source, online });
        let (state, unknown) = match self.state {
            Some(Reported::State(state)) => (Some(state), None),
            Some(Reported::Unknown) => (None, Some(Report::Unknown)),
            None => (None, None),
        };
        let attributes = self.attributes;
        let says_something = state.is_some() || !attributes.is_empty();
        let update = says_something.then_some(Report::Update { state, attributes });
        available.chain(unknown).chain(update)
    }
}

/// Decodes a payload that is one of a few agreed words.
fn decode_word<'w>(
    payload: &Payload<'_>,
    source: Option<&Source>,
    words: impl IntoIterator<Item = (&'w str, &'w str)>,
    update: &mut Update,
) -> Result<(), Fault> {
    let template = source.and_then(|source| source.template.as_ref());
    let Some(found) = payload.render(template)? else { return Ok(()) };
    let mut expected = Vec::new();
    for (word, state) in words {
        if word == found {
            update.state = Some(Reported::State(state.to_owned()));
            return Ok(());
        }
        expected.push(format!("`{word}`"));
    }
    if found == PAYLOAD_NONE {
        update.state = Some(Reported::Unknown);
        return Ok(());
    }
    Err(Fault::Unexpected { found: shorten(&found), expected: expected.join(" or ") })
}

/// The beginning of a text that may be a whole payload.
fn shorten(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// Marks an entity whose state is assumed rather than heard.
fn add_assumed(is_optimistic: bool, attributes: &mut BTreeMap<String, Data>) {
    if is_optimistic {
        attributes.insert("assumed_state".to_owned(), Data::Bool(true));
    }
}
