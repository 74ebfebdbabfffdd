//! A steady stream of numbered events, and a record of what came back.

use rumqttc::{Client, Connection, Event, MqttOptions, Packet, QoS};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Publishes `{"id":N}` to one topic of one broker, QoS 1, one at a time, until it is stopped.
pub struct Publisher {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
    thread: JoinHandle<Vec<u64>>,
}

impl Publisher {
    /// Starts; ids come from the shared counter, so that those of several publishers differ.
    pub fn start(broker: SocketAddr, topic: &str, ids: Arc<AtomicU64>, pause: Duration) -> Publisher {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let (stopping, counted, topic) = (stop.clone(), acknowledged.clone(), topic.to_owned());
        let thread =
            std::thread::spawn(move || publish_until(&stopping, &counted, broker, &topic, &ids, pause));
        Publisher { stop, acknowledged, thread }
    }

    /// How many events the broker acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Stops and returns the ids that the broker acknowledged.
    pub fn stop(self) -> Vec<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the publisher ends by itself")
    }
}

fn publish_until(
    stop: &AtomicBool,
    counted: &AtomicUsize,
    broker: SocketAddr,
    topic: &str,
    ids: &AtomicU64,
    pause: Duration,
) -> Vec<u64> {
    let (client, mut connection) = connect(broker, &format!("load-{}", topic.replace('/', "-")));
    let mut acknowledged = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let id = ids.fetch_add(1, Ordering::Relaxed);
        let payload = format!("{{\"id\":{id}}}");
        if client.publish(topic, QoS::AtLeastOnce, false, payload).is_err()
            || !is_acknowledged(&mut connection)
        {
            break;
        }
        acknowledged.push(id);
        counted.store(acknowledged.len(), Ordering::Relaxed);
        // The pause is the load's rate, not a wait for something.
        std::thread::sleep(pause);
    }
    let _ = client.disconnect();
    acknowledged
}

fn is_acknowledged(connection: &mut Connection) -> bool {
    connection.iter().map_while(Result::ok).any(|event| matches!(event, Event::Incoming(Packet::PubAck(_))))
}

fn connect(broker: SocketAddr, client_id: &str) -> (Client, Connection) {
    let mut options = MqttOptions::new(client_id, broker.ip().to_string(), broker.port());
    options.set_keep_alive(Duration::from_secs(5));
    Client::new(options, 64)
}

/// Everything that was heard on a filter at several brokers, with the time of its first arrival.
#[derive(Clone, Default)]
pub struct Heard {
    messages: Arc<Mutex<BTreeMap<Message, Arrivals>>>,
}

/// Topic and payload.
type Message = (String, String);

/// When a message came first, and how often it came.
type Arrivals = (Instant, u32);

impl Heard {
    /// Subscribes at each broker; the threads end with the test.
    pub fn start(brokers: &[SocketAddr], filter: &str) -> Heard {
        let heard = Heard::default();
        for (n, broker) in brokers.iter().enumerate() {
            let (client, mut connection) =
                connect(*broker, &format!("heard-{n}-{}", filter.replace(['/', '#', '+'], "-")));
            let (filter, messages) = (filter.to_owned(), heard.clone());
            let (ready, subscribed) = std::sync::mpsc::channel();
            std::thread::spawn(move || {
                for event in connection.iter() {
                    match event {
                        Ok(Event::Incoming(Packet::ConnAck(_))) => {
                            drop(client.subscribe(&filter, QoS::AtLeastOnce))
                        }
                        Ok(Event::Incoming(Packet::SubAck(_))) => drop(ready.send(())),
                        Ok(Event::Incoming(Packet::Publish(publish))) => {
                            messages.record(&publish.topic, &String::from_utf8_lossy(&publish.payload));
                        }
                        Ok(_) => {}
                        // The broker is down for a while; the pause keeps the loop from spinning.
                        Err(_) => std::thread::sleep(Duration::from_millis(50)),
                    }
                }
            });
            subscribed.recv_timeout(Duration::from_secs(10)).expect("the broker accepts a subscription");
        }
        heard
    }

    fn record(&self, topic: &str, payload: &str) {
        let mut messages = self.messages.lock().expect("recording does not panic");
        let entry = messages.entry((topic.to_owned(), payload.to_owned())).or_insert((Instant::now(), 0));
        entry.1 += 1;
    }

    /// When the message came first, if it came.
    pub fn first(&self, topic: &str, payload: &str) -> Option<Instant> {
        let messages = self.messages.lock().expect("recording does not panic");
        messages.get(&(topic.to_owned(), payload.to_owned())).map(|(first, _)| *first)
    }

    /// The payloads heard on a topic with how often each came.
    pub fn payloads(&self, topic: &str) -> BTreeMap<String, u32> {
        let messages = self.messages.lock().expect("recording does not panic");
        let of_topic = messages.iter().filter(|((found, _), _)| found == topic);
        of_topic.map(|((_, payload), (_, count))| (payload.clone(), *count)).collect()
    }
}
