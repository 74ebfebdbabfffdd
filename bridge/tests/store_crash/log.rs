//! For every operation of the disk: cut the power there, start again, and look.
//!
//! What a start finds must be what the store looked like after one of the steps, and no earlier one
//! than the last that was reported to be on the disk.

use crate::script::{Look, Step, life, perform};
use crate::{formatted, options, run};
use gable::store::Store;
use gable::store::lossy::Lossy;

/// What was done before the power went.
struct Done {
    /// `looks[n]` is how the store looks after `n` steps.
    looks: Vec<Look>,
    /// Steps that were reported to be on the disk, all earlier ones included.
    promised: usize,
    boot: u64,
}

/// Runs the script until its end or until the disk fails, and cuts the power.
async fn live(disk: &Lossy, steps: &[Step], seed: u64) -> (Done, Lossy) {
    let mut done = Done { looks: vec![Look::default()], promised: 0, boot: 0 };
    let Ok(store) = Store::open_backend(disk.clone(), options()) else {
        return (done, disk.crash(seed));
    };
    done.boot = store.boot();
    for step in steps {
        let before = done.looks[done.looks.len() - 1].clone();
        done.looks.push(before.after(step));
        match perform(&store, &before, step).await {
            Ok(true) => done.promised = done.looks.len() - 1,
            Ok(false) => {}
            Err(_) => break,
        }
    }
    // The power goes before the store is dropped, so that it can not tidy up.
    (done, disk.crash(seed))
}

/// Starts again after the crash; an error says which promise was broken.
async fn check(disk: &Lossy, done: &Done) -> Result<(), String> {
    let store =
        Store::open_backend(disk.clone(), options()).map_err(|error| format!("does not open: {error}"))?;
    if store.boot() <= done.boot {
        return Err(format!("boot {} follows boot {}", store.boot(), done.boot));
    }
    let look = Look::at(&store).await.map_err(|error| format!("can not be read: {error}"))?;
    if !done.looks[done.promised..].contains(&look) {
        let steps = done.looks.len() - 1;
        return Err(format!("looks like after none of the steps from {} to {steps}", done.promised));
    }
    // Whatever it found, it goes on from there.
    for step in [Step::Vote(90), Step::Append(90, 3)] {
        perform(&store, &look, &step).await.map_err(|error| format!("does not go on: {error}"))?;
    }
    Ok(())
}

/// Cuts the power at operation `cut` of `disk`, and checks what survived.
fn crash_at(cut: u64, seed: u64, disk: &Lossy) -> Result<(), String> {
    disk.cut_after(cut);
    run(async {
        let (done, survivor) = live(disk, &life(), seed).await;
        // The next start meets a power cut as well.
        survivor.cut_after(seed % 7);
        drop(Store::open_backend(survivor.clone(), options()));
        check(&survivor.crash(seed), &done).await
    })
}

/// Returns how many operations the whole script takes.
fn operations() -> u64 {
    let disk = formatted();
    let (done, _) = run(live(&disk, &life(), 0));
    assert_eq!(done.promised, life().len(), "the script does not run through");
    disk.operations()
}

#[test]
fn a_crash_at_any_operation_breaks_no_promise() {
    let operations = operations();
    assert!(operations > 200, "{operations} operations are too few to find anything");
    for cut in 0..operations {
        for seed in 0..2 {
            let seed = cut * 2 + seed;
            if let Err(broken) = crash_at(cut, seed, &formatted()) {
                panic!("cut at operation {cut} of {operations}, seed {seed}: {broken}");
            }
        }
    }
}

#[test]
fn a_file_that_outgrew_its_content_is_compacted_at_the_next_start() {
    let disk = formatted();
    run(async {
        let store = Store::open_backend(disk.clone(), options()).unwrap();
        let mut look = Look::default();
        let grow = [Step::Append(1, 12_000), Step::Snapshot(11_900), Step::Purge(11_900)];
        // What is purged leaves with the commits that follow.
        for step in grow.into_iter().chain((0..700).map(|_| Step::Append(1, 1))) {
            perform(&store, &look, &step).await.unwrap();
            look = look.after(&step);
        }
        drop(store);
        let before = disk.image().len();
        assert!(before > 32 << 20, "the file is too small to be compacted: {before} bytes");
        let disk = Lossy::holding(disk.image());
        let store = Store::open_backend(disk.clone(), options()).unwrap();
        assert_eq!(Look::at(&store).await.unwrap(), look);
        let after = disk.image().len();
        assert!(after < before / 4, "{before} bytes became {after}");
    });
}

#[test]
fn a_disk_that_lies_about_syncing_is_found_out() {
    let operations = operations();
    let lying = || {
        let disk = formatted();
        disk.lie();
        disk
    };
    let cuts = (operations / 2..operations).step_by(7);
    let broken = cuts.filter(|cut| crash_at(*cut, *cut, &lying()).is_err());
    assert!(broken.count() > 10, "a missing fsync went unnoticed");
}
