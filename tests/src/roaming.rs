//! Clients that go to another node when theirs is gone, as devices with a list of brokers do.

use crate::mqtt::{Ack, Client, Hello, Message, Missing, Packet, Publish};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a client waits before it looks at its orders again.
const TICK: Duration = Duration::from_millis(20);

/// What a publisher has to do.
#[derive(Clone, Debug)]
pub struct Load {
    pub client_id: String,
    /// Where it goes, in this order, round and round.
    pub nodes: Vec<SocketAddr>,
    pub topic: String,
    pub qos: u8,
    /// How many messages may be under way.
    pub window: usize,
    /// The least time between two messages.
    pub pause: Duration,
}

/// A message that was acknowledged.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    pub number: u64,
    /// When it was sent first.
    pub sent: Instant,
    /// When its last acknowledgement came.
    pub done: Instant,
}

#[derive(Debug, Default)]
struct Record {
    taken: Mutex<Vec<Taken>>,
    resent: AtomicU64,
    /// How often it came to another node, and how often its session was not there.
    moves: AtomicU64,
    strange: AtomicU64,
}

/// Publishes numbers to one topic until it is stopped. What was not acknowledged when its connection
/// broke it sends again, marked as a repetition, in the old order, at the next node.
#[derive(Debug)]
pub struct Publisher {
    stop: Arc<AtomicBool>,
    record: Arc<Record>,
    thread: Option<JoinHandle<()>>,
}

/// What a publisher did in all.
#[derive(Debug)]
pub struct Done {
    /// In the order of the acknowledgements.
    pub taken: Vec<Taken>,
    pub resent: u64,
    pub moves: u64,
    /// How often a node did not know its session.
    pub strange: u64,
}

impl Publisher {
    /// Starts; numbers come from the shared counter, so that those of several publishers differ.
    pub fn start(load: Load, numbers: Arc<AtomicU64>) -> Publisher {
        let (stop, record) = (Arc::new(AtomicBool::new(false)), Arc::new(Record::default()));
        let task = Task {
            load,
            numbers,
            stop: stop.clone(),
            record: record.clone(),
            open: VecDeque::new(),
            last: Instant::now(),
            next_packet_id: 1,
        };
        Publisher { stop, record, thread: Some(std::thread::spawn(move || task.run())) }
    }

    /// What was acknowledged so far.
    pub fn taken(&self) -> Vec<Taken> {
        self.record.taken.lock().expect("recording does not panic").clone()
    }

    /// How many messages were acknowledged so far.
    pub fn count(&self) -> usize {
        self.record.taken.lock().expect("recording does not panic").len()
    }

    /// Sends nothing more, waits until everything is acknowledged, and tells what happened.
    pub fn finish(mut self) -> Done {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the publisher ends by itself");
        }
        Done {
            taken: self.taken(),
            resent: self.record.resent.load(Ordering::Relaxed),
            moves: self.record.moves.load(Ordering::Relaxed),
            strange: self.record.strange.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// A message under way.
struct Open {
    packet_id: u16,
    number: u64,
    sent: Instant,
    /// At QoS 2: PUBREC came, only the release is left.
    is_received: bool,
}

struct Task {
    load: Load,
    numbers: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    record: Arc<Record>,
    open: VecDeque<Open>,
    last: Instant,
    next_packet_id: u16,
}

/// How long a stopped publisher tries to have its last messages acknowledged.
const FINISH_MAX: Duration = Duration::from_secs(60);

impl Task {
    fn run(mut self) {
        let hello = Hello::lasting(&self.load.client_id);
        let mut stopped = None;
        for turn in 0.. {
            if self.is_done(&mut stopped) {
                return;
            }
            let node = self.load.nodes[turn % self.load.nodes.len()];
            match Client::try_connect(node, &hello) {
                Ok(client) => {
                    self.record.moves.fetch_add(u64::from(turn > 0), Ordering::Relaxed);
                    self.record.strange.fetch_add(
                        u64::from(!client.session_present && !self.open.is_empty()),
                        Ordering::Relaxed,
                    );
                    // An error is a lost connection: the next node is tried.
                    let _ = self.publish(client, &mut stopped);
                }
                Err(_) => std::thread::sleep(TICK),
            }
        }
    }

    fn is_done(&self, stopped: &mut Option<Instant>) -> bool {
        if !self.stop.load(Ordering::Relaxed) {
            return false;
        }
        let since = stopped.get_or_insert_with(Instant::now);
        self.open.is_empty() || since.elapsed() > FINISH_MAX
    }

    fn publish(&mut self, mut client: Client, stopped: &mut Option<Instant>) -> Result<(), Missing> {
        let lost = |error: std::io::Error| Missing::Closed(error.to_string());
        for open in &self.open {
            if open.is_received {
                client.send_ack(Ack::Pubrel, open.packet_id).map_err(lost)?;
            } else {
                self.record.resent.fetch_add(1, Ordering::Relaxed);
                send(&mut client, &self.load, open, true).map_err(lost)?;
            }
        }
        while !self.is_done(stopped) {
            let may_send = self.open.len() < self.load.window && !self.stop.load(Ordering::Relaxed);
            if may_send && self.last.elapsed() >= self.load.pause {
                self.last = Instant::now();
                let number = self.numbers.fetch_add(1, Ordering::Relaxed);
                let packet_id = self.next_packet_id;
                let open = Open { packet_id, number, sent: self.last, is_received: false };
                self.next_packet_id = self.next_packet_id.checked_add(1).unwrap_or(1);
                let sent = send(&mut client, &self.load, &open, false);
                self.open.push_back(open);
                sent.map_err(lost)?;
                continue;
            }
            let left = self.load.pause.saturating_sub(self.last.elapsed());
            let patience = if may_send { left.min(TICK) } else { TICK };
            match client.next(patience.max(Duration::from_millis(1))) {
                Ok(packet) => self.hear(&mut client, packet).map_err(lost)?,
                Err(Missing::Silence) => {}
                Err(missing) => return Err(missing),
            }
        }
        client.leave();
        Ok(())
    }

    fn hear(&mut self, client: &mut Client, packet: Packet) -> std::io::Result<()> {
        let Packet::Ack { ack, packet_id, reason } = packet else { return Ok(()) };
        assert!(reason < 0x80, "{}: a message was refused with {reason:#04x}", self.load.client_id);
        let Some(place) = self.open.iter().position(|open| open.packet_id == packet_id) else {
            return Ok(());
        };
        match ack {
            Ack::Pubrec => {
                self.open[place].is_received = true;
                client.send_ack(Ack::Pubrel, packet_id)
            }
            Ack::Puback | Ack::Pubcomp => {
                if let Some(open) = self.open.remove(place) {
                    let mut taken = self.record.taken.lock().expect("recording does not panic");
                    taken.push(Taken { number: open.number, sent: open.sent, done: Instant::now() });
                }
                Ok(())
            }
            Ack::Pubrel => Ok(()),
        }
    }
}

fn send(client: &mut Client, load: &Load, open: &Open, dup: bool) -> std::io::Result<()> {
    let payload = format!("{{\"id\":{}}}", open.number);
    client.send(&Publish {
        topic: &load.topic,
        payload: payload.as_bytes(),
        qos: load.qos,
        retain: false,
        dup,
        packet_id: Some(open.packet_id),
    })
}

/// The number in a message of a [`Publisher`].
pub fn number(message: &Message) -> Option<u64> {
    let json: serde_json::Value = serde_json::from_slice(&message.payload).ok()?;
    json["id"].as_u64()
}

/// A subscriber's memory, which outlives its connections.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// Each message in the order of its arrivals, repetitions too.
    pub arrivals: Vec<Arrival>,
    /// Identifiers of QoS 2 that wait for their release: what comes under them is no new message.
    received: BTreeSet<u16>,
    pub garbage: Vec<String>,
}

/// A message as it came.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub topic: String,
    pub number: u64,
    pub dup: bool,
}

impl Heard {
    /// Takes a message and answers as its QoS demands; false if it was a repetition of QoS 2.
    pub fn take(&mut self, client: &mut Client, message: &Message) -> std::io::Result<bool> {
        let is_again = match (message.qos, message.packet_id) {
            (2, Some(packet_id)) => !self.received.insert(packet_id),
            _ => false,
        };
        if !is_again {
            match number(message) {
                Some(number) => {
                    self.arrivals.push(Arrival { topic: message.topic.clone(), number, dup: message.dup })
                }
                None => self.garbage.push(format!("{message:?}")),
            }
        }
        match (message.qos, message.packet_id) {
            (1, Some(packet_id)) => client.send_ack(Ack::Puback, packet_id)?,
            (2, Some(packet_id)) => client.send_ack(Ack::Pubrec, packet_id)?,
            _ => {}
        }
        Ok(!is_again)
    }

    /// A message of QoS 2 is released.
    pub fn release(&mut self, client: &mut Client, packet_id: u16) -> std::io::Result<()> {
        self.received.remove(&packet_id);
        client.send_ack(Ack::Pubcomp, packet_id)
    }

    /// How often each number came.
    pub fn counts(&self) -> BTreeMap<u64, u32> {
        let mut counts = BTreeMap::new();
        for arrival in &self.arrivals {
            *counts.entry(arrival.number).or_insert(0) += 1;
        }
        counts
    }
}

/// Hears what one node has to say, and comes back to it when it is gone for a while.
#[derive(Debug)]
pub struct Listener {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    heard: Mutex<Heard>,
    /// How often it has subscribed.
    subscribed: AtomicU64,
}

impl Listener {
    /// Subscribes in a clean session; returns when that is done.
    #[track_caller]
    pub fn start(client_id: &str, node: SocketAddr, filter: &str, qos: u8) -> Listener {
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            heard: Mutex::default(),
            subscribed: AtomicU64::new(0),
        });
        let (hello, filter, task) = (Hello::new(client_id), filter.to_owned(), shared.clone());
        std::thread::spawn(move || {
            while !task.stop.load(Ordering::Relaxed) {
                match Client::try_connect(node, &hello) {
                    Ok(mut client) => {
                        task.heard.lock().expect("recording does not panic").received.clear();
                        if client.try_subscribe(&filter, qos) == Ok(vec![qos]) {
                            task.subscribed.fetch_add(1, Ordering::Relaxed);
                            task.hear(&mut client);
                        }
                    }
                    Err(_) => std::thread::sleep(TICK),
                }
            }
        });
        let listener = Listener { shared };
        listener.wait_until_subscribed(1);
        listener
    }

    /// How often it has subscribed.
    pub fn subscribed(&self) -> u64 {
        self.shared.subscribed.load(Ordering::Relaxed)
    }

    /// Waits until it has subscribed so often.
    #[track_caller]
    pub fn wait_until_subscribed(&self, times: u64) {
        crate::wait::until_true("a listener to be subscribed", crate::node::PATIENCE, || {
            self.subscribed() >= times
        });
    }

    /// What it has heard so far.
    pub fn heard(&self) -> Heard {
        self.shared.heard.lock().expect("recording does not panic").clone()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn hear(&self, client: &mut Client) {
        while !self.stop.load(Ordering::Relaxed) {
            let packet = client.next_of_all(TICK);
            let mut heard = self.heard.lock().expect("recording does not panic");
            let went_on = match packet {
                Ok(Packet::Publish(message)) => heard.take(client, &message).map(drop),
                Ok(Packet::Ack { ack: Ack::Pubrel, packet_id, .. }) => heard.release(client, packet_id),
                Ok(_) | Err(Missing::Silence) => Ok(()),
                Err(_) => return,
            };
            if went_on.is_err() {
                return;
            }
        }
    }
}
