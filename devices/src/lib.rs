//! What a home consists of, and how it speaks MQTT.
//!
//! Nouns ([`EntityId`], [`Value`], [`Quality`], [`Event`], [`Command`]), the declarations of
//! entities in Home Assistant's `mqtt:` keys and in its discovery messages, the codecs between payloads and values, and
//! simulated devices as pure steppers. Nothing here does I/O, reads a clock or draws a random
//! number: the same input gives the same output on every node, today and a year later.

mod command;
mod data;
pub mod discovery;
pub mod duration;
mod encoded;
mod entity;
mod entity_id;
mod event;
mod platform;
pub mod sim;
mod template;
mod time;
pub mod topic;
mod value;
pub mod yaml;

pub use command::{Command, Publish, QoS};
pub use data::Data;
pub use encoded::{EncodeError, Encoded, Expectation};
pub use entity::{Announced, DecodeError, Entities, Entity, Fault, IdConflict, is_other_platform, slugify};
pub use entity_id::{EntityId, EntityIdError};
pub use event::{Event, Report};
pub use platform::{domains, services_of};
pub use template::{Context, Group, Reads, Seen, Template, TemplateError, World, is_template};
pub use time::{Millis, Timestamp};
pub use value::{Quality, Value};
