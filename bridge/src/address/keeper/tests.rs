//! The keeper with an interface that only notes what it is asked.

use super::*;
use std::sync::{Arc, Mutex};
use tokio::time::sleep;

/// An interface that takes addresses as long as it is permitted.
#[derive(Clone, Default)]
struct Note(Arc<Mutex<Noted>>);

#[derive(Default)]
struct Noted {
    orders: Vec<String>,
    forbidden: bool,
}

impl Note {
    fn note(&self, what: String) -> Result<(), Fault> {
        let mut noted = self.0.lock().unwrap();
        if noted.forbidden {
            return Err(Fault::Permission);
        }
        // Repetitions depend on how fast this computer is.
        if noted.orders.last() != Some(&what) {
            noted.orders.push(what);
        }
        Ok(())
    }

    fn orders(&self) -> Vec<String> {
        self.0.lock().unwrap().orders.clone()
    }
}

impl Link for Note {
    async fn take(&mut self, address: FloatingAddress, _until: Instant) -> Result<(), Fault> {
        self.note(format!("take {address}"))
    }

    async fn remove(&mut self, address: FloatingAddress) -> Result<(), Fault> {
        self.note(format!("remove {address}"))
    }

    fn announce(&mut self, address: FloatingAddress) -> Result<(), Fault> {
        self.note(format!("announce {address}"))
    }
}

/// A leader by decree, whose majority answers as long as `answers` is true.
#[derive(Clone)]
struct Decree {
    leads: watch::Sender<bool>,
    answers: Arc<Mutex<bool>>,
}

impl Lead for Decree {
    fn leadership(&self) -> Leadership {
        let is_proved = *self.leads.borrow() && *self.answers.lock().unwrap();
        Leadership { term: 1, proved: is_proved.then(Instant::now) }
    }

    fn leading(&self) -> watch::Receiver<bool> {
        self.leads.subscribe()
    }
}

struct Trial {
    note: Note,
    decree: Decree,
    holds: watch::Receiver<bool>,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

fn start(addresses: &[&str]) -> Trial {
    let note = Note::default();
    let decree = Decree { leads: watch::Sender::new(false), answers: Arc::new(Mutex::new(true)) };
    let addresses: Vec<FloatingAddress> = addresses.iter().map(|address| address.parse().unwrap()).collect();
    let pace = Pace { lease: Duration::from_millis(100), look: Duration::from_millis(5) };
    let (hold, holds) = watch::channel(false);
    let (stop, stopped) = watch::channel(false);
    let keeper = Keeper::new(note.clone(), pace, &addresses);
    let task = tokio::spawn(keeper.run(decree.clone(), hold, stopped));
    Trial { note, decree, holds, stop, task }
}

impl Trial {
    async fn wait_until_held(&mut self, held: bool) {
        let waited = timeout(Duration::from_secs(10), self.holds.wait_for(|holds| *holds == held)).await;
        waited.expect("the keeper follows").expect("the keeper runs");
    }
}

const TAKEN: [&str; 2] = ["take 10.0.0.50/24", "announce 10.0.0.50/24"];

#[tokio::test]
async fn the_address_follows_the_leadership() {
    let mut trial = start(&["10.0.0.50/24"]);
    assert!(trial.note.orders().is_empty());
    trial.decree.leads.send_replace(true);
    trial.wait_until_held(true).await;
    assert_eq!(trial.note.orders(), TAKEN);
    trial.decree.leads.send_replace(false);
    trial.wait_until_held(false).await;
    assert_eq!(trial.note.orders().last().unwrap(), "remove 10.0.0.50/24");
}

#[tokio::test]
async fn a_leader_without_a_majority_gives_it_up() {
    let mut trial = start(&["10.0.0.50/24", "fd00::50/64"]);
    trial.decree.leads.send_replace(true);
    trial.wait_until_held(true).await;
    *trial.decree.answers.lock().unwrap() = false;
    trial.wait_until_held(false).await;
    let orders = trial.note.orders();
    assert_eq!(orders[orders.len() - 2..], ["remove 10.0.0.50/24", "remove fd00::50/64"]);
    *trial.decree.answers.lock().unwrap() = true;
    trial.wait_until_held(true).await;
}

#[tokio::test]
async fn a_stop_gives_it_up() {
    let mut trial = start(&["10.0.0.50/24"]);
    trial.decree.leads.send_replace(true);
    trial.wait_until_held(true).await;
    trial.stop.send_replace(true);
    trial.task.await.unwrap();
    assert_eq!(trial.note.orders().last().unwrap(), "remove 10.0.0.50/24");
    assert!(!*trial.holds.borrow());
}

#[tokio::test]
async fn what_is_forbidden_stops_nothing() {
    let mut trial = start(&["10.0.0.50/24"]);
    trial.note.0.lock().unwrap().forbidden = true;
    trial.decree.leads.send_replace(true);
    sleep(Duration::from_millis(50)).await;
    assert!(!*trial.holds.borrow());
    // Rights that are given later count at the next attempt.
    trial.note.0.lock().unwrap().forbidden = false;
    trial.wait_until_held(true).await;
}

#[tokio::test]
async fn without_addresses_the_lease_alone_counts() {
    let mut trial = start(&[]);
    trial.decree.leads.send_replace(true);
    trial.wait_until_held(true).await;
    trial.decree.leads.send_replace(false);
    trial.wait_until_held(false).await;
}
