//! Clients that behave badly, and others that must not notice.

use super::HOME;
use gable_tests::cluster::Cluster;
use gable_tests::mqtt::{Ack, Client, Hello, Missing, Packet, Publish};
use gable_tests::node::{Node, PATIENCE};
use gable_tests::wait;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How much a node may take under all that happens here. The log's own caches and the history's are
/// in it; an attacker that could make it grow would go past this within seconds.
const RESIDENT_MAX: u64 = 400 << 20;

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        // xorshift64
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn bytes(&mut self, count: u64) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}

fn report(what: &str, node: &Node) {
    let resident = node.resident_bytes().unwrap_or_default();
    eprintln!("{what}: node {} takes {} MB", node.id, resident >> 20);
    assert!(resident < RESIDENT_MAX, "{what}: node {} takes {resident} bytes", node.id);
}

/// A message goes from one node to another and is acknowledged.
#[track_caller]
fn check_service(cluster: &Cluster, n: usize) {
    let mut listener = Client::connect(cluster.mqtt()[n], &Hello::new("service-listener"));
    listener.subscribe("service", 1);
    let mut speaker = Client::connect(cluster.mqtt()[(n + 1) % 3], &Hello::new("service-speaker"));
    speaker.publish("service", "still", 1, false);
    listener.wait_for(PATIENCE, |message| message.text() == "still");
    listener.leave();
    speaker.leave();
}

/// A well-behaved pair that measures how long its messages take, one after the other.
struct Neighbours {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Duration>>,
}

impl Neighbours {
    fn start(speak: SocketAddr, listen: SocketAddr) -> Neighbours {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let mut listener = Client::connect(listen, &Hello::new("neighbour-listener"));
        listener.subscribe("neighbours", 1);
        let mut speaker = Client::connect(speak, &Hello::new("neighbour-speaker"));
        let thread = std::thread::spawn(move || {
            let mut latencies = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let text = latencies.len().to_string();
                let started = Instant::now();
                speaker.publish("neighbours", &text, 1, false);
                listener.wait_for(PATIENCE, |message| message.text() == text);
                latencies.push(started.elapsed());
                // The pause is the pair's rate.
                std::thread::sleep(Duration::from_millis(10));
            }
            latencies
        });
        Neighbours { stop, thread }
    }

    /// The median, the 99th percentile and the longest.
    #[track_caller]
    fn finish(self, what: &str) -> [Duration; 3] {
        self.stop.store(true, Ordering::Relaxed);
        let mut latencies = self.thread.join().expect("every message came");
        latencies.sort_unstable();
        let count = latencies.len();
        assert!(count > 0, "the neighbours had no time");
        let found = [latencies[count / 2], latencies[count * 99 / 100], latencies[count - 1]];
        eprintln!("{what}: {count} messages of others, median, p99 and longest {found:?}");
        found
    }
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first, (body.len() % 128) as u8];
    if body.len() >= 128 {
        bytes[1] |= 0x80;
        bytes.push((body.len() / 128) as u8);
    }
    bytes.extend_from_slice(body);
    bytes
}

const CONNECT: &[u8] = b"\x10\x10\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x03bad";

/// First bytes of a connection that are wrong in some way.
fn malformed(dice: &mut Dice) -> Vec<u8> {
    match dice.below(8) {
        0 => {
            let count = dice.below(200);
            dice.bytes(count)
        }
        // A length that never ends, and one that promises the most there is.
        1 => vec![0x10, 0xff, 0xff, 0xff, 0xff, 0xff],
        2 => vec![0x10, 0xff, 0xff, 0xff, 0x7f],
        // A packet that is no CONNECT.
        3 => {
            let (first, count) = (dice.next() as u8 | 0x20, dice.below(100));
            packet(first, &dice.bytes(count))
        }
        // One byte of a good CONNECT is another, or it breaks off.
        4 | 5 => {
            let mut bytes = CONNECT.to_vec();
            let place = dice.below(bytes.len() as u64) as usize;
            bytes[place] = dice.next() as u8;
            bytes
        }
        6 => CONNECT[..dice.below(CONNECT.len() as u64) as usize].to_vec(),
        _ => b"GET / HTTP/1.1\r\nHost: gable\r\n\r\n".to_vec(),
    }
}

/// Behind a good CONNECT: packets that are wrong in some way.
fn malformed_later(dice: &mut Dice) -> Vec<u8> {
    let (kind, count) = (dice.next() as u8, dice.below(120));
    let body = dice.bytes(count);
    [CONNECT, &packet(kind, &body)].concat()
}

#[test]
fn malformed_packets_harm_only_who_sends_them() {
    let cluster = Cluster::serve("connect_timeout_s = 2\n", HOME);
    let node = &cluster.nodes[0];
    let mut bystander = Client::connect(node.addresses.mqtt, &Hello::new("bystander"));
    let mut dice = Dice(0x5eed_0000_6a62_1e01);
    report("before malformed packets", node);
    let mut last = Vec::new();
    for n in 0..1_500 {
        let bytes = if n % 2 == 0 { malformed(&mut dice) } else { malformed_later(&mut dice) };
        let mut client = Client::open(node.addresses.mqtt, 5).expect("the node accepts connections");
        // The node may have closed already.
        let _ = client.send_bytes(&bytes);
        // The last ones stay open, so that some wait for the rest of their packet.
        last.push(client);
        if last.len() > 100 {
            last.remove(0);
        }
    }
    for client in &mut last {
        // Whatever it was: it is answered or closed, or a session that waits for more.
        if let Err(Missing::Garbage(why)) = client.next(Duration::from_millis(20)) {
            panic!("the node answered with no packet: {why}");
        }
    }
    drop(last);
    bystander.ping();
    check_service(&cluster, 0);
    report("after 1,500 malformed packets", node);
}

#[test]
fn half_open_connections_give_way() {
    let limits = "connect_timeout_s = 3\nmax_connections = 400\nmax_connections_per_address = 300\n";
    let cluster = Cluster::serve(limits, HOME);
    let node = &cluster.nodes[0];
    let mut bystander = Client::connect(node.addresses.mqtt, &Hello::new("bystander"));
    let open = |_| Client::open(node.addresses.mqtt, 5).expect("the node accepts connections");
    let mut halves: Vec<Client> = (0..600).map(open).collect();
    for (n, half) in halves.iter_mut().enumerate() {
        // Some have begun to speak. Those that had to give way can not.
        let _ = half.send_bytes(&CONNECT[..n % CONNECT.len()]);
    }
    bystander.ping();
    check_service(&cluster, 0);
    report("with 600 half-open connections", node);
    let started = Instant::now();
    for half in &mut halves {
        loop {
            match half.next(PATIENCE) {
                Ok(_) => {}
                Err(Missing::Closed(_)) => break,
                Err(missing) => panic!("a half-open connection stays: {missing:?}"),
            }
        }
    }
    assert!(started.elapsed() < PATIENCE, "they were closed after {:?}", started.elapsed());
    bystander.ping();
    check_service(&cluster, 0);
}

#[test]
fn who_never_reads_holds_up_nobody() {
    let cluster = Cluster::serve("max_backlog_bytes = 2097152\n", HOME);
    let mqtt = cluster.mqtt();
    let mut deaf: Vec<Client> = (0..3)
        .map(|qos| {
            let mut client = Client::connect(mqtt[0], &Hello::new(&format!("deaf-{qos}")));
            client.subscribe("flood", qos);
            client
        })
        .collect();
    let mut hearing = Client::connect(mqtt[0], &Hello::new("hearing"));
    hearing.subscribe("flood", 1);
    let neighbours = Neighbours::start(mqtt[1], mqtt[0]);
    let mut speaker = Client::connect(mqtt[1], &Hello::new("speaker"));
    // Ten times what may wait for one client, and more than the system's buffers take.
    let payload = vec![b'x'; 64 << 10];
    let count = 320;
    for n in 0..count {
        let mut payload = payload.clone();
        payload.extend_from_slice(format!(" {n}").as_bytes());
        speaker.publish("flood", payload, 1, false);
        let message = hearing.wait_for(PATIENCE, |message| message.topic == "flood");
        assert!(message.text().ends_with(&format!(" {n}")), "message {n} came late or twice");
    }
    neighbours.finish("beside three clients that never read");
    report("with three clients that never read", &cluster.nodes[0]);
    let status = cluster.nodes[0].get("/api/status").expect("the node answers");
    eprintln!("status: {}", status["mqtt"]);
    assert!(status["mqtt"]["messages_dropped"].as_u64() > Some(0), "{status}");
    // At QoS 1 and 2 nothing is left out in silence: the connection ends.
    for (qos, client) in deaf.iter_mut().enumerate().skip(1) {
        wait::until("the end of a connection that is not read", PATIENCE, || {
            match client.next(Duration::from_secs(1)) {
                Err(Missing::Closed(_)) | Ok(Packet::Disconnect { .. }) => Ok(()),
                other => Err(format!("QoS {qos}: {:?}", other.map(|_| "a packet"))),
            }
        });
    }
    check_service(&cluster, 0);
}

/// Publishes until it is stopped, with a pause or as fast as it is let; returns how many messages were
/// acknowledged.
fn storm(node: SocketAddr, n: usize, pause: Duration, stop: &AtomicBool) -> usize {
    let mut client = Client::connect(node, &Hello::new(&format!("storm-{n}")));
    let mut open = BTreeMap::new();
    let mut acknowledged = 0;
    while !stop.load(Ordering::Relaxed) || !open.is_empty() {
        while open.len() < 50 && !stop.load(Ordering::Relaxed) {
            let packet_id = client.packet_id();
            let topic = format!("storm/{n}");
            let publish = Publish {
                topic: &topic,
                payload: b"{\"temperature\":21.5,\"humidity\":40,\"linkquality\":84}",
                qos: 1,
                retain: false,
                dup: false,
                packet_id: Some(packet_id),
            };
            client.send(&publish).expect("a fast client is slowed down, not sent away");
            open.insert(packet_id, ());
            if !pause.is_zero() {
                // The pause is the client's rate.
                std::thread::sleep(pause);
                break;
            }
        }
        match client.next(PATIENCE) {
            Ok(Packet::Ack { ack: Ack::Puback, packet_id, .. }) => {
                open.remove(&packet_id);
                acknowledged += 1;
            }
            other => panic!("a storming client was sent away: {other:?}"),
        }
    }
    acknowledged
}

#[test]
fn a_storm_slows_down_and_breaks_nothing() {
    let cluster = Cluster::serve("", HOME);
    let mqtt = cluster.mqtt();
    let measure = |what: &str| {
        let neighbours = Neighbours::start(mqtt[1], mqtt[2]);
        // How long is measured, not a wait for something.
        std::thread::sleep(Duration::from_secs(4));
        neighbours.finish(what)
    };
    let storm_of = |what: &str, pause: Duration| {
        let stop = Arc::new(AtomicBool::new(false));
        let storms: Vec<JoinHandle<usize>> = (0..10)
            .map(|n| {
                let (node, stop) = (mqtt[n % 3], stop.clone());
                std::thread::spawn(move || storm(node, n, pause, &stop))
            })
            .collect();
        let started = Instant::now();
        let found = measure(what);
        stop.store(true, Ordering::Relaxed);
        let acknowledged: usize =
            storms.into_iter().map(|storm| storm.join().expect("the storm is survived")).sum();
        eprintln!(
            "{what}: {:.0} messages/s of the storm",
            acknowledged as f64 / started.elapsed().as_secs_f64()
        );
        found
    };
    let calm = measure("in calm");
    let tenfold = storm_of("beside ten more such clients", Duration::from_millis(10));
    let storming = storm_of("beside ten clients without measure", Duration::ZERO);
    eprintln!("p99: {:?}, then {:?}, then {:?}", calm[1], tenfold[1], storming[1]);
    for node in &cluster.nodes {
        report("after a storm", node);
    }
    assert!(storming[1] < Duration::from_secs(5), "others wait for {:?}", storming[1]);
    check_service(&cluster, 0);
    cluster.wait_until_equal();
}
