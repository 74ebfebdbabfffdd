//! The default schema: `command_topic` for on and off, further topics for further properties.

use super::color::Color;
use super::{
    Temperature, Wish, assume, expect_brightness, from_scale, last_brightness, read_scale, to_scale,
};
use crate::entity::Fault;
use crate::platform::command::{Call, CommandTopic, Feedback};
use crate::platform::property::{Keys, Property, read_number};
use crate::platform::{Heard, PAYLOAD_NONE, Role, Source, Update, decode_word, shorten};
use crate::yaml::Fields;
use crate::{Data, EncodeError, Encoded, Publish};

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
    /// In the order of [`KEYS`].
    properties: Vec<Property>,
    effects: Vec<String>,
    /// Whether color temperatures are said in kelvin rather than in mireds.
    is_kelvin: bool,
    feedback: Feedback,
}

/// Attributes that a command sets.
type Shown = Vec<(&'static str, Data)>;

/// When `payload_on` is sent, if a brightness is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum OnCommand {
    Last,
    First,
    /// Never: the brightness turns the light on.
    Brightness,
}

/// Color modes of five channels and of white alone, which are taken and not acted on.
const ACCEPTED: [&str; 17] = [
    "color_mode_state_topic",
    "color_mode_value_template",
    "max_kelvin",
    "max_mireds",
    "min_kelvin",
    "min_mireds",
    "rgbw_command_template",
    "rgbw_command_topic",
    "rgbw_state_topic",
    "rgbw_value_template",
    "rgbww_command_template",
    "rgbww_command_topic",
    "rgbww_state_topic",
    "rgbww_value_template",
    "white_command_topic",
    "white_command_template",
    "white_scale",
];

const TEMPERATURE: usize = 0;
const EFFECT: usize = 1;
/// The colors in the order of their keys below.
const HS: usize = 2;
const RGB: usize = 3;
const XY: usize = 4;
const COLORS: [(usize, &str); 3] = [(HS, "hs"), (RGB, "rgb"), (XY, "xy")];

const KEYS: [Keys; 5] = [
    Keys {
        attribute: "color_temp",
        state: ("color_temp_state_topic", "color_temp_value_template"),
        command: Some(("color_temp_command_topic", "color_temp_command_template")),
    },
    Keys {
        attribute: "effect",
        state: ("effect_state_topic", "effect_value_template"),
        command: Some(("effect_command_topic", "effect_command_template")),
    },
    Keys {
        attribute: "hs_color",
        state: ("hs_state_topic", "hs_value_template"),
        command: Some(("hs_command_topic", "hs_command_template")),
    },
    Keys {
        attribute: "rgb_color",
        state: ("rgb_state_topic", "rgb_value_template"),
        command: Some(("rgb_command_topic", "rgb_command_template")),
    },
    Keys {
        attribute: "xy_color",
        state: ("xy_state_topic", "xy_value_template"),
        command: Some(("xy_command_topic", "xy_command_template")),
    },
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
            properties: KEYS.iter().map(|keys| Property::read(fields, keys)).collect(),
            effects: fields.texts("effect_list"),
            is_kelvin: fields.boolean("color_temp_kelvin").unwrap_or(false),
            feedback,
        })
    }

    pub(super) fn sources(&self) -> Vec<(&str, Role)> {
        let state = self.state.iter().map(|state| (state.filter.as_str(), Role::State));
        let brightness = self.brightness.iter().map(|source| (source.filter.as_str(), Role::Brightness));
        let properties = (0..).zip(&self.properties).filter_map(|(n, property)| property.source(n));
        state.chain(brightness).chain(properties).collect()
    }

    pub(super) fn decode(&self, heard: &Heard<'_, '_>, update: &mut Update) -> Result<(), Fault> {
        let payload = heard.payload;
        if let Role::Property(n) = heard.role {
            return self.decode_property(usize::from(n), heard, update);
        }
        if heard.role != Role::Brightness {
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

    fn decode_property(&self, n: usize, heard: &Heard<'_, '_>, update: &mut Update) -> Result<(), Fault> {
        let Some(property) = self.properties.get(n) else { return Ok(()) };
        if n == EFFECT {
            return property.decode_text(heard, PAYLOAD_NONE, &[], update);
        }
        let Some(found) = property.render(heard)? else { return Ok(()) };
        if found == PAYLOAD_NONE {
            property.set(update, Data::Null);
            return Ok(());
        }
        let numbers = found.split(',').map(read_number).collect::<Result<Vec<f64>, Fault>>()?;
        let channel = |channel: f64| channel.clamp(0.0, super::FULL) as i64;
        let color = match (n, numbers.as_slice()) {
            (TEMPERATURE, [said]) if *said >= 1.0 => {
                let shown = Temperature::said(*said, self.is_kelvin).shown();
                update.attributes.extend(shown.map(|(name, data)| (name.to_owned(), data)));
                return Ok(());
            }
            (HS, [hue, saturation]) => Color::Hs(*hue, *saturation),
            (RGB, [red, green, blue]) => Color::Rgb([channel(*red), channel(*green), channel(*blue)]),
            (XY, [x, y]) => Color::Xy(*x, *y),
            _ => {
                let expected = "numbers with commas between".to_owned();
                return Err(Fault::Unexpected { found: shorten(&found), expected });
            }
        };
        let shown = color.shown(self.properties[TEMPERATURE].is_told());
        update.attributes.extend(shown.into_iter().map(|(name, data)| (name.to_owned(), data)));
        Ok(())
    }

    /// Which colors can be told.
    fn has_mode(&self, mode: &str) -> bool {
        COLORS.into_iter().any(|(n, known)| known == mode && self.properties[n].is_told())
    }

    /// The messages for color, temperature and effect, as far as this light has topics for them, and
    /// the attributes that they set.
    fn encode_properties(&self, call: &Call<'_>, wish: &Wish) -> Result<(Vec<Publish>, Shown), EncodeError> {
        let (mut publishes, mut shown) = (Vec::new(), Vec::new());
        if let Some(color) = wish.color.and_then(|color| color.for_modes(|mode| self.has_mode(mode))) {
            publishes.push(self.publish_color(call, wish, color)?);
            shown.extend(color.shown(self.properties[TEMPERATURE].is_told()));
        }
        let temperature = &self.properties[TEMPERATURE];
        if let Some(both) = wish.temperature.filter(|_| temperature.is_told()) {
            let said = if self.is_kelvin { both.kelvin } else { both.mireds };
            publishes.push(temperature.publish(call, Data::Int(said))?);
            shown.extend(both.shown());
        }
        let property = &self.properties[EFFECT];
        if let Some(effect) = wish.effect.clone().filter(|_| property.is_told()) {
            publishes.push(property.publish(call, effect.as_str().into())?);
            shown.push(("effect", Data::Text(effect)));
        }
        Ok((publishes, shown))
    }

    fn publish_color(&self, call: &Call<'_>, wish: &Wish, color: Color) -> Result<Publish, EncodeError> {
        match color {
            Color::Hs(hue, saturation) => {
                let text = format!("{hue:?},{saturation:?}");
                let variables = [("hue", Data::Float(hue)), ("sat", Data::Float(saturation))];
                self.properties[HS].publish_with(call, Data::Text(text), variables)
            }
            Color::Rgb(rgb) => {
                // Without a topic for the brightness the color carries it.
                let brightness = wish.brightness.or_else(|| last_brightness(call)).unwrap_or(super::FULL);
                let [red, green, blue] = match self.brightness_command {
                    Some(_) => rgb,
                    None => rgb.map(|channel| (channel as f64 * brightness / super::FULL) as i64),
                };
                let text = format!("{red},{green},{blue}");
                let variables =
                    [("red", Data::Int(red)), ("green", Data::Int(green)), ("blue", Data::Int(blue))];
                self.properties[RGB].publish_with(call, Data::Text(text), variables)
            }
            Color::Xy(x, y) => {
                let text = format!("{x:?},{y:?}");
                let variables = [("x", Data::Float(x)), ("y", Data::Float(y))];
                self.properties[XY].publish_with(call, Data::Text(text), variables)
            }
        }
    }

    pub(super) fn encode_on(&self, call: &Call<'_>, wish: &Wish) -> Result<Encoded, EncodeError> {
        let brightness = match (wish.brightness, self.on_command) {
            (None, OnCommand::Brightness) => Some(last_brightness(call).unwrap_or(super::FULL)),
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
        let (more, shown) = self.encode_properties(call, wish)?;
        let level = level.into_iter().chain(more);
        let publishes = match self.on_command {
            OnCommand::First => on.into_iter().chain(level).collect(),
            OnCommand::Last | OnCommand::Brightness => level.chain(on).collect(),
        };
        let mut encoded = self.feedback.to_state(publishes, "on", &[]);
        if let (true, Some(brightness)) = (sets_level, brightness) {
            expect_brightness(&mut encoded, brightness, self.brightness.is_some());
        }
        assume(&mut encoded, shown);
        Ok(encoded)
    }

    pub(super) fn encode_off(&self, call: &Call<'_>) -> Result<Encoded, EncodeError> {
        let publish = self.command.publish(call, self.off.as_str().into())?;
        Ok(self.feedback.to_state(vec![publish], "off", &[]))
    }

    pub(super) fn color_modes(&self) -> Vec<&str> {
        let mut modes: Vec<&str> = COLORS.into_iter().map(|(_, mode)| mode).collect();
        modes.retain(|mode| self.has_mode(mode));
        if self.properties[TEMPERATURE].is_told() {
            modes.insert(0, "color_temp");
        }
        if modes.is_empty() {
            modes.push(if self.brightness_command.is_some() { "brightness" } else { "onoff" });
        }
        modes
    }

    pub(super) fn has_brightness(&self) -> bool {
        self.brightness_command.is_some()
    }

    pub(super) fn has_effect(&self) -> bool {
        self.properties[EFFECT].is_told()
    }

    pub(super) fn effects(&self) -> &[String] {
        &self.effects
    }

    pub(super) fn feedback(&self) -> Feedback {
        self.feedback
    }
}
