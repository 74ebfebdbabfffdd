//! What an entity reports: Home Assistant's state and attributes, and how far to trust them.

use crate::Data;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What an entity last reported, in Home Assistant's words: `on`, `23.5`, `open`, `locked`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Value {
    pub state: String,
    pub attributes: BTreeMap<String, Data>,
}

/// Whether a [`Value`] may be relied on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Quality {
    /// Nothing was heard yet; Home Assistant's `unknown`.
    #[default]
    Unknown,
    Good,
    /// The device said, or its absence showed, that it is away; Home Assistant's `unavailable`.
    Unavailable,
}
