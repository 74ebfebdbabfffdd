//! `update`: whether a device runs its latest firmware.

use super::command::{Call, CommandTopic, pulse};
use super::{Heard, Kind, PAYLOAD_NONE, Reported, Role, Source};
use crate::entity::Fault;
use crate::yaml::Fields;
use crate::{Data, EncodeError, Encoded};
use std::cmp::Ordering;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub(crate) struct Update {
    state: Option<Source>,
    latest: Option<Source>,
    command: Option<CommandTopic>,
    payload_install: Option<String>,
    attributes: BTreeMap<String, Data>,
}

const INSTALLED: &str = "installed_version";
const LATEST: &str = "latest_version";

/// What else the state's object may say.
const SAID: [&str; 6] =
    ["entity_picture", "in_progress", "release_summary", "release_url", "title", "update_percentage"];

impl Update {
    pub(super) fn read(fields: &mut Fields<'_>) -> Option<Update> {
        fields.accept(&["display_precision"]);
        let state = Source::read(fields, "state_topic", Some("value_template"));
        let latest = Source::read(fields, "latest_version_topic", Some("latest_version_template"));
        let command = CommandTopic::read(fields, "command_topic", "command_template");
        let payload_install = fields.text("payload_install");
        let mut attributes = BTreeMap::new();
        for key in ["release_summary", "release_url", "title"] {
            attributes.insert(key.to_owned(), fields.text(key).map_or(Data::Null, Data::Text));
        }
        Some(Update { state, latest, command, payload_install, attributes })
    }

    fn render(&self, heard: &Heard<'_, '_>) -> Result<Option<String>, Fault> {
        let source = if heard.role == Role::State { &self.state } else { &self.latest };
        heard.payload.render(source.as_ref().and_then(|source| source.template.as_ref()))
    }

    /// `on` if there is a later version than the one installed; unknown while one of them is.
    fn judge(&self, heard: &Heard<'_, '_>, update: &mut super::Update) {
        let known = |name: &str| {
            let told = update.attributes.get(name);
            let data = told.or_else(|| heard.current.and_then(|current| current.attributes.get(name)));
            data.and_then(Data::as_text).map(str::to_owned)
        };
        update.state = Some(match (known(INSTALLED), known(LATEST)) {
            (Some(installed), Some(latest)) => {
                let is_late = latest != installed && compare(&latest, &installed) != Some(Ordering::Less);
                Reported::State(if is_late { "on" } else { "off" }.to_owned())
            }
            (None, _) | (_, None) => Reported::Unknown,
        });
    }
}

impl Kind for Update {
    fn sources(&self) -> Vec<(&str, Role)> {
        let state = self.state.iter().map(|state| (state.filter.as_str(), Role::State));
        state.chain(self.latest.iter().map(|latest| (latest.filter.as_str(), Role::Property(0)))).collect()
    }

    fn decode(&self, heard: &Heard<'_, '_>, update: &mut super::Update) -> Result<(), Fault> {
        let Some(found) = self.render(heard)? else { return Ok(()) };
        if found == "{}" || found == PAYLOAD_NONE {
            return Ok(());
        }
        if heard.role != Role::State {
            update.attributes.insert(LATEST.to_owned(), Data::Text(found));
            self.judge(heard, update);
            return Ok(());
        }
        let json: Option<serde_json::Value> = serde_json::from_str(&found).ok();
        match json.map(Data::from) {
            Some(Data::Map(object)) => {
                for (name, data) in object {
                    if name == INSTALLED || name == LATEST {
                        let is_text = data.as_text().is_some() || data == Data::Null;
                        let data = if is_text { data } else { Data::Text(data.to_json().to_string()) };
                        update.attributes.insert(name, data);
                    } else if SAID.contains(&name.as_str()) {
                        update.attributes.insert(name, data);
                    }
                }
            }
            // A plain version, which may look like a number.
            Some(_) | None => {
                update.attributes.insert(INSTALLED.to_owned(), Data::Text(found));
            }
        }
        self.judge(heard, update);
        Ok(())
    }

    fn encode(&self, call: &Call<'_>) -> Result<Encoded, EncodeError> {
        call.check_data(&["backup", "version"])?;
        let command = self.command.as_ref().ok_or_else(|| call.unsupported("command_topic"))?;
        let payload = self.payload_install.as_deref().ok_or_else(|| call.unsupported("payload_install"))?;
        Ok(pulse(command.publish(call, payload.into())?, false))
    }

    fn add_attributes(&self, attributes: &mut BTreeMap<String, Data>) {
        attributes.extend(self.attributes.clone());
    }
}

/// Compares versions that are numbers with points between; none if one of them is something else.
fn compare(left: &str, right: &str) -> Option<Ordering> {
    let parts = |version: &str| -> Option<Vec<u64>> {
        let version = version.strip_prefix('v').unwrap_or(version);
        version.split(['.', '-']).map(|part| part.parse().ok()).collect()
    };
    let (mut left, mut right) = (parts(left)?, parts(right)?);
    let length = left.len().max(right.len());
    left.resize(length, 0);
    right.resize(length, 0);
    Some(left.cmp(&right))
}
