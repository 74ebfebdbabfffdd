//! Three replicas in one process, on loopback and real disks: elections, restarts, snapshots,
//! strangers.

#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]

#[path = "raft_cluster/cluster.rs"]
mod cluster;

use cluster::{Cluster, KEY, until};
use gable::raft::{ClusterKey, Compaction, Error, ProposeError, Settled};
use gable_devices::Millis;
use gable_rules::{InputKind, NodeId, SourceFile};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_input_proposed_at_a_follower_is_applied_everywhere() {
    let cluster = Cluster::start(3).await;
    let follower = cluster.follower().await;
    for n in 0..50 {
        let committed = cluster.say(follower, n).await.unwrap();
        assert_eq!(committed.outcome, Settled::Applied);
    }
    cluster.agrees_on(&(0..50).collect::<Vec<_>>()).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inputs_enter_in_the_order_of_the_calls() {
    let cluster = Cluster::start(3).await;
    let follower = cluster.follower().await;
    let mut answers = Vec::new();
    for n in 0..3_000 {
        answers.push(loop {
            match cluster.node(follower).try_propose(cluster::message(n)) {
                Ok(answer) => break answer,
                Err(ProposeError::Busy) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        });
    }
    for answer in answers {
        assert_eq!(answer.await.unwrap().outcome, Settled::Applied);
    }
    cluster.agrees_on(&(0..3_000).collect::<Vec<_>>()).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_dies_is_replaced_and_comes_back() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    cluster.say(leader, 1).await.unwrap();
    cluster.kill(leader).await;
    let next = cluster.leader().await;
    assert_ne!(next, leader);
    cluster.say(next, 2).await.unwrap();
    until("the leader says that the dead node is down", || {
        let nodes = cluster.node(next).read(|state| state.nodes().collect::<Vec<_>>());
        nodes.iter().any(|(id, node)| *id == NodeId(leader) && !node.up)
    })
    .await;
    cluster.restart(leader).await;
    cluster.say(leader, 3).await.unwrap();
    until("the leader says that the node is back", || {
        let nodes = cluster.node(next).read(|state| state.nodes().collect::<Vec<_>>());
        nodes.iter().all(|(_, node)| node.up)
    })
    .await;
    cluster.agrees_on(&[1, 2, 3]).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inputs_in_flight_survive_an_election_exactly_once() {
    let mut cluster = Cluster::start(3).await;
    for round in 0..3 {
        let leader = cluster.leader().await;
        let follower = cluster.follower().await;
        let replica = cluster.node(follower).clone();
        let first = round * 400;
        let speaker = tokio::spawn(async move {
            let mut answers = Vec::new();
            for n in first..first + 400 {
                let answer = tokio::spawn({
                    let replica = replica.clone();
                    let answer = replica.try_propose(cluster::message(n)).unwrap();
                    async move { answer.await.unwrap().outcome }
                });
                answers.push(answer);
                tokio::time::sleep(Duration::from_micros(500)).await;
            }
            for answer in answers {
                assert_eq!(answer.await.unwrap(), Settled::Applied);
            }
        });
        let applied = cluster.node(follower).applied().borrow().0;
        let mut watch = cluster.node(follower).applied();
        watch.wait_for(|index| index.0 > applied + 10).await.unwrap();
        cluster.kill(leader).await;
        tokio::time::timeout(cluster::PATIENCE, speaker)
            .await
            .expect("all inputs are settled in time")
            .unwrap();
        cluster.restart(leader).await;
    }
    cluster.agrees_on(&(0..1_200).collect::<Vec<_>>()).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timer_outlives_the_leader_that_set_it_and_fires_once() {
    const HOME: &str = "automation:
  - {id: later, triggers: {trigger: mqtt, topic: said}, actions: [{delay: 1}, {action: mqtt.publish, data: {topic: done, payload: x}}]}
";
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let files = vec![SourceFile { name: "home.yaml".to_owned(), text: HOME.to_owned() }];
    let configured = cluster.node(leader).propose(InputKind::Configure(files)).await.unwrap();
    assert_eq!(configured.outcome, Settled::Applied);
    let survivor = cluster.follower().await;
    cluster.say(survivor, 0).await.unwrap();
    let (deadline, _) =
        cluster.node(survivor).read(|state| state.next_deadline()).expect("the delay is a timer");
    cluster.kill(leader).await;
    let replica = cluster.node(survivor).clone();
    until("the timer fires", || cluster::fired(replica.history()).len() == 1).await;
    let fired = cluster::fired(replica.history())[0];
    assert!(fired >= deadline, "fired at {fired:?}, due at {deadline:?}");
    assert!(fired.since(deadline) < Millis::from_secs(10), "an election is no reason to be later");
    cluster.restart(leader).await;
    cluster.say(leader, 1).await.unwrap();
    until("the second timer fires", || cluster::fired(replica.history()).len() == 2).await;
    cluster.agrees_on(&[0, 1]).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_planned_stop_hands_leadership_over_at_once() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    cluster.say(leader, 1).await.unwrap();
    assert!(cluster.node(leader).transfer_leadership().await, "another node leads within a second");
    let next = cluster.leader().await;
    assert_ne!(next, leader);
    cluster.say(leader, 2).await.unwrap();
    cluster.shutdown(next).await;
    cluster.say(leader, 3).await.unwrap();
    cluster.agrees_on(&[1, 2, 3]).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_cluster_starts_again_from_its_disks() {
    let mut cluster = Cluster::start(3).await;
    for n in 0..20 {
        cluster.say(1, n).await.unwrap();
    }
    let before = cluster.node(1).home_time();
    for node in 1..=3 {
        cluster.kill(node).await;
    }
    for node in 1..=3 {
        cluster.restart(node).await;
    }
    cluster.say(2, 20).await.unwrap();
    assert!(cluster.node(2).read(|state| state.now()) >= before, "the home's time does not go back");
    cluster.agrees_on(&(0..21).collect::<Vec<_>>()).await;
    assert!(cluster.node(3).status().boot >= 2);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_lags_catches_up_by_snapshot_and_fetches_its_history() {
    let compaction = Compaction { entries: 30, keep: 5, ..Compaction::default() };
    let mut cluster = Cluster::start_with(3, move |settings| settings.compaction = compaction).await;
    cluster.say(1, 0).await.unwrap();
    let lagging = cluster.follower().await;
    cluster.kill(lagging).await;
    let leader = cluster.leader().await;
    for n in 1..200 {
        cluster.say(leader, n).await.unwrap();
    }
    cluster.node(leader).take_snapshot().await;
    until("the leader's log is purged", || cluster.node(leader).status().snapshot_index.0 > 100).await;
    cluster.restart(lagging).await;
    until("the node has taken over a snapshot", || cluster.node(lagging).status().snapshot_index.0 > 100)
        .await;
    cluster.say(leader, 200).await.unwrap();
    cluster.agrees_on(&(0..201).collect::<Vec<_>>()).await;
    assert!(cluster.node(lagging).history_complete());
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_node_is_refilled_and_votes_only_then() {
    let mut cluster = Cluster::start(3).await;
    for n in 0..20 {
        cluster.say(1, n).await.unwrap();
    }
    let victim = cluster.follower().await;
    cluster.kill(victim).await;
    cluster.empty(victim);
    cluster.restart(victim).await;
    cluster.agrees_on(&(0..20).collect::<Vec<_>>()).await;
    let leader = cluster.leader().await;
    let other = (1..=3).find(|node| *node != leader && *node != victim).unwrap();
    cluster.kill(other).await;
    let committed = cluster.say(victim, 20).await.unwrap();
    assert_eq!(committed.outcome, Settled::Applied, "its new inputs are not taken for its old ones");
    cluster.restart(other).await;
    cluster.agrees_on(&(0..21).collect::<Vec<_>>()).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_linearizable_read_at_a_follower_sees_what_was_committed_before() {
    let cluster = Cluster::start(3).await;
    let (leader, follower) = (cluster.leader().await, cluster.follower().await);
    for n in 0..30 {
        let committed = cluster.say(leader, n).await.unwrap();
        let index = cluster.node(follower).linearizable().await.unwrap();
        assert!(index >= committed.index);
        assert!(cluster.node(follower).read(|state| state.index()) >= committed.index);
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_majority_nothing_is_acknowledged_and_nothing_is_lost() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let others: Vec<_> = (1..=3).filter(|node| *node != leader).collect();
    cluster.say(leader, 0).await.unwrap();
    for node in &others {
        cluster.kill(*node).await;
    }
    let answer = cluster.node(leader).try_propose(cluster::message(1)).unwrap();
    let mut answer = Box::pin(answer);
    assert!(
        tokio::time::timeout(Duration::from_millis(700), &mut answer).await.is_err(),
        "a lone node must not acknowledge"
    );
    cluster.restart(others[0]).await;
    let committed = tokio::time::timeout(cluster::PATIENCE, answer).await.unwrap().unwrap();
    assert_eq!(committed.outcome, Settled::Applied);
    cluster.restart(others[1]).await;
    cluster.agrees_on(&[0, 1]).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_a_wrong_key_name_or_id_is_kept_out() {
    let mut cluster = Cluster::start(3).await;
    cluster.say(1, 0).await.unwrap();
    let log = cluster::capture_log();
    let follower = cluster.follower().await;
    for (change, expected) in [
        (0, "give every node the same"),
        (1, "check the address and the cluster's name"),
        (2, "check the addresses of the peers"),
    ] {
        cluster.kill(follower).await;
        log.clear();
        let stranger = cluster.stranger(follower, |settings| match change {
            0 => settings.key = ClusterKey::new("another key of enough length").unwrap(),
            1 => settings.cluster = "next door".to_owned(),
            _ => {
                let others: Vec<_> =
                    settings.peers.keys().copied().filter(|node| *node != NodeId(follower)).collect();
                let (first, second) =
                    (settings.peers[&others[0]].clone(), settings.peers[&others[1]].clone());
                settings.peers.extend([(others[0], second), (others[1], first)]);
            }
        });
        let stranger = stranger.await;
        until(&format!("somebody says `{expected}`"), || log.text().contains(expected)).await;
        // The third is the node itself with mixed-up addresses: those who dial it find whom they seek.
        if change < 2 {
            assert_eq!(stranger.read(|state| state.index().0), 0, "the stranger learns nothing");
        }
        stranger.halt().await;
        drop(stranger);
        cluster.restart(follower).await;
    }
    cluster.say(follower, 1).await.unwrap();
    cluster.agrees_on(&[0, 1]).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_on_the_peer_port_does_no_harm() {
    let cluster = Cluster::start(3).await;
    let address = cluster.node(1).listen_address();
    let huge = (u32::MAX).to_le_bytes();
    let zeros = [0; 64];
    let http = b"GET / HTTP/1.1\r\nhost: gable\r\n\r\n";
    for garbage in [&huge[..], &zeros[..], &http[..], &[0xff; 5_000][..]] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(cluster::PATIENCE, stream.read_to_end(&mut answer)).await;
        // Closed, cleanly or by reset; what matters is that it ends.
        let _ = read.expect("the connection is closed");
        assert!(answer.is_empty(), "a stranger is told nothing");
    }
    // More silent connections than may wait at a time: those that came late are closed at once.
    let mut silent = Vec::new();
    for _ in 0..80 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    cluster.say(1, 0).await.unwrap();
    cluster.say(2, 1).await.unwrap();
    cluster.agrees_on(&[0, 1]).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_port_and_another_nodes_store_are_named() {
    let cluster = Cluster::start(1).await;
    let error = cluster.start_twice().await.unwrap_err();
    assert!(matches!(error, Error::Listen { .. }), "{error}");
    assert!(error.to_string().contains("is the port in use"), "{error}");
    let error = cluster.start_with_store_of(1, 2).await.unwrap_err();
    assert!(matches!(error, Error::OtherStore { .. }), "{error}");
    assert!(ClusterKey::new(&KEY[..15]).is_err());
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_replica_says_so() {
    let cluster = Cluster::start(1).await;
    cluster.say(1, 0).await.unwrap();
    let replica = cluster.node(1).clone();
    cluster.stop().await;
    assert_eq!(replica.propose(InputKind::Link { up: true }).await, Err(ProposeError::Stopped));
    assert!(replica.fatal().borrow().is_none(), "a planned stop is no failure");
}
