//! A disk in memory that loses what was not synced, for tests and the simulation.
//!
//! It keeps what is certain (synced) apart from what a running machine sees. At a crash each write
//! since the last sync is kept, dropped or torn at 512 bytes, as its seed decides: a real disk's
//! cache promises no more. It can also run full, flip bits, and lie about syncing, to show that
//! the tests notice.

use redb::StorageBackend;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// A disk that can crash. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct Lossy(Arc<Mutex<Disk>>);

struct Disk {
    durable: Vec<u8>,
    seen: Vec<u8>,
    unsynced: Vec<Change>,
    operations: u64,
    cut_at: Option<u64>,
    capacity: Option<u64>,
    lying: bool,
    dead: bool,
}

enum Change {
    Write { offset: usize, data: Vec<u8> },
    SetLen(usize),
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes, {} operations", self.seen.len(), self.operations)
    }
}

impl Default for Lossy {
    fn default() -> Lossy {
        Lossy::new()
    }
}

impl Lossy {
    /// An empty disk.
    pub fn new() -> Lossy {
        Lossy::holding(Vec::new())
    }

    /// A disk on which `image` is certain.
    pub fn holding(image: Vec<u8>) -> Lossy {
        Lossy(Arc::new(Mutex::new(Disk {
            durable: image.clone(),
            seen: image,
            unsynced: Vec::new(),
            operations: 0,
            cut_at: None,
            capacity: None,
            lying: false,
            dead: false,
        })))
    }

    /// Cuts the power: returns the disk as the next start finds it. Whoever still holds this one
    /// gets errors only.
    pub fn crash(&self, seed: u64) -> Lossy {
        let mut disk = self.disk();
        disk.dead = true;
        let mut dice = Dice(seed);
        let mut image = disk.durable.clone();
        for change in std::mem::take(&mut disk.unsynced) {
            match (dice.roll() % 3, change) {
                (0, change) => change.apply(&mut image),
                (1, _) | (_, Change::SetLen(_)) => {}
                (_, Change::Write { offset, data }) => tear(&mut dice, &mut image, offset, &data),
            }
        }
        Lossy::holding(image)
    }

    /// Lets the `n`-th write, resize or sync from now on fail, and everything after it.
    pub fn cut_after(&self, n: u64) {
        let mut disk = self.disk();
        disk.cut_at = Some(disk.operations + n);
    }

    /// Returns how many writes, resizes and syncs there were.
    pub fn operations(&self) -> u64 {
        self.disk().operations
    }

    /// Lets the disk be full at `bytes`.
    pub fn limit(&self, bytes: u64) {
        self.disk().capacity = Some(bytes);
    }

    /// Lets every later sync report success and do nothing.
    pub fn lie(&self) {
        self.disk().lying = true;
    }

    /// Returns what a running machine sees.
    pub fn image(&self) -> Vec<u8> {
        self.disk().seen.clone()
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk {
    /// Counts an operation that changes the disk. The one that meets the cut still reaches the
    /// disk's cache: the power goes while it is under way.
    fn change(&mut self, change: Option<Change>) -> io::Result<()> {
        if self.dead || self.cut_at.is_some_and(|cut| self.operations > cut) {
            return Err(io::Error::other("the power is cut"));
        }
        self.operations += 1;
        if let Some(change) = change {
            change.apply(&mut self.seen);
            self.unsynced.push(change);
        }
        if self.cut_at.is_some_and(|cut| self.operations > cut) {
            return Err(io::Error::other("the power is cut"));
        }
        Ok(())
    }

    fn room_for(&self, end: u64) -> io::Result<()> {
        match self.capacity {
            Some(capacity) if end > capacity => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }
}

impl Change {
    fn apply(&self, image: &mut Vec<u8>) {
        match self {
            Change::SetLen(len) => image.resize(*len, 0),
            Change::Write { offset, data } => put(image, *offset, data),
        }
    }
}

fn put(image: &mut Vec<u8>, offset: usize, data: &[u8]) {
    let end = offset + data.len();
    if image.len() < end {
        image.resize(end, 0);
    }
    image[offset..end].copy_from_slice(data);
}

/// Writes a random part of the sectors that `data` touches.
fn tear(dice: &mut Dice, image: &mut Vec<u8>, offset: usize, data: &[u8]) {
    let mut at = 0;
    while at < data.len() {
        let len = (SECTOR - (offset + at) % SECTOR).min(data.len() - at);
        if dice.roll() & 1 == 0 {
            put(image, offset + at, &data[at..at + len]);
        }
        at += len;
    }
}

impl StorageBackend for Lossy {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk().seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let disk = self.disk();
        if disk.dead {
            return Err(io::Error::other("the power is cut"));
        }
        let start = to_usize(offset)?;
        let end = start.checked_add(out.len()).filter(|end| *end <= disk.seen.len());
        let end = end.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        out.copy_from_slice(&disk.seen[start..end]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut disk = self.disk();
        disk.room_for(len)?;
        disk.change(Some(Change::SetLen(to_usize(len)?)))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut disk = self.disk();
        disk.change(None)?;
        if !disk.lying {
            let Disk { durable, unsynced, .. } = &mut *disk;
            for change in unsynced.drain(..) {
                change.apply(durable);
            }
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut disk = self.disk();
        disk.room_for(offset.saturating_add(data.len() as u64))?;
        disk.change(Some(Change::Write { offset: to_usize(offset)?, data: data.to_vec() }))
    }
}

fn to_usize(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(io::Error::other)
}

/// SplitMix64 (Steele, Lea and Flood, 2014): small, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(disk: &Lossy, len: usize) -> Vec<u8> {
        let mut out = vec![0; len];
        disk.read(0, &mut out).unwrap();
        out
    }

    #[test]
    fn what_was_synced_survives_every_crash() {
        for seed in 0..100 {
            let disk = Lossy::new();
            disk.write(0, b"kept").unwrap();
            disk.sync_data().unwrap();
            assert_eq!(read(&disk.crash(seed), 4), b"kept");
        }
    }

    #[test]
    fn what_was_not_synced_is_kept_dropped_or_torn() {
        let outcomes: std::collections::BTreeSet<Vec<u8>> = (0..100)
            .map(|seed| {
                let disk = Lossy::holding(vec![0; 1024]);
                disk.write(0, &[1; 1024]).unwrap();
                let image = disk.crash(seed).image();
                vec![image[0], image[511], image[512], image[1023]]
            })
            .collect();
        assert_eq!(outcomes.len(), 4, "{outcomes:?}");
        assert!(outcomes.iter().all(|image| image[0] == image[1] && image[2] == image[3]));
    }

    #[test]
    fn a_disk_that_lies_loses_what_it_said_it_had() {
        let lost = (0..100).any(|seed| {
            let disk = Lossy::holding(vec![0; 512]);
            disk.lie();
            disk.write(0, &[1; 512]).unwrap();
            disk.sync_data().unwrap();
            disk.crash(seed).image()[0] == 0
        });
        assert!(lost);
    }

    #[test]
    fn nothing_works_after_the_cut() {
        let disk = Lossy::new();
        disk.cut_after(1);
        disk.write(0, b"a").unwrap();
        disk.write(1, b"b").unwrap_err();
        disk.sync_data().unwrap_err();
    }

    #[test]
    fn a_full_disk_says_so() {
        let disk = Lossy::new();
        disk.limit(4);
        disk.write(0, b"1234").unwrap();
        assert_eq!(disk.write(4, b"5").unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
