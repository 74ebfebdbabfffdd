//! Messages that are heard at every broker, though each node is the client of a broker of its own.

use gable_tests::cluster::Cluster;
use gable_tests::has_peer;
use gable_tests::mqtt::{Client, Hello, Message};
use gable_tests::node::PATIENCE;
use gable_tests::wait;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::time::Duration;

/// A sensor on a relayed topic, an automation that answers on one, and one that hears the answer.
const HOME: &str = r#"
mqtt:
  - sensor:
      name: Relayed
      default_entity_id: sensor.relayed
      state_topic: relayed/state

automation:
  - id: answer
    triggers:
      - trigger: mqtt
        topic: relayed/ask
    actions:
      - action: mqtt.publish
        data: { topic: relayed/answer, payload: "{{ trigger.payload }}" }
  - id: heard
    mode: parallel
    triggers:
      - trigger: mqtt
        topic: relayed/answer
    actions:
      - action: mqtt.publish
        data: { topic: done, payload: "{{ trigger.payload }}" }
"#;

const SETTINGS: &str = "[mqtt.attach]\nrelay = [\"relayed/#\"]\n";

/// A client of one broker that hears everything.
struct Watcher(Client);

impl Watcher {
    fn start(cluster: &Cluster, n: usize) -> Watcher {
        let mut client = Client::connect(cluster.mqtt()[n], &Hello::new("watcher"));
        client.subscribe("relayed/#", 0);
        client.subscribe("done", 0);
        Watcher(client)
    }

    /// Everything that was heard up to the last of `ends`, without these.
    #[track_caller]
    fn hear_until(&mut self, ends: &[String]) -> Vec<Message> {
        let mut missing = ends.to_vec();
        let mut heard = Vec::new();
        while !missing.is_empty() {
            let message = self.0.message(PATIENCE);
            let message = message.unwrap_or_else(|why| panic!("{why:?}: {missing:?} after {heard:#?}"));
            match missing.iter().position(|end| *end == message.text()) {
                Some(place) => drop(missing.remove(place)),
                None => heard.push(message),
            }
        }
        heard
    }
}

#[track_caller]
fn relays(cluster: &Cluster) {
    for node in cluster.nodes.iter().filter(|node| node.is_running()) {
        wait::until("the node to relay", PATIENCE, || match node.get("/api/status")? {
            status if status["mqtt"]["relay_up"] == true => Ok(()),
            status => Err(status["mqtt"].to_string()),
        });
    }
}

/// Says the last word at each of these brokers, and returns what each of all watchers heard before.
#[track_caller]
fn finish(cluster: &Cluster, at: &[usize], watchers: &mut [Watcher], round: &str) -> Vec<Vec<String>> {
    let ends: Vec<String> = at.iter().map(|n| format!("end {round} {n}")).collect();
    for (n, end) in at.iter().zip(&ends) {
        publisher(cluster, *n).publish("relayed/end", end, 1, false);
    }
    let heard = watchers.iter_mut().map(|watcher| watcher.hear_until(&ends));
    heard.map(|heard| heard.iter().map(|it| format!("{} {}", it.topic, it.text())).collect()).collect()
}

fn publisher(cluster: &Cluster, n: usize) -> Client {
    Client::connect(cluster.mqtt()[n], &Hello::new("publisher"))
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

/// What a broker has retained of the relayed topics.
fn retained(cluster: &Cluster, n: usize) -> BTreeMap<String, String> {
    let mut client = Client::connect(cluster.mqtt()[n], &Hello::new("late"));
    client.subscribe("relayed/#", 0);
    let mut found = BTreeMap::new();
    while let Ok(message) = client.message(Duration::from_millis(500)) {
        assert!(message.retain, "{message:?}");
        found.insert(message.topic.clone(), message.text());
    }
    found
}

fn relayed_in_history(history: &[Json]) -> usize {
    history.iter().filter(|event| event["topic"].as_str().unwrap_or("").starts_with("relayed/")).count()
}

/// What was said on each topic, in order: brokers keep that within a topic and a QoS.
fn by_topic(lines: &[String]) -> BTreeMap<&str, Vec<&str>> {
    let mut topics = BTreeMap::<_, Vec<_>>::new();
    for (topic, text) in lines.iter().filter_map(|line| line.split_once(' ')) {
        topics.entry(topic).or_default().push(text);
    }
    topics
}

/// Publishes at all brokers, on topics at QoS 0 and 1, every third message retained; returns how many.
#[track_caller]
fn everybody_hears_everybody(cluster: &Cluster, watchers: &mut [Watcher]) -> usize {
    let mut said = Vec::new();
    let mut kept = BTreeMap::new();
    for n in 0..3 {
        let mut publisher = publisher(cluster, n);
        for count in 0..200 {
            let (topic, payload) = (format!("relayed/{n}/{}", count % 7), format!("{count}"));
            let is_retained = count % 3 == 0;
            publisher.publish(&topic, &payload, count % 7 % 2, is_retained);
            said.push(format!("{topic} {payload}"));
            if is_retained {
                kept.insert(topic, payload);
            }
        }
        // The connection ends when all of it was read.
        publisher.ping();
    }
    let heard = finish(cluster, &[0, 1, 2], watchers, "first");
    for (n, heard) in heard.into_iter().enumerate() {
        assert_eq!(by_topic(&heard), by_topic(&said), "what was heard at broker {}", n + 1);
        assert_eq!(retained(cluster, n), kept, "at broker {}", n + 1);
    }
    said.len()
}

#[test]
fn a_message_of_one_broker_is_heard_once_at_every_broker() {
    if !has_peer("mosquitto") {
        return;
    }
    let mut cluster = Cluster::attach(SETTINGS, HOME);
    relays(&cluster);
    let mut watchers: Vec<Watcher> = (0..3).map(|n| Watcher::start(&cluster, n)).collect();

    let said = everybody_hears_everybody(&cluster, &mut watchers);

    eprintln!("phase: the home hears it once as well");
    publisher(&cluster, 0).publish("relayed/state", "old", 1, true);
    for heard in finish(&cluster, &[0], &mut watchers, "state") {
        assert_eq!(heard, ["relayed/state old"]);
    }
    for node in &cluster.nodes {
        node.wait_for_state("sensor.relayed", "old");
    }

    eprintln!("phase: what the home publishes itself is not relayed, and heard by the home once");
    publisher(&cluster, 1).publish("relayed/ask", "why", 1, false);
    for watcher in &mut watchers {
        watcher.0.wait_for(PATIENCE, |message| message.topic == "done");
    }
    for heard in finish(&cluster, &[0], &mut watchers, "second") {
        assert_eq!(heard, Vec::<String>::new(), "something came twice");
    }

    eprintln!("phase: a node dies; its broker's clients speak on, and it brings that when it is back");
    cluster.nodes[2].kill();
    cluster.leader();
    for n in 0..3 {
        publisher(&cluster, n).publish(&format!("relayed/{n}/late"), "late", 1, true);
    }
    // The dead node's broker keeps the old one.
    publisher(&cluster, 0).publish("relayed/state", "new", 1, true);
    let (alone, others) = watchers.split_last_mut().expect("there are three");
    for heard in finish(&cluster, &[0, 1], others, "third") {
        assert_eq!(sorted(heard), ["relayed/0/late late", "relayed/1/late late", "relayed/state new"]);
    }
    cluster.start_all();
    relays(&cluster);
    for heard in finish(&cluster, &[0, 1, 2], others, "fourth") {
        assert_eq!(heard, ["relayed/2/late late"]);
    }
    let ends: Vec<String> = (0..3).map(|n| format!("end fourth {n}")).collect();
    // What the others heard meanwhile is not brought to this broker, and nothing that was relayed comes
    // again. What the home said may: the node died soon after that, and commands go out at least once.
    let heard = alone.hear_until(&ends);
    let relayed = heard.iter().filter(|it| !["relayed/answer", "done"].contains(&it.topic.as_str()));
    assert_eq!(relayed.map(|it| it.topic.as_str()).collect::<Vec<_>>(), ["relayed/2/late"]);

    let history = cluster.equal_history();
    // Those at the start, two states, the question, its answer as the home hears it, three late ones.
    let ends = 3 + 1 + 1 + 2 + 3;
    assert_eq!(relayed_in_history(&history), said + 2 + 2 + 3 + ends, "{history:#?}");
    for node in &cluster.nodes {
        assert_eq!(node.state("sensor.relayed").as_deref(), Ok("new"), "on node {}", node.id);
    }
}
