//! The MQTT edge against real brokers: Mosquitto in a process of its own, and rumqttd in this one.

#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]
#![allow(clippy::print_stderr, reason = "a test that is passed over says so")]

mod mqtt_attach {
    mod acknowledge;
    mod bench;
    mod broker;
    mod commands;
    mod device;
    mod embedded;
    mod messages;
    mod shared;
}
