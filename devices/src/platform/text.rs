//! `text`: a setting that is a text, of a length within bounds.

use super::command::{Call, CommandTopic, Feedback};
use super::{Heard, Kind, Reported, Role, STATE_MAX, Source, Update, add_assumed, shorten};
use crate::entity::Fault;
use crate::yaml::Fields;
use crate::{Data, EncodeError, Encoded};
use std::collections::BTreeMap;

/// `pattern` is shown and not held against the texts: it is a hint for whoever types them.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    command: CommandTopic,
    state: Option<Source>,
    least: i64,
    most: i64,
    attributes: BTreeMap<String, Data>,
    feedback: Feedback,
}

impl Text {
    pub(super) fn read(fields: &mut Fields<'_>) -> Option<Text> {
        fields.require("command_topic");
        let command = CommandTopic::read(fields, "command_topic", "command_template");
        let state = Source::read(fields, "state_topic", Some("value_template"));
        let longest = i64::try_from(STATE_MAX).unwrap_or(i64::MAX);
        let least = fields.integer("min").unwrap_or(0);
        let most = fields.integer("max").unwrap_or(longest);
        if least < 0 || most > longest || least > most {
            fields.fail(format!("`min` and `max` have to lie between 0 and {longest}, in this order"));
        }
        let mode = fields.choice("mode", &[("text", "text"), ("password", "password")]).unwrap_or("text");
        let pattern = fields.text("pattern").map_or(Data::Null, Data::Text);
        let attributes = BTreeMap::from([
            ("min".to_owned(), Data::Int(least)),
            ("max".to_owned(), Data::Int(most)),
            ("mode".to_owned(), mode.into()),
            ("pattern".to_owned(), pattern),
        ]);
        let feedback = Feedback::read(fields, state.is_some());
        Some(Text { command: command?, state, least, most, attributes, feedback })
    }

    fn fits(&self, text: &str) -> bool {
        i64::try_from(text.chars().count()).is_ok_and(|length| (self.least..=self.most).contains(&length))
    }
}

impl Kind for Text {
    fn sources(&self) -> Vec<(&str, Role)> {
        self.state.iter().map(|state| (state.filter.as_str(), Role::State)).collect()
    }

    fn decode(&self, heard: &Heard<'_, '_>, update: &mut Update) -> Result<(), Fault> {
        let template = self.state.as_ref().and_then(|state| state.template.as_ref());
        let Some(found) = heard.payload.render(template)? else { return Ok(()) };
        if !self.fits(&found) {
            let expected = format!("a text of {} to {} characters", self.least, self.most);
            return Err(Fault::Unexpected { found: shorten(&found), expected });
        }
        update.state = Some(Reported::State(found));
        Ok(())
    }

    fn encode(&self, call: &Call<'_>) -> Result<Encoded, EncodeError> {
        call.check_data(&["value"])?;
        let text = call.require_text("value")?;
        if !self.fits(&text) {
            let problem = format!("is not {} to {} characters long", self.least, self.most);
            return Err(call.data_error("value", &problem));
        }
        let publish = self.command.publish(call, text.as_str().into())?;
        Ok(self.feedback.to_state(vec![publish], &text, &[]))
    }

    fn add_attributes(&self, attributes: &mut BTreeMap<String, Data>) {
        attributes.extend(self.attributes.clone());
        add_assumed(self.feedback.is_optimistic, attributes);
    }
}
