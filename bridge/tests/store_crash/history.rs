//! The history over crashes: after the log was applied again, every row is there once.

use crate::script::message;
use crate::{formatted, identity, run};
use gable::store::history::{Filter, History, Options, Position, Row};
use gable::store::lossy::Lossy;
use gable::store::{Error, Mode};
use gable_devices::{EntityId, Millis};
use gable_rules::{Effect, LogIndex};
use std::sync::Arc;

/// Log entries of the script, and what they are.
const ENTRIES: u64 = 300;

fn options() -> Options {
    Options { mode: Mode::Inline, ..Options::new(identity()) }
}

fn effects(n: u64) -> Vec<Effect> {
    let entity_id: EntityId = "light.hall".parse().unwrap();
    let to = n.to_string();
    (0..n % 3)
        .map(|_| Effect::EntityChanged { entity_id: entity_id.clone(), from: String::new(), to: to.clone() })
        .collect()
}

/// Applies entries `from..=ENTRIES` as a node does: records each, and flushes before each snapshot.
/// Returns up to where it was told that the history is on the disk.
async fn apply(history: &History, from: u64) -> (u64, Result<(), Error>) {
    let mut promised = 0;
    for n in from..=ENTRIES {
        let inputs: Vec<_> = (0..1 + n % 2).map(|k| message(n * 2 + k, vec![n as u8; 200])).collect();
        let effects = vec![effects(n); inputs.len()];
        if let Err(error) = history.record(LogIndex(n), &inputs, &effects).await {
            return (promised, Err(error));
        }
        if n % 50 == 0 {
            match history.flush_through(LogIndex(n)).await {
                Ok(()) => promised = n,
                Err(error) => return (promised, Err(error)),
            }
        }
    }
    (promised, Ok(()))
}

fn everything(history: &History) -> Vec<Arc<Row>> {
    let (mut rows, mut after) = (Vec::new(), Position::START);
    loop {
        let page = history.page(after, 37, Filter::Everything).unwrap();
        if page.rows.is_empty() {
            return rows;
        }
        after = page.next;
        rows.extend(page.rows);
    }
}

async fn truth_of(disk: Lossy) -> Vec<Arc<Row>> {
    let history = History::open_backend(disk, options()).unwrap();
    apply(&history, 1).await.1.unwrap();
    everything(&history)
}

fn truth() -> Vec<Arc<Row>> {
    run(truth_of(Lossy::new()))
}

/// Cuts the power at operation `cut`, applies the log again from the last snapshot, and compares.
fn crash_at(cut: u64, seed: u64, disk: &Lossy, truth: &[Arc<Row>]) -> Result<(), String> {
    disk.cut_after(cut);
    run(async {
        let (promised, survivor) = match History::open_backend(disk.clone(), options()) {
            Ok(history) => (apply(&history, 1).await.0, disk.crash(seed)),
            Err(_) => (0, disk.crash(seed)),
        };
        let history = History::open_backend(survivor, options()).map_err(|error| error.to_string())?;
        if history.recorded().0 < promised {
            return Err(format!("{promised} was promised, {} is there", history.recorded()));
        }
        apply(&history, promised + 1).await.1.map_err(|error| error.to_string())?;
        if everything(&history) == truth { Ok(()) } else { Err("rows are missing or doubled".to_owned()) }
    })
}

#[test]
fn a_crash_at_any_operation_leaves_no_gap_and_no_double() {
    let truth = truth();
    let disk = formatted();
    run(async {
        let history = History::open_backend(disk.clone(), options()).unwrap();
        apply(&history, 1).await.1.unwrap();
    });
    let operations = disk.operations();
    assert!(operations > 100, "{operations} operations are too few to find anything");
    for cut in 0..operations {
        if let Err(broken) = crash_at(cut, cut, &formatted(), &truth) {
            panic!("cut at operation {cut} of {operations}: {broken}");
        }
    }
}

#[test]
fn a_history_on_a_lying_disk_is_found_out() {
    let truth = truth();
    let broken = (100..200).step_by(5).filter(|cut| {
        let disk = formatted();
        disk.lie();
        crash_at(*cut, *cut, &disk, &truth).is_err()
    });
    assert!(broken.count() > 3, "a missing fsync went unnoticed");
}

#[test]
fn rows_that_wait_for_the_disk_are_seen() {
    run(async {
        let history = History::open_backend(Lossy::new(), options()).unwrap();
        for n in 1..=100 {
            history.record(LogIndex(n), &[message(n, Vec::new())], &[Vec::new()]).await.unwrap();
            let page = history.page(Position::before(n), 10, Filter::Messages).unwrap();
            assert_eq!(page.rows.len(), 1, "message {n} is not seen");
            assert_eq!(page.rows[0].position.log_index, n);
        }
        assert_eq!(everything(&history).len(), 100);
    });
}

#[test]
fn an_entry_that_comes_again_is_passed_over() {
    let truth = truth();
    run(async {
        let history = History::open_backend(Lossy::new(), options()).unwrap();
        apply(&history, 1).await.1.unwrap();
        apply(&history, 1).await.1.unwrap();
        assert_eq!(everything(&history), truth);
    });
}

#[test]
fn pages_of_any_size_show_the_same() {
    run(async {
        let history = History::open_backend(Lossy::new(), options()).unwrap();
        apply(&history, 1).await.1.unwrap();
        let whole = history.page(Position::START, 10_000, Filter::Messages).unwrap().rows;
        for limit in [1, 2, 100] {
            let (mut rows, mut after) = (Vec::new(), Position::START);
            loop {
                let page = history.page(after, limit, Filter::Messages).unwrap();
                if page.rows.is_empty() {
                    break;
                }
                // People continue after the number that they were shown.
                after = Position::after_index(page.rows.last().unwrap().position.index());
                rows.extend(page.rows);
            }
            assert_eq!(rows, whole, "with pages of {limit}");
        }
    });
}

#[test]
fn a_gap_is_filled_from_a_peer_and_hides_what_follows_until_then() {
    run(async {
        let peer = History::open_backend(Lossy::new(), options()).unwrap();
        apply(&peer, 1).await.1.unwrap();
        peer.flush_through(LogIndex(ENTRIES)).await.unwrap();
        let truth = everything(&peer);

        let disk = Lossy::new();
        let node = History::open_backend(disk.clone(), options()).unwrap();
        node.restored(LogIndex(200)).await.unwrap();
        apply(&node, 201).await.1.unwrap();
        assert_eq!(node.gaps().unwrap(), [(LogIndex(1), LogIndex(200))]);
        let page = node.page(Position::START, 10, Filter::Everything).unwrap();
        assert!(page.rows.is_empty() && page.stops_at_gap);

        drop(node);
        let node = History::open_backend(Lossy::holding(disk.image()), options()).unwrap();
        let mut chunks = 0;
        while let Some((from, until)) = node.gaps().unwrap().first().copied() {
            let chunk = peer.rows_between(from, until, 4_000).unwrap();
            assert!(chunk.through >= from, "a chunk without progress");
            node.ingest(&chunk).unwrap();
            let seen = everything(&node);
            assert_eq!(seen, truth[..seen.len()], "after {chunks} chunks");
            chunks += 1;
        }
        assert!(chunks > 5, "{chunks} chunks prove nothing");
        assert_eq!(everything(&node), truth);
    });
}

#[test]
fn entries_that_told_nothing_leave_no_gap() {
    run(async {
        let disk = Lossy::new();
        let node = History::open_backend(disk.clone(), options()).unwrap();
        node.record(LogIndex(1), &[message(1, Vec::new())], &[Vec::new()]).await.unwrap();
        // Entries 2 to 5 are the members' and a new leader's.
        node.flush_through(LogIndex(5)).await.unwrap();
        let survivor = disk.crash(1);
        let node = History::open_backend(survivor, options()).unwrap();
        node.restored(LogIndex(5)).await.unwrap();
        assert_eq!(node.gaps().unwrap(), []);
    });
}

#[test]
fn with_a_thread_rows_are_seen_at_once_and_kept_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options::new(identity());
    run(async {
        let history = History::open(folder.path(), options.clone()).unwrap();
        apply(&history, 1).await.1.unwrap();
        assert_eq!(everything(&history), truth_of(Lossy::new()).await);
        let before = history.metrics().commits;
        history.flush_through(LogIndex(ENTRIES)).await.unwrap();
        history.flush_through(LogIndex(ENTRIES)).await.unwrap();
        assert!(history.metrics().commits <= before + 1, "rows do not share commits");
    });
    run(async {
        let history = History::open(folder.path(), options).unwrap();
        assert_eq!(history.recorded(), LogIndex(ENTRIES));
        assert_eq!(everything(&history), truth_of(Lossy::new()).await);
    });
}

#[test]
fn a_peer_with_a_gap_gives_nothing_beyond_it() {
    run(async {
        let peer = History::open_backend(Lossy::new(), options()).unwrap();
        peer.restored(LogIndex(100)).await.unwrap();
        apply(&peer, 101).await.1.unwrap();
        let chunk = peer.rows_between(LogIndex(50), LogIndex(200), 1 << 20).unwrap();
        assert!(chunk.rows.is_empty() && chunk.through < LogIndex(50), "{chunk:?}");
        assert_eq!(chunk.lacks_until, Some(LogIndex(100)));
    });
}

#[test]
fn the_oldest_rows_go_when_there_are_too_many() {
    let truth = truth();
    run(async {
        let options = Options { keep_bytes: 20_000, ..options() };
        let history = History::open_backend(Lossy::new(), options).unwrap();
        apply(&history, 1).await.1.unwrap();
        history.flush_through(LogIndex(ENTRIES)).await.unwrap();
        let rows = everything(&history);
        assert!(!rows.is_empty() && rows.len() < 200, "{} rows are kept", rows.len());
        assert_eq!(rows, truth[truth.len() - rows.len()..], "what is kept is not the newest");
        assert_eq!(history.kept_from().0, rows[0].position.log_index);
    });
}

#[test]
fn rows_go_when_they_are_too_old() {
    run(async {
        // A message comes about every two seconds of the home's time.
        let options = Options { keep_for: Millis::from_secs(100), ..options() };
        let history = History::open_backend(Lossy::new(), options).unwrap();
        apply(&history, 1).await.1.unwrap();
        history.flush_through(LogIndex(ENTRIES)).await.unwrap();
        let rows = everything(&history);
        let span = rows.last().unwrap().at.since(rows[0].at);
        assert!(span <= Millis::from_secs(100) && span > Millis::from_secs(80), "{span}");
    });
}

#[test]
fn the_cache_changes_nothing_but_speed() {
    use gable::store::ReadCache;
    use gable_rules::Policy;
    run(async {
        let history =
            History::open_backend(Lossy::new(), Options { keep_bytes: 40_000, ..options() }).unwrap();
        let caches = [
            (Policy::Lru, 0),
            (Policy::Lru, 1),
            (Policy::Fifo, 1),
            (Policy::Lru, 1000),
            (Policy::Fifo, 1000),
        ]
        .map(|(policy, capacity)| ReadCache::new(history.clone(), policy, capacity));
        for n in 1..=ENTRIES {
            history.record(LogIndex(n), &[message(n, vec![0; 300])], &[effects(n)]).await.unwrap();
            for after in [Position::START, Position::before(n / 2), Position::before(n.saturating_sub(9))] {
                let truth = history.page(after, 5, Filter::Messages).unwrap();
                for cache in &caches {
                    assert_eq!(*cache.page(after, 5, Filter::Messages).unwrap(), truth);
                }
            }
        }
        assert!(history.kept_from() > LogIndex(1), "nothing was removed while the caches were tried");
        assert!(caches[3].counters().0.hits > 0);
    });
}

#[test]
fn a_history_of_another_node_is_refused() {
    let disk = Lossy::new();
    drop(History::open_backend(disk.clone(), options()).unwrap());
    let mut other = options();
    other.identity.node = gable_rules::NodeId(2);
    let error = History::open_backend(Lossy::holding(disk.image()), other).unwrap_err();
    assert!(matches!(error, Error::OtherOwner { .. }), "{error}");
}
