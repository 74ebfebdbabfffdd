//! Addresses on a Linux interface, over rtnetlink.
//!
//! Each address is set up with an end in the near future, which only a living node moves on. After a
//! `kill -9`, or when the process is stopped or starved, the kernel removes the address by itself.

use super::frames;
use super::keeper::{Fault, Link};
use futures_util::TryStreamExt;
use gable_broker_config::FloatingAddress;
use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, SockaddrLike, SockaddrStorage, sendto, socket,
};
use rtnetlink::packet_route::address::{
    AddressAttribute, AddressFlags, AddressMessage, AddressScope, CacheInfo,
};
use rtnetlink::{AddressMessageBuilder, Handle};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, OwnedFd};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How long the kernel keeps an address that is not renewed, in seconds, which is how it counts. It
/// looks up to a second and a half late.
const LIFETIME_S: u32 = 2;

/// One interface of this machine.
pub(super) struct Interface {
    name: String,
    handle: Handle,
    connection: JoinHandle<()>,
    /// Opened with the first announcement.
    socket: Option<OwnedFd>,
}

impl Interface {
    pub(super) fn new(name: &str) -> Result<Interface, Fault> {
        let (connection, handle, _unasked) =
            rtnetlink::new_connection().map_err(|error| Fault::Refused(error.to_string()))?;
        Ok(Interface { name: name.to_owned(), handle, connection: tokio::spawn(connection), socket: None })
    }

    /// Removes what an earlier life of this node may have left, however it was set up.
    ///
    /// An address that is the interface's only one and has no near end is not a leftover but the
    /// machine's own, which the settings name by mistake. It stays, and `false` is returned.
    pub(super) async fn clear(&self, address: FloatingAddress) -> Result<bool, Fault> {
        let found = self.addresses().await?;
        let (same, others): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|message| ip_of(message) == Some(address.ip));
        let is_own = |message: &AddressMessage| {
            valid_for(message) > LIFETIME_S && !others.iter().any(|other| is_own_beside(other, address.ip))
        };
        if same.iter().any(is_own) {
            return Ok(false);
        }
        for message in same {
            tracing::warn!(address = %address, interface = self.name, "removes what an earlier run of this node left");
            self.delete(message).await?;
        }
        Ok(true)
    }

    fn index(&self) -> Result<u32, Fault> {
        nix::net::if_::if_nametoindex(self.name.as_str()).map_err(|_| Fault::NoInterface(self.name.clone()))
    }

    async fn addresses(&self) -> Result<Vec<AddressMessage>, Fault> {
        let index = self.index()?;
        self.handle
            .address()
            .get()
            .set_link_index_filter(index)
            .execute()
            .try_collect()
            .await
            .map_err(to_fault)
    }

    async fn delete(&self, message: AddressMessage) -> Result<(), Fault> {
        match self.handle.address().del(message).execute().await {
            Err(error) if errno(&error) == Some(Errno::EADDRNOTAVAIL) => Ok(()),
            done => done.map_err(to_fault),
        }
    }

    /// The message that sets the address up for a while.
    fn message(index: u32, address: FloatingAddress) -> AddressMessage {
        let mut message = match address.ip {
            IpAddr::V4(ip) => {
                AddressMessageBuilder::<Ipv4Addr>::new().index(index).address(ip, address.prefix).build()
            }
            IpAddr::V6(ip) => {
                let mut message =
                    AddressMessageBuilder::<Ipv6Addr>::new().index(index).address(ip, address.prefix).build();
                // It is in use at once, since the lease says that nobody else has it; and the route
                // to its network stays the one of the interface's own address.
                let flags = AddressFlags::Nodad | AddressFlags::Noprefixroute;
                message.attributes.push(AddressAttribute::Flags(flags));
                message
            }
        };
        let mut ends = CacheInfo::default();
        // Not preferred: what this node sends by itself comes from its own address.
        (ends.ifa_preferred, ends.ifa_valid) = (0, LIFETIME_S);
        message.attributes.push(AddressAttribute::CacheInfo(ends));
        message
    }
}

impl Link for Interface {
    async fn take(&mut self, address: FloatingAddress, until: Instant) -> Result<(), Fault> {
        let found = self.addresses().await?;
        // The first IPv4 address of a network rules the later ones: removed, it takes them with it.
        // The floating one must never be the first.
        if address.ip.is_ipv4() && !found.iter().any(|other| is_own_beside(other, address.ip)) {
            return Err(Fault::NoOwnAddress(self.name.clone()));
        }
        let message = Interface::message(self.index()?, address);
        let mut request =
            self.handle.address().add(message.header.index, address.ip, address.prefix).replace();
        *request.message_mut() = message;
        if Instant::now() >= until {
            return Err(Fault::TooLate);
        }
        request.execute().await.map_err(to_fault)
    }

    async fn remove(&mut self, address: FloatingAddress) -> Result<(), Fault> {
        let found = match self.addresses().await {
            // With the interface the address is gone.
            Err(Fault::NoInterface(_)) => return Ok(()),
            found => found?,
        };
        for message in found.into_iter().filter(|message| ip_of(message) == Some(address.ip)) {
            self.delete(message).await?;
        }
        Ok(())
    }

    fn announce(&mut self, address: FloatingAddress) -> Result<(), Fault> {
        let hardware = hardware_address(&self.name)?;
        // An interface without Ethernet addresses, such as a tunnel, has no neighbours to tell.
        let Some(mac) = hardware.as_link_addr().and_then(|link| link.addr()).filter(|mac| *mac != [0; 6])
        else {
            return Ok(());
        };
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => packet_socket().map_err(errno_fault)?,
        };
        for frame in frames::announcements(address.ip, mac) {
            sendto(socket.as_raw_fd(), &frame, &hardware, MsgFlags::MSG_DONTWAIT).map_err(errno_fault)?;
        }
        self.socket = Some(socket);
        Ok(())
    }
}

impl Drop for Interface {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// A socket that sends whole frames and, since it names no protocol, receives none.
fn packet_socket() -> nix::Result<OwnedFd> {
    socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)
}

/// The interface's Ethernet address, in the form in which the kernel takes it as a destination.
fn hardware_address(name: &str) -> Result<SockaddrStorage, Fault> {
    let found = getifaddrs().map_err(errno_fault)?.find_map(|entry| {
        let is_hardware = |address: &SockaddrStorage| address.family() == Some(AddressFamily::Packet);
        entry.address.filter(|address| entry.interface_name == name && is_hardware(address))
    });
    found.ok_or_else(|| Fault::NoInterface(name.to_owned()))
}

/// The address that a message is about. With a peer's address, the machine's own is the local one.
fn ip_of(message: &AddressMessage) -> Option<IpAddr> {
    let local = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(ip) => Some(*ip),
        _ => None,
    });
    local.or_else(|| {
        message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Address(ip) => Some(*ip),
            _ => None,
        })
    })
}

/// Whether it is another address of the same family, of the machine's own and not link-local.
fn is_own_beside(message: &AddressMessage, ip: IpAddr) -> bool {
    let is_own = message.header.scope == AddressScope::Universe && valid_for(message) > LIFETIME_S;
    is_own && ip_of(message).is_some_and(|other| other != ip && other.is_ipv4() == ip.is_ipv4())
}

/// How many seconds an address has left; the largest number stands for ever.
fn valid_for(message: &AddressMessage) -> u32 {
    let ends = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::CacheInfo(ends) => Some(ends.ifa_valid),
        _ => None,
    });
    ends.unwrap_or(u32::MAX)
}

fn errno(error: &rtnetlink::Error) -> Option<Errno> {
    match error {
        rtnetlink::Error::NetlinkError(message) => Some(Errno::from_raw(-message.raw_code())),
        _ => None,
    }
}

fn to_fault(error: rtnetlink::Error) -> Fault {
    match errno(&error) {
        Some(code) => errno_fault(code),
        None => Fault::Refused(error.to_string()),
    }
}

fn errno_fault(code: Errno) -> Fault {
    match code {
        Errno::EPERM | Errno::EACCES => Fault::Permission,
        code => Fault::Refused(code.desc().to_owned()),
    }
}
