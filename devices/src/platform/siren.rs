//! `siren`: on or off, with a tone, a duration and a volume. Commands and states are JSON objects.

use super::command::{Call, CommandTopic, Feedback};
use super::property::text_list;
use super::{Heard, Kind, PAYLOAD_NONE, Reported, Role, Source, Update, add_assumed, shorten};
use crate::entity::Fault;
use crate::yaml::Fields;
use crate::{Data, EncodeError, Encoded, Report, Value};
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub(crate) struct Siren {
    command: CommandTopic,
    /// The same topic with `command_off_template`.
    off_command: CommandTopic,
    state: Option<Source>,
    payload_on: String,
    payload_off: String,
    state_on: String,
    state_off: String,
    tones: Vec<String>,
    has_duration: bool,
    has_volume: bool,
    feedback: Feedback,
}

const TONE: &str = "tone";
const DURATION: &str = "duration";
const VOLUME: &str = "volume_level";

impl Siren {
    pub(super) fn read(fields: &mut Fields<'_>) -> Option<Siren> {
        fields.require("command_topic");
        let command = CommandTopic::read(fields, "command_topic", "command_template");
        let off_template =
            if fields.has("command_off_template") { "command_off_template" } else { "command_template" };
        let off_command = CommandTopic::read(fields, "command_topic", off_template);
        let state = Source::read(fields, "state_topic", Some("state_value_template"));
        let payload_on = fields.text("payload_on").unwrap_or_else(|| "ON".to_owned());
        let payload_off = fields.text("payload_off").unwrap_or_else(|| "OFF".to_owned());
        let state_on = fields.text("state_on").unwrap_or_else(|| payload_on.clone());
        let state_off = fields.text("state_off").unwrap_or_else(|| payload_off.clone());
        let feedback = Feedback::read(fields, state.is_some());
        Some(Siren {
            command: command?,
            off_command: off_command?,
            state,
            payload_on,
            payload_off,
            state_on,
            state_off,
            tones: fields.texts("available_tones"),
            has_duration: fields.boolean("support_duration").unwrap_or(true),
            has_volume: fields.boolean("support_volume_set").unwrap_or(true),
            feedback,
        })
    }

    fn decode_word(&self, found: &str) -> Option<Reported> {
        match () {
            () if found == self.state_on => Some(Reported::State("on".to_owned())),
            () if found == self.state_off => Some(Reported::State("off".to_owned())),
            () if found == PAYLOAD_NONE => Some(Reported::Unknown),
            () => None,
        }
    }

    fn unexpected(&self, found: &str) -> Fault {
        let expected = format!("`{}` or `{}`", self.state_on, self.state_off);
        Fault::Unexpected { found: shorten(found), expected }
    }

    /// What of the call this siren has a use for.
    fn read_wish(&self, call: &Call<'_>) -> Result<BTreeMap<&'static str, Data>, EncodeError> {
        call.check_data(&[TONE, DURATION, VOLUME])?;
        let mut wish = BTreeMap::new();
        if !self.tones.is_empty() && call.text(TONE)?.is_some() {
            wish.insert(TONE, Data::Text(call.require_option(TONE, &self.tones)?));
        }
        if let Some(seconds) = call.number_between(DURATION, 0.0, 1e9)?.filter(|_| self.has_duration) {
            wish.insert(DURATION, Data::Int(seconds as i64));
        }
        if let Some(volume) = call.number_between(VOLUME, 0.0, 1.0)?.filter(|_| self.has_volume) {
            wish.insert(VOLUME, Data::Float(volume));
        }
        Ok(wish)
    }

    fn encode_on(&self, call: &Call<'_>) -> Result<Encoded, EncodeError> {
        let wish = self.read_wish(call)?;
        let publish = self.publish(&self.command, call, &self.payload_on, &wish)?;
        let mut encoded = self.feedback.to_state(publish, "on", &[]);
        if let Some(Report::Update { attributes, .. }) = &mut encoded.assume {
            attributes.extend(wish.into_iter().map(|(name, data)| (name.to_owned(), data)));
        }
        Ok(encoded)
    }

    fn encode_off(&self, call: &Call<'_>) -> Result<Encoded, EncodeError> {
        call.check_data(&[])?;
        let publish = self.publish(&self.off_command, call, &self.payload_off, &BTreeMap::new())?;
        Ok(self.feedback.to_state(publish, "off", &[]))
    }

    /// Without a template it is all of it as one object.
    fn publish(
        &self,
        command: &CommandTopic,
        call: &Call<'_>,
        state: &str,
        wish: &BTreeMap<&'static str, Data>,
    ) -> Result<Vec<crate::Publish>, EncodeError> {
        let members = || wish.iter().map(|(name, data)| (*name, data.clone()));
        let publish = if command.has_template() {
            command.publish_with(call, state.into(), members().chain([("state", state.into())]))?
        } else {
            let given = |name| wish.get(name).map(|data| (name, data.clone()));
            let members = [TONE, DURATION, VOLUME].into_iter().filter_map(given);
            let members = [("state", Data::from(state))].into_iter().chain(members);
            let members = members.map(|(name, data)| format!("\"{name}\":{}", data.to_json()));
            let object = format!("{{{}}}", members.collect::<Vec<_>>().join(","));
            command.publish(call, Data::Text(object))?
        };
        Ok(vec![publish])
    }
}

impl Kind for Siren {
    fn sources(&self) -> Vec<(&str, Role)> {
        self.state.iter().map(|state| (state.filter.as_str(), Role::State)).collect()
    }

    fn decode(&self, heard: &Heard<'_, '_>, update: &mut Update) -> Result<(), Fault> {
        let template = self.state.as_ref().and_then(|state| state.template.as_ref());
        let Some(found) = heard.payload.render(template)? else { return Ok(()) };
        if let Some(state) = self.decode_word(&found) {
            update.state = Some(state);
            return Ok(());
        }
        let json: Option<serde_json::Value> = serde_json::from_str(&found).ok();
        let Some(Data::Map(object)) = json.map(Data::from) else { return Err(self.unexpected(&found)) };
        if let Some(word) = object.get("state") {
            let word = word.as_text().unwrap_or_default();
            update.state = Some(self.decode_word(word).ok_or_else(|| self.unexpected(word))?);
        }
        let is_known = |name: &str| match name {
            TONE => !self.tones.is_empty(),
            DURATION => self.has_duration,
            VOLUME => self.has_volume,
            _ => false,
        };
        update.attributes.extend(object.into_iter().filter(|(name, _)| is_known(name)));
        Ok(())
    }

    fn encode(&self, call: &Call<'_>) -> Result<Encoded, EncodeError> {
        match call.service {
            "turn_on" => self.encode_on(call),
            "turn_off" => self.encode_off(call),
            _ if call.is_now(&["on"]) => self.encode_off(call),
            _ => self.encode_on(call),
        }
    }

    fn add_attributes(&self, attributes: &mut BTreeMap<String, Data>) {
        if !self.tones.is_empty() {
            attributes.insert("available_tones".to_owned(), text_list(&self.tones));
        }
        add_assumed(self.feedback.is_optimistic, attributes);
    }

    fn begin(&self, value: &mut Value) {
        if self.feedback.is_optimistic {
            value.state = "off".to_owned();
        }
    }
}
