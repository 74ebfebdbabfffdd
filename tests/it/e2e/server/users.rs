//! Who may do what: users, passwords, rights and certificates, by the command line and on all nodes.

use super::HOME;
use gable_tests::cluster::{Brokers, Cluster};
use gable_tests::mqtt::{Client, Hello, Missing, Packet, Publish};
use gable_tests::node::PATIENCE;
use gable_tests::{find, has_peer, ports, programs, wait};
use std::fs::OpenOptions;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const SUCCESS: u8 = 0;
const NOT_AUTHORIZED: u8 = 0x87;
const ADMINISTRATIVE_ACTION: u8 = 0x98;

/// Runs `gable` and gives it a line to read.
fn gable(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(programs().join("gable"));
    let command = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program `gable` is built before the tests run");
    let mut stdin = child.stdin.take().expect("the input is piped");
    // A command that reads nothing may have ended already.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("it ends")
}

/// What `gable` says when all goes well.
#[track_caller]
fn told(arguments: &[&str], input: &str) -> String {
    let output = gable(arguments, input);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "gable {arguments:?}: {} {complained}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The reason code of the acknowledgement.
#[track_caller]
fn publish(client: &mut Client, topic: &str, payload: &str) -> u8 {
    let packet_id = client.packet_id();
    let payload = payload.as_bytes();
    let publish = Publish { topic, payload, qos: 1, retain: false, dup: false, packet_id: Some(packet_id) };
    client.send(&publish).expect("the connection stands");
    match client.next(PATIENCE) {
        Ok(Packet::Ack { packet_id: found, reason, .. }) if found == packet_id => reason,
        other => panic!("no acknowledgement for {topic} but {other:?}"),
    }
}

/// Waits until the client is told that an administrator ended its connection.
#[track_caller]
fn wait_until_expelled(mut client: Client) {
    match client.message(PATIENCE) {
        Err(Missing::Closed(why)) => assert_eq!(why, format!("DISCONNECT {ADMINISTRATIVE_ACTION:#04x}")),
        other => panic!("the connection goes on: {other:?}"),
    }
}

#[test]
fn users_and_their_rights_count_at_all_nodes_at_once_and_outlive_one() {
    let mut cluster = Cluster::serve("allow_anonymous = false\n", HOME);
    let [a, b, c] = cluster.mqtt()[..] else { panic!("there are three nodes") };
    let urls: Vec<String> =
        cluster.nodes.iter().map(|node| format!("http://{}", node.addresses.http)).collect();
    let at = |n: usize| ["--url", urls[n].as_str()];
    told(&[&["user", "add", "ha", "--role", "admin", "--password-stdin"], &at(0)[..]].concat(), "for ha\n");
    told(&[&["user", "add", "plug", "--password-stdin"], &at(1)[..]].concat(), "for plug\n");

    eprintln!("phase: who is let in");
    wait::until("node 3 to know the users", PATIENCE, || {
        Client::try_connect(c, &Hello::new("early").of_user("plug", "for plug")).map(Client::leave)
    });
    let refused = |hello: Hello| Client::try_connect(c, &hello).err();
    assert_eq!(refused(Hello::new("x")).as_deref(), Some("CONNACK 0x87"), "without a name");
    assert_eq!(refused(Hello::new("x").of_user("plug", "wrong")).as_deref(), Some("CONNACK 0x86"));
    assert_eq!(refused(Hello::new("x").of_user("nobody", "for plug")).as_deref(), Some("CONNACK 0x86"));
    let spy = Hello::new("x").of_user("plug", "for plug").with_will("lock/front/set", "UNLOCK");
    assert_eq!(refused(spy).as_deref(), Some("CONNACK 0x87"), "a will that it may not publish");

    eprintln!("phase: what it may do");
    let mut ha = Client::connect(a, &Hello::new("ha").of_user("ha", "for ha"));
    ha.subscribe("#", 1);
    let hello = Hello::new("plug7").of_user("plug", "for plug");
    let mut plug = Client::connect(b, &hello);
    assert_eq!(publish(&mut plug, "stat/plug7/POWER", "ON"), SUCCESS);
    ha.wait_for(PATIENCE, |message| message.topic == "stat/plug7/POWER");
    for topic in ["lock/front/set", "energy/hall"] {
        assert_eq!(publish(&mut plug, topic, "no"), NOT_AUTHORIZED, "{topic}");
    }
    for (filter, granted) in [("cmnd/plug7/#", 1), ("#", NOT_AUTHORIZED), ("$share/g/lock/#", NOT_AUTHORIZED)]
    {
        assert_eq!(plug.try_subscribe(filter, 1), Ok(vec![granted]), "{filter}");
    }

    eprintln!("phase: a right is given while it is connected");
    told(&[&["user", "grant", "plug", "write", "energy/hall"], &at(2)[..]].concat(), "");
    wait::until("the right to count at node 2", PATIENCE, || {
        let reason = publish(&mut plug, "energy/hall", "7");
        (reason == SUCCESS).then_some(()).ok_or_else(|| format!("{reason:#04x}"))
    });
    let heard = ha.wait_for(PATIENCE, |message| message.topic != "stat/plug7/POWER");
    assert_eq!(
        (heard.topic.as_str(), heard.text().as_str()),
        ("energy/hall", "7"),
        "nothing was let through"
    );
    let explained = told(&[&["acl", "explain", "plug", "energy/hall"], &at(0)[..]].concat(), "");
    assert!(explained.contains("write      yes  its own: write energy/hall"), "{explained}");
    assert!(explained.contains("subscribe  no "), "{explained}");

    let listed = told(&[&["clients"], &at(2)[..]].concat(), "");
    let row = listed.lines().find(|line| line.starts_with("plug7 ")).unwrap_or_default();
    assert!(row.contains(" plug ") && row.contains(" 2 ") && row.contains("clean"), "{listed}");

    eprintln!("phase: a node dies, and the users with it not");
    cluster.nodes[0].kill();
    let mut again =
        wait::until("the plug to come back at node 3", PATIENCE, || Client::try_connect(c, &hello));
    assert_eq!(publish(&mut again, "energy/hall", "8"), SUCCESS);
    assert_eq!(publish(&mut again, "lock/front/set", "no"), NOT_AUTHORIZED);

    eprintln!("phase: another password, and an end");
    told(&[&["user", "passwd", "plug", "--password-stdin"], &at(1)[..]].concat(), "another\n");
    wait_until_expelled(again);
    assert_eq!(refused(hello).as_deref(), Some("CONNACK 0x86"), "the old password");
    let client = Client::connect(c, &Hello::new("plug7").of_user("plug", "another"));
    told(&[&["user", "remove", "plug"], &at(2)[..]].concat(), "");
    wait_until_expelled(client);
    assert_eq!(refused(Hello::new("plug7").of_user("plug", "another")).as_deref(), Some("CONNACK 0x86"));
}

/// Runs `mosquitto_pub` with TLS, and says how it ended.
fn publish_by_tls(node: SocketAddr, folder: &Path, user: Option<&str>, topic: &str) -> Result<(), String> {
    let file = |name: &str| folder.join(name).display().to_string();
    let program = find("mosquitto_pub").expect("the caller asked whether it is installed");
    let mut command = Command::new(program);
    command.args(["-h", "localhost", "-p", &node.port().to_string(), "--cafile", &file("ca.crt")]);
    if let Some(user) = user {
        let (certificate, key) = (file(&format!("{user}.crt")), file(&format!("{user}.key")));
        command.args(["--cert", &certificate, "--key", &key]);
    }
    let output = command.args(["-V", "5", "-q", "1", "-t", topic, "-m", "x"]).output();
    let output = output.map_err(|error| error.to_string())?;
    let complained = String::from_utf8_lossy(&output.stderr).into_owned();
    match output.status.success() && complained.is_empty() {
        true => Ok(()),
        false => Err(format!("{} {complained}", output.status)),
    }
}

#[test]
fn certificates_of_the_home_let_clients_in_without_a_password() {
    if !has_peer("mosquitto_pub") {
        return;
    }
    let mut cluster = Cluster::prepare(1, Brokers::Server, HOME);
    let folder = cluster.nodes[0].folder.path().join("certificates");
    let to = ["--folder", folder.to_str().expect("the path is text")];
    told(&[&["certificate", "server", "localhost", "127.0.0.1"], &to[..]].concat(), "");
    told(&[&["certificate", "client", "hall_plug"], &to[..]].concat(), "");
    told(&[&["certificate", "client", "stranger"], &to[..]].concat(), "");
    let tls = ports::free();
    let settings = format!(
        "tls_listen = [\"{tls}\"]\nallow_anonymous = false\ncertificate = \"certificates/localhost.crt\"\n\
         key = \"certificates/localhost.key\"\nclient_ca = \"certificates/ca.crt\"\n"
    );
    let mut file = OpenOptions::new().append(true).open(cluster.nodes[0].config()).expect("it was written");
    file.write_all(settings.as_bytes()).expect("the node's folder can be written");
    cluster.start_all();
    let url = format!("http://{}", cluster.nodes[0].addresses.http);
    told(&["user", "add", "hall_plug", "--no-password", "--url", &url], "");

    let publish = |user, topic| publish_by_tls(tls, &folder, user, topic);
    assert_eq!(publish(Some("hall_plug"), "stat/hall_plug/POWER"), Ok(()));
    let denied = publish(Some("hall_plug"), "lock/front/set").unwrap_err();
    assert!(denied.contains("uthori"), "{denied}");
    let stranger = publish(Some("stranger"), "stat/stranger/POWER").unwrap_err();
    assert!(stranger.contains("uthori") || stranger.contains("user name"), "{stranger}");
    let nobody = publish(None, "stat/hall_plug/POWER").unwrap_err();
    assert!(nobody.contains("uthori"), "{nobody}");

    eprintln!("phase: another authority takes over while the node runs");
    let old = folder.with_extension("old");
    std::fs::rename(&folder, &old).expect("the node's folder can be written");
    told(&[&["certificate", "server", "localhost"], &to[..]].concat(), "");
    told(&[&["certificate", "client", "hall_plug"], &to[..]].concat(), "");
    cluster.nodes[0].reload();
    wait::until("the new certificates to count", PATIENCE, || {
        publish(Some("hall_plug"), "stat/hall_plug/POWER")
    });
    let outdated = publish_by_tls(tls, &old, Some("hall_plug"), "stat/hall_plug/POWER");
    assert!(outdated.is_err(), "the old authority is trusted no more");
}
