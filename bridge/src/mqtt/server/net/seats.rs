//! Places for connections: in all, and for each address.
//!
//! When there is none left, the oldest connection that has not proved who it is gives its place
//! away. Whoever opens connections and says nothing keeps out neither others nor, behind the same
//! address, his neighbours.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{oneshot, watch};

/// All places.
#[derive(Debug)]
pub(super) struct Seats {
    total_max: usize,
    per_address_max: usize,
    taken: Mutex<Taken>,
    open: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Taken {
    /// The next connection's number; numbers grow, so the smallest is the oldest.
    next: u64,
    open: usize,
    addresses: BTreeMap<IpAddr, Address>,
    strangers: BTreeMap<u64, Stranger>,
    /// Connections whose clients are known. One that was sent away is in neither.
    guests: BTreeMap<u64, oneshot::Sender<()>>,
}

#[derive(Debug, Default)]
struct Address {
    open: usize,
    strangers: BTreeSet<u64>,
}

/// A connection that can be sent away.
#[derive(Debug)]
struct Stranger {
    address: IpAddr,
    stays: oneshot::Sender<()>,
}

/// Which limit left no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    Total,
    Address,
}

/// One place; free again when this is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    number: u64,
    address: IpAddr,
}

/// Tells that a connection's client is known.
#[derive(Debug)]
pub struct Claim {
    seats: Arc<Seats>,
    number: u64,
}

impl Seats {
    pub(super) fn new(total_max: usize, per_address_max: usize) -> Arc<Seats> {
        Arc::new(Seats { total_max, per_address_max, taken: Mutex::default(), open: watch::Sender::new(0) })
    }

    /// Takes a place. The receiver ends when the place is given away.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Result<(Seat, oneshot::Receiver<()>), Full> {
        let mut taken = self.lock();
        let here = taken.addresses.get(&address);
        if here.is_some_and(|here| here.open >= self.per_address_max) {
            let oldest = here.and_then(|here| here.strangers.first().copied()).ok_or(Full::Address)?;
            taken.dismiss(oldest);
        } else if taken.open >= self.total_max {
            let oldest = taken.strangers.keys().next().copied().ok_or(Full::Total)?;
            taken.dismiss(oldest);
        }
        let (stays, dismissed) = oneshot::channel();
        let number = taken.next;
        taken.next += 1;
        taken.open += 1;
        taken.strangers.insert(number, Stranger { address, stays });
        let here = taken.addresses.entry(address).or_default();
        here.open += 1;
        here.strangers.insert(number);
        self.open.send_replace(taken.open);
        Ok((Seat { seats: self.clone(), number, address }, dismissed))
    }

    /// Makes the way by which a connection tells that its client is known.
    pub(super) fn claim(self: &Arc<Self>, seat: &Seat) -> Claim {
        Claim { seats: self.clone(), number: seat.number }
    }

    /// Sends away whoever has not proved itself.
    pub(super) fn dismiss_strangers(&self) {
        let mut taken = self.lock();
        while let Some(number) = taken.strangers.keys().next().copied() {
            taken.dismiss(number);
        }
        self.open.send_replace(taken.open);
    }

    /// How many places are taken.
    pub(super) fn open(&self) -> usize {
        *self.open.borrow()
    }

    /// Returns when no place is taken.
    pub(super) async fn empty(&self) {
        // The sender lives as long as this.
        let _ = self.open.subscribe().wait_for(|open| *open == 0).await;
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    /// Forgets a connection that has not proved itself, which makes it end.
    fn dismiss(&mut self, number: u64) {
        if let Some(stranger) = self.strangers.remove(&number) {
            self.free(number, stranger.address);
        }
    }

    fn free(&mut self, number: u64, address: IpAddr) {
        self.open -= 1;
        if let Some(here) = self.addresses.get_mut(&address) {
            here.open -= 1;
            here.strangers.remove(&number);
            if here.open == 0 {
                self.addresses.remove(&address);
            }
        }
    }
}

impl Claim {
    /// Keeps the place from being given away, once the client has proved who it is. Returns false
    /// if it was given away already: then the connection is about to end.
    #[must_use = "a client whose place was given away must not be let in"]
    pub fn settle(&self) -> bool {
        let mut taken = self.seats.lock();
        let Some(stranger) = taken.strangers.remove(&self.number) else {
            return taken.guests.contains_key(&self.number);
        };
        if let Some(here) = taken.addresses.get_mut(&stranger.address) {
            here.strangers.remove(&self.number);
        }
        // It would tell the connection to go if it were dropped.
        taken.guests.insert(self.number, stranger.stays);
        true
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        let was_there =
            taken.strangers.remove(&self.number).is_some() || taken.guests.remove(&self.number).is_some();
        if was_there {
            taken.free(self.number, self.address);
            self.seats.open.send_replace(taken.open);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    #[test]
    fn known_clients_keep_their_places() {
        let seats = Seats::new(3, 2);
        let (first, mut first_goes) = seats.take(from(1)).unwrap();
        let (second, _) = seats.take(from(1)).unwrap();
        assert!(seats.claim(&first).settle() && seats.claim(&second).settle());
        assert_eq!(seats.take(from(1)).map(drop).unwrap_err(), Full::Address);
        let (third, _) = seats.take(from(2)).unwrap();
        assert!(seats.claim(&third).settle());
        assert_eq!(seats.take(from(3)).map(drop).unwrap_err(), Full::Total);
        assert!(first_goes.try_recv().is_err_and(|why| why == oneshot::error::TryRecvError::Empty));
        drop(first);
        assert_eq!(seats.open(), 2);
        assert!(seats.take(from(3)).is_ok());
    }

    #[test]
    fn the_oldest_stranger_gives_way() {
        let seats = Seats::new(3, 2);
        let (known, mut known_goes) = seats.take(from(1)).unwrap();
        assert!(seats.claim(&known).settle());
        let (stranger, mut stranger_goes) = seats.take(from(1)).unwrap();
        let (third, mut third_goes) = seats.take(from(1)).unwrap();
        let closed = |goes: &mut oneshot::Receiver<()>| {
            goes.try_recv().is_err_and(|why| why == oneshot::error::TryRecvError::Closed)
        };
        assert!(closed(&mut stranger_goes) && !closed(&mut known_goes) && !closed(&mut third_goes));
        assert!(!seats.claim(&stranger).settle(), "its place belongs to another");
        assert_eq!(seats.open(), 2);
        drop(stranger);
        assert_eq!(seats.open(), 2, "its place was counted already");
        let (_fourth, _) = seats.take(from(2)).unwrap();
        let (_fifth, _) = seats.take(from(3)).unwrap();
        assert!(closed(&mut third_goes), "the oldest of any address gives way when all is full");
        drop(third);
        assert_eq!(seats.open(), 3);
        seats.dismiss_strangers();
        assert_eq!(seats.open(), 1);
        drop(known);
        assert_eq!((seats.open(), seats.lock().addresses.len()), (0, 0));
    }
}
