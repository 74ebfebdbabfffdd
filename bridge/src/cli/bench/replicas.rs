//! Three replicas in this process: real stores, real connections over the loopback, the real rules.
//!
//! Each has threads of its own, as many as the process of a node has, so that what is measured is
//! what three nodes on this machine would do; only a client that proposes without MQTT has to live
//! in a node's process, and so they live here.

use crate::cli::failure::{Exit, Failure};
use crate::cli::local_cluster;
use crate::raft::{Batching, ClusterKey, Replica, ReplicaSettings};
use crate::store::history::{self, History};
use crate::store::{self, Identity, Metrics, Store};
use anyhow::Context;
use gable_devices::QoS;
use gable_rules::{InputKind, Message, NodeId, SourceFile};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};

const CLUSTER: &str = "bench";
const THREADS: usize = 2;
const LEADER_LIMIT: Duration = Duration::from_secs(20);

/// How many sensors the home has, each with its automation and its lamp.
pub(super) const SENSORS: usize = 256;

/// The running replicas, in the order of their ids from 1.
pub(super) struct Replicas {
    members: Vec<(Runtime, Replica)>,
}

impl Replicas {
    /// Starts three replicas in folders below `folder` and gives them the home.
    pub(super) fn start(folder: &Path) -> Result<Replicas, Failure> {
        let addresses = local_cluster::free_addresses(3)?;
        let peers: BTreeMap<NodeId, String> =
            (1..).zip(&addresses).map(|(id, address)| (NodeId(id), address.to_string())).collect();
        let mut members = Vec::new();
        for (id, listen) in (1..).map(NodeId).zip(addresses) {
            let key = ClusterKey::new("known to all, for the loopback only").map_err(anyhow::Error::new)?;
            let settings = ReplicaSettings {
                // As `gable run` has it by default.
                batching: Batching { linger: Duration::ZERO, ..Batching::default() },
                ..ReplicaSettings::new(id, CLUSTER, key, listen, peers.clone())
            };
            members.push(start_one(settings, &folder.join(format!("replica{id}")))?);
        }
        let replicas = Replicas { members };
        let leader = replicas.leader()?;
        let file = SourceFile { name: "bench.yaml".to_owned(), text: home() };
        let (runtime, replica) = &replicas.members[leader];
        runtime.block_on(replica.propose(InputKind::Configure(vec![file]))).map_err(anyhow::Error::new)?;
        Ok(replicas)
    }

    /// Waits for a leader and returns its place.
    pub(super) fn leader(&self) -> Result<usize, Failure> {
        let deadline = Instant::now() + LEADER_LIMIT;
        loop {
            if let Some(place) = self.members.iter().position(|(_, replica)| replica.is_leader()) {
                return Ok(place);
            }
            if Instant::now() >= deadline {
                let error = anyhow::anyhow!("no leader within {} s", LEADER_LIMIT.as_secs());
                return Err(Failure::new(Exit::No, error, "is the machine overloaded? try again"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// A place that is not the leader's.
    pub(super) fn follower(&self) -> Result<usize, Failure> {
        Ok(usize::from(self.leader()? == 0))
    }

    pub(super) fn replica(&self, place: usize) -> &Replica {
        &self.members[place].1
    }

    pub(super) fn runtime(&self, place: usize) -> &Runtime {
        &self.members[place].0
    }

    /// What log and history of one replica have cost so far.
    pub(super) fn costs(&self, place: usize) -> (Metrics, Metrics) {
        let replica = self.replica(place);
        (replica.store().metrics(), replica.history().metrics())
    }

    pub(super) fn stop(self) {
        for (runtime, replica) in &self.members {
            runtime.block_on(replica.halt());
        }
        for (runtime, replica) in self.members {
            drop(replica);
            runtime.shutdown_background();
        }
    }
}

fn start_one(settings: ReplicaSettings, folder: &Path) -> Result<(Runtime, Replica), Failure> {
    let identity = Identity { cluster: settings.cluster.clone(), node: settings.node };
    let start = || -> anyhow::Result<(Runtime, Replica)> {
        let runtime = Builder::new_multi_thread().worker_threads(THREADS).enable_all().build()?;
        let store = Store::open(folder, store::Options::new(identity.clone()))?;
        let history = History::open(folder, history::Options::new(identity))?;
        let fsync_p99 = store::measure_fsync_p99(folder)?;
        let settings = ReplicaSettings { fsync_p99, ..settings };
        let replica = runtime.block_on(Replica::start(settings, store, history))?;
        Ok((runtime, replica))
    };
    let started = start().with_context(|| format!("cannot start a replica in {}", folder.display()));
    started.map_err(|error| Failure::new(Exit::Start, error, "choose another folder with --dir"))
}

/// An event of one sensor: its motion begins or ends, so that its automation fires each time.
pub(super) fn event(sensor: usize, count: u64) -> InputKind {
    let occupancy = count.is_multiple_of(2);
    let payload =
        format!(r#"{{"battery":97,"illuminance":12,"linkquality":{},"occupancy":{occupancy}}}"#, count % 255);
    InputKind::Message(Message {
        topic: format!("zigbee2mqtt/motion_{sensor}"),
        payload: payload.into_bytes(),
        qos: QoS::AtLeastOnce,
        ..Message::default()
    })
}

/// A home in which every event changes an entity and makes an automation promise a command.
fn home() -> String {
    let (mut sensors, mut lamps, mut automations) = (String::new(), String::new(), String::new());
    for n in 0..SENSORS {
        // Writing into a text can not fail.
        let _ = write!(
            sensors,
            "    - name: Motion {n}\n      default_entity_id: binary_sensor.motion_{n}\n      \
             state_topic: zigbee2mqtt/motion_{n}\n      value_template: \"{{{{ value_json.occupancy }}}}\"\n      \
             payload_on: true\n      payload_off: false\n"
        );
        let _ = write!(
            lamps,
            "    - name: Lamp {n}\n      default_entity_id: light.lamp_{n}\n      \
             state_topic: zigbee2mqtt/lamp_{n}\n      command_topic: zigbee2mqtt/lamp_{n}/set\n"
        );
        let _ = write!(
            automations,
            "  - id: motion_{n}\n    storm_guard: false\n    triggers:\n      - trigger: state\n        \
             entity_id: binary_sensor.motion_{n}\n    actions:\n      - action: light.turn_on\n        \
             target:\n          entity_id: light.lamp_{n}\n"
        );
    }
    format!("mqtt:\n  binary_sensor:\n{sensors}  light:\n{lamps}automation:\n{automations}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use gable_devices::Timestamp;
    use gable_rules::{Effect, Hlc, Input, LogIndex, Origin, State};

    #[test]
    fn every_event_makes_an_automation_promise_a_command() {
        let mut state = State::new();
        let file = SourceFile { name: "bench.yaml".to_owned(), text: home() };
        let kinds = [InputKind::Configure(vec![file])].into_iter().chain((0..4).map(|n| event(7, n)));
        for (sequence, kind) in (1..).zip(kinds) {
            let origin = Origin { node: NodeId(1), boot: 1, sequence };
            let input = Input { at: Timestamp(1_000), origin, heard: Hlc::default(), kind };
            let effects = state.apply(LogIndex(sequence), &input);
            let promised = effects.iter().any(|effect| matches!(effect, Effect::CommandQueued { .. }));
            assert_eq!(promised, sequence > 1, "{effects:#?}");
        }
        assert_eq!(state.problems().len(), 0, "{:#?}", state.problems());
        assert_eq!(state.automations().count(), SENSORS);
    }
}
