//! Simulated devices as real MQTT clients, for `gable simulate` and `gable demo`.
//!
//! Each device has its own connection, its fixed client id, its will. When its broker dies it goes to
//! the next address of its list and makes its present state known there, as real devices do that
//! know more than one address. What it wanted to say while it had no broker is lost with the moment:
//! a small device keeps no queue either.

mod connection;
mod record;

pub use record::{Record, Said};

use connection::{Connection, Heard};
use gable_devices::sim::Device;
use gable_devices::{Publish, Timestamp};
use record::Recorder;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinSet;
use tracing::debug;

/// How many pokes may wait for one device. A poke that finds no place is lost: nobody rings a bell
/// that often.
const POKES_MAX: usize = 16;
/// How many movements of the house a device may lag behind; it then misses the oldest.
const HOUSE_MAX: usize = 256;

/// Running devices; they vanish when this is dropped.
#[derive(Debug)]
pub struct Simulation {
    pokes: Vec<(String, mpsc::Sender<()>)>,
    recorder: Arc<Recorder>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

/// A device beside its way into the world.
struct Resident {
    device: Device,
    /// The topics that it commands are heard on. What it feels of its siblings comes by `house`.
    commands: Vec<String>,
    /// What siblings say and this device feels.
    feels: Vec<String>,
    connection: Connection,
    recorder: Arc<Recorder>,
    house: broadcast::Sender<Publish>,
    pokes: mpsc::Receiver<()>,
    stop: watch::Receiver<bool>,
}

impl Simulation {
    /// Switches the devices on. Each begins at another of the `brokers` (`host:port`).
    pub fn start(devices: Vec<Device>, brokers: &[String]) -> Simulation {
        let (house, _) = broadcast::channel(HOUSE_MAX);
        let (stop, stopped) = watch::channel(false);
        let recorder = Arc::new(Recorder::default());
        // Two things on one door feel each other, whichever brokers they are connected to.
        let said: Vec<Vec<String>> = devices
            .iter()
            .map(|device| device.connected().into_iter().map(|publish| publish.topic).collect())
            .collect();
        let mut pokes = Vec::new();
        let mut tasks = JoinSet::new();
        for (place, device) in devices.into_iter().enumerate() {
            let (poke, poked) = mpsc::channel(POKES_MAX);
            pokes.push((device.client_id().to_owned(), poke));
            let (feels, commands) = device
                .subscriptions()
                .into_iter()
                .partition(|topic| said.iter().flatten().any(|said| said == topic));
            let connection = Connection::new(device.client_id(), device.will(), brokers, place);
            let resident = Resident {
                device,
                commands,
                feels,
                connection,
                recorder: recorder.clone(),
                house: house.clone(),
                pokes: poked,
                stop: stopped.clone(),
            };
            tasks.spawn(resident.live());
        }
        Simulation { pokes, recorder, stop, tasks }
    }

    /// Does to a device what one does to such a thing: walks by, opens the door. Returns whether
    /// there is such a device.
    pub fn poke(&self, client_id: &str) -> bool {
        self.pokes.iter().find(|(id, _)| id == client_id).is_some_and(|(_, poke)| poke.try_send(()).is_ok())
    }

    /// What was said and heard so far.
    pub fn record(&self) -> Record {
        self.recorder.record()
    }

    /// Switches the devices off in order: they say goodbye to their brokers.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        // A broker that does not answer must not keep us.
        if tokio::time::timeout(Duration::from_secs(1), all).await.is_err() {
            self.tasks.abort_all();
        }
    }
}

impl Resident {
    async fn live(mut self) {
        let mut house = self.house.subscribe();
        let mut stop = self.stop.clone();
        loop {
            let due = until(self.device.next_step());
            let said = tokio::select! {
                () = asked(&mut stop) => return self.connection.leave().await,
                heard = self.connection.next() => match heard {
                    Heard::Connected => {
                        debug!(device = self.device.client_id(), broker = self.connection.broker(), "connected");
                        self.connection.subscribe(&self.commands);
                        self.device.connected()
                    }
                    Heard::Message { topic, payload } => {
                        self.recorder.commanded(&topic, &payload);
                        self.device.receive(now(), &topic, &payload)
                    }
                    Heard::Acknowledged(said) => {
                        self.recorder.acknowledged(said);
                        Vec::new()
                    }
                },
                Some(()) = self.pokes.recv() => self.device.trigger(now()),
                felt = house.recv() => match felt {
                    Ok(felt) if self.feels.contains(&felt.topic) => {
                        self.device.receive(now(), &felt.topic, &felt.payload)
                    }
                    _ => Vec::new(),
                },
                () = tokio::time::sleep(due) => self.device.step(now()),
            };
            for publish in said {
                self.recorder.said(&publish);
                self.connection.publish(&publish);
                // It fails when no sibling listens.
                let _ = self.house.send(publish);
            }
        }
    }
}

/// Waits until the simulation is asked to stop.
async fn asked(stop: &mut watch::Receiver<bool>) {
    // An error means that the simulation is gone already.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// The devices' clock.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn until(at: Timestamp) -> Duration {
    // Far enough for a device that plans nothing; a sleep does not take more than some years.
    const LONGEST: Duration = Duration::from_secs(3600);
    Duration::from_millis(at.since(now()).0).min(LONGEST)
}
