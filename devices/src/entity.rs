//! Entities as the home's files declare them and as devices announce them, found by id and by topic.

mod availability;
mod declared;
mod entities;
mod payload;
mod sections;
mod slug;
mod title;

use crate::platform::{Call, Domain, Platform, Role, Update};
use crate::yaml::{Fields, Problem, did_you_mean};
use crate::{Data, EncodeError, Encoded, EntityId, Millis, TemplateError, Value};
use declared::Declared;
use std::collections::BTreeMap;

pub use entities::{Announced, Entities, IdConflict};
pub(crate) use payload::Payload;
pub use sections::is_other_platform;
pub use slug::slugify;

/// One entity, declared or announced.
#[derive(Clone, Debug)]
pub struct Entity {
    id: EntityId,
    declared: Declared,
    platform: Platform,
}

/// Why a message says nothing usable about an entity that listens to its topic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{entity_id}: the payload on {topic} {fault}")]
pub struct DecodeError {
    pub entity_id: EntityId,
    pub topic: String,
    pub fault: Fault,
}

/// What is wrong with a payload, in words that follow "the payload".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("is not UTF-8 text")]
    NotText,
    #[error("is not JSON")]
    NotJson,
    #[error("is not a JSON object")]
    NotObject,
    #[error("gives `{found}`, expected {expected}")]
    Unexpected { found: String, expected: String },
    #[error("gives `{0}`, expected a number")]
    NotNumber(String),
    #[error("gives a state longer than 255 characters")]
    TooLong,
    #[error("can not be read: {0}")]
    Template(TemplateError),
}

impl Entity {
    /// Reads one declaration. Its id is the one that it wishes for.
    pub(crate) fn read(domain: Domain, mut fields: Fields<'_>) -> Result<Entity, Vec<Problem>> {
        let declared = Declared::read(domain, &mut fields);
        let platform = Platform::read(domain, &mut fields);
        let problems = fields.finish();
        match (declared, platform) {
            (Some(declared), Some(platform)) if problems.is_empty() => {
                Ok(Entity { id: declared.wanted_id.clone(), declared, platform })
            }
            _ => Err(problems),
        }
    }

    /// The same entity under another id.
    pub fn with_id(self, id: EntityId) -> Entity {
        Entity { id, ..self }
    }

    pub(crate) fn domain(&self) -> Domain {
        self.platform.domain()
    }

    /// The kind and the unique id, which no two entities share.
    fn identity(&self) -> Option<(Domain, String)> {
        Some((self.domain(), self.unique_id()?.to_owned()))
    }

    /// The entity's id.
    pub fn id(&self) -> &EntityId {
        &self.id
    }

    /// How people call it: the device's name and its own.
    pub fn name(&self) -> &str {
        &self.declared.friendly_name
    }

    /// What the entity itself is called on its device.
    pub(crate) fn own_name(&self) -> Option<&str> {
        self.declared.own_name.as_deref()
    }

    /// The id that its maker gave it, which survives renaming.
    pub fn unique_id(&self) -> Option<&str> {
        self.declared.unique_id.as_deref()
    }

    /// The device it belongs to, as declared.
    pub fn device(&self) -> Option<&Data> {
        self.declared.device.as_ref()
    }

    /// The attributes that the declaration alone gives: `friendly_name`, `device_class`, ...
    pub fn static_attributes(&self) -> BTreeMap<String, Data> {
        let mut attributes = self.declared.attributes.clone();
        self.platform.add_attributes(&mut attributes);
        attributes
    }

    /// What it shows before anything was heard of it: Home Assistant's `unknown`, mostly.
    pub fn first_value(&self) -> Value {
        let mut value = Value { state: "unknown".to_owned(), attributes: self.static_attributes() };
        self.platform.begin(&mut value);
        value
    }

    /// The attributes that it shows only while it is on; otherwise they are null.
    pub fn shown_while_on(&self) -> &'static [&'static str] {
        self.platform.shown_while_on()
    }

    /// Whether the device is there, by what its availability topics last said (`heard`, by
    /// [`Report::Available`](crate::Report::Available)'s `source`). Without such topics it is; before they said enough it
    /// is not.
    pub fn is_available(&self, heard: &BTreeMap<u16, bool>) -> bool {
        self.declared.availability.is_met(heard)
    }

    /// How long after `on` a binary sensor turns `off` by itself.
    pub fn off_delay(&self) -> Option<Millis> {
        self.platform.off_delay()
    }

    /// How long after its last report the entity becomes unavailable.
    pub fn expire_after(&self) -> Option<Millis> {
        self.declared.expire_after
    }

    /// Whether an equal report counts as a change (`force_update`).
    pub fn force_update(&self) -> bool {
        self.declared.force_update
    }

    /// The services that the entity's kind knows, without the domain.
    pub fn services(&self) -> &'static [&'static str] {
        self.platform.services()
    }

    /// Turns a service call into messages. `current` is what the entity last reported; a toggle is
    /// resolved from it, so that sending the result twice is harmless.
    pub fn encode(
        &self,
        service: &str,
        data: &BTreeMap<String, Data>,
        current: Option<&Value>,
    ) -> Result<Encoded, EncodeError> {
        if !self.services().contains(&service) {
            let hint = did_you_mean(service, self.services().iter().copied()).map(str::to_owned);
            return Err(EncodeError::UnknownService {
                entity_id: self.id.clone(),
                service: service.to_owned(),
                hint,
            });
        }
        let call = Call { entity_id: &self.id, name: self.own_name(), service, data, current };
        self.platform.encode(&call)
    }

    fn sources(&self) -> impl Iterator<Item = (&str, Role)> {
        self.declared
            .availability
            .sources()
            .chain(self.declared.attributes_source())
            .chain(self.platform.sources())
    }

    /// What one message says in one role.
    fn decode(
        &self,
        role: Role,
        payload: &Payload<'_>,
        current: Option<&Value>,
        update: &mut Update,
    ) -> Result<(), Fault> {
        match role {
            Role::Availability(n) => {
                if let Some(online) = self.declared.availability.decode(n, payload)? {
                    update.available.push((self.declared.availability.source(n), online));
                }
                Ok(())
            }
            Role::Attributes => {
                self.declared.decode_attributes(payload, self.domain().own_attributes(), update)
            }
            role => self.platform.decode(role, payload, current, update),
        }
    }
}

#[cfg(test)]
mod tests;
