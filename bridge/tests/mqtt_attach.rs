//! The MQTT edge against real brokers: Mosquitto in a process of its own, and rumqttd in this one.

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
