//! The workload where nodes are clients of another broker: devices that hand messages to nodes, and
//! obey commands.
//!
//! All of them are tasks of one host of the simulated network. They meet nodes through mailboxes
//! rather than sockets, because what stands between them, the MQTT client, is modelled too.

use crate::dice::Dice;
use crate::plant::Plant;
use crate::trace::Ticket;
use crate::world::{Delivery, NODES, World};
use gable_devices::QoS;
use gable_rules::{InputKind, Message, NodeId, SourceFile};
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

/// The home's file.
pub(crate) const HOME: &str = include_str!("home.yaml");

/// How long a device waits for an acknowledgement before it turns to the next node, in ms.
const PATIENCE: Range<u64> = 600..2500;

/// Runs all devices; they end when the workload closes and they have handed in what they began.
pub(crate) async fn run(world: Rc<World>) -> turmoil::Result {
    configure(&world, HOME).await;
    let reporters: [(&str, &[&str], Range<u64>); 5] = [
        ("sim/motion", &["ON", "OFF"], 80..1100),
        ("sim/door", &["ON", "OFF"], 150..1800),
        ("sim/button", &["press"], 200..1500),
        ("sim/power", &["10", "20", "30", "40"], 20..120),
        ("sim/temperature", &["18.5", "19", "19.5"], 20..120),
    ];
    for (id, (topic, states, pause)) in (1..).zip(reporters) {
        let device = Device::new(&world, id, topic);
        spawn_local(device.report(states, pause));
    }
    for (id, topic) in [(6, "sim/bulb"), (7, "sim/fan")] {
        let device = Device::new(&world, id, topic);
        spawn_local(device.obey());
    }
    spawn_local(burst(world.clone()));
    reconfigure(&world).await;
    std::future::pending().await
}

/// Many devices speak at once, as after a power cut: the only messages that share log entries.
async fn burst(world: Rc<World>) {
    let mut dice = Dice::new(world.seed, "bursts");
    for round in 0.. {
        sleep(dice.millis(300..2500)).await;
        if world.closing.get() {
            return;
        }
        for id in 0..dice.within(2..40) as u32 {
            let mut device = Device::new(&world, 100 + 100 * round + id, "sim/burst");
            device.node = dice.pick(&NODES);
            device.dice = Dice::new(dice.roll(), "burst");
            device.world.busy_devices.set(device.world.busy_devices.get() + 1);
            spawn_local(async move {
                device.hand_in("here").await;
                device.world.busy_devices.set(device.world.busy_devices.get() - 1);
            });
        }
    }
}

/// Edits the home's file now and then: runs and timers of an edited automation end.
pub(crate) async fn reconfigure(world: &Rc<World>) {
    let mut dice = Dice::new(world.seed, "edits");
    loop {
        sleep(dice.millis(2000..9000)).await;
        if world.closing.get() {
            return;
        }
        let text = HOME.replace("milliseconds: 700", &format!("milliseconds: {}", dice.within(300..900)));
        configure(world, &text).await;
    }
}

/// Brings the home's file into the log through whichever node takes it.
pub(crate) async fn configure(world: &Rc<World>, text: &str) {
    let report = gable_rules::check(&sources(text));
    assert!(report.problems.is_empty(), "the simulation's home is broken: {:?}", report.problems);
    let mut nodes = NODES.iter().cycle();
    loop {
        let node = nodes.next().copied().unwrap_or(NODES[0]);
        let live = world.place(node).live.borrow().clone();
        if let Some(live) = live {
            let proposed = live.replica.propose(InputKind::Configure(sources(text)));
            if matches!(timeout(Duration::from_secs(2), proposed).await, Ok(Ok(_))) {
                return;
            }
        }
        sleep(Duration::from_millis(50)).await;
    }
}

fn sources(text: &str) -> Vec<SourceFile> {
    vec![SourceFile { name: "home.yaml".to_owned(), text: text.to_owned() }]
}

/// A device with one topic of its own.
struct Device {
    world: Rc<World>,
    id: u32,
    topic: &'static str,
    node: NodeId,
    messages: u32,
    dice: Dice,
}

impl Device {
    fn new(world: &Rc<World>, id: u32, topic: &'static str) -> Device {
        let mut dice = Dice::new(world.seed, topic);
        let node = dice.pick(&NODES);
        Device { world: world.clone(), id, topic, node, messages: 0, dice }
    }

    /// Reports one of `states` after another.
    async fn report(mut self, states: &[&'static str], pause: Range<u64>) {
        self.world.busy_devices.set(self.world.busy_devices.get() + 1);
        for state in states.iter().cycle() {
            sleep(self.dice.millis(pause.clone())).await;
            if self.world.closing.get() {
                break;
            }
            self.hand_in(state).await;
        }
        self.world.busy_devices.set(self.world.busy_devices.get() - 1);
    }

    /// Takes commands and reports what they made of it, as a rule.
    async fn obey(mut self) {
        let topic = format!("{}/set", self.topic);
        loop {
            let command = self.world.broker.next(&topic).await;
            self.world.busy_devices.set(self.world.busy_devices.get() + 1);
            let state = String::from_utf8_lossy(&command).into_owned();
            sleep(self.dice.millis(2..40)).await;
            if !self.dice.chance(5) {
                self.hand_in(&state).await;
            }
            self.world.busy_devices.set(self.world.busy_devices.get() - 1);
        }
    }

    /// Hands a message in until a node acknowledges it.
    async fn hand_in(&mut self, state: &str) {
        self.messages += 1;
        let mut ticket = Ticket { device: self.id, message: self.messages, attempt: 1 };
        while !self.offer(ticket, state).await {
            let position = NODES.iter().position(|node| *node == self.node).unwrap_or(0);
            self.node = NODES[(position + 1) % NODES.len()];
            // Another attempt is another message to the log: only the device knows that it is not.
            ticket.attempt += 1;
            sleep(self.dice.millis(5..60)).await;
        }
        // The planted fault: what was acknowledged is handed in once more under the same number.
        if self.world.plant == Some(Plant::RepeatedMessage) && self.messages == 20 {
            self.offer(ticket, state).await;
        }
    }

    /// Hands a message to the device's node. Returns whether it was acknowledged in time.
    async fn offer(&mut self, ticket: Ticket, state: &str) -> bool {
        let mailbox = self.world.place(self.node).mailbox.borrow().clone();
        let Some(mailbox) = mailbox else { return false };
        let payload = serde_json::json!({ "ticket": ticket.to_string(), "state": state }).to_string();
        let message = Message {
            topic: self.topic.to_owned(),
            payload: payload.into_bytes(),
            qos: QoS::AtLeastOnce,
            ..Message::default()
        };
        let (acknowledge, acknowledged) = oneshot::channel();
        if mailbox.try_send(Delivery { ticket, message, acknowledge }).is_err() {
            return false;
        }
        let patience = self.dice.millis(PATIENCE);
        matches!(timeout(patience, acknowledged).await, Ok(Ok(())))
    }
}
