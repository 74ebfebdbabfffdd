//! A node as the simulated network's host: the real store, history and replica, and either the real
//! MQTT server or, for a node that is a client of another broker, a thin model of that edge.
//!
//! That one is modelled because its broker client speaks to real sockets: [`serve`] stands for
//! ingest, which acknowledges a message only when it is committed and applied; `dispatch.rs`
//! stands for the dispatcher.

use crate::dice::Dice;
use crate::dispatch;
use crate::faults::{Conditions, Edge};
use crate::trace::{Event, Row, Ticket};
use crate::world::{CLIENTS, Delivery, Live, World};
use gable::mqtt::server::Server;
use gable::raft::types::Runtime;
use gable::raft::{ClusterKey, Compaction, Replica, ReplicaSettings, Settled};
use gable::store::history::{self, Filter, History, Kind, Position};
use gable::store::{self, Identity, Mode, Store};
use gable_broker_config::Settings;
use gable_rules::{InputKind, NodeId};
use std::collections::BTreeMap;
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::spawn_local;
use tokio::time::sleep;

const PORT: u16 = 7800;
/// Where nodes listen for MQTT clients.
pub(crate) const MQTT_PORT: u16 = 1883;
/// Messages that wait for a node. When it is full the device is told to go elsewhere.
const MAILBOX: usize = 64;
const LOOK: Duration = Duration::from_millis(50);

/// Returns the name of a node, or of the devices' host, in the simulated network.
pub(crate) fn name_of(node: NodeId) -> String {
    if node == CLIENTS { "devices".to_owned() } else { format!("node{node}") }
}

/// Runs a node until it stops or ends by itself; a crash drops this future with all it holds.
pub(crate) async fn run(world: Rc<World>, node: NodeId) -> turmoil::Result {
    let seed = world.place(node).next_seed(world.seed);
    let lived = Runtime::scope(seed, live(&world, node)).await;
    if let Err(error) = lived {
        let expected = world.place(node).doomed.get();
        world.record(Event::Died { node, expected, reason: in_full(&*error) });
    }
    Ok(())
}

async fn live(world: &Rc<World>, node: NodeId) -> Result<(), Box<dyn Error>> {
    let place = world.place(node);
    let disks = place.disks.borrow().clone();
    let identity = Identity { cluster: "simulation".to_owned(), node };
    let options = store::Options { mode: Mode::Inline, ..store::Options::new(identity.clone()) };
    let store = Store::open_backend(disks.log, options)?;
    let options = history::Options { mode: Mode::Inline, ..history::Options::new(identity) };
    let history = History::open_backend(disks.history, options)?;
    let boot = store.boot();
    world.record(Event::Started { node, boot });
    record_history(world, node, &history, false)?;
    let replica = Replica::start(settings(world, node)?, store, history.clone()).await?;
    replica.clock().set_skew_ms(place.skew_ms.get());
    place.live.replace(Some(Live { replica: replica.clone(), history }));
    let server = match world.edge {
        Edge::Attach => {
            let (sender, mailbox) = mpsc::channel(MAILBOX);
            place.mailbox.replace(Some(sender));
            spawn_local(serve(world.clone(), replica.clone(), mailbox));
            spawn_local(dispatch::run(world.clone(), replica.clone()));
            None
        }
        Edge::Server => Some(Server::start(&mqtt_settings(node), replica.clone()).await?),
    };
    spawn_local(tell_time(world.clone(), replica.clone()));
    spawn_local(read(world.clone(), replica.clone()));
    let stop = place.stop.borrow().clone();
    let mut fatal = replica.fatal();
    tokio::select! {
        biased;
        reason = fatal.wait_for(Option::is_some) => {
            let reason = reason.map(|reason| reason.as_deref().unwrap_or("").to_owned());
            Err(reason.unwrap_or_else(|_| "the replica is gone".to_owned()).into())
        }
        () = stop.notified() => {
            if let Some(server) = server {
                server.stop().await;
            }
            replica.shutdown().await;
            Ok(())
        }
    }
}

fn settings(world: &World, node: NodeId) -> Result<ReplicaSettings, Box<dyn Error>> {
    let key = ClusterKey::new(*b"the key of the simulated cluster")?;
    let peers = crate::world::NODES.map(|peer| (peer, format!("{}:{PORT}", name_of(peer))));
    let listen = SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT));
    let mut settings = ReplicaSettings::new(node, "simulation", key, listen, BTreeMap::from(peers));
    // Often enough that nodes which were away meet snapshots and purged logs in every run.
    let Conditions { snapshot_entries: entries, kept_entries: keep, .. } = world.conditions;
    settings.compaction = Compaction { entries, bytes: 1 << 20, age: Duration::from_secs(20), keep };
    Ok(settings)
}

/// The usual settings of the server, but for patience: what takes ten seconds in a home may take two.
fn mqtt_settings(node: NodeId) -> Settings {
    let mut settings = Settings::default();
    settings.node.id = node.0;
    let server = &mut settings.mqtt.server;
    server.listen = vec![SocketAddr::from((Ipv4Addr::UNSPECIFIED, MQTT_PORT))];
    server.allow_anonymous = Some(true);
    server.grace_s = 2;
    server.ack_patience_s = 3;
    settings
}

/// Proposes what devices hand in, in the order of its arrival, and acknowledges what is committed.
async fn serve(world: Rc<World>, replica: Replica, mut mailbox: mpsc::Receiver<Delivery>) {
    let node = replica.node();
    while let Some(Delivery { ticket, message, acknowledge }) = mailbox.recv().await {
        let Ok(settled) = replica.try_propose(InputKind::Message(message)) else { continue };
        world.record(Event::HandedIn { node, ticket });
        let world = world.clone();
        spawn_local(async move {
            let Ok(committed) = settled.await else { return };
            let settled = match &committed.outcome {
                Settled::Applied => "applied".to_owned(),
                Settled::Duplicate => "duplicate".to_owned(),
                Settled::Refused(text) => text.clone(),
            };
            world.record(Event::Acknowledged { node, ticket, index: committed.index, settled });
            world.acknowledged.set(world.acknowledged.get().max(committed.index));
            // A device that went elsewhere meanwhile needs no answer.
            let _ = acknowledge.send(());
        });
    }
}

/// Reads now and then what must not be old.
async fn read(world: Rc<World>, replica: Replica) {
    let node = replica.node();
    let mut dice = Dice::new(world.place(node).next_seed(world.seed), "reads");
    loop {
        sleep(dice.millis(50..800)).await;
        let known = world.acknowledged.get();
        // Without a majority there is no such read, and it says so.
        if replica.linearizable().await.is_ok() {
            let index = *replica.applied().borrow();
            world.record(Event::Read { node, known, index });
        }
    }
}

/// Shows the driver the node's log time, which it can not ask for: time exists only inside a host.
async fn tell_time(world: Rc<World>, replica: Replica) {
    let place = world.place(replica.node());
    loop {
        place.home_time.set(replica.home_time());
        sleep(LOOK).await;
    }
}

/// Adds to the trace what a node's history shows from its beginning.
pub(crate) fn record_history(
    world: &World,
    node: NodeId,
    history: &History,
    last: bool,
) -> Result<(), store::Error> {
    let mut rows = Vec::new();
    let mut after = Position::START;
    loop {
        let page = history.page(after, 1000, Filter::Everything)?;
        if page.rows.is_empty() {
            break;
        }
        after = page.next;
        rows.extend(page.rows.iter().map(|row| Row {
            position: row.position,
            digest: crate::trace::Digest::of(row),
            ticket: match &row.kind {
                Kind::Message(message) => Ticket::of(&message.payload),
                Kind::Effect(_) | Kind::Input(_) => None,
            },
        }));
    }
    world.record(Event::History { node, rows, last });
    Ok(())
}

/// Returns an error's text with those of its causes.
fn in_full(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
