//! The model of the dispatcher: the leader publishes what the outbox promises to the one broker
//! that all nodes share, and reports what the broker has taken over.

use crate::dice::Dice;
use crate::plant::Plant;
use crate::trace::Event;
use crate::world::World;
use gable::raft::Replica;
use gable_devices::Publish;
use gable_rules::{CommandId, InputKind, Status};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

/// How long the dispatcher waits for news before it looks at the rows again.
const LOOK: Duration = Duration::from_millis(100);

/// Publishes the rows of a replica until its node ends.
pub(crate) async fn run(world: Rc<World>, replica: Replica) {
    let mut applied = replica.applied();
    let mut dice = Dice::new(world.seed ^ replica.node().0, "dispatch");
    let dispatch = Rc::new(Dispatch { world, replica, on_their_way: RefCell::default() });
    loop {
        if dispatch.replica.is_leader() {
            for (command_id, publish) in pending(&dispatch.replica) {
                if dispatch.on_their_way.borrow_mut().insert(command_id) {
                    let delays = [dice.millis(0..5), dice.millis(0..5)];
                    spawn_local(dispatch.clone().send(command_id, publish, delays));
                }
            }
        }
        // Whichever comes first; the rows say what there is to do.
        let _ = timeout(LOOK, applied.changed()).await;
    }
}

struct Dispatch {
    world: Rc<World>,
    replica: Replica,
    on_their_way: RefCell<BTreeSet<CommandId>>,
}

impl Dispatch {
    /// Publishes one command, waits for the broker's word and reports it.
    async fn send(self: Rc<Self>, command_id: CommandId, publish: Publish, delays: [Duration; 2]) {
        let [to_broker, from_broker] = delays;
        sleep(to_broker).await;
        // The planted fault: what was never sent is reported as sent.
        let forgets =
            self.world.plant == Some(Plant::UnsentCommand) && command_id.0.index.0.is_multiple_of(5);
        if !forgets {
            let Publish { topic, payload, .. } = publish;
            self.world.broker.publish(&topic, payload.clone());
            self.world.record(Event::Published { node: self.replica.node(), command_id, topic, payload });
        }
        sleep(from_broker).await;
        // If it is not committed, this node goes down, and the row stays pending for the others.
        let _ = self.replica.propose(InputKind::CommandSent(command_id)).await;
        self.on_their_way.borrow_mut().remove(&command_id);
    }
}

fn pending(replica: &Replica) -> Vec<(CommandId, Publish)> {
    replica.read(|state| {
        let rows = state.outbox().filter(|row| row.status == Status::Pending);
        rows.map(|row| (row.command_id, row.publish.clone())).collect()
    })
}
