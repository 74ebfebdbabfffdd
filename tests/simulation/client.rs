//! An MQTT client: what it remembers between its connections, and how it speaks in them.
//!
//! It is as patient as a device, loses its connections as one does, and never its memory: what it
//! has received counts as received.

mod link;

pub(crate) use link::Link;

use crate::dice::Dice;
use crate::trace::{Ending, Event, Reception, Seen, Ticket, client_id};
use crate::world::{NODES, World};
use gable_tests::mqtt::packet::{self, LastWill};
use gable_tests::mqtt::{Ack, Hello, Message, Packet, Publish};
use serde_json::json;
use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

/// How long a client waits for an answer before it turns to the next node, in ms.
const PATIENCE: Range<u64> = 600..2500;
/// After one and a half times as many seconds of silence a node takes the client for lost.
const KEEP_ALIVE: u16 = 2;
/// For how many seconds kept sessions are kept: longer than a run.
const SESSION_EXPIRY: u32 = 3600;

/// What kind of client it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Profile {
    /// 4 is MQTT 3.1.1.
    pub(crate) level: u8,
    /// Whether its session outlives its connections.
    pub(crate) is_kept: bool,
    /// With a will, after so many seconds of delay; then it also tells that it is there.
    pub(crate) will: Option<u32>,
    pub(crate) subscriptions: &'static [(&'static str, u8)],
    /// Of a hundred messages it breaks off before it acknowledges so many.
    pub(crate) breaks_off: u64,
}

/// A device that reports and no more.
pub(crate) const REPORTER: Profile =
    Profile { level: 4, is_kept: false, will: None, subscriptions: &[], breaks_off: 0 };

/// A message to be published.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) topic: String,
    pub(crate) state: String,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
}

/// A message of its own that is not settled.
#[derive(Clone, Debug)]
struct Open {
    draft: Draft,
    ticket: Ticket,
    packet_id: u16,
    stage: Stage,
    /// It tells that the client is there, in this connection.
    birth: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Unsent,
    Sent,
    /// At QoS 2: the node has it, and is told to release it.
    Taken,
}

/// A client.
pub(crate) struct Client {
    pub(crate) world: Rc<World>,
    pub(crate) dice: Dice,
    id: u32,
    profile: Profile,
    /// Where in the list of nodes it goes next.
    node: usize,
    link: Option<Link>,
    /// How many connections it has tried.
    connections: u32,
    messages: u32,
    packet_id: u16,
    is_subscribed: bool,
    /// The subscriptions that are not acknowledged.
    asked: Vec<(u16, &'static str)>,
    /// At QoS 2: what it has received and not seen released.
    held: BTreeSet<u16>,
    open: Vec<Open>,
    /// What it got, for who obeys.
    pub(crate) orders: VecDeque<String>,
}

impl Client {
    pub(crate) fn new(world: &Rc<World>, id: u32, profile: Profile) -> Client {
        let mut dice = Dice::new(world.seed, &client_id(id));
        let node = dice.within(0..NODES.len() as u64) as usize;
        Client {
            world: world.clone(),
            dice,
            id,
            profile,
            node,
            link: None,
            connections: 0,
            messages: 0,
            packet_id: 0,
            is_subscribed: false,
            asked: Vec::new(),
            held: BTreeSet::new(),
            open: Vec::new(),
            orders: VecDeque::new(),
        }
    }

    /// Connects to one node or another, however long it takes.
    pub(crate) async fn connect(&mut self) {
        while self.link.is_none() {
            if !self.try_connect().await {
                self.move_on();
                sleep(self.dice.millis(5..60)).await;
            }
        }
    }

    /// Goes to another node the next time.
    pub(crate) fn move_on(&mut self) {
        self.node = (self.node + 1) % NODES.len();
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.link.is_some()
    }

    /// Publishes messages one behind the other, until the last of them is settled.
    pub(crate) async fn hand_in(&mut self, drafts: Vec<Draft>) {
        for draft in drafts {
            self.messages += 1;
            let ticket = Ticket { device: self.id, message: self.messages, attempt: 0 };
            self.open.push(Open { draft, ticket, packet_id: 0, stage: Stage::Unsent, birth: None });
        }
        loop {
            self.connect().await;
            self.send_unsent().await;
            let deadline = Instant::now() + self.dice.millis(PATIENCE);
            while !self.open.is_empty() && Instant::now() < deadline && self.hear(deadline).await {}
            if self.open.is_empty() {
                return;
            }
            self.end(Ending::Broken);
            self.move_on();
        }
    }

    /// Lets time pass and listens meanwhile, as long as there is a connection.
    pub(crate) async fn rest(&mut self, span: Duration) {
        let deadline = Instant::now() + span;
        while Instant::now() < deadline && self.hear(deadline).await {}
        sleep_until(deadline).await;
    }

    /// Lets time pass and listens meanwhile, also in a new connection if one is lost.
    pub(crate) async fn stay(&mut self, span: Duration) {
        let deadline = Instant::now() + span;
        while Instant::now() < deadline {
            self.connect().await;
            self.hear(deadline).await;
        }
    }

    /// Says goodbye.
    pub(crate) async fn leave(&mut self) {
        if let Some(link) = &mut self.link {
            link.send(&packet::DISCONNECT).await;
        }
        self.end(Ending::Left);
    }

    /// Lets go of the connection, if there is one.
    pub(crate) fn end(&mut self, ending: Ending) {
        let Some(link) = self.link.take() else { return };
        self.world.connected.borrow_mut().remove(&client_id(self.id));
        self.see(Seen::Ended(ending));
        if ending == Ending::Silent {
            // It stays open, and nobody is there.
            self.world.silent.borrow_mut().push(link);
        }
        self.asked.clear();
        self.open.retain(|open| open.birth.is_none());
    }

    async fn try_connect(&mut self) -> bool {
        self.connections += 1;
        let (node, hello) = (NODES[self.node], self.hello());
        let patience = self.dice.millis(PATIENCE);
        let Some((link, session_present)) = Link::open(node, &hello, patience).await else { return false };
        self.link = Some(link);
        self.world.connected.borrow_mut().insert(client_id(self.id), node);
        self.see(Seen::Connected { node, session_present, is_kept: self.profile.is_kept });
        if !session_present {
            self.held.clear();
            self.is_subscribed = false;
        }
        self.announce();
        self.resume(session_present).await;
        self.send_unsent().await;
        let deadline = Instant::now() + patience;
        if !self.is_subscribed && !self.subscribe(deadline).await {
            self.end(Ending::Broken);
        }
        self.is_connected()
    }

    fn hello(&self) -> Hello {
        let Profile { level, is_kept, will, .. } = self.profile;
        let will = will.map(|delay| LastWill {
            topic: status_topic(self.id),
            payload: json!({ "will": format!("{}.{}", self.id, self.connections) }).to_string(),
            qos: 2,
            retain: true,
            delay,
        });
        Hello {
            client_id: client_id(self.id),
            level,
            clean_start: !is_kept,
            session_expiry: if is_kept { SESSION_EXPIRY } else { 0 },
            keep_alive: KEEP_ALIVE,
            will,
            login: None,
        }
    }

    /// Promises the message that says that the client is there, before all others.
    fn announce(&mut self) {
        if self.profile.will.is_none() {
            return;
        }
        self.messages += 1;
        let ticket = Ticket { device: self.id, message: self.messages, attempt: 0 };
        let (topic, state) = (status_topic(self.id), "online".to_owned());
        let draft = Draft { topic, state, qos: 2, retain: true };
        let birth = Some(self.connections);
        self.open.insert(0, Open { draft, ticket, packet_id: 0, stage: Stage::Unsent, birth });
    }

    /// Takes up what an earlier connection left unsettled: in its session, or as something new.
    async fn resume(&mut self, session_present: bool) {
        if !session_present {
            // What was taken needs no release any more.
            self.open.retain(|open| open.stage != Stage::Taken);
            self.open.iter_mut().for_each(|open| open.stage = Stage::Unsent);
            return;
        }
        for open in self.open.clone() {
            match open.stage {
                Stage::Unsent => {}
                Stage::Taken => self.acknowledge(Ack::Pubrel, open.packet_id).await,
                Stage::Sent => self.publish(&open, true).await,
            }
        }
    }

    async fn send_unsent(&mut self) {
        for place in 0..self.open.len() {
            if self.open[place].stage == Stage::Unsent {
                self.packet_id = self.packet_id % u16::MAX + 1;
                let open = &mut self.open[place];
                open.packet_id = self.packet_id;
                open.ticket.attempt += 1;
                open.stage = Stage::Sent;
                let open = open.clone();
                self.publish(&open, false).await;
            }
        }
        // Nobody acknowledges them.
        self.open.retain(|open| open.draft.qos > 0);
    }

    async fn publish(&mut self, open: &Open, dup: bool) {
        let Open { draft, ticket, packet_id, birth, .. } = open;
        let Draft { topic, state, qos, retain } = draft;
        // An empty message is what makes a topic be forgotten; it can carry no ticket.
        let payload = match (state.as_str(), birth) {
            ("", _) => String::new(),
            (state, None) => json!({ "ticket": ticket.to_string(), "state": state }).to_string(),
            (state, Some(birth)) => {
                let birth = format!("{}.{birth}", self.id);
                json!({ "ticket": ticket.to_string(), "state": state, "birth": birth }).to_string()
            }
        };
        let packet_id = (*qos > 0).then_some(*packet_id);
        let publish =
            Publish { topic, payload: payload.as_bytes(), qos: *qos, retain: *retain, dup, packet_id };
        if !payload.is_empty() {
            self.see(Seen::Offered { ticket: *ticket, packet_id, qos: *qos, dup });
        }
        if let Some(link) = &mut self.link {
            link.send(&packet::publish(&publish, self.profile.level)).await;
        }
    }

    async fn acknowledge(&mut self, ack: Ack, packet_id: u16) {
        if let Some(link) = &mut self.link {
            link.send(&packet::ack(ack, packet_id)).await;
        }
    }

    async fn subscribe(&mut self, deadline: Instant) -> bool {
        for (filter, qos) in self.profile.subscriptions {
            self.packet_id = self.packet_id % u16::MAX + 1;
            self.asked.push((self.packet_id, filter));
            if let Some(link) = &mut self.link {
                link.send(&packet::subscribe(self.packet_id, filter, *qos, self.profile.level)).await;
            }
        }
        while !self.asked.is_empty() && Instant::now() < deadline && self.hear(deadline).await {}
        self.is_subscribed = self.asked.is_empty() && self.is_connected();
        self.is_subscribed
    }

    /// Waits for a packet until `deadline`, and does what it asks for. Returns whether there is a
    /// connection.
    async fn hear(&mut self, deadline: Instant) -> bool {
        loop {
            let Some(link) = &mut self.link else { return false };
            let wake = deadline.min(link.next_look());
            match timeout_at(wake, link.next()).await {
                Ok(Some(packet)) => {
                    self.take(packet).await;
                    return self.is_connected();
                }
                Ok(None) => self.end(Ending::Lost),
                Err(_) if link.look().await => self.end(Ending::Lost),
                Err(_) if Instant::now() >= deadline => return true,
                Err(_) => {}
            }
        }
    }

    async fn take(&mut self, packet: Packet) {
        match packet {
            Packet::Publish(message) => self.receive(message).await,
            Packet::Ack { ack: Ack::Pubrel, packet_id, .. } => {
                self.held.remove(&packet_id);
                self.acknowledge(Ack::Pubcomp, packet_id).await;
            }
            // What the node refuses is tried elsewhere.
            Packet::Ack { reason: 0x80.., .. } | Packet::Disconnect { .. } => self.end(Ending::Lost),
            Packet::Ack { ack, packet_id, .. } => self.settle(ack, packet_id).await,
            Packet::Suback { packet_id, reasons } => {
                assert!(reasons.iter().all(|reason| *reason < 0x80), "a subscription was refused");
                let granted = self.asked.iter().filter(|(asked, _)| *asked == packet_id);
                for (_, filter) in granted.copied().collect::<Vec<_>>() {
                    self.see(Seen::Subscribed { filter: filter.to_owned() });
                }
                self.asked.retain(|(asked, _)| *asked != packet_id);
            }
            Packet::Pingresp | Packet::Connack { .. } => {}
        }
    }

    async fn receive(&mut self, message: Message) {
        let Message { topic, payload, qos, retain, dup, packet_id } = message;
        let packet_id = packet_id.unwrap_or_default();
        let is_new = qos < 2 || self.held.insert(packet_id);
        if is_new {
            self.orders.push_back(String::from_utf8_lossy(&payload).into_owned());
            // Bounded; only who obeys takes them out.
            self.orders.truncate(64);
        }
        self.see(Seen::Received(Reception { topic, payload, qos, retain, dup, is_new }));
        if !self.world.closing.get() && self.dice.chance(self.profile.breaks_off) {
            return self.end(Ending::Broken);
        }
        match qos {
            0 => {}
            1 => self.acknowledge(Ack::Puback, packet_id).await,
            _ => self.acknowledge(Ack::Pubrec, packet_id).await,
        }
    }

    /// Follows an acknowledgement of a message of its own.
    async fn settle(&mut self, ack: Ack, packet_id: u16) {
        let Some(place) = self.open.iter().position(|open| open.packet_id == packet_id) else { return };
        let open = &mut self.open[place];
        let (ticket, stage) = (open.ticket, open.stage);
        match ack {
            Ack::Puback | Ack::Pubcomp => drop(self.open.remove(place)),
            Ack::Pubrec | Ack::Pubrel => open.stage = Stage::Taken,
        }
        if stage == Stage::Sent {
            self.see(Seen::Acknowledged { ticket });
        }
        if ack == Ack::Pubrec {
            self.acknowledge(Ack::Pubrel, packet_id).await;
        }
    }

    fn see(&self, seen: Seen) {
        self.world.record(Event::Client { client: self.id, connection: self.connections, seen });
    }
}

/// Where a client says that it is there, and its will that it is not.
pub(crate) fn status_topic(client: u32) -> String {
    format!("sim/status/{client}")
}
