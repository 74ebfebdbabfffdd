//! An address with its prefix, as `ip address` writes it.

use serde::Deserialize;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// An address that the leader of the cluster sets up on its interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct FloatingAddress {
    pub ip: IpAddr,
    /// How many bits name the network.
    pub prefix: u8,
}

impl FromStr for FloatingAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<FloatingAddress, String> {
        let (ip, prefix) = text.trim().split_once('/').ok_or_else(|| {
            format!("`{text}` has no prefix: write it with its network's length, such as 192.168.1.50/24")
        })?;
        let ip: IpAddr = ip.parse().map_err(|_| format!("`{ip}` is not an IP address"))?;
        let longest = if ip.is_ipv4() { 32 } else { 128 };
        let prefix = prefix
            .parse()
            .ok()
            .filter(|prefix| (1..=longest).contains(prefix))
            .ok_or_else(|| format!("`{text}` has a wrong prefix: 1 to {longest}"))?;
        let is_host = !ip.is_unspecified() && !ip.is_loopback() && !ip.is_multicast();
        let is_mapped = matches!(ip, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
        if !is_host || is_mapped || ip == IpAddr::from([255; 4]) {
            return Err(format!("`{ip}` is not an address that a machine can have in a network"));
        }
        Ok(FloatingAddress { ip, prefix })
    }
}

impl TryFrom<String> for FloatingAddress {
    type Error = String;

    fn try_from(text: String) -> Result<FloatingAddress, String> {
        text.parse()
    }
}

impl fmt::Display for FloatingAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a text and compares how it is written again, if it can be read.
    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let read = text.parse::<FloatingAddress>().ok().map(|address| address.to_string());
        assert_eq!(read.as_deref(), expected, "{text}");
    }

    #[test]
    fn an_address_has_a_prefix_and_belongs_to_a_machine() {
        check("192.168.1.50/24", Some("192.168.1.50/24"));
        check(" fd00:0::50/64", Some("fd00::50/64"));
        check("192.168.1.50/32", Some("192.168.1.50/32"));
        for wrong in [
            "192.168.1.50",
            "192.168.1.50/0",
            "192.168.1.50/33",
            "fd00::50/129",
            "gable.local/24",
            "127.0.0.1/8",
            "::1/128",
            "0.0.0.0/8",
            "224.0.0.1/24",
            "255.255.255.255/24",
            "ff02::1/64",
            "::ffff:10.0.0.1/128",
            "",
        ] {
            check(wrong, None);
        }
    }
}
