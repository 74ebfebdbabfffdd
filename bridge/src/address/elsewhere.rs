//! Systems other than Linux: the settings refuse floating addresses there.

use super::keeper::{Fault, Link};
use gable_broker_config::FloatingAddress;
use tokio::time::Instant;

/// An interface that takes no address.
pub(super) struct Interface;

impl Interface {
    pub(super) fn new(_name: &str) -> Result<Interface, Fault> {
        Ok(Interface)
    }

    pub(super) async fn clear(&self, _address: FloatingAddress) -> Result<bool, Fault> {
        Err(unsupported())
    }
}

impl Link for Interface {
    async fn take(&mut self, _address: FloatingAddress, _until: Instant) -> Result<(), Fault> {
        Err(unsupported())
    }

    async fn remove(&mut self, _address: FloatingAddress) -> Result<(), Fault> {
        Err(unsupported())
    }

    fn announce(&mut self, _address: FloatingAddress) -> Result<(), Fault> {
        Err(unsupported())
    }
}

fn unsupported() -> Fault {
    Fault::Refused("floating addresses need Linux".to_owned())
}
