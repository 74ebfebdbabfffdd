//! Loopback ports chosen by the system.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Mutex;

static HANDED_OUT: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// Returns a loopback address that was free a moment ago and is handed out only once per process.
pub fn free() -> SocketAddr {
    let mut handed_out = HANDED_OUT.lock().expect("no test panics while choosing a port");
    // The listeners are kept until a new port was found, so that the system offers another one.
    let mut listeners = Vec::new();
    loop {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("the loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        if handed_out.insert(address.port()) {
            return address;
        }
        listeners.push(listener);
    }
}
