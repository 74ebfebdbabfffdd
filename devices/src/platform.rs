//! The kinds of entity. Each file below reads one kind's keys, decodes its payloads and encodes its
//! services; the matches here name every place that a new kind has to touch.

mod attributes;
mod binary_sensor;
mod button;
mod climate;
mod command;
mod cover;
mod device_tracker;
mod event;
mod fan;
mod light;
mod lock;
mod notify;
mod number;
mod property;
mod scene;
mod select;
mod sensor;
mod services;
mod siren;
mod source;
mod switch;
mod text;
mod update;
mod valve;

use crate::entity::{Fault, Payload};
use crate::yaml::Fields;
use crate::{Data, EncodeError, Encoded, Millis, Report, Value};
use std::collections::BTreeMap;

pub(crate) use command::Call;
pub use services::{domains, services_of};
pub(crate) use source::{Source, read_filter, read_template};

/// The kinds, by the name that stands before an entity id's dot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Domain {
    BinarySensor,
    Button,
    Climate,
    Cover,
    DeviceTracker,
    Event,
    Fan,
    Light,
    Lock,
    Notify,
    Number,
    Scene,
    Select,
    Sensor,
    Siren,
    Switch,
    Text,
    Update,
    Valve,
}

/// What a declaration says in its kind's own keys.
#[derive(Clone, Debug)]
pub(crate) enum Platform {
    BinarySensor(binary_sensor::BinarySensor),
    Button(button::Button),
    Climate(Box<climate::Climate>),
    Cover(Box<cover::Cover>),
    DeviceTracker(device_tracker::DeviceTracker),
    Event(event::Event),
    Fan(Box<fan::Fan>),
    Light(light::Light),
    Lock(lock::Lock),
    Notify(notify::Notify),
    Number(number::Number),
    Scene(scene::Scene),
    Select(select::Select),
    Sensor(sensor::Sensor),
    Siren(siren::Siren),
    Switch(switch::Switch),
    Text(text::Text),
    Update(update::Update),
    Valve(valve::Valve),
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
    /// The n-th of the properties that have topics of their own.
    Property(u8),
}

/// One message in one of an entity's roles.
struct Heard<'h, 'p> {
    role: Role,
    payload: &'h Payload<'p>,
    /// What the entity last reported, if that still counts.
    current: Option<&'h Value>,
}

/// What each kind of entity is asked.
trait Kind {
    /// The topic filters it listens to, and why.
    fn sources(&self) -> Vec<(&str, Role)>;

    /// Adds what a message says to `update`.
    fn decode(&self, heard: &Heard<'_, '_>, update: &mut Update) -> Result<(), Fault>;

    /// Encodes one of its domain's services.
    fn encode(&self, call: &Call<'_>) -> Result<Encoded, EncodeError> {
        Err(call.unknown())
    }

    /// Adds the attributes that the declaration alone gives.
    fn add_attributes(&self, _: &mut BTreeMap<String, Data>) {}

    /// Adds what it shows before anything was heard of it, if that is more than `unknown`.
    fn begin(&self, _: &mut Value) {}

    /// The attributes that it shows only while it is on.
    fn shown_while_on(&self) -> &'static [&'static str] {
        &[]
    }

    /// How long after `on` it turns `off` by itself.
    fn off_delay(&self) -> Option<Millis> {
        None
    }
}

/// What one message says about one entity, gathered over its roles.
#[derive(Debug, Default)]
pub(crate) struct Update {
    pub(crate) available: Vec<(u16, bool)>,
    pub(crate) state: Option<Reported>,
    pub(crate) attributes: BTreeMap<String, Data>,
    /// What the topic for further attributes gives: all that it gives from now on.
    pub(crate) described: Option<BTreeMap<String, Data>>,
}

/// A reported state.
#[derive(Debug, PartialEq)]
pub(crate) enum Reported {
    State(String),
    Unknown,
    /// The instant of the message itself.
    Now,
}

/// The payload by which a device says that it has no value.
const PAYLOAD_NONE: &str = "None";

/// Home Assistant keeps no longer states.
const STATE_MAX: usize = 255;

impl Domain {
    pub(crate) const ALL: [Domain; 19] = [
        Domain::BinarySensor,
        Domain::Button,
        Domain::Climate,
        Domain::Cover,
        Domain::DeviceTracker,
        Domain::Event,
        Domain::Fan,
        Domain::Light,
        Domain::Lock,
        Domain::Notify,
        Domain::Number,
        Domain::Scene,
        Domain::Select,
        Domain::Sensor,
        Domain::Siren,
        Domain::Switch,
        Domain::Text,
        Domain::Update,
        Domain::Valve,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Domain::BinarySensor => "binary_sensor",
            Domain::Button => "button",
            Domain::Climate => "climate",
            Domain::Cover => "cover",
            Domain::DeviceTracker => "device_tracker",
            Domain::Event => "event",
            Domain::Fan => "fan",
            Domain::Light => "light",
            Domain::Lock => "lock",
            Domain::Notify => "notify",
            Domain::Number => "number",
            Domain::Scene => "scene",
            Domain::Select => "select",
            Domain::Sensor => "sensor",
            Domain::Siren => "siren",
            Domain::Switch => "switch",
            Domain::Text => "text",
            Domain::Update => "update",
            Domain::Valve => "valve",
        }
    }

    /// The services that every entity of this kind knows; whether it can is its declaration's matter.
    pub(crate) fn services(self) -> &'static [&'static str] {
        services::of(self)
    }

    /// The attributes that this kind gives itself, so that no topic for further ones may set them.
    pub(crate) fn own_attributes(self) -> &'static [&'static str] {
        attributes::own(self)
    }

    pub(crate) fn from_name(name: &str) -> Option<Domain> {
        Domain::ALL.into_iter().find(|domain| domain.name() == name)
    }
}

impl Platform {
    pub(crate) fn read(domain: Domain, fields: &mut Fields<'_>) -> Option<Platform> {
        Some(match domain {
            Domain::BinarySensor => Platform::BinarySensor(binary_sensor::BinarySensor::read(fields)?),
            Domain::Button => Platform::Button(button::Button::read(fields)?),
            Domain::Climate => Platform::Climate(Box::new(climate::Climate::read(fields)?)),
            Domain::Cover => Platform::Cover(Box::new(cover::Cover::read(fields)?)),
            Domain::DeviceTracker => Platform::DeviceTracker(device_tracker::DeviceTracker::read(fields)?),
            Domain::Event => Platform::Event(event::Event::read(fields)?),
            Domain::Fan => Platform::Fan(Box::new(fan::Fan::read(fields)?)),
            Domain::Light => Platform::Light(light::Light::read(fields)?),
            Domain::Lock => Platform::Lock(lock::Lock::read(fields)?),
            Domain::Notify => Platform::Notify(notify::Notify::read(fields)?),
            Domain::Number => Platform::Number(number::Number::read(fields)?),
            Domain::Scene => Platform::Scene(scene::Scene::read(fields)?),
            Domain::Select => Platform::Select(select::Select::read(fields)?),
            Domain::Sensor => Platform::Sensor(sensor::Sensor::read(fields)?),
            Domain::Siren => Platform::Siren(siren::Siren::read(fields)?),
            Domain::Switch => Platform::Switch(switch::Switch::read(fields)?),
            Domain::Text => Platform::Text(text::Text::read(fields)?),
            Domain::Update => Platform::Update(update::Update::read(fields)?),
            Domain::Valve => Platform::Valve(valve::Valve::read(fields)?),
        })
    }

    pub(crate) fn domain(&self) -> Domain {
        match self {
            Platform::BinarySensor(_) => Domain::BinarySensor,
            Platform::Button(_) => Domain::Button,
            Platform::Climate(_) => Domain::Climate,
            Platform::Cover(_) => Domain::Cover,
            Platform::DeviceTracker(_) => Domain::DeviceTracker,
            Platform::Event(_) => Domain::Event,
            Platform::Fan(_) => Domain::Fan,
            Platform::Light(_) => Domain::Light,
            Platform::Lock(_) => Domain::Lock,
            Platform::Notify(_) => Domain::Notify,
            Platform::Number(_) => Domain::Number,
            Platform::Scene(_) => Domain::Scene,
            Platform::Select(_) => Domain::Select,
            Platform::Sensor(_) => Domain::Sensor,
            Platform::Siren(_) => Domain::Siren,
            Platform::Switch(_) => Domain::Switch,
            Platform::Text(_) => Domain::Text,
            Platform::Update(_) => Domain::Update,
            Platform::Valve(_) => Domain::Valve,
        }
    }

    fn kind(&self) -> &dyn Kind {
        match self {
            Platform::BinarySensor(binary_sensor) => binary_sensor,
            Platform::Button(button) => button,
            Platform::Climate(climate) => climate.as_ref(),
            Platform::Cover(cover) => cover.as_ref(),
            Platform::DeviceTracker(device_tracker) => device_tracker,
            Platform::Event(event) => event,
            Platform::Fan(fan) => fan.as_ref(),
            Platform::Light(light) => light,
            Platform::Lock(lock) => lock,
            Platform::Notify(notify) => notify,
            Platform::Number(number) => number,
            Platform::Scene(scene) => scene,
            Platform::Select(select) => select,
            Platform::Sensor(sensor) => sensor,
            Platform::Siren(siren) => siren,
            Platform::Switch(switch) => switch,
            Platform::Text(text) => text,
            Platform::Update(update) => update,
            Platform::Valve(valve) => valve,
        }
    }

    /// The topic filters it listens to, and why.
    pub(crate) fn sources(&self) -> Vec<(&str, Role)> {
        self.kind().sources()
    }

    pub(crate) fn decode(
        &self,
        role: Role,
        payload: &Payload<'_>,
        current: Option<&Value>,
        update: &mut Update,
    ) -> Result<(), Fault> {
        self.kind().decode(&Heard { role, payload, current }, update)
    }

    pub(crate) fn services(&self) -> &'static [&'static str] {
        self.domain().services()
    }

    /// Encodes one of [`Platform::services`].
    pub(crate) fn encode(&self, call: &Call<'_>) -> Result<Encoded, EncodeError> {
        self.kind().encode(call)
    }

    pub(crate) fn add_attributes(&self, attributes: &mut BTreeMap<String, Data>) {
        self.kind().add_attributes(attributes);
    }

    pub(crate) fn begin(&self, value: &mut Value) {
        self.kind().begin(value);
    }

    pub(crate) fn shown_while_on(&self) -> &'static [&'static str] {
        self.kind().shown_while_on()
    }

    pub(crate) fn off_delay(&self) -> Option<Millis> {
        self.kind().off_delay()
    }
}

impl Update {
    /// The reports to make of it: availability first, since a device that is there may then speak.
    pub(crate) fn into_reports(self) -> impl Iterator<Item = Report> {
        let available =
            self.available.into_iter().map(|(source, online)| Report::Available { source, online });
        let attributes = self.attributes;
        let first = match &self.state {
            Some(Reported::Unknown) => Some(Report::Unknown),
            Some(Reported::State(_) | Reported::Now) | None => None,
        };
        let second = match self.state {
            Some(Reported::State(state)) => Some(Report::Update { state: Some(state), attributes }),
            Some(Reported::Now) => Some(Report::Happened { attributes }),
            Some(Reported::Unknown) | None => {
                (!attributes.is_empty()).then_some(Report::Update { state: None, attributes })
            }
        };
        let described = self.described.map(|attributes| Report::Described { attributes });
        available.chain(first).chain(second).chain(described)
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

/// A payload of its own, the default where nothing is said, none where `null` is said.
fn read_payload(fields: &mut Fields<'_>, key: &'static str, default: Option<&str>) -> Option<String> {
    match fields.get_or_null(key) {
        None => default.map(str::to_owned),
        Some(node) if node.is_null() => None,
        Some(_) => fields.text(key),
    }
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
