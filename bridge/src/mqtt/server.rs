//! Gable as the broker: what MQTT clients connect to.

pub mod wire;
