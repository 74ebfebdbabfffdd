//! One address for a cluster: three nodes on three machines, and devices on a fourth that know one
//! address or one name.

use gable_tests::cluster::Cluster;
use gable_tests::lan::{self, Lan, Watch};
use gable_tests::node::{Addresses, Node, PATIENCE};
use gable_tests::{has_peer, wait};
use mdns_sd::{ServiceDaemon, ServiceEvent};
use rumqttc::{Client, Event, MqttOptions, Packet, QoS};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const HOME: &str = r#"
mqtt:
  - sensor:
      name: Meter
      default_entity_id: sensor.meter
      state_topic: meter
"#;

const NODES: usize = 3;
/// The place of the machine that is no node.
const DEVICE: usize = NODES;

const V4: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 50));
const V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 0x50));
const FLOATING: &str = "floating = [\"10.77.0.50/24\", \"fd77::50/64\"]\ninterface = \"eth0\"\n";

/// How long a client may be without an answer, on a busy test machine. What it took is printed.
const GAP_MAX: Duration = Duration::from_secs(15);
/// How long the kernel of a machine whose node was killed may keep the address: two seconds, and up
/// to two more until it looks.
const LEFTOVER_MAX: Duration = Duration::from_secs(5);

/// Prepares nodes on the first machines of the network; `address` is their section of that name.
pub(super) fn prepare(lan: &Lan, count: usize, address: &str) -> Cluster {
    let everywhere = SocketAddr::from(([0, 0, 0, 0], 1883));
    let nodes: Vec<Node> = (0..count)
        .map(|n| {
            let namespace = lan.namespace(n);
            let mut node = Node::new(n as u64 + 1, Some(everywhere));
            let own = SocketAddr::from(([10, 77, 0, n as u8 + 1], 7101));
            let http = SocketAddr::from(([127, 0, 0, 1], 7180));
            node.addresses = Addresses { peer: own, http, mqtt: everywhere };
            node.launcher = ["ip", "netns", "exec", &namespace].map(str::to_owned).to_vec();
            node.namespace = Some(namespace);
            node
        })
        .collect();
    let peers: Vec<String> = nodes
        .iter()
        .map(|node| format!("{{ id = {}, address = \"{}\" }}", node.id, node.addresses.peer))
        .collect();
    for node in &nodes {
        let settings = format!(
            "[node]\nid = {id}\ndata_dir = \"data\"\n\n\
             [cluster]\nname = \"test\"\nkey = \"a key for tests on one machine only\"\n\
             listen = \"{peer}\"\npeers = [{peers}]\n\n\
             [http]\nlisten = \"{http}\"\n\n[home]\nfiles = [\"home.yaml\"]\n\n\
             [mqtt]\nmode = \"server\"\n[mqtt.server]\nlisten = [\"[::]:1883\"]\nallow_anonymous = true\n\n\
             [address]\n{address}",
            id = node.id,
            peer = node.addresses.peer,
            peers = peers.join(", "),
            http = node.addresses.http,
        );
        fs::write(node.config(), settings).expect("the node's folder can be written");
        fs::write(node.home(), HOME).expect("the node's folder can be written");
    }
    Cluster { nodes, brokers: Vec::new() }
}

/// A device that publishes to one address all the time, and notes when it got its answers.
struct Device {
    stop: Arc<AtomicBool>,
    answers: Arc<Mutex<Vec<Instant>>>,
    thread: Option<JoinHandle<()>>,
}

impl Device {
    fn start(lan: &Lan, broker: SocketAddr) -> Device {
        let (stop, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (namespace, stopping, told) = (lan.namespace(DEVICE), stop.clone(), answers.clone());
        let thread = std::thread::spawn(move || {
            lan::enter(&namespace);
            while !stopping.load(Ordering::Relaxed) {
                publish_until_lost(broker, &stopping, &told);
                // How fast the device tries again.
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        Device { stop, answers, thread: Some(thread) }
    }

    /// Waits for an answer from now on.
    #[track_caller]
    fn wait_until_answered(&self) {
        let from = Instant::now();
        wait::until("an answer to the device", GAP_MAX, || match self.answers().last() {
            Some(last) if *last > from => Ok(()),
            last => Err(format!("the last one came {:?} ago", last.map(Instant::elapsed))),
        });
    }

    /// The longest time without an answer since shortly before `from`.
    fn longest_gap(&self, from: Instant) -> Duration {
        let answers = self.answers();
        let before = answers.iter().rev().find(|at| **at <= from).copied().unwrap_or(from);
        let times: Vec<Instant> =
            [before].into_iter().chain(answers.into_iter().filter(|at| *at > from)).collect();
        times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }

    fn answers(&self) -> Vec<Instant> {
        self.answers.lock().expect("nobody panics while holding it").clone()
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It panics only if the test has failed already.
            let _ = thread.join();
        }
    }
}

/// Publishes over one connection, one message at a time, until an answer is late.
fn publish_until_lost(broker: SocketAddr, stop: &AtomicBool, answers: &Mutex<Vec<Instant>>) {
    let mut options =
        MqttOptions::new(format!("device-{}", broker.is_ipv6()), broker.ip().to_string(), broker.port());
    options.set_keep_alive(Duration::from_secs(5));
    let (client, mut connection) = Client::new(options, 16);
    if client.publish("meter", QoS::AtLeastOnce, false, "1").is_err() {
        return;
    }
    while !stop.load(Ordering::Relaxed) {
        match connection.recv_timeout(Duration::from_millis(500)) {
            Ok(Ok(Event::Incoming(Packet::PubAck(_)))) => {
                answers.lock().expect("nobody panics while holding it").push(Instant::now());
                // The device's rate, not a wait for something.
                std::thread::sleep(Duration::from_millis(5));
                if client.publish("meter", QoS::AtLeastOnce, false, "1").is_err() {
                    return;
                }
            }
            Ok(Ok(_)) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

#[expect(clippy::print_stderr, reason = "what was measured is for the reader")]
fn tell(what: &str, gap: Duration) {
    eprintln!("measured: {what}: {} ms", gap.as_millis());
}

/// Waits until one machine alone has the address, and that one leads.
#[track_caller]
fn wait_for_holder(cluster: &Cluster, watch: &Watch) -> usize {
    wait::until("the leader, and only it, to have the address", PATIENCE, || {
        let leader = cluster.leader();
        let logs = || cluster.nodes.iter().map(Node::log_end).collect::<String>();
        match watch.now() {
            holders if holders == [leader] => Ok(leader),
            holders => Err(format!("node {} leads, held by {holders:?}\n{}", leader + 1, logs())),
        }
    })
}

#[test]
fn a_device_with_one_address_outlives_the_node_behind_it() {
    if !Lan::is_permitted() {
        return;
    }
    let lan = Lan::new(NODES + 1);
    let mut cluster = prepare(&lan, NODES, FLOATING);
    cluster.start_all();
    let watch = Watch::start(&lan, NODES, V4);
    let device = Device::start(&lan, SocketAddr::new(V4, 1883));
    let device_v6 = Device::start(&lan, SocketAddr::new(V6, 1883));
    let holder = wait_for_holder(&cluster, &watch);
    device.wait_until_answered();
    device_v6.wait_until_answered();
    assert_eq!(lan.holders(V6), [holder], "IPv6 goes with IPv4");

    eprintln!("phase: node {} holds the address and is killed", holder + 1);
    let killed = Instant::now();
    cluster.nodes[holder].kill();
    let next = watch.wait_until("another node to take the address", GAP_MAX, |holders| {
        holders.iter().any(|found| *found != holder)
    });
    tell("kill -9: until another node has the address", killed.elapsed());
    watch.wait_until("the killed node's kernel to forget it", LEFTOVER_MAX, |found| !found.contains(&holder));
    tell("kill -9: until the dead node's kernel had dropped the address", killed.elapsed());
    for (name, device) in [("IPv4", &device), ("IPv6", &device_v6)] {
        device.wait_until_answered();
        tell(&format!("kill -9: the device was without an answer, {name}"), device.longest_gap(killed));
    }
    assert!(next.len() <= 2, "{next:?}");

    eprintln!("phase: it comes back where the address was left for good");
    let leader = wait_for_holder(&cluster, &watch);
    lan.add_address(holder, "10.77.0.50/24");
    cluster.nodes[holder].start();
    watch.wait_until("the leftover to go", PATIENCE, |found| found == [leader]);
    cluster.nodes[holder].wait_until_ready();
    let holder = wait_for_holder(&cluster, &watch);
    device.wait_until_answered();

    eprintln!("phase: node {} stops as planned", holder + 1);
    let asked = Instant::now();
    cluster.nodes[holder].terminate();
    assert!(!watch.now().contains(&holder), "a node that stops leaves no address behind");
    wait_for_holder(&cluster, &watch);
    device.wait_until_answered();
    tell("planned stop: the device was without an answer", device.longest_gap(asked));
    assert_eq!(watch.doubled_since(asked), Duration::ZERO, "nobody takes it before it was given up");
}

#[test]
fn a_node_that_is_cut_off_gives_the_address_up() {
    if !Lan::is_permitted() {
        return;
    }
    let lan = Lan::new(NODES + 1);
    let mut cluster = prepare(&lan, NODES, FLOATING);
    cluster.start_all();
    let watch = Watch::start(&lan, NODES, V4);
    let device = Device::start(&lan, SocketAddr::new(V4, 1883));
    let holder = wait_for_holder(&cluster, &watch);
    device.wait_until_answered();

    eprintln!("phase: node {} is cut off", holder + 1);
    let cut = Instant::now();
    lan.unplug(holder);
    watch.wait_until("it to give the address up", PATIENCE, |holders| !holders.contains(&holder));
    tell("cut off: until the address was given up", cut.elapsed());
    watch.wait_until("another node to take it", PATIENCE, |holders| !holders.is_empty());
    tell("cut off: until another node has the address", cut.elapsed());
    device.wait_until_answered();
    tell("cut off: the device was without an answer", device.longest_gap(cut));

    eprintln!("phase: node {} is back", holder + 1);
    lan.plug(holder);
    let back = Instant::now();
    wait_for_holder(&cluster, &watch);
    device.wait_until_answered();
    tell("back: the device was without an answer", device.longest_gap(back));
    assert_eq!(watch.doubled_since(cut), Duration::ZERO, "at no moment two nodes have the address");
}

#[test]
fn a_node_that_wakes_up_does_not_take_the_address_back() {
    if !Lan::is_permitted() {
        return;
    }
    let lan = Lan::new(NODES + 1);
    let mut cluster = prepare(&lan, NODES, FLOATING);
    cluster.start_all();
    let watch = Watch::start(&lan, NODES, V4);
    let holder = wait_for_holder(&cluster, &watch);

    eprintln!("phase: node {} is stopped in its tracks", holder + 1);
    let paused = Instant::now();
    cluster.nodes[holder].pause();
    let others = |holders: &[usize]| !holders.is_empty() && !holders.contains(&holder);
    watch.wait_until("its kernel to drop the address and another node to have it", PATIENCE, others);
    tell("paused: until its kernel had dropped the address", paused.elapsed());

    eprintln!("phase: node {} goes on, as if it led", holder + 1);
    let resumed = Instant::now();
    cluster.nodes[holder].resume();
    cluster.nodes[holder].wait_until_ready();
    wait_for_holder(&cluster, &watch);
    wait::until_true("a few renewals", PATIENCE, || resumed.elapsed() > Duration::from_secs(2));
    assert_eq!(watch.doubled_since(resumed), Duration::ZERO, "what it led by is over");
}

#[test]
fn a_node_without_rights_says_so_once_and_goes_on() {
    if !Lan::is_permitted() || !has_peer("setpriv") {
        return;
    }
    let lan = Lan::new(1);
    let mut cluster = prepare(&lan, 1, FLOATING);
    let rights = ["setpriv", "--bounding-set=-net_admin,-net_raw"].map(str::to_owned);
    cluster.nodes[0].launcher.extend(rights);
    cluster.start_all();
    let node = &cluster.nodes[0];
    wait::until_true("a word about it", PATIENCE, || node.log().contains("CAP_NET_ADMIN"));
    node.publish("meter", "1").expect("a node without the address does everything else");
    let stays = Instant::now();
    // Attempts go on, one a second, and each could say it again.
    wait::until_true("some attempts", PATIENCE, || stays.elapsed() > Duration::from_secs(3));
    assert_eq!(node.log().matches("CAP_NET_ADMIN and").count(), 1, "{}", node.log_end());
}

#[test]
fn a_machine_keeps_its_own_address() {
    if !Lan::is_permitted() {
        return;
    }
    let lan = Lan::new(1);
    // That of another interface than the cluster's, which the settings alone do not show.
    let mut cluster = prepare(&lan, 1, "floating = [\"10.77.0.1/24\"]\ninterface = \"eth0\"\n");
    let settings = fs::read_to_string(cluster.nodes[0].config()).unwrap();
    fs::write(cluster.nodes[0].config(), settings.replace("10.77.0.1:7101", "127.0.0.1:7101")).unwrap();
    cluster.nodes[0].start();
    let (code, log) = cluster.nodes[0].wait_until_ended();
    assert_eq!(code, Some(2), "{log}");
    assert!(log.contains("own address on eth0"), "{log}");
    assert_eq!(lan.holders("10.77.0.1".parse().unwrap()), [0]);
}

#[test]
fn names_lead_to_the_nodes_and_to_the_leader() {
    if !Lan::is_permitted() {
        return;
    }
    let lan = Lan::new(NODES + 1);
    let mut cluster = prepare(&lan, NODES, "mdns = true\nname = \"house\"\n");
    cluster.start_all();
    let mut found = Found::browse(&lan);
    let own = |n: usize| {
        BTreeSet::from([IpAddr::from([10, 77, 0, n as u8 + 1]), format!("fd77::{}", n + 1).parse().unwrap()])
    };
    for n in 0..NODES {
        found.wait_for(&cluster, &format!("house-{}", n + 1), &own(n));
    }
    found.wait_until(&cluster, "house", |found| *found == own(cluster.leader()));
    let leader = cluster.leader();

    eprintln!("phase: node {} leads and is killed", leader + 1);
    let killed = Instant::now();
    cluster.nodes[leader].kill();
    found.wait_until(&cluster, "house", |found| found.is_superset(&own(cluster.leader())));
    tell("kill -9: until house.local led to another node", killed.elapsed());
    found.wait_until(&cluster, "house", |found| *found == own(cluster.leader()));
    tell("kill -9: until house.local led to that node only", killed.elapsed());
    let next = cluster.leader();

    eprintln!("phase: node {} leads and stops as planned", next + 1);
    let asked = Instant::now();
    cluster.nodes[leader].start();
    cluster.nodes[leader].wait_until_ready();
    cluster.nodes[next].terminate();
    found.wait_until(&cluster, "house", |found| *found == own(cluster.leader()));
    tell("start of one and planned stop of another: until house.local led to the next", asked.elapsed());
}

/// What a device finds by mDNS: the addresses behind each name.
struct Found {
    daemon: ServiceDaemon,
    events: mdns_sd::Receiver<ServiceEvent>,
    names: BTreeMap<String, BTreeSet<IpAddr>>,
}

impl Found {
    fn browse(lan: &Lan) -> Found {
        lan::inside(&lan.namespace(DEVICE), || {
            let daemon = ServiceDaemon::new().expect("a machine can listen for mDNS");
            let events = daemon.browse("_mqtt._tcp.local.").expect("the type is well formed");
            Found { daemon, events, names: BTreeMap::new() }
        })
    }

    /// Waits until the listener of that name, on its usual port, is said to be at these addresses.
    #[track_caller]
    fn wait_for(&mut self, cluster: &Cluster, name: &str, addresses: &BTreeSet<IpAddr>) {
        self.wait_until(cluster, name, |found| found == addresses);
    }

    #[track_caller]
    fn wait_until(&mut self, cluster: &Cluster, name: &str, claim: impl Fn(&BTreeSet<IpAddr>) -> bool) {
        wait::until(&format!("{name}.local to lead elsewhere"), PATIENCE, || {
            while let Ok(event) = self.events.try_recv() {
                if let ServiceEvent::ServiceResolved(service) = event {
                    assert_eq!(service.get_port(), 1883);
                    let found = service.get_addresses().iter().map(|address| address.to_ip_addr());
                    self.names.insert(service.get_hostname().to_owned(), found.collect());
                }
            }
            let is_true = self.names.get(&format!("{name}.local.")).is_some_and(&claim);
            is_true.then_some(()).ok_or_else(|| {
                let logs: String = cluster.nodes.iter().map(Node::log_end).collect();
                format!("{:?}\n{logs}", self.names)
            })
        });
    }
}

impl Drop for Found {
    fn drop(&mut self) {
        // The daemon's thread ends by itself, soon.
        let _ = self.daemon.shutdown();
    }
}
