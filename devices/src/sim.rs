//! Simulated devices: pure steppers that speak MQTT as real ones do.
//!
//! A [`Device`] is told the time, what it hears and when someone pokes it, and answers with what it
//! publishes. Sockets are somebody else's business, so a device keeps its state and its
//! [`Device::client_id`] while its connection breaks or moves to another broker. All chance comes
//! from the seed: equal seeds and equal calls give equal messages.

mod bulb;
mod closer;
mod door;
mod lock;
mod motion;
mod outlet;
mod presence;
mod random;
mod speech;
mod temperature;

use crate::{Publish, QoS, Timestamp};
use random::Random;
use speech::Speech;
use std::fmt::Debug;

/// One simulated device with its own MQTT connection.
#[derive(Debug)]
pub struct Device {
    client_id: String,
    availability: Availability,
    is_started: bool,
    body: Body,
    model: Box<dyn Model>,
}

/// How a device says that it is there, and its broker that it is not.
#[derive(Clone, Debug)]
struct Availability {
    topic: String,
    online: &'static str,
    offline: &'static str,
}

/// What all models have: chance, a voice, and perhaps a will of their own.
#[derive(Debug)]
struct Body {
    random: Random,
    speech: Speech,
    /// Whether it acts without being poked.
    is_autonomous: bool,
}

/// What tells one kind of device from another.
trait Model: Debug + Send + Sync {
    /// The device's entity in Home Assistant's `mqtt:` keys, as an item of a list.
    fn declaration(&self, availability: &str) -> String;

    fn subscriptions(&self) -> Vec<String>;

    /// What it publishes to make its present state known.
    fn states(&self) -> Vec<Publish>;

    /// It was switched on: plans its first act.
    fn start(&mut self, now: Timestamp, body: &mut Body);

    /// When it acts next by itself.
    fn next_act(&self) -> Timestamp;

    fn act(&mut self, now: Timestamp, body: &mut Body);

    fn receive(&mut self, now: Timestamp, topic: &str, payload: &str, body: &mut Body);

    /// Someone does to it what one does to such a thing.
    fn trigger(&mut self, now: Timestamp, body: &mut Body);
}

/// Never: the end of time.
const NEVER: Timestamp = Timestamp(i64::MAX);

impl Device {
    /// A Zigbee motion sensor, heard through Zigbee2MQTT: `binary_sensor.<name>`.
    pub fn motion(name: &str, seed: u64) -> Device {
        let availability = Availability::zigbee2mqtt(name);
        Device::new(name.to_owned(), availability, seed, Box::new(motion::Motion::new(name)))
    }

    /// A Zigbee door contact: `binary_sensor.<name>`, on while the door is open. It sits on the door
    /// that [`Device::closer`] of the same name moves.
    pub fn door(name: &str, seed: u64) -> Device {
        let availability = Availability::zigbee2mqtt(name);
        Device::new(format!("{name}_contact"), availability, seed, Box::new(door::Door::new(name)))
    }

    /// A Zigbee thermometer: `sensor.<name>`.
    pub fn temperature(name: &str, seed: u64) -> Device {
        let availability = Availability::zigbee2mqtt(name);
        Device::new(name.to_owned(), availability, seed, Box::new(temperature::Temperature::new(name)))
    }

    /// A presence radar on an ESP32 with ESPHome: `binary_sensor.<name>`.
    pub fn presence(name: &str, seed: u64) -> Device {
        let topic = format!("{}/status", presence::node(name));
        let availability = Availability { topic, online: "online", offline: "offline" };
        Device::new(name.to_owned(), availability, seed, Box::new(presence::Presence::new(name)))
    }

    /// A dimmable bulb with Tasmota: `light.<name>`.
    pub fn bulb(name: &str, seed: u64) -> Device {
        Device::new(name.to_owned(), Availability::tasmota(name), seed, Box::new(bulb::Bulb::new(name)))
    }

    /// An outlet with Tasmota: `switch.<name>`.
    pub fn outlet(name: &str, seed: u64) -> Device {
        Device::new(name.to_owned(), Availability::tasmota(name), seed, Box::new(outlet::Outlet::new(name)))
    }

    /// A motor that opens and closes a door: `cover.<name>`.
    pub fn closer(name: &str, seed: u64) -> Device {
        let topic = format!("{}/availability", closer::base(name));
        let availability = Availability { topic, online: "online", offline: "offline" };
        Device::new(format!("{name}_closer"), availability, seed, Box::new(closer::Closer::new(name)))
    }

    /// A Zigbee door lock: `lock.<name>`.
    pub fn lock(name: &str, seed: u64) -> Device {
        let availability = Availability::zigbee2mqtt(&lock::friendly_name(name));
        Device::new(format!("{name}_lock"), availability, seed, Box::new(lock::Lock::new(name)))
    }

    fn new(id: String, availability: Availability, seed: u64, model: Box<dyn Model>) -> Device {
        let body = Body { random: Random::new(seed), speech: Speech::default(), is_autonomous: true };
        Device { client_id: format!("sim-{id}"), availability, is_started: false, body, model }
    }

    /// The same device without a will of its own: it acts only when commanded or poked.
    pub fn by_hand(mut self) -> Device {
        self.body.is_autonomous = false;
        self
    }

    /// The MQTT client id, which stays the same wherever the device connects.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The topics to subscribe to at every connection.
    pub fn subscriptions(&self) -> Vec<String> {
        self.model.subscriptions()
    }

    /// What the broker publishes if the device vanishes.
    pub fn will(&self) -> Publish {
        self.availability.publish(self.availability.offline)
    }

    /// What the device publishes first at every connection.
    pub fn birth(&self) -> Publish {
        self.availability.publish(self.availability.online)
    }

    /// What the device publishes at every connection: its birth message and its present state.
    pub fn connected(&self) -> Vec<Publish> {
        std::iter::once(self.birth()).chain(self.model.states()).collect()
    }

    /// When [`Device::step`] has something to do next; the beginning of time before the first step.
    pub fn next_step(&self) -> Timestamp {
        if self.is_started { self.model.next_act().min(self.body.speech.next()) } else { Timestamp(i64::MIN) }
    }

    /// Lets time pass: what the device publishes up to `now`.
    pub fn step(&mut self, now: Timestamp) -> Vec<Publish> {
        if !self.is_started {
            self.is_started = true;
            self.model.start(now, &mut self.body);
        } else if self.model.next_act() <= now {
            self.model.act(now, &mut self.body);
        }
        self.body.speech.due(now)
    }

    /// A message on one of its subscriptions: what the device publishes at once. It mostly answers
    /// a little later, in a step.
    pub fn receive(&mut self, now: Timestamp, topic: &str, payload: &[u8]) -> Vec<Publish> {
        // A device that gets bytes it can not read does nothing.
        if let Ok(text) = std::str::from_utf8(payload) {
            self.model.receive(now, topic, text, &mut self.body);
        }
        self.body.speech.due(now)
    }

    /// Someone walks by, opens the door, presses the button, turns the key: what the device
    /// publishes at once.
    pub fn trigger(&mut self, now: Timestamp) -> Vec<Publish> {
        self.model.trigger(now, &mut self.body);
        self.body.speech.due(now)
    }

    /// The device's entity in Home Assistant's `mqtt:` keys, as an item of the list under `mqtt:`.
    pub fn declaration(&self) -> String {
        self.model.declaration(&self.availability.declaration())
    }
}

/// The demonstration home: hall and front door.
pub fn home(seed: u64) -> Vec<Device> {
    let mut seeds = Random::new(seed);
    vec![
        Device::motion("hall_motion", seeds.next()),
        Device::bulb("hall_bulb", seeds.next()),
        Device::door("front_door", seeds.next()),
        Device::closer("front_door", seeds.next()),
        Device::temperature("hall_temperature", seeds.next()),
        Device::presence("hall_presence", seeds.next()),
        Device::outlet("hall_outlet", seeds.next()),
        Device::lock("front_door", seeds.next()),
    ]
}

/// A file that declares these devices' entities.
///
/// ```
/// use gable_devices::{Entities, sim, yaml};
///
/// let file = yaml::parse("home.yaml", &sim::declarations(&sim::home(1))).unwrap();
/// let (entities, problems) = Entities::from_nodes(file.get("mqtt"));
/// assert!(problems.is_empty());
/// assert_eq!(entities.len(), 8);
/// ```
pub fn declarations(devices: &[Device]) -> String {
    let items = devices.iter().map(Device::declaration);
    let lines = items.flat_map(|item| item.lines().map(|line| format!("  {line}\n")).collect::<Vec<_>>());
    std::iter::once("mqtt:\n".to_owned()).chain(lines).collect()
}

impl Availability {
    fn zigbee2mqtt(friendly_name: &str) -> Availability {
        Availability {
            topic: format!("zigbee2mqtt/{friendly_name}/availability"),
            online: r#"{"state":"online"}"#,
            offline: r#"{"state":"offline"}"#,
        }
    }

    fn tasmota(name: &str) -> Availability {
        Availability { topic: format!("tele/{name}/LWT"), online: "Online", offline: "Offline" }
    }

    fn publish(&self, payload: &str) -> Publish {
        Publish { retain: true, ..message(&self.topic, payload) }
    }

    /// The keys that declare it, indented as the entity's other keys.
    fn declaration(&self) -> String {
        let topic = &self.topic;
        match self.online {
            "online" => format!("    availability_topic: {topic}\n"),
            "Online" => format!(
                "    availability_topic: {topic}\n    payload_available: Online\n    payload_not_available: Offline\n"
            ),
            _ => format!(
                "    availability:\n      - topic: {topic}\n        value_template: \"{{{{ value_json.state }}}}\"\n"
            ),
        }
    }
}

impl Body {
    /// A moment between `least` and `most` milliseconds from `now`, if the device has a will of its
    /// own.
    fn someday(&mut self, now: Timestamp, least: u64, most: u64) -> Timestamp {
        if self.is_autonomous { now.after(self.random.millis(least, most)) } else { NEVER }
    }

    /// Publishes after a delay between `least` and `most` milliseconds.
    fn say_within(&mut self, now: Timestamp, least: u64, most: u64, publishes: Vec<Publish>) {
        let at = now.after(self.random.millis(least, most));
        publishes.into_iter().for_each(|publish| self.speech.say(at, publish));
    }

    /// Publishes at once.
    fn say(&mut self, now: Timestamp, publishes: Vec<Publish>) {
        publishes.into_iter().for_each(|publish| self.speech.say(now, publish));
    }
}

/// `hall_motion` as people write it: `Hall motion`.
fn title(name: &str) -> String {
    let words = name.replace('_', " ");
    let mut chars = words.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// A message as sensors send it: it has to arrive, and is not kept.
fn message(topic: &str, payload: &str) -> Publish {
    Publish {
        topic: topic.to_owned(),
        payload: payload.as_bytes().to_vec(),
        qos: QoS::AtLeastOnce,
        retain: false,
    }
}

#[cfg(test)]
mod tests;
