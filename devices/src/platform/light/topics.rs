//! The default schema: `command_topic` for on and off, further topics for further properties.

use super::{Wish, current_brightness, expect_brightness, from_scale, read_scale, to_scale};
use crate::entity::{Fault, Payload};
use crate::platform::command::{Call, CommandTopic, Feedback};
use crate::platform::{PAYLOAD_NONE, Role, Source, Update, decode_word, shorten};
use crate::yaml::Fields;
use crate::{Data, EncodeError, Encoded};

#[derive(Clone, Debug)]
pub(crate) struct TopicLight {
    command: CommandTopic,
    state: Option<Source>,
    on: String,
    off: String,
    brightness_command: Option<CommandTopic>,
    brightness: Option<Source>,
    scale: f64,
    on_command: OnCommand,
    feedback: Feedback,
}

/// When `payload_on` is sent, if a brightness is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum OnCommand {
    Last,
    First,
    /// Never: the brightness turns the light on.
    Brightness,
}

/// Colours and effects, which are taken and not acted on.
const ACCEPTED: [&str; 38] = [
    "color_mode_state_topic",
    "color_mode_value_template",
    "color_temp_command_template",
    "color_temp_command_topic",
    "color_temp_kelvin",
    "color_temp_state_topic",
    "color_temp_value_template",
    "effect_command_template",
    "effect_command_topic",
    "effect_list",
    "effect_state_topic",
    "effect_value_template",
    "hs_command_template",
    "hs_command_topic",
    "hs_state_topic",
    "hs_value_template",
    "max_kelvin",
    "max_mireds",
    "min_kelvin",
    "min_mireds",
    "rgb_command_template",
    "rgb_command_topic",
    "rgb_state_topic",
    "rgb_value_template",
    "rgbw_command_template",
    "rgbw_command_topic",
    "rgbw_state_topic",
    "rgbw_value_template",
    "rgbww_command_template",
    "rgbww_command_topic",
    "rgbww_state_topic",
    "rgbww_value_template",
    "white_command_topic",
    "white_scale",
    "xy_command_template",
    "xy_command_topic",
    "xy_state_topic",
    "xy_value_template",
];

impl TopicLight {
    pub(super) fn read(fields: &mut Fields<'_>) -> Option<TopicLight> {
        fields.accept(&ACCEPTED);
        fields.require("command_topic");
        let command = CommandTopic::read(fields, "command_topic", "command_template");
        let state = Source::read(fields, "state_topic", Some("state_value_template"));
        let brightness_command =
            CommandTopic::read(fields, "brightness_command_topic", "brightness_command_template");
        let brightness = Source::read(fields, "brightness_state_topic", Some("brightness_value_template"));
        let scale = read_scale(fields);
        let types =
            [("last", OnCommand::Last), ("first", OnCommand::First), ("brightness", OnCommand::Brightness)];
        let on_command = fields.choice("on_command_type", &types).unwrap_or(OnCommand::Last);
        if on_command == OnCommand::Brightness && brightness_command.is_none() {
            fields.fail("`on_command_type: brightness` needs a `brightness_command_topic`");
        }
        let on = fields.text("payload_on").unwrap_or_else(|| "ON".to_owned());
        let off = fields.text("payload_off").unwrap_or_else(|| "OFF".to_owned());
        let feedback = Feedback::read(fields, state.is_some());
        Some(TopicLight {
            command: command?,
            state,
            on,
            off,
            brightness_command,
            brightness,
            scale,
            on_command,
            feedback,
        })
    }

    pub(super) fn sources(&self) -> Vec<(&str, Role)> {
        let state = self.state.iter().map(|state| (state.filter.as_str(), Role::State));
        let brightness = self.brightness.iter().map(|source| (source.filter.as_str(), Role::Brightness));
        state.chain(brightness).collect()
    }

    pub(super) fn decode(&self, role: Role, payload: &Payload<'_>, update: &mut Update) -> Result<(), Fault> {
        if role != Role::Brightness {
            let words = [(self.on.as_str(), "on"), (&self.off, "off")];
            return decode_word(payload, self.state.as_ref(), words, update);
        }
        let template = self.brightness.as_ref().and_then(|brightness| brightness.template.as_ref());
        let Some(found) = payload.render(template)? else { return Ok(()) };
        if found == PAYLOAD_NONE {
            return Ok(());
        }
        let number = found.trim().parse().ok().filter(|number: &f64| number.is_finite());
        let number = number.ok_or_else(|| Fault::NotNumber(shorten(&found)))?;
        if let Some(brightness) = from_scale(number, self.scale) {
            update.attributes.insert("brightness".to_owned(), brightness);
        }
        Ok(())
    }

    pub(super) fn encode_on(&self, call: &Call<'_>, wish: &Wish) -> Result<Encoded, EncodeError> {
        let brightness = match (wish.brightness, self.on_command) {
            (None, OnCommand::Brightness) => Some(current_brightness(call).unwrap_or(super::FULL)),
            (brightness, _) => brightness,
        };
        let level = match (&self.brightness_command, brightness) {
            (Some(topic), Some(brightness)) => {
                Some(topic.publish(call, Data::Int(to_scale(brightness, self.scale)))?)
            }
            _ => None,
        };
        let on = match self.on_command {
            OnCommand::Brightness => None,
            OnCommand::First | OnCommand::Last => Some(self.command.publish(call, self.on.as_str().into())?),
        };
        let sets_level = level.is_some();
        let publishes = match self.on_command {
            OnCommand::First => on.into_iter().chain(level).collect(),
            OnCommand::Last | OnCommand::Brightness => level.into_iter().chain(on).collect(),
        };
        let mut encoded = self.feedback.to_state(publishes, "on", &[]);
        if let (true, Some(brightness)) = (sets_level, brightness) {
            expect_brightness(&mut encoded, brightness, self.brightness.is_some());
        }
        Ok(encoded)
    }

    pub(super) fn encode_off(&self, call: &Call<'_>) -> Result<Encoded, EncodeError> {
        let publish = self.command.publish(call, self.off.as_str().into())?;
        Ok(self.feedback.to_state(vec![publish], "off", &[]))
    }

    pub(super) fn color_modes(&self) -> Vec<&str> {
        vec![if self.brightness_command.is_some() { "brightness" } else { "onoff" }]
    }

    pub(super) fn feedback(&self) -> Feedback {
        self.feedback
    }
}
