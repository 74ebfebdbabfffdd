//! The way out: a command topic, and one service call with its data.

use super::source::{read_template, read_topic};
use crate::yaml::{Fields, did_you_mean};
use crate::{
    Context, Data, EncodeError, Encoded, EntityId, Expectation, Publish, QoS, Report, Template, Value,
};
use std::collections::BTreeMap;

/// A service call on one entity.
#[derive(Clone, Copy)]
pub(crate) struct Call<'c> {
    pub(crate) entity_id: &'c EntityId,
    pub(crate) name: Option<&'c str>,
    pub(crate) service: &'c str,
    pub(crate) data: &'c BTreeMap<String, Data>,
    pub(crate) current: Option<&'c Value>,
}

/// Where and how an entity is told something.
#[derive(Clone, Debug)]
pub(super) struct CommandTopic {
    topic: String,
    qos: QoS,
    retain: bool,
    template: Option<Template>,
}

impl CommandTopic {
    /// Reads a topic, its template, and the declaration's `qos` and `retain`.
    pub(super) fn read(
        fields: &mut Fields<'_>,
        topic_key: &'static str,
        template_key: &'static str,
    ) -> Option<CommandTopic> {
        let template = read_template(fields, template_key);
        let retain = fields.boolean("retain").unwrap_or(false);
        let qos = read_qos(fields);
        read_topic(fields, topic_key).map(|topic| CommandTopic { topic, qos, retain, template })
    }

    /// Whether a template makes the payload.
    pub(super) fn has_template(&self) -> bool {
        self.template.is_some()
    }

    /// The message that carries `value`, through the template if there is one.
    pub(super) fn publish(&self, call: &Call<'_>, value: Data) -> Result<Publish, EncodeError> {
        self.publish_with(call, value, [])
    }

    /// The message that carries a payload as it stands.
    pub(super) fn publish_plain(&self, payload: &str) -> Publish {
        let payload = payload.as_bytes().to_vec();
        Publish { topic: self.topic.clone(), payload, qos: self.qos, retain: self.retain }
    }

    /// The message that carries `value`, with further variables for the template.
    pub(super) fn publish_with<'v>(
        &self,
        call: &Call<'_>,
        value: Data,
        variables: impl IntoIterator<Item = (&'v str, Data)>,
    ) -> Result<Publish, EncodeError> {
        let payload = match &self.template {
            None => match value {
                Data::Text(text) => text,
                other => other.to_json().to_string(),
            },
            Some(template) => {
                let mut context = Context::new(variables);
                context.set("value", value);
                context.set("entity_id", call.entity_id.as_str().into());
                context.set("name", call.name.map(Data::from).unwrap_or_default());
                let rendered = template.render(&context);
                rendered
                    .map_err(|source| EncodeError::Template { entity_id: call.entity_id.clone(), source })?
            }
        };
        Ok(Publish {
            topic: self.topic.clone(),
            payload: payload.into_bytes(),
            qos: self.qos,
            retain: self.retain,
        })
    }
}

fn read_qos(fields: &mut Fields<'_>) -> QoS {
    match fields.integer("qos") {
        None | Some(0) => QoS::AtMostOnce,
        Some(1) => QoS::AtLeastOnce,
        Some(2) => QoS::ExactlyOnce,
        Some(other) => {
            fields.fail(format!("`qos: {other}` is not 0, 1 or 2"));
            QoS::AtMostOnce
        }
    }
}

impl Call<'_> {
    /// What the entity last reported, if it is one of `states`.
    pub(super) fn is_now(&self, states: &[&str]) -> bool {
        self.current.is_some_and(|current| states.contains(&current.state.as_str()))
    }

    /// A number of the call's data, also one in a text (a rendered template).
    pub(super) fn number(&self, key: &str) -> Result<Option<f64>, EncodeError> {
        match self.data.get(key) {
            None | Some(Data::Null) => Ok(None),
            Some(data) => match data.to_number().filter(|number| number.is_finite()) {
                Some(number) => Ok(Some(number)),
                None => Err(self.data_error(key, "is not a number")),
            },
        }
    }

    /// A number within bounds.
    pub(super) fn number_between(
        &self,
        key: &str,
        least: f64,
        most: f64,
    ) -> Result<Option<f64>, EncodeError> {
        let number = self.number(key)?;
        if number.is_some_and(|number| !(least..=most).contains(&number)) {
            return Err(self.data_error(key, &format!("is not between {least} and {most}")));
        }
        Ok(number)
    }

    /// A number that has to be there, within bounds.
    pub(super) fn require_number(&self, key: &str, least: f64, most: f64) -> Result<f64, EncodeError> {
        self.number_between(key, least, most)?.ok_or_else(|| self.data_error(key, "is missing"))
    }

    /// A text of the call's data; anything else counts as what it is written as.
    pub(super) fn text(&self, key: &str) -> Result<Option<String>, EncodeError> {
        match self.data.get(key) {
            None | Some(Data::Null) => Ok(None),
            Some(Data::Text(text)) => Ok(Some(text.clone())),
            // A rendered text may look like a list; it still is what was rendered.
            Some(data @ (Data::List(_) | Data::Tuple(_) | Data::Map(_) | Data::Spelled(..))) => {
                Ok(Some(data.to_python()))
            }
            Some(
                other @ (Data::Bool(_) | Data::Int(_) | Data::Float(_) | Data::Time(_) | Data::LocalTime(..)),
            ) => Ok(Some(other.to_json().to_string().trim_matches('"').to_owned())),
        }
    }

    /// A text that has to be there.
    pub(super) fn require_text(&self, key: &str) -> Result<String, EncodeError> {
        self.text(key)?.ok_or_else(|| self.data_error(key, "is missing"))
    }

    /// A text that has to be one of `options`.
    pub(super) fn require_option(&self, key: &str, options: &[String]) -> Result<String, EncodeError> {
        let text = self.require_text(key)?;
        if options.contains(&text) {
            return Ok(text);
        }
        let hint = did_you_mean(&text, options.iter().map(String::as_str));
        let hint = hint.map(|hint| format!(" (did you mean `{hint}`?)")).unwrap_or_default();
        Err(self.data_error(key, &format!("`{text}` is not one of {}{hint}", options.join(", "))))
    }

    /// A boolean of the call's data, also one in a text (a rendered template).
    pub(super) fn boolean(&self, key: &str) -> Result<Option<bool>, EncodeError> {
        let text = match self.data.get(key) {
            Some(Data::Bool(bool)) => return Ok(Some(*bool)),
            _ => self.text(key)?.map(|text| text.trim().to_ascii_lowercase()),
        };
        match text.as_deref() {
            None => Ok(None),
            Some("true" | "on" | "yes" | "enable" | "1") => Ok(Some(true)),
            Some("false" | "off" | "no" | "disable" | "0") => Ok(Some(false)),
            Some(_) => Err(self.data_error(key, "is not a boolean")),
        }
    }

    /// What the entity last reported as one of its attributes.
    pub(super) fn attribute(&self, name: &str) -> Option<&Data> {
        self.current.and_then(|current| current.attributes.get(name)).filter(|data| **data != Data::Null)
    }

    /// Refuses data that the service does not know.
    pub(super) fn check_data(&self, known: &[&str]) -> Result<(), EncodeError> {
        match self.data.keys().find(|key| !known.contains(&key.as_str())) {
            None => Ok(()),
            Some(key) => Err(self.data_error(
                key,
                &match did_you_mean(key, known.iter().copied()) {
                    Some(hint) => format!("is unknown (did you mean `{hint}`?)"),
                    None => "is unknown".to_owned(),
                },
            )),
        }
    }

    pub(super) fn data_error(&self, key: &str, problem: &str) -> EncodeError {
        EncodeError::Data {
            entity_id: self.entity_id.clone(),
            service: self.service.to_owned(),
            key: key.to_owned(),
            problem: problem.to_owned(),
        }
    }

    pub(super) fn unsupported(&self, key: &'static str) -> EncodeError {
        EncodeError::Unsupported { entity_id: self.entity_id.clone(), service: self.service.to_owned(), key }
    }

    pub(super) fn unknown(&self) -> EncodeError {
        EncodeError::UnknownService {
            entity_id: self.entity_id.clone(),
            service: self.service.to_owned(),
            hint: None,
        }
    }
}

/// A command that leaves no state behind by which a second one could be told from none. What was
/// done counts by its instant if `stamps`.
pub(super) fn pulse(publish: Publish, stamps: bool) -> Encoded {
    let assume = stamps.then(|| Report::Happened { attributes: BTreeMap::new() });
    Encoded { publishes: vec![publish], property: "", expect: Expectation::None, assume, repeatable: false }
}

/// One command of several parts, sent in their order; the last of them confirms. None of none.
pub(super) fn merge(parts: Vec<Encoded>) -> Option<Encoded> {
    let mut parts = parts.into_iter();
    let mut whole = parts.next()?;
    for part in parts {
        whole.publishes.extend(part.publishes);
        whole.expect = part.expect;
        whole.repeatable &= part.repeatable;
        whole.assume = match (whole.assume, part.assume) {
            (
                Some(Report::Update { state: first, mut attributes }),
                Some(Report::Update { state, attributes: more }),
            ) => {
                attributes.extend(more);
                Some(Report::Update { state: state.or(first), attributes })
            }
            (first, second) => second.or(first),
        };
    }
    Some(whole)
}

/// How an entity's state follows its commands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Feedback {
    /// It has a topic on which it reports.
    pub(super) is_heard: bool,
    /// It is taken to be as commanded at once.
    pub(super) is_optimistic: bool,
}

impl Feedback {
    /// Reads `optimistic`; without a way to hear the entity there is no other way.
    pub(super) fn read(fields: &mut Fields<'_>, is_heard: bool) -> Feedback {
        let is_optimistic = fields.boolean("optimistic").unwrap_or(false) || !is_heard;
        Feedback { is_heard, is_optimistic }
    }

    /// A command that brings the entity into `state`, confirmed by it or by one of `underway`.
    pub(super) fn to_state(self, publishes: Vec<Publish>, state: &str, underway: &[&str]) -> Encoded {
        let states = std::iter::once(&state).chain(underway).map(|state| (*state).to_owned()).collect();
        let expect = if self.is_heard { Expectation::State(states) } else { Expectation::None };
        let update = Report::Update { state: Some(state.to_owned()), attributes: BTreeMap::new() };
        let assume = self.is_optimistic.then_some(update);
        Encoded { publishes, property: "state", expect, assume, repeatable: true }
    }
    /// A command that makes a number the state. A device may say 21 as `21.0`, which is the same.
    pub(super) fn to_number(self, publishes: Vec<Publish>, number: &Data) -> Encoded {
        let text = number.to_json().to_string();
        let mut encoded = self.to_state(publishes, &text, &[]);
        if let (Expectation::State(states), Data::Int(whole)) = (&mut encoded.expect, number) {
            states.push(format!("{whole}.0"));
        }
        encoded
    }

    /// A command that sets an attribute and leaves the state alone.
    pub(super) fn to_attribute(
        self,
        publishes: Vec<Publish>,
        name: &'static str,
        value: Data,
        tolerance: u32,
    ) -> Encoded {
        let attributes = BTreeMap::from([(name.to_owned(), value.clone())]);
        let assume = self.is_optimistic.then_some(Report::Update { state: None, attributes });
        let expect = match self.is_heard {
            true => Expectation::Attribute { name: name.to_owned(), value, tolerance, states: Vec::new() },
            false => Expectation::None,
        };
        Encoded { publishes, property: name, expect, assume, repeatable: true }
    }
}

/// Makes an attribute part of what confirms a command and of what is assumed.
pub(super) fn expect_attribute(
    encoded: &mut Encoded,
    name: &str,
    value: Data,
    tolerance: u32,
    is_heard: bool,
) {
    if let (true, Expectation::State(states)) = (is_heard, &encoded.expect) {
        let (name, value, states) = (name.to_owned(), value.clone(), states.clone());
        encoded.expect = Expectation::Attribute { name, value, tolerance, states };
    }
    if let Some(Report::Update { attributes, .. }) = &mut encoded.assume {
        attributes.insert(name.to_owned(), value);
    }
}
