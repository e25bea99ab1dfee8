//! One document by several names, and by another one than before.

use std::time::Duration;

use super::support::{World, key};
use crate::backend::BackendErrorKind;
use crate::reason::Reason;
use crate::store::{add_name, rename};

#[tokio::test(start_paused = true)]
async fn a_document_that_is_renamed_at_any_moment_of_its_upload_gets_there() {
    // A call takes 10 s; DWS has the document after 5.
    for second in 0..=12 {
        let mut world = World::new().await;
        world.dws.set_latency(Duration::from_secs(10));
        world.capture(&key("old"), b"one").await;
        tokio::time::sleep(Duration::from_secs(second)).await;
        rename(&*world.store, &key("old"), &key("new")).await.unwrap();
        // The app may use the old name again at once.
        world.capture(&key("old"), b"another").await;
        world.settle().await;
        assert_eq!(world.delivered(&key("new")).await.unwrap(), b"one");
        assert_eq!(world.delivered(&key("old")).await.unwrap(), b"another");
        assert_eq!(world.dws.documents().len(), 2, "after {second} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rename_outlives_a_restart_and_an_outage() {
    let mut world = World::new().await;
    world.dws.set_down(Some(BackendErrorKind::Unreachable));
    world.capture(&key("old"), b"one").await;
    rename(&*world.store, &key("old"), &key("new")).await.unwrap();
    world.restart().await;
    world.dws.set_down(None);
    world.settle().await;
    assert_eq!(world.delivered(&key("new")).await.unwrap(), b"one");
    assert_eq!((world.dws.documents().len(), world.files.names().len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_document_goes_with_its_last_name() {
    let mut world = World::new().await;
    world.capture(&key("1"), b"one").await;
    world.settle().await;
    add_name(&*world.store, &key("1"), &key("2")).await.unwrap();
    assert_eq!(world.outbox().delete(&key("1"), false).await, Ok(1));
    world.settle().await;
    assert_eq!(world.delivered(&key("2")).await.unwrap(), b"one");
    assert_eq!(world.mapping(&key("1")).await, None);
    assert_eq!(world.outbox().delete(&key("2"), false).await, Ok(1));
    world.settle().await;
    assert_eq!((world.mapping(&key("2")).await, world.dws.documents().len()), (None, 0));
}

#[tokio::test(start_paused = true)]
async fn a_folder_that_holds_all_names_of_a_document_takes_it_along() {
    let mut world = World::new().await;
    for kept in [false, true] {
        world.capture(&key("a/1"), b"one").await;
        world.settle().await;
        add_name(&*world.store, &key("a/1"), &key("a/2")).await.unwrap();
        if kept {
            add_name(&*world.store, &key("a/1"), &key("b")).await.unwrap();
        }
        assert_eq!(world.outbox().delete(&key("a"), true).await, Ok(2));
        world.settle().await;
        assert_eq!(world.dws.documents().len(), usize::from(kept));
    }
    assert_eq!(world.delivered(&key("b")).await.unwrap(), b"one");
}

#[tokio::test(start_paused = true)]
async fn new_bytes_by_one_name_are_there_by_the_other() {
    let mut world = World::new().await;
    world.capture(&key("1"), b"one").await;
    world.settle().await;
    add_name(&*world.store, &key("1"), &key("2")).await.unwrap();
    assert_eq!(world.capture(&key("2"), b"two").await, Reason::Replaced);
    world.settle().await;
    for name in ["1", "2"] {
        assert_eq!(world.delivered(&key(name)).await.unwrap(), b"two");
    }
    assert_eq!(world.dws.documents().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_write_by_one_name_puts_the_document_in_doubt_by_all() {
    let mut world = World::new().await;
    world.capture(&key("1"), b"one").await;
    world.settle().await;
    add_name(&*world.store, &key("1"), &key("2")).await.unwrap();
    let write = world.outbox().begin_write(vec![key("1")]).await;
    let seen = world.outbox().mapping(&key("2")).await.unwrap().unwrap();
    assert!(world.outbox().is_in_doubt(&seen) && world.outbox().may_be_written(&seen));
    // The end of the write finds the document by any name.
    rename(&*world.store, &key("1"), &key("3")).await.unwrap();
    write.ended();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let seen = world.outbox().mapping(&key("3")).await.unwrap().unwrap();
    assert!(world.outbox().is_in_doubt(&seen) && !world.outbox().may_be_written(&seen));
    write.refused();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let seen = world.outbox().mapping(&key("2")).await.unwrap().unwrap();
    assert!(!world.outbox().is_in_doubt(&seen), "the app has changed nothing");
}
