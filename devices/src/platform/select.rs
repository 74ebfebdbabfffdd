//! `select`: a setting that is one of a few options.

use super::command::{Call, CommandTopic, Feedback};
use super::property::text_list;
use super::{Heard, Kind, PAYLOAD_NONE, Reported, Role, Source, Update, add_assumed, shorten};
use crate::entity::Fault;
use crate::yaml::Fields;
use crate::{Data, EncodeError, Encoded};
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub(crate) struct Select {
    command: CommandTopic,
    state: Option<Source>,
    options: Vec<String>,
    feedback: Feedback,
}

impl Select {
    pub(super) fn read(fields: &mut Fields<'_>) -> Option<Select> {
        fields.require("command_topic");
        fields.require("options");
        let command = CommandTopic::read(fields, "command_topic", "command_template");
        let state = Source::read(fields, "state_topic", Some("value_template"));
        let options = fields.texts("options");
        let feedback = Feedback::read(fields, state.is_some());
        Some(Select { command: command?, state, options, feedback })
    }

    /// The option that lies `offset` from the present one.
    fn neighbour(&self, call: &Call<'_>, offset: i64) -> Result<Option<String>, EncodeError> {
        let cycles = call.boolean("cycle")?.unwrap_or(true);
        let Ok(count) = i64::try_from(self.options.len()) else { return Ok(None) };
        let state = call.current.map(|current| &current.state);
        let now = self.options.iter().position(|option| Some(option) == state).unwrap_or(0) as i64;
        let place = match (count, cycles) {
            (0, _) => return Ok(None),
            (_, true) => (now + offset).rem_euclid(count),
            (_, false) => (now + offset).clamp(0, count - 1),
        };
        Ok(usize::try_from(place).ok().and_then(|place| self.options.get(place)).cloned())
    }
}

impl Kind for Select {
    fn sources(&self) -> Vec<(&str, Role)> {
        self.state.iter().map(|state| (state.filter.as_str(), Role::State)).collect()
    }

    fn decode(&self, heard: &Heard<'_, '_>, update: &mut Update) -> Result<(), Fault> {
        let template = self.state.as_ref().and_then(|state| state.template.as_ref());
        let Some(found) = heard.payload.render(template)? else { return Ok(()) };
        if found.eq_ignore_ascii_case(PAYLOAD_NONE) {
            update.state = Some(Reported::Unknown);
        } else if self.options.contains(&found) {
            update.state = Some(Reported::State(found));
        } else {
            let expected = self.options.join(" or ");
            return Err(Fault::Unexpected { found: shorten(&found), expected });
        }
        Ok(())
    }

    fn encode(&self, call: &Call<'_>) -> Result<Encoded, EncodeError> {
        let keys: &[&str] = match call.service {
            "select_option" => &["option"],
            "select_next" | "select_previous" => &["cycle"],
            _ => &[],
        };
        call.check_data(keys)?;
        let option = match call.service {
            "select_option" => Some(call.require_option("option", &self.options)?),
            "select_next" => self.neighbour(call, 1)?,
            "select_previous" => self.neighbour(call, -1)?,
            "select_first" => self.options.first().cloned(),
            _ => self.options.last().cloned(),
        };
        let option = option.ok_or_else(|| call.unsupported("options"))?;
        let publish = self.command.publish(call, option.as_str().into())?;
        Ok(self.feedback.to_state(vec![publish], &option, &[]))
    }

    fn add_attributes(&self, attributes: &mut BTreeMap<String, Data>) {
        attributes.insert("options".to_owned(), text_list(&self.options));
        add_assumed(self.feedback.is_optimistic, attributes);
    }
}
