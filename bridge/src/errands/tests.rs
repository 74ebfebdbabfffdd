//! A server on the loopback that fails and recovers, and a replica of one node with real disks.

use super::*;
use crate::raft::{ClusterKey, ReplicaSettings};
use crate::store::history::{self, History};
use crate::store::{self, Identity, Store};
use gable_rules::{Message, NodeId, SourceFile};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::mpsc;
use std::time::Instant;

const LIMIT: Duration = Duration::from_secs(30);

/// A server that gives these answers, one a connection, and tells what it was asked.
fn serve(statuses: Vec<u16>) -> (SocketAddr, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (told, asked) = mpsc::channel();
    std::thread::spawn(move || {
        for status in statuses {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            while !request.ends_with(b"}") {
                let n = stream.read(&mut buffer).unwrap();
                request.extend_from_slice(&buffer[..n]);
            }
            told.send(String::from_utf8(request).unwrap()).unwrap();
            let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    (address, asked)
}

async fn start(folder: &Path) -> Replica {
    let listen: SocketAddr = {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        taken.local_addr().unwrap()
    };
    let node = NodeId(1);
    let identity = Identity { cluster: "test".to_owned(), node };
    let store = Store::open(folder, store::Options::new(identity.clone())).unwrap();
    let history = History::open(folder, history::Options::new(identity)).unwrap();
    let key = ClusterKey::new("known to all, for the loopback only").unwrap();
    let peers = BTreeMap::from([(node, listen.to_string())]);
    let settings = ReplicaSettings::new(node, "test", key, listen, peers);
    Replica::start(settings, store, history).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_is_tried_until_it_arrives_and_no_more() {
    // The last answer is for a call that must not come.
    let (address, asked) = serve(vec![503, 200, 200]);
    let folder = tempfile::tempdir().unwrap();
    let replica = start(folder.path()).await;
    let errands = tokio::spawn(run(replica.clone()));
    let text = format!(
        "notify: [{{platform: rest, name: phone, resource: 'http://{address}/hush', method: POST_JSON}}]\n\
         automation: [{{alias: A, triggers: {{trigger: mqtt, topic: bell}}, actions: \
         [{{action: notify.phone, data: {{message: 'it rings'}}}}]}}]\n"
    );
    let file = SourceFile { name: "home.yaml".to_owned(), text };
    replica.propose(InputKind::Configure(vec![file])).await.unwrap();
    let message = Message { topic: "bell".to_owned(), ..Message::default() };
    replica.propose(InputKind::Message(message)).await.unwrap();
    let begun = Instant::now();
    while replica.read(|state| state.errands().next().is_some()) {
        assert!(begun.elapsed() < LIMIT, "the errand is still there");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let first = asked.try_recv().unwrap();
    assert!(first.starts_with("POST /hush HTTP/1.1\r\n"), "{first}");
    assert!(first.ends_with("{\"message\":\"it rings\"}"), "{first}");
    assert_eq!(asked.try_recv().unwrap().lines().last(), first.lines().last());
    // Further entries wake the errands; none is left to be performed.
    for _ in 0..5 {
        replica.propose(InputKind::Link { up: true }).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(asked.try_recv().is_err(), "the notification came again");
    errands.abort();
    replica.shutdown().await;
}

#[test]
fn answers_are_judged_by_what_another_attempt_would_bring() {
    let check = |status, expected| assert_eq!(judge(status), expected);
    check(200, ErrandOutcome::Done { status: 200 });
    check(204, ErrandOutcome::Done { status: 204 });
    check(401, ErrandOutcome::Refused { status: 401 });
    check(404, ErrandOutcome::Refused { status: 404 });
    check(429, ErrandOutcome::Failed { text: "the server answered 429".to_owned() });
    check(502, ErrandOutcome::Failed { text: "the server answered 502".to_owned() });
}
