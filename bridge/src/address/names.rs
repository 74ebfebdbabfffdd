//! mDNS: every node that serves tells of its MQTT listener, and the leader is called `NAME.local`.
//!
//! The names of the leader are announced without the usual question whether somebody has them: a
//! node that asks has waited for most of a second, and the lease has answered it. The announcement
//! makes the listeners forget the leader before.

use gable_broker_config::{MqttMode, Settings};
use mdns_sd::{DaemonEvent, IfKind, Receiver, ServiceDaemon, ServiceInfo};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, error, info, warn};

/// How often this node looks whether its own addresses are still the same.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// When the leader's names are announced again after they were. A farewell of the leader before, or
/// of this node a moment ago, may have come after the first announcement; and multicast gets lost.
const REPETITIONS: [Duration; 3] = [Duration::from_secs(2), Duration::from_secs(5), Duration::from_secs(10)];
/// How long a farewell may take.
const FAREWELL_LIMIT: Duration = Duration::from_millis(200);

/// A listener that devices may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Service {
    kind: &'static str,
    port: u16,
}

const MQTT: &str = "_mqtt._tcp.local.";
const MQTT_OVER_TLS: &str = "_secure-mqtt._tcp.local.";

/// The listeners of this node that other machines reach, at most one of a kind.
fn services(settings: &Settings) -> Vec<Service> {
    let mqtt = &settings.mqtt;
    let (open, secure) = match mqtt.mode {
        MqttMode::Embedded => (reachable(&[mqtt.embedded.listen]), None),
        // A broker that this node reaches over its loopback stands beside it.
        MqttMode::Attach => (is_here(&mqtt.host).then_some(mqtt.port), None),
        MqttMode::Server => (reachable(&mqtt.server.listen), reachable(&mqtt.server.tls_listen)),
    };
    let service = |kind: &'static str, port: Option<u16>| port.map(|port| Service { kind, port });
    [service(MQTT, open), service(MQTT_OVER_TLS, secure)].into_iter().flatten().collect()
}

/// The port of the first listener that other machines reach. One that the system chooses is for
/// tests, and not announced.
fn reachable(listen: &[SocketAddr]) -> Option<u16> {
    let found = listen.iter().find(|listen| !listen.ip().to_canonical().is_loopback() && listen.port() != 0);
    found.map(SocketAddr::port)
}

fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

/// One entry that is announced: what it is called, whose name it leads to, and where that is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    service: Service,
    instance: String,
    addresses: Vec<IpAddr>,
    is_leader: bool,
}

impl Entry {
    fn full_name(&self) -> String {
        format!("{}.{}", self.instance, self.service.kind)
    }

    fn info(&self) -> Result<ServiceInfo, mdns_sd::Error> {
        let host = format!("{}.local.", self.instance);
        let properties: &[(&str, &str)] = &[];
        let Service { kind, port } = self.service;
        let mut info = ServiceInfo::new(kind, &self.instance, &host, &self.addresses[..], port, properties)?;
        info.set_requires_probe(!self.is_leader);
        Ok(info)
    }
}

/// What this node announces now. Entries without an address are left out.
fn entries(settings: &Settings, own: &[IpAddr], holds: bool) -> BTreeMap<String, Entry> {
    let address = &settings.address;
    let floating: Vec<IpAddr> = address.floating.iter().map(|address| address.ip).collect();
    let own: Vec<IpAddr> = own.iter().copied().filter(|ip| !floating.contains(ip)).collect();
    let leading = if floating.is_empty() { own.clone() } else { floating };
    let of_node = (format!("{}-{}", address.name, settings.node.id), own, false);
    let of_leader = (address.name.clone(), leading, true);
    let mut entries = BTreeMap::new();
    for service in services(settings) {
        for (instance, addresses, is_leader) in [&of_node, &of_leader] {
            if !addresses.is_empty() && (holds || !is_leader) {
                let (instance, addresses) = (instance.clone(), addresses.clone());
                let entry = Entry { service, instance, addresses, is_leader: *is_leader };
                entries.insert(entry.full_name(), entry);
            }
        }
    }
    entries
}

/// Announces until it is told to stop.
pub(super) async fn run(
    settings: Settings,
    mut recovered: watch::Receiver<bool>,
    mut holds: watch::Receiver<bool>,
    mut stop: watch::Receiver<bool>,
) {
    if services(&settings).is_empty() {
        warn!("mDNS announces nothing: the MQTT listener is elsewhere, or on the loopback only");
        return;
    }
    tokio::select! {
        recovered = recovered.wait_for(|recovered| *recovered) => if recovered.is_err() { return },
        _ = stop.wait_for(|stop| *stop) => return,
    }
    let (daemon, events) = match open(settings.address.interface.as_deref()) {
        Ok(opened) => opened,
        Err(fault) => {
            error!(fault = %fault, "mDNS is out of use; the node goes on");
            return;
        }
    };
    let mut board = Board { daemon, announced: BTreeMap::new(), again: Vec::new() };
    loop {
        let own = own_addresses(settings.address.interface.as_deref());
        let is_leader = *holds.borrow_and_update();
        board.change(entries(&settings, &own, is_leader)).await;
        let now = Instant::now();
        let look = board.again.iter().copied().chain([now + LOOK_INTERVAL]).min().unwrap_or(now);
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            changed = holds.changed() => if changed.is_err() { break },
            () = heed(&events) => break,
            () = sleep_until(look) => {}
        }
    }
    board.change(BTreeMap::new()).await;
    if let Ok(status) = board.daemon.shutdown() {
        // Without an answer the process ends all the same.
        let _ = timeout(FAREWELL_LIMIT, status.recv_async()).await;
    }
}

fn open(interface: Option<&str>) -> Result<(ServiceDaemon, Receiver<DaemonEvent>), mdns_sd::Error> {
    let daemon = ServiceDaemon::new()?;
    if let Some(interface) = interface {
        daemon.disable_interface(IfKind::All)?;
        daemon.enable_interface(IfKind::Name(interface.to_owned()))?;
    }
    let events = daemon.monitor()?;
    Ok((daemon, events))
}

/// What is announced.
struct Board {
    daemon: ServiceDaemon,
    announced: BTreeMap<String, Entry>,
    /// When the leader's entries are announced again.
    again: Vec<Instant>,
}

impl Board {
    /// Withdraws what is not wanted any more, and announces what is new, has other addresses, or is
    /// due again. What could not be announced is tried again with the next look.
    async fn change(&mut self, wanted: BTreeMap<String, Entry>) {
        let now = Instant::now();
        let is_due = self.again.iter().any(|again| *again <= now);
        self.again.retain(|again| *again > now);
        for name in self.announced.keys().filter(|name| !wanted.contains_key(*name)) {
            info!(name, "withdraws a name from mDNS");
            if let Ok(status) = self.daemon.unregister(name) {
                // Who misses the farewell forgets the name by itself.
                let _ = timeout(FAREWELL_LIMIT, status.recv_async()).await;
            }
        }
        self.announced.retain(|name, _| wanted.contains_key(name));
        for (name, entry) in wanted {
            let is_known = self.announced.get(&name) == Some(&entry);
            if is_known && !(is_due && entry.is_leader) {
                continue;
            }
            if let Err(fault) = entry.info().and_then(|info| self.daemon.register(info)) {
                warn!(name, fault = %fault, "could not announce by mDNS");
                self.announced.remove(&name);
                continue;
            }
            if !is_known {
                info!(name, addresses = ?entry.addresses, port = entry.service.port, "announces by mDNS");
                if entry.is_leader {
                    self.again = REPETITIONS.map(|after| now + after).to_vec();
                }
                self.announced.insert(name, entry);
            }
        }
    }
}

/// Logs what the daemon tells, and returns when it has ended.
async fn heed(events: &Receiver<DaemonEvent>) {
    while let Ok(event) = events.recv_async().await {
        match event {
            DaemonEvent::NameChange(change) => warn!(
                name = change.original,
                now = change.new_name,
                "another machine has this name in mDNS: choose another address.name"
            ),
            DaemonEvent::Error(fault) => warn!(fault = %fault, "mDNS failed"),
            event => debug!(?event, "mDNS"),
        }
    }
    error!("mDNS has stopped");
}

/// The addresses of this machine that others may reach, in order.
fn own_addresses(interface: Option<&str>) -> Vec<IpAddr> {
    let found = if_addrs::get_if_addrs().unwrap_or_default();
    let fits = |name: &str| interface.is_none_or(|interface| interface == name);
    let mut own: Vec<IpAddr> = found
        .iter()
        .filter(|found| !found.is_loopback() && !found.is_link_local() && fits(&found.name))
        .map(|found| found.ip())
        .collect();
    own.sort();
    own.dedup();
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: [IpAddr; 2] =
        [IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 3)), IpAddr::V6(std::net::Ipv6Addr::LOCALHOST)];

    /// Changes settings of node 3 whose broker listens everywhere, and compares what it announces.
    #[track_caller]
    fn check(change: impl FnOnce(&mut Settings), holds: bool, expected: &[&str]) {
        let mut settings = Settings::default();
        settings.node.id = 3;
        settings.mqtt.mode = MqttMode::Embedded;
        settings.mqtt.embedded.listen = SocketAddr::from(([0, 0, 0, 0], 1883));
        change(&mut settings);
        let shown: Vec<String> = entries(&settings, &OWN[..1], holds)
            .iter()
            .map(|(name, entry)| format!("{name} {:?} {}", entry.addresses, entry.service.port))
            .collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn every_node_has_a_name_and_the_leader_one_more() {
        let own = "gable-3._mqtt._tcp.local. [10.0.0.3] 1883";
        check(|_| {}, false, &[own]);
        check(|_| {}, true, &[own, "gable._mqtt._tcp.local. [10.0.0.3] 1883"]);
    }

    #[test]
    fn the_leader_is_called_by_the_floating_address() {
        let float = |s: &mut Settings, more: &str| {
            s.address.name = "house".into();
            s.address.floating = more.split(' ').map(|address| address.parse().unwrap()).collect();
        };
        check(
            |s| float(s, "10.0.0.50/24 fd00::50/64"),
            true,
            &[
                "house-3._mqtt._tcp.local. [10.0.0.3] 1883",
                "house._mqtt._tcp.local. [10.0.0.50, fd00::50] 1883",
            ],
        );
        // What a node holds for a while is not its own.
        check(|s| float(s, "10.0.0.3/24"), true, &["house._mqtt._tcp.local. [10.0.0.3] 1883"]);
    }

    #[test]
    fn a_listener_with_tls_is_of_another_kind() {
        let serve = |s: &mut Settings| {
            s.mqtt.mode = MqttMode::Server;
            s.mqtt.server.listen = vec![SocketAddr::from(([127, 0, 0, 1], 1883))];
            s.mqtt.server.tls_listen = vec![SocketAddr::from(([0, 0, 0, 0], 8883))];
        };
        check(serve, false, &["gable-3._secure-mqtt._tcp.local. [10.0.0.3] 8883"]);
    }

    #[test]
    fn what_others_do_not_reach_is_not_announced() {
        check(|s| s.mqtt.embedded.listen = SocketAddr::from(([127, 0, 0, 1], 1883)), true, &[]);
        check(|s| (s.mqtt.mode, s.mqtt.host) = (MqttMode::Attach, "broker.lan".into()), true, &[]);
        check(
            |s| (s.mqtt.mode, s.mqtt.port) = (MqttMode::Attach, 1884),
            false,
            &["gable-3._mqtt._tcp.local. [10.0.0.3] 1884"],
        );
    }
}
