//! A property of an entity that has topics of its own: a fan's oscillation, a thermostat's preset.

use super::command::{Call, CommandTopic, Feedback, expect_attribute};
use super::{Heard, PAYLOAD_NONE, Role, Source, Update, shorten};
use crate::entity::Fault;
use crate::yaml::Fields;
use crate::{Data, EncodeError, Encoded, Publish};

/// The keys that declare a property, and the attribute that shows it.
pub(in crate::platform) struct Keys {
    pub(in crate::platform) attribute: &'static str,
    /// The topic and its template.
    pub(in crate::platform) state: (&'static str, &'static str),
    /// The same; none if it is only heard.
    pub(in crate::platform) command: Option<(&'static str, &'static str)>,
}

/// Where a property is heard and told.
#[derive(Clone, Debug)]
pub(in crate::platform) struct Property {
    pub(in crate::platform) attribute: &'static str,
    command_key: &'static str,
    source: Option<Source>,
    command: Option<CommandTopic>,
    feedback: Feedback,
}

impl Property {
    pub(in crate::platform) fn read(fields: &mut Fields<'_>, keys: &Keys) -> Property {
        let source = Source::read(fields, keys.state.0, Some(keys.state.1));
        let command = keys.command.and_then(|(topic, template)| CommandTopic::read(fields, topic, template));
        let command_key = keys.command.map_or("command_topic", |(topic, _)| topic);
        let feedback = Feedback::read(fields, source.is_some());
        Property { attribute: keys.attribute, command_key, source, command, feedback }
    }

    /// The same property with a word of its own on how far it is to be trusted.
    pub(in crate::platform) fn with_feedback(self, feedback: Feedback) -> Property {
        Property { feedback, ..self }
    }

    /// Whether it can be told.
    pub(in crate::platform) fn is_told(&self) -> bool {
        self.command.is_some()
    }

    /// Where it is heard, as the `n`-th of the entity's properties.
    pub(in crate::platform) fn source(&self, n: u8) -> Option<(&str, Role)> {
        self.source.as_ref().map(|source| (source.filter.as_str(), Role::Property(n)))
    }

    /// What a message gives for it; none if it says nothing here.
    pub(in crate::platform) fn render(&self, heard: &Heard<'_, '_>) -> Result<Option<String>, Fault> {
        heard.payload.render(self.source.as_ref().and_then(|source| source.template.as_ref()))
    }

    /// Takes a number over, or null for `None`.
    pub(in crate::platform) fn decode_number(
        &self,
        heard: &Heard<'_, '_>,
        update: &mut Update,
    ) -> Result<(), Fault> {
        let Some(found) = self.render(heard)? else { return Ok(()) };
        let data = if found == PAYLOAD_NONE { Data::Null } else { number(read_number(&found)?) };
        self.set(update, data);
        Ok(())
    }

    /// Takes a text over, or null for `reset`. `options` are all there may be; empty, if any.
    pub(in crate::platform) fn decode_text(
        &self,
        heard: &Heard<'_, '_>,
        reset: &str,
        options: &[String],
        update: &mut Update,
    ) -> Result<(), Fault> {
        let Some(found) = self.render(heard)? else { return Ok(()) };
        if found == reset || found == PAYLOAD_NONE {
            self.set(update, Data::Null);
            return Ok(());
        }
        if !options.is_empty() && !options.contains(&found) {
            return Err(Fault::Unexpected { found: shorten(&found), expected: options.join(" or ") });
        }
        self.set(update, Data::Text(found));
        Ok(())
    }

    pub(in crate::platform) fn set(&self, update: &mut Update, data: Data) {
        update.attributes.insert(self.attribute.to_owned(), data);
    }

    /// The message that tells it.
    pub(in crate::platform) fn publish(
        &self,
        call: &Call<'_>,
        payload: Data,
    ) -> Result<Publish, EncodeError> {
        self.publish_with(call, payload, [])
    }

    /// The same with further variables for the template.
    pub(in crate::platform) fn publish_with<'v>(
        &self,
        call: &Call<'_>,
        payload: Data,
        variables: impl IntoIterator<Item = (&'v str, Data)>,
    ) -> Result<Publish, EncodeError> {
        let command = self.command.as_ref().ok_or_else(|| call.unsupported(self.command_key))?;
        command.publish_with(call, payload, variables)
    }

    /// A command that sets it to `value`, said as `payload`.
    pub(in crate::platform) fn encode(
        &self,
        call: &Call<'_>,
        payload: Data,
        value: Data,
        tolerance: u32,
    ) -> Result<Encoded, EncodeError> {
        self.encode_with(call, (payload, Vec::new()), value, tolerance)
    }

    /// The same with further variables for the template.
    pub(in crate::platform) fn encode_with(
        &self,
        call: &Call<'_>,
        (payload, variables): (Data, Vec<(&str, Data)>),
        value: Data,
        tolerance: u32,
    ) -> Result<Encoded, EncodeError> {
        let publish = self.publish_with(call, payload, variables)?;
        Ok(self.feedback.to_attribute(vec![publish], self.attribute, value, tolerance))
    }

    /// Adds its message to a command of which it is a part. The last part confirms.
    pub(in crate::platform) fn append(
        &self,
        call: &Call<'_>,
        encoded: &mut Encoded,
        payload: Data,
        value: Data,
        tolerance: u32,
    ) -> Result<(), EncodeError> {
        encoded.publishes.push(self.publish(call, payload)?);
        expect_attribute(encoded, self.attribute, value, tolerance, self.source.is_some());
        Ok(())
    }
}

/// Reads a finite number.
pub(in crate::platform) fn read_number(text: &str) -> Result<f64, Fault> {
    let number = text.trim().parse().ok().filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| Fault::NotNumber(shorten(text)))
}

/// A number, whole where it is.
pub(in crate::platform) fn number(number: f64) -> Data {
    if number.fract() == 0.0 && number.abs() < 1e15 { Data::Int(number as i64) } else { Data::Float(number) }
}

/// Texts as an attribute.
pub(in crate::platform) fn text_list(texts: &[String]) -> Data {
    Data::List(texts.iter().map(|text| text.as_str().into()).collect())
}
