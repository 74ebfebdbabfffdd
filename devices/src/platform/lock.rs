//! `lock`: a door lock, which may also have a latch to open.

use super::command::{Call, CommandTopic, Feedback};
use super::{Heard, Kind, Reported, Role, Source, Update, add_assumed, decode_word};
use crate::entity::Fault;
use crate::yaml::Fields;
use crate::{Data, EncodeError, Encoded, Expectation, Value};
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub(crate) struct Lock {
    command: CommandTopic,
    state: Option<Source>,
    payload_lock: String,
    payload_unlock: String,
    payload_open: Option<String>,
    payload_reset: String,
    /// The words on the state topic, with the states they mean.
    words: Vec<(String, &'static str)>,
    feedback: Feedback,
}

/// The keys that rename a state, the state, and the word by default.
const STATES: [(&str, &str, &str); 5] = [
    ("state_locked", "locked", "LOCKED"),
    ("state_unlocked", "unlocked", "UNLOCKED"),
    ("state_locking", "locking", "LOCKING"),
    ("state_unlocking", "unlocking", "UNLOCKING"),
    ("state_jammed", "jammed", "JAMMED"),
];

impl Lock {
    pub(super) fn read(fields: &mut Fields<'_>) -> Option<Lock> {
        fields.require("command_topic");
        fields.accept(&["code_format"]);
        let command = CommandTopic::read(fields, "command_topic", "command_template");
        let state = Source::read(fields, "state_topic", Some("value_template"));
        let mut words = Vec::new();
        for (key, state, default) in STATES {
            words.push((fields.text(key).unwrap_or_else(|| default.to_owned()), state));
        }
        let payload_lock = fields.text("payload_lock").unwrap_or_else(|| "LOCK".to_owned());
        let payload_unlock = fields.text("payload_unlock").unwrap_or_else(|| "UNLOCK".to_owned());
        let payload_open = fields.text("payload_open");
        let payload_reset = fields.text("payload_reset").unwrap_or_else(|| super::PAYLOAD_NONE.to_owned());
        let feedback = Feedback::read(fields, state.is_some());
        Some(Lock {
            command: command?,
            state,
            payload_lock,
            payload_unlock,
            payload_open,
            payload_reset,
            words,
            feedback,
        })
    }
}

impl Kind for Lock {
    fn sources(&self) -> Vec<(&str, Role)> {
        self.state.iter().map(|state| (state.filter.as_str(), Role::State)).collect()
    }

    fn decode(&self, heard: &Heard<'_, '_>, update: &mut Update) -> Result<(), Fault> {
        const RESET: &str = "";
        let words = self.words.iter().map(|(word, state)| (word.as_str(), *state));
        let words = words.chain([(self.payload_reset.as_str(), RESET)]);
        decode_word(heard.payload, self.state.as_ref(), words, update)?;
        if update.state == Some(Reported::State(RESET.to_owned())) {
            update.state = Some(Reported::Unknown);
        }
        Ok(())
    }

    fn encode(&self, call: &Call<'_>) -> Result<Encoded, EncodeError> {
        call.check_data(&["code"])?;
        let code = call.data.get("code").cloned().unwrap_or_default();
        let publish = |payload: &str| {
            let publish = self.command.publish_with(call, payload.into(), [("code", code)])?;
            Ok::<_, EncodeError>(vec![publish])
        };
        match call.service {
            "lock" => Ok(self.feedback.to_state(publish(&self.payload_lock)?, "locked", &["locking"])),
            "unlock" => {
                Ok(self.feedback.to_state(publish(&self.payload_unlock)?, "unlocked", &["unlocking"]))
            }
            _ => {
                let payload = self.payload_open.as_deref().ok_or_else(|| call.unsupported("payload_open"))?;
                // The latch is a pulse: it leaves no state that would tell a second one from none.
                Ok(Encoded {
                    publishes: publish(payload)?,
                    property: "state",
                    expect: Expectation::None,
                    assume: None,
                    repeatable: false,
                })
            }
        }
    }

    fn add_attributes(&self, attributes: &mut BTreeMap<String, Data>) {
        add_assumed(self.feedback.is_optimistic, attributes);
    }

    fn begin(&self, value: &mut Value) {
        if self.feedback.is_optimistic {
            value.state = "unlocked".to_owned();
        }
    }
}
