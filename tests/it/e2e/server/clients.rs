//! Clients that homes use, each against a cluster: subscribed at one node, publishing at another.

use super::HOME;
use gable_tests::broker::{self, Subscriber};
use gable_tests::cluster::Cluster;
use gable_tests::node::PATIENCE;
use gable_tests::peers::Library;
use gable_tests::{find, has_peer, wait};
use rumqttc::v5::mqttbytes::v5::{Packet as Packet5, PublishProperties};
use rumqttc::{Event, MqttOptions, Packet, QoS};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Runs a script that speaks for itself: it names what worked, and `all` at its end.
#[track_caller]
fn check(library: Library, script: &str, levels: &[u8]) {
    if !library.is_there() {
        return;
    }
    let cluster = Cluster::serve("", HOME);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("it/e2e/server/clients").join(script);
    for level in levels {
        let nodes = cluster.mqtt().into_iter().map(|address| address.to_string());
        let arguments: Vec<String> = std::iter::once(level.to_string()).chain(nodes).collect();
        let output = library.run(&path, &arguments);
        let (said, complained) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let logs = || cluster.nodes.iter().map(|node| node.log_end()).collect::<String>();
        assert!(
            output.status.success() && said.ends_with("all\n"),
            "{library:?} at level {level}: {}\n{said}{complained}\n{}",
            output.status,
            logs()
        );
    }
    cluster.wait_until_equal();
}

#[test]
fn paho_for_python_meets_one_broker_at_all_nodes() {
    check(Library::Paho, "paho_client.py", &[4, 5]);
}

#[test]
fn mqtt_js_meets_one_broker_at_all_nodes() {
    check(Library::MqttJs, "mqttjs_client.cjs", &[4, 5]);
}

/// A process that is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn mosquitto(program: &str, node: SocketAddr, arguments: &[&str]) -> Command {
    let mut command = Command::new(find(program).expect("the caller asked whether it is installed"));
    command.args(["-h", &node.ip().to_string(), "-p", &node.port().to_string()]).args(arguments);
    command
}

/// What a client of Mosquitto says until it ends.
#[track_caller]
fn output(program: &str, node: SocketAddr, arguments: &[&str]) -> String {
    let output = mosquitto(program, node, arguments).output().expect("it can be started");
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {} {complained}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn mosquittos_clients_meet_one_broker_at_all_nodes() {
    if !has_peer("mosquitto_sub") {
        return;
    }
    let cluster = Cluster::serve("", HOME);
    let [a, b, c] = cluster.mqtt()[..] else { panic!("there are three nodes") };
    for version in ["mqttv31", "mqttv311", "mqttv5"] {
        let of = |name: &str| format!("mosquitto/{version}/{name}");
        let speak = |node, topic: &str, more: &[&str]| {
            output("mosquitto_pub", node, &[&["-V", version, "-t", topic], more].concat())
        };

        let listener = Subscriber::start(a, &of("#"));
        for qos in ["0", "1", "2"] {
            speak(b, &of("qos"), &["-q", qos, "-m", qos]);
            listener.wait_for_line(PATIENCE, |line| line == format!("{} {qos}", of("qos")));
        }

        speak(b, &of("kept"), &["-q", "1", "-r", "-m", "kept"]);
        let late = output("mosquitto_sub", c, &["-V", version, "-W", "20", "-C", "1", "-t", &of("kept")]);
        assert_eq!(late, "kept\n");

        let (topic, kept) = (of("will"), of("kept"));
        let will = ["--will-topic", &topic, "--will-payload", "gone", "--will-qos", "1"];
        let lost = [&["-V", version, "-t", &kept], &will[..]].concat();
        let lost = mosquitto("mosquitto_sub", c, &lost).stdout(Stdio::piped()).spawn();
        let mut lost = Running(lost.expect("it can be started"));
        let mut line = String::new();
        let said = lost.0.stdout.take().expect("the output is piped");
        BufReader::new(said).read_line(&mut line).expect("it says what it hears");
        assert_eq!(line, "kept\n", "it is connected");
        lost.0.kill().expect("it runs");
        listener.wait_for_line(PATIENCE, |line| line == format!("{} gone", of("will")));

        let session = ["-V", version, "-i", &format!("sleeper-{version}"), "-c", "-q", "1"];
        let lasting: &[&str] = if version == "mqttv5" { &["-x", "300"] } else { &[] };
        let of_sleep = of("sleep");
        let asleep = [&session[..], lasting, &["-E", "-t", &of_sleep]].concat();
        output("mosquitto_sub", a, &asleep);
        speak(b, &of_sleep, &["-q", "1", "-m", "one"]);
        speak(b, &of_sleep, &["-q", "2", "-m", "two"]);
        let awake = [&session[..], lasting, &["-W", "20", "-C", "2", "-t", &of_sleep]].concat();
        assert_eq!(output("mosquitto_sub", c, &awake), "one\ntwo\n");
    }

    let properties =
        ["-D", "publish", "content-type", "text/plain", "-D", "publish", "response-topic", "back"];
    let properties = [&properties[..], &["-D", "publish", "user-property", "colour", "red"]].concat();
    let kept = [&["-V", "mqttv5", "-q", "1", "-r", "-t", "mosquitto/properties", "-m", "x"], &properties[..]];
    output("mosquitto_pub", a, &kept.concat());
    let format = ["-V", "mqttv5", "-W", "20", "-C", "1", "-F", "%p %C %R %P", "-t", "mosquitto/properties"];
    assert_eq!(output("mosquitto_sub", b, &format).trim_end(), "x text/plain back colour:red");

    let members = [a, b, c].map(|node| Subscriber::start(node, "$share/group/mosquitto/work"));
    for n in 0..30 {
        broker::publish([a, b, c][n % 3], "mosquitto/work", &n.to_string());
    }
    let mut heard = Vec::new();
    wait::until("every message at one of the members", PATIENCE, || {
        heard.extend(members.iter().flat_map(Subscriber::drain));
        (heard.len() >= 30).then_some(()).ok_or_else(|| format!("{heard:?}"))
    });
    heard.sort_unstable();
    heard.dedup();
    assert_eq!(heard.len(), 30, "{heard:?}");
}

const QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

/// Starts a client of MQTT 3.1.1 whose packets arrive at the receiver.
fn rumqttc_4(name: &str, node: SocketAddr) -> (rumqttc::Client, Receiver<Packet>) {
    let options = MqttOptions::new(name, node.ip().to_string(), node.port());
    let (client, mut connection) = rumqttc::Client::new(options, 64);
    let (sender, packets) = channel();
    std::thread::spawn(move || {
        for event in connection.iter() {
            match event {
                // When the test is over nobody takes it any more.
                Ok(Event::Incoming(packet)) => drop(sender.send(packet)),
                Ok(Event::Outgoing(_)) => {}
                // It was asked to disconnect.
                Err(_) => return,
            }
        }
    });
    (client, packets)
}

#[track_caller]
fn first<P, T>(packets: &Receiver<P>, what: &str, wanted: impl Fn(P) -> Option<T>) -> T {
    loop {
        match packets.recv_timeout(PATIENCE) {
            Ok(packet) => {
                if let Some(found) = wanted(packet) {
                    return found;
                }
            }
            Err(error) => panic!("no {what}: {error}"),
        }
    }
}

#[test]
fn rumqttc_meets_one_broker_at_all_nodes() {
    let cluster = Cluster::serve("", HOME);
    let mqtt = cluster.mqtt();
    let (listener, heard) = rumqttc_4("listener", mqtt[0]);
    listener.subscribe("rumqttc/#", QoS::ExactlyOnce).expect("the client runs");
    first(&heard, "SUBACK", |packet| matches!(packet, Packet::SubAck(_)).then_some(()));
    let (speaker, answers) = rumqttc_4("speaker", mqtt[1]);
    for qos in QOS {
        speaker.publish(format!("rumqttc/{}", qos as u8), qos, true, "text").expect("the client runs");
        let publish = first(&heard, "message", |packet| match packet {
            Packet::Publish(publish) => Some(publish),
            _ => None,
        });
        assert_eq!((publish.topic.as_str(), publish.qos), (&*format!("rumqttc/{}", qos as u8), qos));
        assert!(!publish.retain && &publish.payload[..] == b"text", "{publish:?}");
        match qos {
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce => {
                first(&answers, "PUBACK", |packet| matches!(packet, Packet::PubAck(_)).then_some(()))
            }
            QoS::ExactlyOnce => {
                first(&answers, "PUBCOMP", |packet| matches!(packet, Packet::PubComp(_)).then_some(()))
            }
        }
    }
    let (late, heard) = rumqttc_4("late", mqtt[2]);
    late.subscribe("rumqttc/+", QoS::AtLeastOnce).expect("the client runs");
    for _ in QOS {
        let publish = first(&heard, "retained message", |packet| match packet {
            Packet::Publish(publish) => Some(publish),
            _ => None,
        });
        assert!(publish.retain && publish.qos as u8 <= 1, "{publish:?}");
    }
    for client in [listener, speaker, late] {
        client.disconnect().expect("the client runs");
    }
    check_rumqttc_5(&mqtt);
}

#[track_caller]
fn check_rumqttc_5(mqtt: &[SocketAddr]) {
    let connect = |name: &str, node: SocketAddr| {
        let mut options = rumqttc::v5::MqttOptions::new(name, node.ip().to_string(), node.port());
        options.set_keep_alive(Duration::from_secs(10)).set_topic_alias_max(Some(8));
        let (client, mut connection) = rumqttc::v5::Client::new(options, 64);
        let (sender, packets) = channel();
        std::thread::spawn(move || {
            for event in connection.iter() {
                match event {
                    Ok(rumqttc::v5::Event::Incoming(packet)) => drop(sender.send(packet)),
                    Ok(rumqttc::v5::Event::Outgoing(_)) => {}
                    Err(_) => return,
                }
            }
        });
        (client, packets)
    };
    use rumqttc::v5::mqttbytes::QoS;
    let (listener, heard) = connect("listener5", mqtt[2]);
    listener.subscribe("$share/group/rumqttc5/#", QoS::ExactlyOnce).expect("the client runs");
    first(&heard, "SUBACK", |packet| matches!(packet, Packet5::SubAck(_)).then_some(()));
    let (speaker, _answers) = connect("speaker5", mqtt[0]);
    let user_properties = vec![("b".to_owned(), "2".to_owned()), ("a".to_owned(), "1".to_owned())];
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let properties = PublishProperties {
            content_type: Some("text/plain".to_owned()),
            response_topic: Some("back".to_owned()),
            correlation_data: Some(vec![0, 255].into()),
            user_properties: user_properties.clone(),
            ..PublishProperties::default()
        };
        speaker
            .publish_with_properties("rumqttc5/x", qos, false, "text", properties)
            .expect("the client runs");
        let publish = first(&heard, "message", |packet| match packet {
            Packet5::Publish(publish) => Some(publish),
            _ => None,
        });
        assert_eq!(publish.qos, qos);
        let found = publish.properties.unwrap_or_default();
        assert_eq!(found.user_properties, user_properties);
        assert_eq!(found.content_type.as_deref(), Some("text/plain"));
        assert_eq!(found.response_topic.as_deref(), Some("back"));
        assert_eq!(found.correlation_data.as_deref(), Some(&[0, 255][..]));
    }
    for client in [listener, speaker] {
        client.disconnect().expect("the client runs");
    }
}
