//! A notification by webhook while the node that makes it is killed, and what is shown of its secrets.

use gable_tests::cluster::{Brokers, Cluster};
use gable_tests::load::Heard;
use gable_tests::node::{Node, PATIENCE};
use gable_tests::wait;
use serde_json::Value as Json;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};

const HOME: &str = r#"
mqtt:
  - switch: {name: Outlet, command_topic: outlet/set, state_topic: outlet}
notify:
  - {platform: rest, name: phone, resource: !secret phone_url, method: POST_JSON}
home_assistant: {url: "http://127.0.0.1:9", token: !secret token}
automation:
  - id: bell
    triggers: [{trigger: mqtt, topic: bell}]
    variables: {pin: !secret pin}
    actions:
      - {action: notify.phone, data: {message: "{{ trigger.payload }}", data: {pin: "{{ pin }}"}}}
      - {action: mqtt.publish, data: {topic: told, payload: "the pin is {{ pin }}"}}
      - {action: persistent_notification.create, data: {message: "told {{ pin }}"}}
"#;
const SECRETS: [(&str, &str); 2] = [("token", "a-long-lived-token"), ("pin", "48151")];

/// A server that answers 500 to the first request and 200 to all others, and tells their bodies.
fn serve() -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has free ports");
    let address = listener.local_addr().expect("a bound listener has an address");
    let (told, asked) = channel();
    std::thread::spawn(move || {
        let mut status = "500 Oh no";
        for stream in listener.incoming().map_while(Result::ok) {
            // A node that is killed may leave a connection without a request behind.
            if answer(stream, status, &told).is_ok() {
                status = "200 OK";
            }
        }
    });
    (address, asked)
}

fn answer(stream: TcpStream, status: &str, told: &Sender<String>) -> std::io::Result<()> {
    let mut reader = BufReader::new(&stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    // Neither the test nor a node that is killed waits for the end of this.
    let _ = told.send(String::from_utf8_lossy(&body).into_owned());
    let _ = write!(&stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    Ok(())
}

/// The effects of a kind that a node's history holds.
fn effects(node: &Node, effect: &str) -> Result<Vec<Json>, String> {
    let history = node.full_history()?;
    Ok(history.into_iter().filter(|event| event["effect"] == effect).collect())
}

#[test]
fn a_webhook_is_called_again_by_the_next_leader_and_done_once() {
    let (address, asked) = serve();
    let url = format!("http://{address}/hook/of-nobody-else");
    let mut cluster = Cluster::prepare(3, Brokers::Embedded, HOME);
    let secrets = SECRETS.into_iter().chain([("phone_url", url.as_str())]);
    let text: String = secrets.map(|(name, value)| format!("{name}: \"{value}\"\n")).collect();
    for node in &cluster.nodes {
        fs::write(node.home().with_file_name("secrets.yaml"), &text).expect("the folder can be written");
    }
    cluster.start_all();
    let heard = Heard::start(&cluster.mqtt(), "told");
    let leader = cluster.leader();

    cluster.nodes[cluster.follower()].publish("bell", "it rings").expect("a majority is up");
    let first = asked.recv_timeout(PATIENCE).expect("the leader calls the webhook");
    assert_eq!(first, r#"{"message":"it rings","pin":48151}"#);
    cluster.nodes[leader].kill();

    let second = asked.recv_timeout(PATIENCE).expect("another node calls it again");
    assert_eq!(second, first);
    let survivor = cluster.leader();
    wait::until("the errand to be done", PATIENCE, || {
        let done = effects(&cluster.nodes[survivor], "errand_done")?;
        if done.is_empty() { Err("it is not".to_owned()) } else { Ok(()) }
    });
    // A leader that is deposed between its call and the entry about it leaves the next one to call again.
    let again = asked.try_iter().count();
    cluster.start_all();
    cluster.equal_history();
    for node in &cluster.nodes {
        assert_eq!(effects(node, "errand_done").expect("the node answers").len(), 1);
        assert_eq!(effects(node, "errand_failed").expect("the node answers").len(), 0);
    }
    assert!(asked.try_recv().is_err(), "the webhook was called after its success, and {again} times before");

    assert!(heard.first("told", "the pin is 48151").is_some(), "{:?}", heard.payloads("told"));
    let run = effects(&cluster.nodes[survivor], "run_started").expect("the node answers");
    let run = run[0]["run_id"].as_str().expect("a run has an id").to_owned();
    let ways = ["/api/history?kind=all&limit=1000", "/api/states", "/api/problems", "/api/traces"];
    let ways = ways.map(str::to_owned).into_iter().chain([format!("/api/traces/{run}")]);
    let shown: String = ways
        .map(|way| cluster.nodes[survivor].get(&way).expect("the node answers").to_string() + "\n")
        .collect();
    assert!(shown.contains("the pin is <secret pin>"), "{shown}");
    for secret in SECRETS.iter().map(|(_, value)| *value).chain([url.as_str()]) {
        assert!(!shown.contains(secret), "{secret} is shown in {shown}");
    }
}
