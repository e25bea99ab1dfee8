//! Captures, deletes and waiting, as the request path sees them.

use std::time::Duration;

use tokio::time::Instant;

use super::support::{World, key};
use crate::backend::BackendErrorKind;
use crate::document::DocumentKey;
use crate::outbox::Known;
use crate::reason::Reason;
use crate::store::{DocumentState, Mapping};

#[tokio::test(start_paused = true)]
async fn several_files_are_captured_together_or_not_at_all() {
    let mut world = World::new().await;
    world.capture(&key("1"), b"one").await;
    world.settle().await;
    let files = vec![world.spool(&key("1"), b"uno"), world.spool(&key("2"), b"due")];
    assert_eq!(world.capture_all(files, Known::Only).await, Err(Reason::ReplaceUnknown));
    assert!(world.files.names().is_empty());
    assert_eq!(world.jobs().await, []);

    let files = vec![world.spool(&key("1"), b"uno"), world.spool(&key("2"), b"due")];
    let reasons = world.capture_all(files, Known::Any).await;
    assert_eq!(reasons, Ok(vec![Reason::Replaced, Reason::Captured]));
}

#[tokio::test(start_paused = true)]
async fn what_is_for_new_documents_replaces_none() {
    let mut world = World::new().await;
    let fetched = vec![world.spool(&key("1"), b"one")];
    assert_eq!(world.capture_all(fetched, Known::Never).await, Ok(vec![Reason::Captured]));
    // While it waits for DWS, and when DWS has it.
    for _ in 0..2 {
        let again = vec![world.spool(&key("1"), b"two")];
        assert_eq!(world.capture_all(again, Known::Never).await, Err(Reason::Superseded));
        world.settle().await;
        assert!(world.files.names().is_empty());
    }
    assert_eq!(world.delivered(&key("1")).await.unwrap(), b"one");
}

#[tokio::test(start_paused = true)]
async fn of_two_files_for_one_document_the_last_counts() {
    let mut world = World::new().await;
    let files = vec![world.spool(&key("1"), b"first"), world.spool(&key("1"), b"last")];
    let reasons = world.capture_all(files, Known::Any).await;
    assert_eq!(reasons, Ok(vec![Reason::Superseded, Reason::Captured]));
    world.settle().await;
    assert_eq!(world.delivered(&key("1")).await.unwrap(), b"last");
    assert_eq!((world.dws.documents().len(), world.files.names().len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_newer_version_takes_the_place_of_one_that_waits() {
    let mut world = World::new().await;
    world.capture(&key("1"), b"one").await;
    world.settle().await;
    world.dws.set_down(Some(BackendErrorKind::Unreachable));
    world.capture(&key("1"), b"two").await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    world.capture(&key("1"), b"three").await;
    assert_eq!((world.jobs().await.len(), world.files.names().len()), (1, 1));
    let state = world.mapping(&key("1")).await.unwrap().state;
    assert!(
        matches!(&state, DocumentState::Pending { previous: Some(id), .. } if id == "D1"),
        "{state:?}"
    );
    world.dws.set_down(None);
    world.settle().await;
    assert_eq!(world.delivered(&key("1")).await.unwrap(), b"three");
    assert_eq!(world.dws.documents().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn replaced_or_deleted_while_being_sent_leaves_nothing_over() {
    for delete in [false, true] {
        let mut world = World::new().await;
        world.dws.set_latency(Duration::from_secs(10));
        world.capture(&key("1"), b"one").await;
        tokio::time::sleep(Duration::from_secs(6)).await;
        if delete {
            assert_eq!(world.outbox().delete(&key("1"), false).await, Ok(1));
        } else {
            assert_eq!(world.capture(&key("1"), b"two").await, Reason::Replaced);
        }
        world.settle().await;
        let expected = (!delete).then(|| b"two".to_vec());
        assert_eq!(world.delivered(&key("1")).await, expected);
        let left: Vec<_> = world.dws.documents().into_values().collect();
        assert_eq!(left, expected.into_iter().collect::<Vec<_>>());
        assert!(world.files.names().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn deleting_a_folder_takes_what_is_below_and_nothing_else() {
    let mut world = World::new().await;
    let gone = ["a", "a/", "a/b", "a/c/d"];
    let kept = ["a-b", "a.", "a0", "ab", "b/a/b"];
    for id in gone.iter().chain(&kept) {
        world.capture(&key(id), id.as_bytes()).await;
    }
    let other = DocumentKey::new("other", "a/b").unwrap();
    world.capture(&other, b"x").await;
    for id in 0..250 {
        world.capture(&key(&format!("a/many/{id}")), b"x").await;
    }
    world.settle().await;
    assert_eq!(world.outbox().delete(&key("a"), true).await, Ok(gone.len() + 250));
    world.settle().await;
    let left = world.store.list(None, 1000).await.unwrap();
    let left: Vec<_> = left.iter().map(|mapping| mapping.key.id()).collect();
    assert_eq!(left, [&kept[..], &["a/b"]].concat());
    assert_eq!(world.dws.documents().len(), left.len());
    assert_eq!(world.outbox().delete(&key("none"), true).await, Ok(0));
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_with_the_delivery_or_with_patience() {
    let mut world = World::new().await;
    assert_eq!(world.outbox().settled(&key("1"), Duration::from_secs(5)).await, Ok(None));
    world.dws.set_latency(Duration::from_secs(4));
    world.capture(&key("1"), b"one").await;
    let began = Instant::now();
    let one = key("1");
    let wait = |seconds| world.outbox().settled(&one, Duration::from_secs(seconds));
    let pending = |mapping: &Mapping| mapping.pending_job().is_some();
    assert!(pending(&wait(1).await.unwrap().unwrap()));
    assert_eq!(began.elapsed().as_secs(), 1);
    assert!(!pending(&wait(60).await.unwrap().unwrap()));
    assert_eq!(began.elapsed().as_secs(), 4);
    assert!(!pending(&wait(60).await.unwrap().unwrap()));
    assert_eq!(began.elapsed().as_secs(), 4);
}
