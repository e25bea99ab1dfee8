//! The process dies at any instant; the store and DWS go on from where they were.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::support::{Act, World, key};
use crate::backend::BackendErrorKind;
use crate::store::{Applied, Batch, DocumentStore, SledStore};

#[tokio::test(start_paused = true)]
async fn a_crash_before_sending_loses_nothing_and_one_while_sending_doubles_nothing() {
    // A call takes 10 s; DWS has the document after 5.
    for moment in (0..=12).map(|second| Duration::from_secs(second) + Duration::from_millis(1)) {
        let mut world = World::new().await;
        world.dws.set_latency(Duration::from_secs(10));
        world.capture(&key("1"), b"one").await;
        tokio::time::sleep(moment).await;
        world.restart().await;
        world.settle().await;
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(world.delivered(&key("1")).await.unwrap(), b"one");
        assert_eq!(world.dws.documents().len(), 1);
        assert_eq!((world.jobs().await, world.files.names()), (vec![], vec![]));
        let sent_again = usize::from(moment < Duration::from_secs(5));
        assert_eq!(world.dws.calls(), 1 + sent_again, "{moment:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_may_span_restarts() {
    let mut world = World::new().await;
    world.dws.set_down(Some(BackendErrorKind::Unreachable));
    for id in 0..50 {
        world.capture(&key(&id.to_string()), b"x").await;
    }
    world.files.write("left-by-a-crash", b"never journalled");
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(7200)).await;
        world.restart().await;
    }
    assert_eq!(world.files.names().len(), 50, "swept what nothing needs, and only that");
    world.dws.set_down(None);
    world.settle().await;
    assert_eq!(world.dws.documents().len(), 50);
    assert!(world.files.names().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_removal_that_was_cut_off_goes_on() {
    let mut world = World::new().await;
    world.capture(&key("1"), b"one").await;
    world.settle().await;
    world.dws.set_latency(Duration::from_secs(10));
    world.outbox().delete(&key("1"), false).await.unwrap();
    tokio::time::sleep(Duration::from_secs(7)).await;
    world.restart().await;
    world.settle().await;
    assert_eq!((world.jobs().await, world.dws.documents().len()), (vec![], 0));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_another_owner_has_taken_over_ends_nothing() {
    let mut world = World::new().await;
    world.dws.set_latency(Duration::from_secs(10));
    world.capture(&key("1"), b"one").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let taken = world.jobs().await[0].claimed(u64::MAX);
    assert_eq!(world.store.claim(&taken, Batch::default()).await.unwrap(), Applied::Done);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.jobs().await, std::slice::from_ref(&taken));
    assert_eq!(world.mapping(&key("1")).await.unwrap().pending_job(), Some(taken.id));
    assert_eq!(world.files.names().len(), 1, "the other owner needs its bytes");
}

#[tokio::test]
async fn the_durable_store_carries_the_journal_over() {
    let folder = TempDir::new().unwrap();
    let store: Arc<dyn DocumentStore> = Arc::new(SledStore::open(folder.path()).unwrap());
    let mut world = World::on(store).await;
    world.dws.script_uploads([Act::PutOff, Act::Work]);
    world.capture(&key("1"), b"one").await;
    // Not while it is being sent: then nobody could know the outcome.
    while world.jobs().await.first().is_some_and(|job| job.last_error.is_none()) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    world.restart().await;
    world.outbox().begin_anew();
    let mapping = world.outbox().settled(&key("1"), Duration::from_secs(20)).await;
    assert!(mapping.unwrap().unwrap().pending_job().is_none());
    assert_eq!(world.delivered(&key("1")).await.unwrap(), b"one");
}
