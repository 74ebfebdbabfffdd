//! A disk that runs full: the store stops, says why, and has lost nothing that it acknowledged.

use crate::script::{Look, Step, perform};
use crate::{options, run};
use gable::store::Store;
use gable::store::lossy::Lossy;
use std::io::ErrorKind;

#[test]
fn a_full_disk_stops_the_store_and_loses_nothing() {
    run(async {
        let disk = Lossy::new();
        let store = Store::open_backend(disk.clone(), options()).unwrap();
        disk.limit(disk.image().len() as u64 + (1 << 20));
        let mut look = Look::default();
        let error = loop {
            let step = Step::Append(1, 20);
            match perform(&store, &look, &step).await {
                Ok(_) => look = look.after(&step),
                Err(error) => break error,
            }
        };
        assert!(look.entries.len() > 20, "the disk was full at once");
        assert!(error.to_string().contains("is full"), "{error}");
        let reason = store.fatal().borrow().clone().expect("the store has stopped");
        assert!(reason.contains("is full"), "{reason}");
        // Room alone does not bring it back: nobody knows what the failed commit left behind.
        disk.limit(u64::MAX);
        let again = perform(&store, &look, &Step::Vote(7)).await.unwrap_err();
        assert!(again.to_string().contains("has stopped"), "{again}");
        assert_eq!(again.kind(), ErrorKind::Other);

        let store = Store::open_backend(disk.crash(1), options()).unwrap();
        assert_eq!(Look::at(&store).await.unwrap(), look);
        perform(&store, &look, &Step::Append(2, 100)).await.unwrap();
    });
}
