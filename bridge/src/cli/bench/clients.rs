//! The load's MQTT clients: they publish numbered events and note when the answers arrive.

use crate::cli::failure::{Exit, Failure};
use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, QoS};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// Arrivals that wait to be noted. When it is full the client reads no further, and the measured
/// times grow; one in flight is one arrival per broker, so that is far away.
const ARRIVALS_MAX: usize = 65_536;
const REQUESTS_MAX: usize = 1_024;
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// An event whose answer takes longer than this is counted as unanswered.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// The topic of the events.
pub(super) const EVENTS: &str = "bench/motion";
/// The topic of the commands that answer them.
pub(super) const COMMANDS: &str = "bench/bulb/set";

/// The home whose only automation answers each event with its number.
pub(super) const HOME: &str = r#"automation:
  - id: answer
    storm_guard: false
    triggers:
      - trigger: mqtt
        topic: bench/motion
    actions:
      - action: mqtt.publish
        data:
          topic: bench/bulb/set
          payload: "{{ trigger.payload_json.id }}"
          qos: 1
"#;

/// A client that publishes.
pub(super) struct Publisher {
    client: AsyncClient,
    polling: JoinHandle<()>,
}

/// A number that arrived at one of the brokers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    /// The place of the broker in the list that was subscribed.
    pub(super) broker: usize,
    pub(super) id: u64,
    pub(super) at: Instant,
}

/// Subscriptions of one topic at several brokers.
pub(super) struct Subscriber {
    arrivals: mpsc::Receiver<Arrival>,
    polling: Vec<JoinHandle<()>>,
}

impl Publisher {
    pub(super) async fn connect(broker: SocketAddr, name: &str) -> Result<Publisher, Failure> {
        let (client, mut events) = open(broker, name);
        let connected = wait_for(&mut events, |packet| matches!(packet, Packet::ConnAck(_)));
        connected.await.map_err(|error| refused(broker, error))?;
        let polling = tokio::spawn(async move { while events.poll().await.is_ok() {} });
        Ok(Publisher { client, polling })
    }

    /// Publishes at QoS 1; returns when the client has taken it over.
    pub(super) async fn publish(&self, topic: &str, payload: String) -> Result<(), Failure> {
        let published = self.client.publish(topic, QoS::AtLeastOnce, false, payload).await;
        published.map_err(|error| anyhow::Error::new(error).context("the publishing client has ended").into())
    }

    pub(super) async fn event(&self, id: u64) -> Result<(), Failure> {
        self.publish(EVENTS, format!(r#"{{"id":{id},"occupancy":true}}"#)).await
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.polling.abort();
    }
}

impl Subscriber {
    /// Subscribes at QoS 1 and returns when all brokers have granted it.
    pub(super) async fn connect(brokers: &[SocketAddr], topic: &str) -> Result<Subscriber, Failure> {
        let (arrived, arrivals) = mpsc::channel(ARRIVALS_MAX);
        let mut polling = Vec::new();
        for (place, broker) in brokers.iter().enumerate() {
            let (client, mut events) = open(*broker, &format!("bench-hears-{place}"));
            // The queue of requests is empty, so this does not wait.
            let asked = client.subscribe(topic, QoS::AtLeastOnce).await;
            asked.map_err(|error| refused(*broker, error.into()))?;
            let granted = wait_for(&mut events, |packet| matches!(packet, Packet::SubAck(_)));
            granted.await.map_err(|error| refused(*broker, error))?;
            polling.push(tokio::spawn(note(place, client, events, arrived.clone())));
        }
        Ok(Subscriber { arrivals, polling })
    }

    /// Waits for the next arrival; none came if it took longer than `limit`.
    pub(super) async fn next(&mut self, limit: Duration) -> Option<Arrival> {
        timeout(limit, self.arrivals.recv()).await.ok().flatten()
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        for polling in &self.polling {
            polling.abort();
        }
    }
}

fn open(broker: SocketAddr, name: &str) -> (AsyncClient, EventLoop) {
    let mut options = MqttOptions::new(name, broker.ip().to_string(), broker.port());
    options.set_keep_alive(Duration::from_secs(30)).set_clean_session(true);
    let (client, mut events) = AsyncClient::new(options, REQUESTS_MAX);
    events.network_options.set_tcp_nodelay(true);
    (client, events)
}

async fn wait_for(events: &mut EventLoop, is_it: impl Fn(&Packet) -> bool) -> anyhow::Result<()> {
    let wait = async {
        loop {
            match events.poll().await? {
                Event::Incoming(packet) if is_it(&packet) => return Ok(()),
                _ => {}
            }
        }
    };
    timeout(CONNECT_LIMIT, wait).await?
}

fn refused(broker: SocketAddr, error: anyhow::Error) -> Failure {
    let error = error.context(format!("the broker at {broker} does not take a client"));
    Failure::new(Exit::Start, error, "is the machine overloaded? try again")
}

/// Notes what arrives; ends when the broker does. It keeps `_client`, or the client would disconnect.
async fn note(place: usize, _client: AsyncClient, mut events: EventLoop, arrived: mpsc::Sender<Arrival>) {
    while let Ok(event) = events.poll().await {
        let Event::Incoming(Packet::Publish(publish)) = event else { continue };
        let at = Instant::now();
        let id = std::str::from_utf8(&publish.payload).ok().and_then(|text| text.trim().parse().ok());
        let Some(id) = id else { continue };
        if arrived.send(Arrival { broker: place, id, at }).await.is_err() {
            return;
        }
    }
}

/// How long the answers took.
#[derive(Default)]
pub(super) struct Answers {
    /// By the place of the broker where they arrived.
    pub(super) took: BTreeMap<usize, Vec<Duration>>,
    pub(super) unanswered: u64,
}

/// Publishes `count` numbers at a steady rate and waits for all answers.
///
/// `publish` is given each number; it is answered when every one of `brokers` brokers has shown it.
pub(super) async fn at_rate<F>(
    per_second: u32,
    count: u64,
    brokers: usize,
    subscriber: &mut Subscriber,
    publish: impl Fn(u64) -> F,
) -> Result<Answers, Failure>
where
    F: Future<Output = Result<(), Failure>>,
{
    let mut ticks = interval(Duration::from_secs(1) / per_second);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut open: BTreeMap<(usize, u64), Instant> = BTreeMap::new();
    let mut answers = Answers::default();
    let mut next = 0;
    let mut deadline = Instant::now() + ANSWER_LIMIT;
    while next < count || !open.is_empty() {
        tokio::select! {
            biased;
            arrival = subscriber.next(deadline.saturating_duration_since(Instant::now())) => match arrival {
                Some(Arrival { broker, id, at }) => {
                    if let Some(sent) = open.remove(&(broker, id)) {
                        answers.took.entry(broker).or_default().push(at.saturating_duration_since(sent));
                    }
                }
                None => break,
            },
            _ = ticks.tick(), if next < count => {
                let sent = Instant::now();
                open.extend((0..brokers).map(|broker| ((broker, next), sent)));
                publish(next).await?;
                next += 1;
                deadline = sent + ANSWER_LIMIT;
            }
        }
    }
    answers.unanswered = open.len() as u64;
    Ok(answers)
}

/// Keeps `in_flight` events on their way through one broker for `span`, each answered before the
/// next is published, and returns how many were answered a second.
pub(super) async fn closed_loop(
    broker: SocketAddr,
    in_flight: u64,
    span: Duration,
) -> Result<(f64, Answers), Failure> {
    let mut subscriber = Subscriber::connect(&[broker], COMMANDS).await?;
    let publisher = Publisher::connect(broker, "bench-speaks").await?;
    let mut open: BTreeMap<u64, Instant> = BTreeMap::new();
    let mut answers = Answers::default();
    let (begun, mut next) = (Instant::now(), 0);
    let ends = begun + span;
    loop {
        while next < in_flight || (Instant::now() < ends && (open.len() as u64) < in_flight) {
            open.insert(next, Instant::now());
            publisher.event(next).await?;
            next += 1;
        }
        if open.is_empty() {
            break;
        }
        let Some(Arrival { broker, id, at }) = subscriber.next(ANSWER_LIMIT).await else { break };
        if let Some(sent) = open.remove(&id) {
            answers.took.entry(broker).or_default().push(at.saturating_duration_since(sent));
        }
    }
    answers.unanswered = open.len() as u64;
    let answered = answers.took.values().map(Vec::len).sum::<usize>();
    Ok((answered as f64 / begun.elapsed().as_secs_f64(), answers))
}
