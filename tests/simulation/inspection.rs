//! At rest: clients that are new to everything look at what each node shows as retained.

use crate::client::Link;
use crate::trace::{Event, client_id};
use crate::world::{NODES, World};
use gable_rules::NodeId;
use gable_tests::mqtt::{Ack, Hello, Packet, packet};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(2);
/// What is retained comes with the subscription; after so much silence all of it is there.
const SILENCE: Duration = Duration::from_millis(400);

/// Waits for the rest and inspects the nodes.
pub(crate) async fn run(world: Rc<World>) {
    while !world.inspecting.get() {
        sleep(Duration::from_millis(20)).await;
    }
    for node in NODES {
        let messages = loop {
            match inspect(node).await {
                Some(messages) => break messages,
                None => sleep(Duration::from_millis(100)).await,
            }
        };
        world.record(Event::Retained { node, messages });
    }
    world.busy_devices.set(world.busy_devices.get() - 1);
}

async fn inspect(node: NodeId) -> Option<BTreeMap<String, Vec<u8>>> {
    let hello = Hello::new(&client_id(90 + node.0 as u32));
    let (mut link, _) = Link::open(node, &hello, PATIENCE).await?;
    link.send(&packet::subscribe(1, "sim/#", 1, hello.level)).await;
    let mut messages = BTreeMap::new();
    let mut is_subscribed = false;
    loop {
        let patience = if is_subscribed { SILENCE } else { PATIENCE };
        match timeout(patience, link.next()).await {
            Ok(Some(Packet::Publish(message))) => {
                if let Some(packet_id) = message.packet_id {
                    link.send(&packet::ack(Ack::Puback, packet_id)).await;
                }
                // Automations may publish meanwhile.
                if message.retain {
                    messages.insert(message.topic, message.payload);
                }
            }
            Ok(Some(packet)) => is_subscribed |= matches!(packet, Packet::Suback { .. }),
            Ok(None) => return None,
            Err(_) => break,
        }
    }
    link.send(&packet::DISCONNECT).await;
    // So that nothing overtakes the goodbye.
    let _ = timeout(PATIENCE, link.next()).await;
    is_subscribed.then_some(messages)
}
