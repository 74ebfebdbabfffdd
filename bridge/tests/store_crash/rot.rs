//! Bits that flip on a disk: an error, never a wrong answer.

use crate::script::{Look, life, message, perform};
use crate::{identity, options, run};
use gable::store::history::{Filter, History, Position, Row};
use gable::store::lossy::Lossy;
use gable::store::{Error, Mode, Store, history};
use gable_rules::LogIndex;
use redb::{ReadableTable, TableDefinition};
use std::sync::Arc;

const LOG: TableDefinition<u64, &[u8]> = TableDefinition::new("log");
const SNAPSHOT: TableDefinition<(u64, u32), &[u8]> = TableDefinition::new("snapshot");
const MESSAGES: TableDefinition<(u64, u32), &[u8]> = TableDefinition::new("messages");

/// Places all over an image, the same in each run.
fn places(len: usize, count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |n| (n * 2_654_435_761 + 17) % len)
}

/// Returns the image of a store that lived the whole script and was closed, and its look.
fn healthy_log() -> (Vec<u8>, Look) {
    run(async {
        let disk = Lossy::new();
        let store = Store::open_backend(disk.clone(), options()).unwrap();
        let mut look = Look::default();
        for step in life() {
            perform(&store, &look, &step).await.unwrap();
            look = look.after(&step);
        }
        drop(store);
        (disk.image(), look)
    })
}

/// Opens a damaged store and reads everything; returns what went wrong, if it was noticed.
fn read_log(image: Vec<u8>) -> Result<Look, String> {
    run(async {
        let store =
            Store::open_backend(Lossy::holding(image), options()).map_err(|error| error.to_string())?;
        Look::at(&store).await.map_err(|error| error.to_string())
    })
}

/// Damages a healthy image in many places, one at a time; no read may return anything else than
/// what was written.
fn check<T: PartialEq>(
    image: &[u8],
    truth: &T,
    read: impl Fn(Vec<u8>) -> Result<T, String>,
    damage: impl Fn(&mut [u8], usize),
    count: usize,
) {
    let mut noticed = 0;
    for place in places(image.len(), count) {
        let mut image = image.to_vec();
        damage(&mut image, place);
        match read(image) {
            Ok(seen) => assert!(seen == *truth, "wrong data after damage at byte {place}"),
            Err(_) => noticed += 1,
        }
    }
    assert!(noticed > 0, "no damage hit anything");
}

fn flip_a_bit(image: &mut [u8], place: usize) {
    image[place] ^= 1 << (place % 8);
}

fn zero_a_page(image: &mut [u8], place: usize) {
    let start = place / 4096 * 4096;
    let end = (start + 4096).min(image.len());
    image[start..end].fill(0);
}

#[test]
fn a_rotten_log_is_never_believed() {
    let (image, truth) = healthy_log();
    check(&image, &truth, read_log, flip_a_bit, 300);
    check(&image, &truth, read_log, zero_a_page, 100);
}

fn history_options() -> history::Options {
    history::Options { mode: Mode::Inline, ..history::Options::new(identity()) }
}

fn healthy_history() -> (Vec<u8>, Vec<Arc<Row>>) {
    run(async {
        let disk = Lossy::new();
        let history = History::open_backend(disk.clone(), history_options()).unwrap();
        for n in 1..400 {
            history.record(LogIndex(n), &[message(n, vec![n as u8; 500])], &[Vec::new()]).await.unwrap();
        }
        history.flush_through(LogIndex(400)).await.unwrap();
        let rows = history.page(Position::START, 1000, Filter::Everything).unwrap().rows;
        assert_eq!(rows.len(), 399);
        drop(history);
        (disk.image(), rows)
    })
}

fn read_history(image: Vec<u8>) -> Result<Vec<Arc<Row>>, String> {
    let history = History::open_backend(Lossy::holding(image), history_options());
    let history = history.map_err(|error| error.to_string())?;
    let page = history.page(Position::START, 1000, Filter::Everything).map_err(|error| error.to_string())?;
    Ok(page.rows)
}

#[test]
fn a_rotten_history_is_never_shown() {
    let (image, truth) = healthy_history();
    check(&image, &truth, read_history, flip_a_bit, 300);
    check(&image, &truth, read_history, zero_a_page, 100);
}

/// Changes one byte of one row behind the store's back, with redb's own checksums in order: what
/// remains is the row's.
fn spoil<K: redb::Key + 'static>(
    image: Vec<u8>,
    table: TableDefinition<K, &'static [u8]>,
    nth: usize,
) -> Vec<u8> {
    let disk = Lossy::holding(image);
    let redb = redb::Database::builder().create_with_backend(disk.clone()).unwrap();
    let txn = redb.begin_write().unwrap();
    {
        let mut table = txn.open_table(table).unwrap();
        let target = table.iter().unwrap().nth(nth).map(|row| {
            let (key, row) = row.unwrap();
            (K::as_bytes(&key.value()).as_ref().to_vec(), row.value().to_vec())
        });
        let (key, mut row) = target.expect("the table has that many rows");
        let last = row.len() - 1;
        row[last] ^= 0x10;
        table.insert(K::from_bytes(&key), row.as_slice()).unwrap();
    }
    txn.commit().unwrap();
    drop(redb);
    disk.image()
}

#[test]
fn a_spoiled_entry_is_named_when_the_store_opens() {
    let (image, look) = healthy_log();
    let index = look.entries[4].log_id.index;
    let error = Store::open_backend(Lossy::holding(spoil(image, LOG, 4)), options()).unwrap_err();
    assert!(
        matches!(&error, Error::Corrupt(text) if text.contains(&format!("log entry {index}"))),
        "{error}"
    );
}

#[test]
fn a_spoiled_snapshot_stops_the_store_when_it_is_read() {
    let (image, _) = healthy_log();
    let store = Store::open_backend(Lossy::holding(spoil(image, SNAPSHOT, 1)), options()).unwrap();
    let error = store.load_snapshot().unwrap_err();
    assert!(error.to_string().contains("chunk 1 of the snapshot"), "{error}");
    let reason = store.fatal().borrow().clone().expect("the store has stopped");
    assert!(reason.contains("chunk 1"), "{reason}");
}

#[test]
fn a_spoiled_history_row_is_named_and_the_others_are_shown() {
    let (image, rows) = healthy_history();
    let history =
        History::open_backend(Lossy::holding(spoil(image, MESSAGES, 10)), history_options()).unwrap();
    let page = history.page(Position::START, 10, Filter::Messages).unwrap();
    assert_eq!(page.rows, rows[..10]);
    let error = history.page(page.next, 10, Filter::Messages).unwrap_err();
    assert!(error.to_string().contains(&format!("history row {}", rows[10].position)), "{error}");
    let page = history.page(rows[10].position, 10, Filter::Messages).unwrap();
    assert_eq!(page.rows, rows[11..21]);
}
