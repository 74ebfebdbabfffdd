//! `kill -9` of every node in turn and of all at once, under a steady load.
//!
//! What must hold: every event that a broker acknowledged is in every node's history exactly once
//! and in the same order, every command was published at least once, and no timer was lost, early
//! or doubled.

use gable_tests::cluster::{Brokers, Cluster};
use gable_tests::load::{Heard, Publisher};
use gable_tests::node::{Node, PATIENCE};
use gable_tests::{broker, has_peer, wait};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

const HOME: &str = r#"
mqtt:
  - binary_sensor:
      name: Front door
      default_entity_id: binary_sensor.front_door
      state_topic: zigbee2mqtt/front_door
      value_template: "{{ value_json.contact }}"
      payload_on: false
      payload_off: true
      device_class: door

automation:
  - id: echo
    mode: parallel
    max: 1000
    triggers:
      - trigger: mqtt
        topic: load/+
    actions:
      - action: mqtt.publish
        data:
          topic: echo
          payload: "{{ trigger.payload_json.id }}"
  - id: door_left_open
    triggers:
      - trigger: state
        entity_id: binary_sensor.front_door
        to: "on"
        for: "00:00:03"
    actions:
      - action: mqtt.publish
        data: { topic: timer/for, payload: fired }
  - id: wait_and_tell
    triggers:
      - trigger: mqtt
        topic: timer/start
    actions:
      - delay: 3
      - action: mqtt.publish
        data: { topic: timer/delay, payload: fired }
  - id: wait_for_bell
    triggers:
      - trigger: mqtt
        topic: timer/start
    actions:
      - wait_for_trigger:
          - trigger: mqtt
            topic: bell
        timeout: 3
      - action: mqtt.publish
        data: { topic: timer/trigger, payload: "{{ 'came' if wait.completed else 'fired' }}" }
  - id: wait_for_closing
    triggers:
      - trigger: mqtt
        topic: timer/start
    actions:
      - wait_template: "{{ is_state('binary_sensor.front_door', 'nowhere') }}"
        timeout: 3
      - action: mqtt.publish
        data: { topic: timer/template, payload: "{{ 'came' if wait.completed else 'fired' }}" }
  - id: step_by_step
    triggers:
      - trigger: mqtt
        topic: timer/start
    actions:
      - repeat:
          count: 3
          sequence:
            - delay: 1
      - action: mqtt.publish
        data: { topic: timer/repeat, payload: fired }
  - id: side_by_side
    triggers:
      - trigger: mqtt
        topic: timer/start
    actions:
      - parallel:
          - delay: 1
          - delay: 3
      - action: mqtt.publish
        data: { topic: timer/parallel, payload: fired }
  - id: set_alarms
    triggers:
      - trigger: mqtt
        topic: timer/start
    actions:
      - action: timer.start
        target: { entity_id: timer.egg }
      - action: input_datetime.set_datetime
        target: { entity_id: input_datetime.alarm }
        data: { timestamp: "{{ as_timestamp(now()) | int + 4 }}" }
  - id: egg_is_done
    triggers:
      - trigger: event
        event_type: timer.finished
        event_data: { entity_id: timer.egg }
    actions:
      - action: mqtt.publish
        data: { topic: timer/helper, payload: fired }
  - id: alarm_rings
    triggers:
      - trigger: time
        at: input_datetime.alarm
    actions:
      - action: mqtt.publish
        data: { topic: timer/time, payload: fired }

timer:
  egg: { duration: 3 }

input_datetime:
  alarm: { has_date: true, has_time: true }
"#;

/// The topics on which the home says that a wait of three seconds is over.
const WAITS: [&str; 8] = [
    "timer/for",
    "timer/delay",
    "timer/trigger",
    "timer/template",
    "timer/repeat",
    "timer/parallel",
    "timer/helper",
    "timer/time",
];

/// The timers that those waits take: a loop of three passes and two branches take several.
const TIMERS: usize = 11;

/// A cluster under load, and the record of what it answered.
struct Trial {
    cluster: Cluster,
    publishers: Vec<Publisher>,
    echoes: Heard,
    timers: Heard,
}

impl Trial {
    fn start(kind: Brokers) -> Trial {
        let cluster = Cluster::start(3, kind, HOME);
        let brokers: Vec<_> = cluster.brokers.iter().map(|broker| broker.address).collect();
        let ids = Arc::new(AtomicU64::new(1));
        let echoes = Heard::start(&brokers, "echo");
        let timers = Heard::start(&brokers, "timer/+");
        let publishers = brokers
            .iter()
            .enumerate()
            .map(|(n, broker)| {
                Publisher::start(*broker, &format!("load/{n}"), ids.clone(), Duration::from_millis(5))
            })
            .collect();
        Trial { cluster, publishers, echoes, timers }
    }

    /// Ends the load, lets everything settle, and checks what must hold.
    #[track_caller]
    fn finish(self) {
        let Trial { cluster, publishers, echoes, timers: _ } = self;
        wait::until("a load that means something", PATIENCE, || {
            let count: usize = publishers.iter().map(Publisher::acknowledged).sum();
            (count > 100).then_some(()).ok_or_else(|| format!("{count} events acknowledged"))
        });
        let acknowledged: Vec<u64> = publishers.into_iter().flat_map(Publisher::stop).collect();

        wait::until("every acknowledged event in the history", Duration::from_secs(60), || {
            let committed = ids_in(&cluster.nodes[0].history()?);
            let missing: Vec<_> = acknowledged.iter().filter(|id| !committed.contains_key(id)).collect();
            let logs: String = cluster.nodes.iter().map(Node::log_end).collect();
            missing
                .is_empty()
                .then_some(())
                .ok_or_else(|| format!("{} missing: {missing:?}\n{logs}", missing.len()))
        });
        let committed = ids_in(&cluster.equal_history());
        let doubled: Vec<_> = committed.iter().filter(|(_, count)| **count > 1).collect();
        assert!(doubled.is_empty(), "committed more than once: {doubled:?}");

        wait::until("every command", PATIENCE, || {
            let published = echoes.payloads("echo");
            let missing: Vec<_> =
                committed.keys().filter(|id| !published.contains_key(&id.to_string())).collect();
            missing.is_empty().then_some(()).ok_or_else(|| format!("{} missing: {missing:?}", missing.len()))
        });
    }
}

/// How often each id is in a history.
fn ids_in(history: &[Json]) -> BTreeMap<u64, u32> {
    let mut counts = BTreeMap::new();
    let load = history
        .iter()
        .filter(|event| event["topic"].as_str().is_some_and(|topic| topic.starts_with("load/")));
    for id in load.filter_map(|event| event["payload"]["id"].as_u64()) {
        *counts.entry(id).or_insert(0) += 1;
    }
    counts
}

/// Waits until a node that was started again takes part.
#[track_caller]
fn rejoin(node: &mut Node) {
    node.start();
    node.wait_until_ready();
}

#[test]
fn killing_each_node_in_turn_loses_nothing() {
    if !has_peer("mosquitto") {
        return;
    }
    let mut trial = Trial::start(Brokers::MosquittoEach);
    let leader = trial.cluster.leader();
    let survivor = trial.cluster.follower();

    eprintln!("phase: all waits run, then the leader (node {}) dies", leader + 1);
    let mqtt = trial.cluster.mqtt()[survivor];
    let started = Instant::now();
    broker::publish(mqtt, "zigbee2mqtt/front_door", r#"{"contact":false,"linkquality":90}"#);
    broker::publish(mqtt, "timer/start", "go");
    wait::until("the waits to be rows", PATIENCE, || {
        let status = trial.cluster.nodes[survivor].get("/api/status")?;
        (status["timers"].as_u64() >= Some(9)).then_some(()).ok_or_else(|| status.to_string())
    });
    trial.cluster.nodes[leader].kill();
    for topic in WAITS {
        let fired = wait::until(topic, PATIENCE, || {
            trial.timers.first(topic, "fired").ok_or_else(|| trial.cluster.nodes[survivor].log_end())
        });
        assert!(fired - started >= Duration::from_secs(3), "{topic} came early: {:?}", fired - started);
    }
    rejoin(&mut trial.cluster.nodes[leader]);

    eprintln!("phase: each follower dies and comes back");
    for _ in 0..2 {
        let follower = trial.cluster.follower();
        trial.cluster.nodes[follower].kill();
        let others: Vec<&Node> = trial.cluster.nodes.iter().filter(|node| node.is_running()).collect();
        let before = others[0].get("/api/status").expect("a survivor answers")["applied_index"].as_u64();
        wait::until("progress without the follower", PATIENCE, || {
            let now = others[0].get("/api/status")?["applied_index"].as_u64();
            (now > before.map(|index| index + 50))
                .then_some(())
                .ok_or_else(|| format!("{before:?} -> {now:?}"))
        });
        rejoin(&mut trial.cluster.nodes[follower]);
    }

    check_timers(&trial.cluster.nodes[survivor]);
    trial.finish();
}

/// The automations' timers fired once each, and not before their deadlines.
#[track_caller]
fn check_timers(node: &Node) {
    let history = node.full_history().expect("history answers");
    let of_effect =
        |name: &str| -> Vec<Json> { history.iter().filter(|row| row["effect"] == name).cloned().collect() };
    let mut set = of_effect("timer_set");
    set.retain(|row| {
        ["trigger_for", "run_delay", "wait_timeout", "helper", "schedule"]
            .iter()
            .any(|reason| row["reason"] == *reason)
    });
    assert_eq!(set.len(), TIMERS, "{set:#?}");
    for timer in set {
        let mut fired = of_effect("timer_fired");
        fired.retain(|row| row["timer_id"] == timer["timer_id"]);
        assert_eq!(fired.len(), 1, "{timer} fires once: {fired:#?}");
        assert!(
            fired[0]["at_ms"].as_i64() >= timer["deadline_ms"].as_i64(),
            "{timer} came early: {fired:#?}"
        );
    }
    let expired = of_effect("command_expired");
    assert!(
        expired.is_empty(),
        "no command may be given up: {} were, the first {}",
        expired.len(),
        expired[0]
    );
}

#[test]
fn killing_all_nodes_at_once_loses_nothing() {
    if !has_peer("mosquitto") {
        return;
    }
    let mut trial = Trial::start(Brokers::MosquittoEach);
    let node = &trial.cluster.nodes[0];
    let committed: Vec<u64> = (0..50).collect();
    for n in &committed {
        let payload = format!("{{\"n\":{n}}}");
        node.publish("load/api", &payload).expect("the API answers after commit");
    }
    for node in &mut trial.cluster.nodes {
        node.kill();
    }
    trial.cluster.start_all();
    // The load goes on, so each node is asked for itself; that all are equal is checked at the end.
    for node in &trial.cluster.nodes {
        wait::until("the committed events in the history", PATIENCE, || {
            let history = node.history()?;
            let of_api = history.iter().filter(|event| event["topic"] == "load/api");
            let found: Vec<u64> = of_api.filter_map(|event| event["payload"]["n"].as_u64()).collect();
            (found == committed).then_some(()).ok_or_else(|| format!("{found:?}"))
        });
    }
    trial.finish();
}

#[test]
fn a_planned_stop_hands_leadership_over() {
    if !has_peer("mosquitto") {
        return;
    }
    let mut trial = Trial::start(Brokers::MosquittoEach);
    let leader = trial.cluster.leader();
    trial.cluster.nodes[leader].terminate();
    let next = trial.cluster.leader();
    assert_ne!(next, leader);
    rejoin(&mut trial.cluster.nodes[leader]);
    trial.finish();
}

#[test]
fn a_shared_broker_survives_the_owner_of_its_topics() {
    if !has_peer("mosquitto") {
        return;
    }
    let mut trial = Trial::start(Brokers::MosquittoShared);
    for n in 0..3 {
        trial.cluster.nodes[n].kill();
        let survivor = &trial.cluster.nodes[(n + 1) % 3];
        wait::until("the survivors to see it", PATIENCE, || {
            let down = survivor.get("/api/status")?["peers"].as_array().cloned().unwrap_or_default();
            let seen = down.iter().any(|peer| peer["id"] == n + 1 && peer["up"] == false);
            seen.then_some(()).ok_or_else(|| format!("{down:?}"))
        });
        rejoin(&mut trial.cluster.nodes[n]);
    }
    trial.finish();
}
