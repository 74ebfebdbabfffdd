//! One address for devices: floating addresses that the leader sets up, and names by mDNS.
//!
//! A device that knows one address of the cluster reaches the node that leads, whichever that is.
//! Nothing here decides what is committed: two nodes that answered for one address for a moment
//! would still be one leader and one follower.

mod holder;
mod keeper;
mod names;

#[cfg(target_os = "linux")]
mod frames;
#[cfg_attr(not(target_os = "linux"), path = "address/elsewhere.rs")]
mod interface;

use crate::raft::{Replica, Timing};
use gable_broker_config::{Address, FloatingAddress, Settings};
use interface::Interface;
use keeper::{Fault, Keeper, Pace};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::{error, warn};

/// How long a stop waits for the address to be removed and the names to be withdrawn, each.
const STOP_LIMIT: Duration = Duration::from_millis(500);

/// Why a node must not start with these floating addresses.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{address} is the machine's own address on {interface}: no other node could take it over")]
    OwnAddress { address: FloatingAddress, interface: String },
}

/// Removes floating addresses that an earlier run of this node left. It comes before everything
/// else at a start: another node may hold them.
pub(crate) async fn clear(settings: &Address) -> Result<(), Error> {
    let Some(name) = settings.interface.as_ref().filter(|_| !settings.floating.is_empty()) else {
        return Ok(());
    };
    for address in &settings.floating {
        let cleared = match Interface::new(name) {
            Ok(interface) => interface.clear(*address).await,
            Err(fault) => Err(fault),
        };
        match cleared {
            Ok(true) => {}
            Ok(false) => {
                return Err(Error::OwnAddress { address: *address, interface: name.clone() });
            }
            Err(fault @ Fault::NoInterface(_)) => {
                warn!(address = %address, fault = %fault, "no leftover to remove")
            }
            Err(fault) => {
                error!(address = %address, fault = %fault, "could not look for a leftover of the floating address");
            }
        }
    }
    Ok(())
}

/// What devices find of this node.
pub(crate) struct Presence {
    stop: watch::Sender<bool>,
    holds: watch::Receiver<bool>,
    keeper: Option<JoinHandle<()>>,
    names: Option<JoinHandle<()>>,
}

impl Presence {
    /// Starts what the settings ask for. `recovered` tells when this node serves.
    pub(crate) fn start(
        settings: &Settings,
        replica: &Replica,
        recovered: watch::Receiver<bool>,
    ) -> Presence {
        let (stop, stopped) = watch::channel(false);
        let (hold, holds) = watch::channel(false);
        let Address { floating, interface, mdns, name: _ } = &settings.address;
        let keeper = (*mdns || !floating.is_empty()).then(|| {
            Interface::new(interface.as_deref().unwrap_or_default()).map(|link| {
                let keeper = Keeper::new(link, pace(replica.timing()), floating);
                tokio::spawn(keeper.run(replica.clone(), hold, stopped.clone()))
            })
        });
        let keeper = match keeper.transpose() {
            Ok(keeper) => keeper,
            Err(fault) => {
                error!(fault = %fault, "floating addresses are out of use; the node goes on");
                None
            }
        };
        let names =
            mdns.then(|| tokio::spawn(names::run(settings.clone(), recovered, holds.clone(), stopped)));
        Presence { stop, holds, keeper, names }
    }

    /// Tells whether devices reach this node under the cluster's address or name.
    pub(crate) fn holds(&self) -> watch::Receiver<bool> {
        self.holds.clone()
    }

    /// Gives address and names up. It must come before leadership is handed over: a leader that
    /// others are asked to elect at once has no lease left.
    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        for task in [self.keeper, self.names].into_iter().flatten() {
            let abort = task.abort_handle();
            if timeout(STOP_LIMIT, task).await.is_err() {
                warn!("the floating address or its name could not be given up in time");
                abort.abort();
            }
        }
    }
}

/// A majority votes for nobody else until the longest election timeout has passed since it answered
/// the leader; the address is gone a quarter of that earlier, for what is slow about removing it.
fn pace(timing: Timing) -> Pace {
    Pace { lease: timing.election_max * 3 / 4, look: timing.heartbeat / 2 }
}
