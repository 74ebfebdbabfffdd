//! Devices in simulated time: what they say, and that the codec understands them.

use super::*;
use crate::{Data, Entities, Event, Report, yaml};
use std::collections::BTreeMap;

fn entities() -> Entities {
    let file = yaml::parse("home.yaml", &declarations(&home(1))).unwrap();
    let (entities, problems) = Entities::from_nodes(file.get("mqtt"));
    assert_eq!(problems, []);
    entities
}

/// A device beside the codec, both told the same time.
struct Bench {
    entities: Entities,
    device: Device,
    now: Timestamp,
    heard: Vec<String>,
}

impl Bench {
    fn new(device: Device) -> Bench {
        Bench::with(entities(), device)
    }

    fn with(entities: Entities, device: Device) -> Bench {
        let mut bench = Bench { entities, device: device.by_hand(), now: Timestamp(1000), heard: Vec::new() };
        let publishes = bench.device.step(bench.now);
        bench.hear(publishes);
        bench
    }

    fn hear(&mut self, publishes: Vec<Publish>) {
        for publish in publishes {
            for result in self.entities.decode(&publish.topic, &publish.payload, |_| None) {
                let Event { entity_id, report } = result.unwrap();
                let what = match report {
                    Report::Update { state, attributes } => {
                        let attributes =
                            attributes.iter().map(|(name, data)| format!("{name}={}", data.to_json()));
                        state.into_iter().chain(attributes).collect::<Vec<_>>().join(" ")
                    }
                    Report::Unknown => "unknown".to_owned(),
                    Report::Available { online, .. } => format!("available={online}"),
                    Report::Happened { .. } => "happened".to_owned(),
                    Report::Described { attributes } => format!("described {attributes:?}"),
                };
                self.heard.push(format!("{}ms {entity_id} {what}", self.now.0 - 1000));
            }
        }
    }

    fn trigger(&mut self) {
        let publishes = self.device.trigger(self.now);
        self.hear(publishes);
    }

    /// Calls a service of the device's entity.
    fn call(&mut self, entity_id: &str, service: &str, data: &[(&str, i64)]) {
        let data: BTreeMap<String, Data> =
            data.iter().map(|(key, int)| ((*key).to_owned(), Data::Int(*int))).collect();
        let entities = entities();
        let encoded =
            entities.get(&entity_id.parse().unwrap()).unwrap().encode(service, &data, None).unwrap();
        for publish in encoded.publishes {
            assert!(self.device.subscriptions().contains(&publish.topic), "{}", publish.topic);
            let answers = self.device.receive(self.now, &publish.topic, &publish.payload);
            self.hear(answers);
        }
    }

    /// Lets time pass up to the device's last plan within `millis`.
    fn wait(&mut self, millis: i64) {
        let end = Timestamp(self.now.0 + millis);
        while self.device.next_step() <= end {
            self.now = self.now.max(self.device.next_step());
            let publishes = self.device.step(self.now);
            self.hear(publishes);
        }
        self.now = end;
    }

    #[track_caller]
    fn check(&mut self, expected: &[&str]) {
        assert_eq!(std::mem::take(&mut self.heard), expected);
    }
}

#[test]
fn the_home_has_its_entities_and_fixed_ids() {
    let ids: Vec<String> = entities().iter().map(|entity| entity.id().to_string()).collect();
    assert_eq!(
        ids,
        [
            "binary_sensor.front_door",
            "binary_sensor.hall_motion",
            "binary_sensor.hall_presence",
            "cover.front_door",
            "light.hall_bulb",
            "lock.front_door",
            "sensor.hall_temperature",
            "switch.hall_outlet",
        ]
    );
    let clients: Vec<String> = home(5).iter().map(|device| device.client_id().to_owned()).collect();
    assert_eq!(
        clients,
        [
            "sim-hall_motion",
            "sim-hall_bulb",
            "sim-front_door_contact",
            "sim-front_door_closer",
            "sim-hall_temperature",
            "sim-hall_presence",
            "sim-hall_outlet",
            "sim-front_door_lock",
        ]
    );
}

#[test]
fn connections_begin_with_birth_and_state_and_end_with_the_will() {
    for device in home(1) {
        let entities = entities();
        let decode = |publish: &Publish| entities.decode(&publish.topic, &publish.payload, |_| None);
        let says = |publish: &Publish, expected: bool| {
            let results = decode(publish);
            let found = results.into_iter().find_map(|result| match result.unwrap().report {
                Report::Available { online, .. } => Some(online),
                _ => None,
            });
            assert_eq!(found, Some(expected), "{}", device.client_id());
            assert!(publish.retain);
        };
        says(&device.will(), false);
        let connected = device.connected();
        says(&connected[0], true);
        let states: Vec<_> = connected[1..].iter().flat_map(decode).collect();
        assert!(!states.is_empty() && states.iter().all(Result::is_ok), "{}: {states:?}", device.client_id());
    }
}

#[test]
fn motion_is_seen_and_passes() {
    let mut bench = Bench::new(Device::motion("hall_motion", 3));
    bench.wait(60_000);
    bench.check(&[]);
    bench.trigger();
    bench.wait(1000);
    bench.trigger();
    bench.wait(60_000);
    bench.check(&[
        "60000ms binary_sensor.hall_motion on",
        "61000ms binary_sensor.hall_motion on",
        "64000ms binary_sensor.hall_motion off",
    ]);
}

#[test]
fn the_bulb_confirms_within_a_tenth_of_a_second() {
    let entities = entities();
    for seed in 0..50 {
        let mut bench = Bench::with(entities.clone(), Device::bulb("hall_bulb", seed));
        bench.call("light.hall_bulb", "turn_on", &[]);
        bench.check(&[]);
        bench.wait(99);
        assert_eq!(bench.heard.len(), 1, "{:?}", bench.heard);
        assert!(bench.heard[0].ends_with("light.hall_bulb on brightness=255"));
    }
    let mut bench = Bench::new(Device::bulb("hall_bulb", 1));
    bench.call("light.hall_bulb", "turn_on", &[("brightness", 128)]);
    bench.wait(99);
    assert!(bench.heard.iter().all(|heard| heard.ends_with("light.hall_bulb on brightness=128")));
    bench.heard.clear();
    bench.call("light.hall_bulb", "turn_off", &[]);
    bench.wait(99);
    assert!(bench.heard.iter().all(|heard| heard.ends_with("light.hall_bulb off brightness=128")));
}

#[test]
fn outlet_and_lock_obey_and_can_be_used_by_hand() {
    let mut bench = Bench::new(Device::outlet("hall_outlet", 1));
    bench.call("switch.hall_outlet", "turn_on", &[]);
    bench.wait(99);
    assert!(bench.heard[0].ends_with("switch.hall_outlet on"));
    bench.heard.clear();
    bench.trigger();
    bench.check(&["99ms switch.hall_outlet off"]);

    let mut bench = Bench::new(Device::lock("front_door", 1));
    bench.call("lock.front_door", "unlock", &[]);
    bench.wait(600);
    assert!(bench.heard[0].ends_with("lock.front_door unlocked"));
    bench.heard.clear();
    bench.trigger();
    bench.check(&["600ms lock.front_door locked"]);
}

#[test]
fn door_and_closer_share_one_leaf() {
    let (mut door, mut closer) =
        (Device::door("front_door", 1).by_hand(), Device::closer("front_door", 1).by_hand());
    let mut now = Timestamp(0);
    door.step(now);
    closer.step(now);
    let mut states = Vec::new();
    let mut wire = door.trigger(now);
    let close = entities().get(&"cover.front_door".parse().unwrap()).unwrap().encode(
        "close_cover",
        &BTreeMap::new(),
        None,
    );
    let mut command = Some(close.unwrap().publishes);
    while now < Timestamp(10_000) {
        while !wire.is_empty() {
            let mut answers = Vec::new();
            for publish in std::mem::take(&mut wire) {
                states.push(format!("{} {}", publish.topic, String::from_utf8_lossy(&publish.payload)));
                for device in [&mut door, &mut closer] {
                    if device.subscriptions().contains(&publish.topic) {
                        answers.extend(device.receive(now, &publish.topic, &publish.payload));
                    }
                }
            }
            wire = answers;
        }
        if now >= Timestamp(5000) {
            wire.extend(command.take().unwrap_or_default());
        }
        now = now.after(crate::Millis(10));
        wire.extend(door.step(now));
        wire.extend(closer.step(now));
    }
    let brief: Vec<String> = states
        .iter()
        .filter(|line| !line.contains("/position"))
        .map(|line| line.replace(r#""battery":91,"#, "").replace(r#","linkquality":98"#, ""))
        .collect();
    assert_eq!(
        brief,
        [
            r#"zigbee2mqtt/front_door {"contact":false}"#,
            "home/front_door/closer/state open",
            "home/front_door/closer/set CLOSE",
            "home/front_door/closer/state closing",
            "home/front_door/closer/state closing",
            "home/front_door/closer/state closing",
            "home/front_door/closer/state closing",
            "home/front_door/closer/state closed",
            r#"zigbee2mqtt/front_door {"contact":true}"#,
        ]
    );
}

#[test]
fn the_closer_stops_where_it_is_told() {
    let mut bench = Bench::new(Device::closer("front_door", 1));
    bench.call("cover.front_door", "open_cover", &[]);
    bench.wait(1100);
    bench.call("cover.front_door", "stop_cover", &[]);
    bench.wait(5000);
    assert_eq!(bench.heard.last().unwrap(), "1100ms cover.front_door open");
    assert!(
        bench.heard.contains(&"1000ms cover.front_door current_position=50".to_owned()),
        "{:?}",
        bench.heard
    );
}

#[test]
fn equal_seeds_live_equal_lives_and_different_ones_do_not() {
    let life = |seed: u64| {
        let mut home = home(seed);
        let mut lines = Vec::new();
        for second in 0..600 {
            for device in &mut home {
                let now = Timestamp(second * 1000);
                if device.next_step() <= now {
                    lines.extend(
                        device.step(now).into_iter().map(|publish| (second, publish.topic, publish.payload)),
                    );
                }
            }
        }
        lines
    };
    let first = life(1);
    assert!(first.len() > 50, "{}", first.len());
    assert_eq!(first, life(1));
    assert_ne!(first, life(2));
    let entities = entities();
    for (_, topic, payload) in first {
        assert!(entities.decode(&topic, &payload, |_| None).iter().all(Result::is_ok), "{topic}");
    }
}

#[test]
fn nonsense_does_nothing_harmful() {
    for mut device in home(9) {
        let now = Timestamp(0);
        device.step(now);
        for topic in device.subscriptions() {
            for payload in [&b""[..], b"\xff", b"OPENN", b"{", b"99999999999999999999", b"-1"] {
                device.receive(now, &topic, payload);
            }
        }
        for _ in 0..1000 {
            device.trigger(now);
            device.receive(now, "elsewhere", b"ON");
        }
        assert!(device.step(Timestamp(i64::MAX)).len() <= 70);
    }
}
