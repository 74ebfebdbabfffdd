//! `cover`: a door, a blind, a garage; it opens, closes, stops, and may know its position.

mod tilt;

use super::command::{Call, CommandTopic, Feedback};
use super::property::number;
use super::{
    Heard, Kind, PAYLOAD_NONE, Reported, Role, Source, Update, add_assumed, decode_word, read_payload,
};
use crate::entity::{Fault, Payload};
use crate::yaml::Fields;
use crate::{Data, EncodeError, Encoded, Expectation, Report, Value};
use std::collections::BTreeMap;
use tilt::Tilt;

#[derive(Clone, Debug)]
pub(crate) struct Cover {
    command: Option<CommandTopic>,
    state: Option<Source>,
    position: Option<Source>,
    set_position: Option<CommandTopic>,
    /// None where the declaration says that the cover can not do it (`payload_stop: null`).
    payload_open: Option<String>,
    payload_close: Option<String>,
    payload_stop: Option<String>,
    /// The words on the state topic, with the states they mean.
    words: Vec<(String, &'static str)>,
    position_open: f64,
    position_closed: f64,
    tilt: Tilt,
    feedback: Feedback,
}

/// The keys that rename a state, the state, and the word by default. `stopped` is no state of its
/// own: it becomes open or closed.
const STATES: [(&str, &str, &str); 5] = [
    ("state_open", "open", "open"),
    ("state_opening", "opening", "opening"),
    ("state_closed", "closed", "closed"),
    ("state_closing", "closing", "closing"),
    ("state_stopped", STOPPED, "stopped"),
];
const STOPPED: &str = "stopped";
const POSITION: &str = "current_position";

/// How far a reported position may be from the one commanded: motors and scales round.
const POSITION_TOLERANCE: u32 = 2;

impl Cover {
    pub(super) fn read(fields: &mut Fields<'_>) -> Option<Cover> {
        let command = CommandTopic::read(fields, "command_topic", "command_template");
        let set_position = CommandTopic::read(fields, "set_position_topic", "set_position_template");
        let state = Source::read(fields, "state_topic", Some("value_template"));
        let position = Source::read(fields, "position_topic", Some("position_template"));
        let mut words = Vec::new();
        for (key, state, default) in STATES {
            words.push((fields.text(key).unwrap_or_else(|| default.to_owned()), state));
        }
        let position_open = fields.number("position_open").unwrap_or(100.0);
        let position_closed = fields.number("position_closed").unwrap_or(0.0);
        if position_open == position_closed {
            fields.fail("`position_open` and `position_closed` are the same");
        }
        if set_position.is_some() && position.is_none() {
            fields.fail("`set_position_topic` needs a `position_topic` beside it");
        }
        let feedback = Feedback::read(fields, state.is_some() || position.is_some());
        Some(Cover {
            payload_open: read_payload(fields, "payload_open", Some("OPEN")),
            payload_close: read_payload(fields, "payload_close", Some("CLOSE")),
            payload_stop: read_payload(fields, "payload_stop", Some("STOP")),
            command,
            state,
            position,
            set_position,
            words,
            position_open,
            position_closed,
            tilt: Tilt::read(fields, (position_open, position_closed)),
            feedback,
        })
    }
}

impl Kind for Cover {
    fn sources(&self) -> Vec<(&str, Role)> {
        let state = self.state.iter().map(|state| (state.filter.as_str(), Role::State));
        let position = self.position.iter().map(|position| (position.filter.as_str(), Role::Position));
        state.chain(position).chain(self.tilt.source()).collect()
    }

    fn decode(&self, heard: &Heard<'_, '_>, update: &mut Update) -> Result<(), Fault> {
        match heard.role {
            Role::Position => return self.decode_position(heard.payload, update),
            Role::Property(_) => return self.tilt.decode(heard, update),
            Role::Availability(_) | Role::Attributes | Role::State | Role::Brightness => {}
        }
        let words = self.words.iter().map(|(word, state)| (word.as_str(), *state));
        decode_word(heard.payload, self.state.as_ref(), words, update)?;
        if update.state == Some(Reported::State(STOPPED.to_owned())) {
            let state = self.rest_state(heard.current, update);
            update.state = Some(Reported::State(state.to_owned()));
        }
        Ok(())
    }

    fn encode(&self, call: &Call<'_>) -> Result<Encoded, EncodeError> {
        match call.service {
            "set_cover_position" => return self.encode_position(call),
            service if service.contains("tilt") => return self.tilt.encode(call),
            _ => {}
        }
        call.check_data(&[])?;
        match call.service {
            "open_cover" => self.encode_open(call),
            "close_cover" => self.encode_close(call),
            "stop_cover" => self.encode_stop(call),
            // A moving cover stops if it can; a closed one opens; all else closes.
            _ if call.is_now(&["opening", "closing"]) && self.payload_stop.is_some() => {
                self.encode_stop(call)
            }
            _ if call.is_now(&["closed", "closing"]) => self.encode_open(call),
            _ => self.encode_close(call),
        }
    }

    fn add_attributes(&self, attributes: &mut BTreeMap<String, Data>) {
        add_assumed(self.feedback.is_optimistic, attributes);
    }
}

impl Cover {
    /// What `stopped` means: closed at the closed position, or where it was closing; else open.
    fn rest_state(&self, current: Option<&Value>, update: &Update) -> &'static str {
        let is_closed = if self.position.is_some() {
            let told = update.attributes.get(POSITION);
            let known = told.or_else(|| current.and_then(|current| current.attributes.get(POSITION)));
            known.and_then(Data::to_number) == Some(0.0)
        } else {
            current.is_some_and(|current| ["closed", "closing"].contains(&current.state.as_str()))
        };
        if is_closed { "closed" } else { "open" }
    }

    fn decode_position(&self, payload: &Payload<'_>, update: &mut Update) -> Result<(), Fault> {
        let template = self.position.as_ref().and_then(|position| position.template.as_ref());
        let Some(found) = payload.render(template)? else { return Ok(()) };
        if found == PAYLOAD_NONE {
            return Ok(());
        }
        let number = found.trim().parse().ok().filter(|number: &f64| number.is_finite());
        let number = number.ok_or_else(|| Fault::NotNumber(super::shorten(&found)))?;
        let share = (number - self.position_closed) / (self.position_open - self.position_closed);
        let position = (share * 100.0).floor().clamp(0.0, 100.0) as i64;
        update.attributes.insert(POSITION.to_owned(), Data::Int(position));
        if self.state.is_none() {
            let state = if position == 0 { "closed" } else { "open" };
            update.state = Some(Reported::State(state.to_owned()));
        }
        Ok(())
    }

    fn encode_open(&self, call: &Call<'_>) -> Result<Encoded, EncodeError> {
        let publish = self.publish(call, self.payload_open.as_deref(), "payload_open")?;
        Ok(self.with_assumed_position(self.feedback.to_state(publish, "open", &["opening"]), 100))
    }

    fn encode_close(&self, call: &Call<'_>) -> Result<Encoded, EncodeError> {
        let publish = self.publish(call, self.payload_close.as_deref(), "payload_close")?;
        Ok(self.with_assumed_position(self.feedback.to_state(publish, "closed", &["closing"]), 0))
    }

    fn encode_stop(&self, call: &Call<'_>) -> Result<Encoded, EncodeError> {
        let publishes = self.publish(call, self.payload_stop.as_deref(), "payload_stop")?;
        // By the time of a second sending the cover may move on someone else's behalf.
        Ok(Encoded {
            publishes,
            property: "state",
            expect: Expectation::None,
            assume: None,
            repeatable: false,
        })
    }

    fn encode_position(&self, call: &Call<'_>) -> Result<Encoded, EncodeError> {
        call.check_data(&["position"])?;
        let position = call.number_between("position", 0.0, 100.0)?;
        let position = position.ok_or_else(|| call.data_error("position", "is missing"))?.trunc();
        let topic = self.set_position.as_ref().ok_or_else(|| call.unsupported("set_position_topic"))?;
        let span = self.position_open - self.position_closed;
        let scaled = (position / 100.0 * span + self.position_closed).round_ties_even() as i64;
        let position = position as i64;
        let variables = [
            ("position", Data::Int(position)),
            ("position_open", number(self.position_open)),
            ("position_closed", number(self.position_closed)),
        ];
        let publish = topic.publish_with(call, Data::Int(scaled), variables)?;
        let value = Data::Int(position);
        let expect = match self.position {
            Some(_) => {
                let (name, tolerance) = (POSITION.to_owned(), POSITION_TOLERANCE);
                Expectation::Attribute { name, value: value.clone(), tolerance, states: Vec::new() }
            }
            None => Expectation::None,
        };
        let state = if position == 0 { "closed" } else { "open" }.to_owned();
        let attributes = BTreeMap::from([(POSITION.to_owned(), value)]);
        let assume = self.feedback.is_optimistic.then_some(Report::Update { state: Some(state), attributes });
        Ok(Encoded { publishes: vec![publish], property: "state", expect, assume, repeatable: true })
    }

    fn publish(
        &self,
        call: &Call<'_>,
        payload: Option<&str>,
        key: &'static str,
    ) -> Result<Vec<crate::Publish>, EncodeError> {
        let command = self.command.as_ref().ok_or_else(|| call.unsupported("command_topic"))?;
        let payload = payload.ok_or_else(|| call.unsupported(key))?;
        Ok(vec![command.publish(call, payload.into())?])
    }

    /// An optimistic cover that has positions is also taken to be at the end of its way.
    fn with_assumed_position(&self, mut encoded: Encoded, position: i64) -> Encoded {
        if let Some(Report::Update { attributes, .. }) = &mut encoded.assume
            && (self.position.is_some() || self.set_position.is_some())
        {
            attributes.insert(POSITION.to_owned(), Data::Int(position));
        }
        encoded
    }
}
