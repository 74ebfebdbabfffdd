//! Follows this node's leadership, and has the addresses set up and removed as [`Holder`] decides.

use super::holder::{Holder, Order, Outcome};
use crate::raft::{Leadership, Replica};
use gable_broker_config::FloatingAddress;
use std::future::Future;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, error, info, warn};

/// The kernel answers within microseconds; one that does not is not waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// Why an address could not be set up, removed or announced.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error(
        "not permitted: run the node as root or with CAP_NET_ADMIN and CAP_NET_RAW (systemd: AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW)"
    )]
    Permission,
    #[error("there is no interface {0}")]
    NoInterface(String),
    #[error("{0} has no address of its own yet; the floating one waits for it")]
    NoOwnAddress(String),
    #[error("the lease ended before the address could be set up")]
    TooLate,
    #[error("the kernel did not answer within {PATIENCE:?}")]
    NoAnswer,
    #[error("{0}")]
    Refused(String),
}

/// The interface that takes the addresses.
pub(super) trait Link: Send {
    /// Sets the address up, or tells the kernel a new end for it, but not after `until`.
    fn take(
        &mut self,
        address: FloatingAddress,
        until: Instant,
    ) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Removes the address if it is there.
    fn remove(&mut self, address: FloatingAddress) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Tells the neighbours that the address is here now.
    fn announce(&mut self, address: FloatingAddress) -> Result<(), Fault>;
}

/// Where the keeper learns whether this node leads.
pub(super) trait Lead: Send {
    fn leadership(&self) -> Leadership;
    /// Tells when the answer may be another one, beside new proofs.
    fn leading(&self) -> watch::Receiver<bool>;
}

impl Lead for Replica {
    fn leadership(&self) -> Leadership {
        Replica::leadership(self)
    }

    fn leading(&self) -> watch::Receiver<bool> {
        Replica::leading(self)
    }
}

/// The pace that follows from the cluster's timing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// How long a proof counts: shorter than the time for which a majority votes for nobody else.
    pub(super) lease: Duration,
    /// How often a leader looks for a newer proof.
    pub(super) look: Duration,
}

/// The addresses and what is done with each.
pub(super) struct Keeper<L> {
    link: L,
    pace: Pace,
    /// Decides whether the name may be told, also if there are no addresses.
    crown: Holder,
    holders: Vec<(FloatingAddress, Holder)>,
    /// The last fault that was logged, so that it is not logged with every attempt.
    told: Option<String>,
}

impl<L: Link> Keeper<L> {
    pub(super) fn new(link: L, pace: Pace, addresses: &[FloatingAddress]) -> Keeper<L> {
        let holders = addresses.iter().map(|address| (*address, Holder::new(pace.lease))).collect();
        Keeper { link, pace, crown: Holder::new(pace.lease), holders, told: None }
    }

    /// Keeps the addresses where they belong until it is told to stop, and then removes them.
    /// `holds` says whether devices reach this node as the leader.
    pub(super) async fn run(
        mut self,
        lead: impl Lead,
        holds: watch::Sender<bool>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut leading = lead.leading();
        loop {
            let is_leading = *leading.borrow_and_update();
            let wake = self.step(&lead, &holds, is_leading).await;
            let woken = async {
                match wake {
                    Some(wake) => sleep_until(wake).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // An error means that the node is gone, which is a stop as well.
                _ = stop.wait_for(|stop| *stop) => break,
                changed = leading.changed() => if changed.is_err() { break },
                () = woken => {}
            }
        }
        holds.send_replace(false);
        let nobody = Leadership { term: u64::MAX, proved: None };
        for (address, holder) in &mut self.holders {
            keep(&mut self.link, &mut self.told, *address, holder, || nobody).await;
        }
    }

    /// Does what is due, and returns when to look again.
    async fn step(&mut self, lead: &impl Lead, holds: &watch::Sender<bool>, leads: bool) -> Option<Instant> {
        for (address, holder) in &mut self.holders {
            keep(&mut self.link, &mut self.told, *address, holder, || lead.leadership()).await;
        }
        let now = Instant::now();
        let lease = self.crown.lease(now, lead.leadership());
        let is_reached = self.holders.is_empty() || self.holders.iter().any(|(_, holder)| holder.holds());
        holds.send_if_modified(|held| {
            let holds = lease.is_some() && is_reached;
            std::mem::replace(held, holds) != holds
        });
        let any_held = self.holders.iter().any(|(_, holder)| holder.holds());
        let due = self.holders.iter().filter_map(|(_, holder)| holder.wake()).min();
        let look = (leads || any_held || lease.is_some()).then(|| now + self.pace.look);
        // What was due while this node could not act on it waits for a change.
        [due.filter(|due| look.is_some() && *due > now), look, lease].into_iter().flatten().min()
    }
}

/// Carries out what is due for one address. The leadership is looked at anew before each order.
async fn keep(
    link: &mut impl Link,
    told: &mut Option<String>,
    address: FloatingAddress,
    holder: &mut Holder,
    leadership: impl Fn() -> Leadership,
) {
    while let Some(order) = holder.decide(Instant::now(), leadership()) {
        let done = match order {
            Order::Take { until, .. } | Order::Renew { until } => {
                timeout(PATIENCE, link.take(address, until)).await.unwrap_or(Err(Fault::NoAnswer))
            }
            Order::Announce { until } if Instant::now() < until => link.announce(address),
            Order::Announce { .. } => Err(Fault::TooLate),
            Order::Remove => timeout(PATIENCE, link.remove(address)).await.unwrap_or(Err(Fault::NoAnswer)),
        };
        tell(told, address, order, &done);
        let outcome = match done {
            Ok(()) => Outcome::Done,
            Err(Fault::TooLate) => Outcome::TooLate,
            Err(_) => Outcome::Refused,
        };
        holder.done(Instant::now(), order, outcome);
        if outcome == Outcome::TooLate {
            // The other addresses come first.
            return;
        }
    }
}

fn tell(told: &mut Option<String>, address: FloatingAddress, order: Order, done: &Result<(), Fault>) {
    match (order, done) {
        (Order::Take { term, .. }, Ok(())) => {
            info!(address = %address, term, "took the floating address");
            *told = None;
        }
        (Order::Remove, Ok(())) => info!(address = %address, "gave the floating address up"),
        (Order::Renew { .. } | Order::Announce { .. }, Ok(())) => {
            debug!(address = %address, ?order, "keeps the floating address");
        }
        (_, Err(Fault::TooLate)) => warn!(address = %address, "the lease of the floating address ran out"),
        (_, Err(fault)) => {
            let (what, fault) = (word(order), fault.to_string());
            if told.as_ref() != Some(&fault) {
                error!(address = %address, fault, "could not {what} the floating address; the node goes on");
                *told = Some(fault);
            }
        }
    }
}

fn word(order: Order) -> &'static str {
    match order {
        Order::Take { .. } => "take",
        Order::Renew { .. } => "renew",
        Order::Announce { .. } => "announce",
        Order::Remove => "remove",
    }
}

#[cfg(test)]
mod tests;
