//! The name of one point of control, as Home Assistant writes it: `light.hall_bulb`.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A validated entity id, `domain.object_id`, in lower case letters, digits and underscores.
///
/// The rules are Home Assistant's (`homeassistant/core.py`, `valid_entity_id`): no leading,
/// trailing or doubled underscore in the domain, none leading or trailing in the object id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EntityId(Box<str>);

/// Why a text is not an entity id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an entity id: expected `domain.object_id` in a-z, 0-9 and _")]
pub struct EntityIdError {
    text: String,
}

impl EntityId {
    /// The part before the dot: `light` of `light.hall_bulb`.
    pub fn domain(&self) -> &str {
        self.0.split_once('.').map_or("", |(domain, _)| domain)
    }

    /// The part after the dot: `hall_bulb` of `light.hall_bulb`.
    pub fn object_id(&self) -> &str {
        self.0.split_once('.').map_or("", |(_, object_id)| object_id)
    }

    /// The whole id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EntityId {
    type Err = EntityIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_word = |word: &str| {
            !word.is_empty()
                && !word.starts_with('_')
                && !word.ends_with('_')
                && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        match text.split_once('.') {
            Some((domain, object_id))
                if is_word(domain) && !domain.contains("__") && is_word(object_id) && text.len() <= 255 =>
            {
                Ok(EntityId(text.into()))
            }
            _ => Err(EntityIdError { text: text.to_owned() }),
        }
    }
}

impl TryFrom<String> for EntityId {
    type Error = EntityIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<EntityId> for String {
    fn from(id: EntityId) -> String {
        id.0.into()
    }
}

impl fmt::Display for EntityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(&str, &str)>) {
        let parsed = text.parse::<EntityId>().ok();
        assert_eq!(parsed.as_ref().map(|id| (id.domain(), id.object_id())), expected, "{text}");
    }

    #[test]
    fn ids_follow_home_assistant() {
        check("light.hall_bulb", Some(("light", "hall_bulb")));
        check("binary_sensor.0x00124b_motion", Some(("binary_sensor", "0x00124b_motion")));
        check("light", None);
        check("Light.hall", None);
        check("light.", None);
        check(".hall", None);
        check("light._hall", None);
        check("li__ght.hall", None);
        check("light.hall.bulb", None);
        check("light.häll", None);
    }
}
