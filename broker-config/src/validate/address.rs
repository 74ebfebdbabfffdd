//! What types can not say about the address that follows the leader.

use super::{Finding, ensure};
use crate::settings::{Address, Settings};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Longer names are no label of DNS; room is left for the `-ID` of each node's own name.
const LABEL_LENGTH_MAX: usize = 40;

/// Linux takes no longer ones.
const INTERFACE_LENGTH_MAX: usize = 15;

/// One per network is what is needed; each costs a few packets at a failover.
const FLOATING_MAX: usize = 16;

impl Settings {
    pub(super) fn validate_address(&self) -> Result<(), Finding> {
        let Address { floating, interface, mdns: _, name } = &self.address;
        let is_label = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let is_name = (1..=LABEL_LENGTH_MAX).contains(&name.len()) && name.chars().all(is_label);
        ensure(is_name && !name.starts_with('-') && !name.ends_with('-'), "address.name", || {
            format!(
                "`{name}` must be 1 to {LABEL_LENGTH_MAX} lower-case letters, digits and `-` inside, without `.local`"
            )
        })?;
        if let Some(interface) = interface {
            let is_plain = |c: char| c.is_ascii_graphic() && c != '/' && c != ':';
            let fits = (1..=INTERFACE_LENGTH_MAX).contains(&interface.len());
            ensure(fits && interface.chars().all(is_plain), "address.interface", || {
                format!("`{interface}` is not the name of an interface, such as eth0")
            })?;
        }
        ensure(floating.len() <= FLOATING_MAX, "address.floating", || {
            format!("names {} addresses: {FLOATING_MAX} or less", floating.len())
        })?;
        ensure(floating.is_empty() || interface.is_some(), "address.interface", || {
            "is missing: it says which interface takes the addresses of address.floating".into()
        })?;
        ensure(floating.is_empty() || cfg!(target_os = "linux"), "address.floating", || {
            "needs Linux: on other systems use address.mdns, or keepalived's like".into()
        })?;
        let mut seen = BTreeSet::new();
        for address in floating {
            ensure(seen.insert(address.ip), "address.floating", || format!("names {} twice", address.ip))?;
            let own = self.cluster.peers.iter().find(|peer| is_host(&peer.address, address.ip));
            ensure(own.is_none(), "address.floating", || {
                format!(
                    "{} is a node's own address in cluster.peers: choose one that no machine has",
                    address.ip
                )
            })?;
            let server = &self.mqtt.server;
            let listeners = [
                &[self.http.listen, self.cluster.listen, self.mqtt.embedded.listen],
                &server.listen[..],
                &server.tls_listen,
                &server.websocket_listen,
                &server.websocket_tls_listen,
            ];
            for listen in listeners.into_iter().flatten() {
                ensure(listen.ip() != address.ip, "address.floating", || {
                    format!(
                        "{listen} can not be listened on by a node that does not lead: listen on 0.0.0.0 or [::]"
                    )
                })?;
            }
        }
        Ok(())
    }
}

/// Whether `host:port` names that address.
fn is_host(address: &str, ip: IpAddr) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok_and(|found| found == ip)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Secret;

    /// Changes valid settings and compares the key that is then refused.
    #[track_caller]
    fn check(change: impl FnOnce(&mut Settings), expected: Option<&str>) {
        let mut settings = Settings::default();
        settings.cluster.key = Some(Secret::new("0123456789abcdef"));
        change(&mut settings);
        assert_eq!(settings.validate().err().map(|(key, _)| key), expected);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_floating_address_belongs_to_no_machine() {
        let float = |s: &mut Settings, address: &str| {
            s.address.interface = Some("eth0".into());
            s.address.floating = vec![address.parse().unwrap()];
        };
        check(|s| float(s, "192.168.1.50/24"), None);
        check(|s| float(s, "fd00::50/64"), None);
        check(|s| (float(s, "10.0.0.1/24"), s.address.interface = None).0, Some("address.interface"));
        check(
            |s| (float(s, "10.0.0.1/24"), s.address.interface = Some("eth 0".into())).0,
            Some("address.interface"),
        );
        check(
            |s| (float(s, "10.0.0.1/24"), s.address.floating.push("10.0.0.1/32".parse().unwrap())).0,
            Some("address.floating"),
        );
        let own = |s: &mut Settings, address: &str| s.cluster.peers[0].address = address.into();
        check(|s| (float(s, "10.0.0.1/24"), own(s, "10.0.0.1:7101")).0, Some("address.floating"));
        check(|s| (float(s, "fd00::1/64"), own(s, "[fd00::1]:7101")).0, Some("address.floating"));
        check(
            |s| (float(s, "10.0.0.1/24"), s.cluster.listen = "10.0.0.1:7101".parse().unwrap()).0,
            Some("address.floating"),
        );
    }

    #[test]
    fn a_name_is_one_label() {
        check(|s| s.address.name = "my-home2".into(), None);
        for wrong in ["", "gable.local", "-gable", "Gable", "a b"] {
            check(|s| s.address.name = wrong.into(), Some("address.name"));
        }
    }
}
