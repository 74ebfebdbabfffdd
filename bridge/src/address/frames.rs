//! The packets that tell neighbours where an address is now: a gratuitous ARP request (RFC 5227,
//! section 3) and an unsolicited neighbour advertisement (RFC 4861, section 7.2.6), as Ethernet
//! frames.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An Ethernet address.
pub(super) type Mac = [u8; 6];

const BROADCAST: Mac = [0xff; 6];
const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const NEXT_HEADER_ICMPV6: u8 = 58;
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// Returns the frames that announce the address at this interface.
pub(super) fn announcements(ip: IpAddr, mac: Mac) -> Vec<Vec<u8>> {
    match ip {
        // Some devices learn from requests only, some from answers only.
        IpAddr::V4(ip) => vec![arp(ip, mac, ArpOperation::Request), arp(ip, mac, ArpOperation::Reply)],
        IpAddr::V6(ip) => vec![neighbour_advertisement(ip, mac)],
    }
}

#[derive(Clone, Copy)]
enum ArpOperation {
    Request = 1,
    Reply = 2,
}

fn arp(ip: Ipv4Addr, mac: Mac, operation: ArpOperation) -> Vec<u8> {
    let mut frame = ethernet(BROADCAST, mac, ETHERTYPE_ARP);
    // Ethernet, IPv4, and the lengths of their addresses.
    frame.extend([0, 1, 0x08, 0x00, 6, 4]);
    frame.extend((operation as u16).to_be_bytes());
    frame.extend(mac);
    frame.extend(ip.octets());
    frame.extend(match operation {
        ArpOperation::Request => [0; 6],
        ArpOperation::Reply => BROADCAST,
    });
    frame.extend(ip.octets());
    frame
}

fn neighbour_advertisement(ip: Ipv6Addr, mac: Mac) -> Vec<u8> {
    let mut message = vec![136, 0, 0, 0];
    // Override: it replaces what the neighbours remember. It answers no question.
    message.extend([0x20, 0, 0, 0]);
    message.extend(ip.octets());
    // The option "target link-layer address", of 8 bytes.
    message.extend([2, 1]);
    message.extend(mac);
    let checksum = icmpv6_checksum(ip, ALL_NODES, &message);
    message[2..4].copy_from_slice(&checksum.to_be_bytes());

    let mut frame = ethernet([0x33, 0x33, 0, 0, 0, 1], mac, ETHERTYPE_IPV6);
    frame.extend([0x60, 0, 0, 0, 0, message.len() as u8, NEXT_HEADER_ICMPV6, 255]);
    frame.extend(ip.octets());
    frame.extend(ALL_NODES.octets());
    frame.extend(message);
    frame
}

fn ethernet(to: Mac, from: Mac, ethertype: u16) -> Vec<u8> {
    let mut frame = Vec::with_capacity(86);
    frame.extend(to);
    frame.extend(from);
    frame.extend(ethertype.to_be_bytes());
    frame
}

/// RFC 4443, section 2.3: the sum over a pseudo-header and the message, in ones' complement.
fn icmpv6_checksum(from: Ipv6Addr, to: Ipv6Addr, message: &[u8]) -> u16 {
    let length = (message.len() as u32).to_be_bytes();
    let bytes = [&from.octets()[..], &to.octets(), &length, &[0, 0, 0, NEXT_HEADER_ICMPV6], message].concat();
    // All parts have an even length.
    let mut sum: u32 =
        bytes.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = [0x02, 0x11, 0x22, 0x33, 0x44, 0x55];

    /// Compares the frames, as hexadecimal digits without regard to spaces.
    #[track_caller]
    fn check(ip: &str, expected: &[&str]) {
        let frames = announcements(ip.parse().unwrap(), MAC);
        let shown: Vec<String> =
            frames.iter().map(|frame| frame.iter().map(|byte| format!("{byte:02x}")).collect()).collect();
        let expected: Vec<String> = expected.iter().map(|frame| frame.replace([' ', '\n'], "")).collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn an_ipv4_address_is_announced_by_arp() {
        check(
            "192.168.1.50",
            &[
                "ffffffffffff 021122334455 0806 0001 0800 06 04 0001
                 021122334455 c0a80132 000000000000 c0a80132",
                "ffffffffffff 021122334455 0806 0001 0800 06 04 0002
                 021122334455 c0a80132 ffffffffffff c0a80132",
            ],
        );
    }

    #[test]
    fn an_ipv6_address_is_announced_by_neighbour_discovery() {
        check(
            "fd00::50",
            &["333300000001 021122334455 86dd 60000000 0020 3a ff
               fd000000000000000000000000000050 ff020000000000000000000000000001
               88 00 f364 20000000 fd000000000000000000000000000050 0201 021122334455"],
        );
    }

    #[test]
    fn the_checksum_covers_the_message_and_its_addresses() {
        let frame = &announcements("fd00::50".parse().unwrap(), MAC)[0];
        let (from, to) = ("fd00::50".parse().unwrap(), ALL_NODES);
        // Over a message that holds its own checksum the sum is zero.
        assert_eq!(icmpv6_checksum(from, to, &frame[54..]), 0);
        assert_ne!(icmpv6_checksum(to, ALL_NODES, &frame[54..]), 0);
    }
}
