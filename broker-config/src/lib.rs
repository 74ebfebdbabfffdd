//! Typed, layered settings of a Gable node and of the MQTT broker beside it.
//!
//! [`Settings::load`] takes each key from the first of: the caller's overrides (command-line
//! flags), the environment (`GABLE_NODE__ID`), a TOML file, the defaults. `config/default.toml`
//! documents every key and is the list of the keys that exist; a test holds it against
//! [`Settings::default`].
//!
//! The only I/O is reading the settings file and the files that hold secrets.

mod floating;
mod list;
mod load;
mod mosquitto;
mod secret;
mod settings;
mod validate;

pub use floating::FloatingAddress;
pub use load::{DEFAULT_FILE, Error};
pub use secret::Secret;
pub use settings::{
    Address, Cache, CachePolicy, Cluster, Embedded, History, Home, Http, Log, Mqtt, MqttMode, Node, Peer,
    Server, Settings, Topics,
};
