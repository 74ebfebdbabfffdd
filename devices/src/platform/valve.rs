//! `valve`: opens, closes, stops; one that reports its position is told positions instead.

use super::command::{Call, CommandTopic, Feedback, pulse};
use super::property::{number, read_number};
use super::{Heard, Kind, PAYLOAD_NONE, Reported, Role, Source, Update, add_assumed, read_payload, shorten};
use crate::entity::Fault;
use crate::yaml::Fields;
use crate::{Data, EncodeError, Encoded, Publish, Report};
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub(crate) struct Valve {
    command: Option<CommandTopic>,
    state: Option<Source>,
    reports_position: bool,
    payload_open: Option<String>,
    payload_close: Option<String>,
    payload_stop: Option<String>,
    /// The words on the state topic, with the states they mean.
    words: Vec<(String, &'static str)>,
    position_open: f64,
    position_closed: f64,
    feedback: Feedback,
}

/// The keys that rename a state, and the state, which is also the word by default.
const STATES: [(&str, &str); 4] = [
    ("state_open", "open"),
    ("state_opening", "opening"),
    ("state_closed", "closed"),
    ("state_closing", "closing"),
];
const POSITION: &str = "current_position";
/// How far a reported position may be from the one commanded: motors and scales round.
const POSITION_TOLERANCE: u32 = 2;

impl Valve {
    pub(super) fn read(fields: &mut Fields<'_>) -> Option<Valve> {
        let reports_position = fields.boolean("reports_position").unwrap_or(false);
        for key in ["payload_open", "payload_close", "state_open", "state_closed"] {
            if reports_position && fields.has(key) {
                fields.fail(format!("`{key}` has no place beside `reports_position: true`"));
            }
        }
        let position_open = fields.integer("position_open").unwrap_or(100);
        let position_closed = fields.integer("position_closed").unwrap_or(0);
        if position_open == position_closed {
            fields.fail("`position_open` and `position_closed` are the same");
        }
        let command = CommandTopic::read(fields, "command_topic", "command_template");
        let state = Source::read(fields, "state_topic", Some("value_template"));
        let words = STATES.map(|(key, state)| (fields.text(key).unwrap_or_else(|| state.to_owned()), state));
        let feedback = Feedback::read(fields, state.is_some());
        Some(Valve {
            command,
            state,
            reports_position,
            payload_open: read_payload(fields, "payload_open", Some("OPEN")),
            payload_close: read_payload(fields, "payload_close", Some("CLOSE")),
            payload_stop: read_payload(fields, "payload_stop", None),
            words: words.to_vec(),
            position_open: position_open as f64,
            position_closed: position_closed as f64,
            feedback,
        })
    }

    fn decode_state(&self, found: &str, update: &mut Update) -> Result<(), Fault> {
        update.state = Some(match self.words.iter().find(|(word, _)| word == found) {
            Some((_, state)) => Reported::State((*state).to_owned()),
            None if found == PAYLOAD_NONE => Reported::Unknown,
            None => return Err(self.unexpected(found)),
        });
        Ok(())
    }

    fn unexpected(&self, found: &str) -> Fault {
        let words: Vec<String> = self.words.iter().map(|(word, _)| format!("`{word}`")).collect();
        Fault::Unexpected { found: shorten(found), expected: words.join(" or ") }
    }

    /// A position says where it is; `opening` and `closing`, which way it goes.
    fn decode_position(
        &self,
        position: Option<&str>,
        word: Option<&str>,
        update: &mut Update,
    ) -> Result<(), Fault> {
        let under_way = self
            .words
            .iter()
            .find(|(known, state)| Some(known.as_str()) == word && ["opening", "closing"].contains(state));
        if position == Some(PAYLOAD_NONE) || (position.is_none() && word == Some(PAYLOAD_NONE)) {
            update.attributes.insert(POSITION.to_owned(), Data::Null);
            update.state = Some(Reported::Unknown);
            return Ok(());
        }
        if let Some(text) = position {
            let share =
                (read_number(text)? - self.position_closed) / (self.position_open - self.position_closed);
            let position = (share * 100.0).floor().clamp(0.0, 100.0) as i64;
            update.attributes.insert(POSITION.to_owned(), Data::Int(position));
            let state = if position == 0 { "closed" } else { "open" };
            update.state = Some(Reported::State(state.to_owned()));
        }
        if let Some((_, state)) = under_way {
            update.state = Some(Reported::State((*state).to_owned()));
        }
        Ok(())
    }

    fn encode_move(&self, call: &Call<'_>, opens: bool) -> Result<Encoded, EncodeError> {
        if self.reports_position {
            return self.encode_position(call, if opens { 100.0 } else { 0.0 });
        }
        if opens {
            let publish = self.publish(call, self.payload_open.as_deref(), "payload_open")?;
            return Ok(self.feedback.to_state(vec![publish], "open", &["opening"]));
        }
        let publish = self.publish(call, self.payload_close.as_deref(), "payload_close")?;
        Ok(self.feedback.to_state(vec![publish], "closed", &["closing"]))
    }

    fn encode_stop(&self, call: &Call<'_>) -> Result<Encoded, EncodeError> {
        let publish = self.publish(call, self.payload_stop.as_deref(), "payload_stop")?;
        // It ends what the valve was told before.
        Ok(Encoded { property: "state", ..pulse(publish, false) })
    }

    fn encode_position(&self, call: &Call<'_>, position: f64) -> Result<Encoded, EncodeError> {
        let command = self.command.as_ref().ok_or_else(|| call.unsupported("command_topic"))?;
        let position = position.trunc();
        let span = self.position_open - self.position_closed;
        let scaled = (position / 100.0 * span + self.position_closed).round_ties_even();
        let variables = [
            ("position", number(position)),
            ("position_open", number(self.position_open)),
            ("position_closed", number(self.position_closed)),
        ];
        let publish = command.publish_with(call, number(scaled), variables)?;
        let position = position as i64;
        let mut encoded =
            self.feedback.to_attribute(vec![publish], POSITION, Data::Int(position), POSITION_TOLERANCE);
        encoded.property = "state";
        if let Some(Report::Update { state, .. }) = &mut encoded.assume {
            *state = Some(if position == 0 { "closed" } else { "open" }.to_owned());
        }
        Ok(encoded)
    }

    fn publish(
        &self,
        call: &Call<'_>,
        payload: Option<&str>,
        key: &'static str,
    ) -> Result<Publish, EncodeError> {
        let command = self.command.as_ref().ok_or_else(|| call.unsupported("command_topic"))?;
        command.publish(call, payload.ok_or_else(|| call.unsupported(key))?.into())
    }
}

impl Kind for Valve {
    fn sources(&self) -> Vec<(&str, Role)> {
        self.state.iter().map(|state| (state.filter.as_str(), Role::State)).collect()
    }

    fn decode(&self, heard: &Heard<'_, '_>, update: &mut Update) -> Result<(), Fault> {
        let template = self.state.as_ref().and_then(|state| state.template.as_ref());
        let Some(found) = heard.payload.render(template)? else { return Ok(()) };
        let json: Option<serde_json::Value> = serde_json::from_str(&found).ok();
        if let Some(Data::Map(object)) = json.map(Data::from) {
            let text = |key: &str| {
                let data = object.get(key)?;
                Some(data.as_text().map_or_else(|| data.to_json().to_string(), str::to_owned))
            };
            let (position, word) = (text("position"), text("state"));
            return match (self.reports_position, word) {
                (true, word) => self.decode_position(position.as_deref(), word.as_deref(), update),
                (false, Some(word)) => self.decode_state(&word, update),
                (false, None) => Ok(()),
            };
        }
        if !self.reports_position {
            return self.decode_state(&found, update);
        }
        let is_word = self.words.iter().any(|(word, _)| *word == found);
        let position = (!is_word).then_some(found.as_str());
        self.decode_position(position, Some(&found), update)
    }

    fn encode(&self, call: &Call<'_>) -> Result<Encoded, EncodeError> {
        if call.service == "set_valve_position" {
            call.check_data(&["position"])?;
            if !self.reports_position {
                return Err(call.unsupported("reports_position: true"));
            }
            return self.encode_position(call, call.require_number("position", 0.0, 100.0)?);
        }
        call.check_data(&[])?;
        match call.service {
            "open_valve" => self.encode_move(call, true),
            "close_valve" => self.encode_move(call, false),
            "stop_valve" => self.encode_stop(call),
            // A moving valve stops if it can; a closed one opens; all else closes.
            _ if call.is_now(&["opening", "closing"]) && self.payload_stop.is_some() => {
                self.encode_stop(call)
            }
            _ => self.encode_move(call, call.is_now(&["closed", "closing"])),
        }
    }

    fn add_attributes(&self, attributes: &mut BTreeMap<String, Data>) {
        add_assumed(self.feedback.is_optimistic, attributes);
    }
}
