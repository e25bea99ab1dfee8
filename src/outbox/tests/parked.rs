//! What the operator decides about parked uploads, and what comes of it.

use super::support::{Act, World, key};
use crate::outbox::parked::{Undecided, discard, retry};
use crate::store::{JobId, now_ms};

#[tokio::test(start_paused = true)]
async fn a_retried_one_arrives() {
    let mut world = parked(b"one").await;
    let id = world.jobs().await[0].id;
    retry(&*world.store, id, now_ms()).await.unwrap();
    world.restart().await;
    world.settle().await;
    assert_eq!(world.delivered(&key("1")).await.unwrap(), b"one");
    assert!(world.files.names().is_empty());
    let again = retry(&*world.store, id, now_ms()).await;
    assert!(matches!(again, Err(Undecided::Missing(_))));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_one_takes_its_mapping_and_the_outdated_document_along() {
    let mut world = World::new().await;
    world.capture(&key("1"), b"one").await;
    world.settle().await;
    world.dws.script_uploads([Act::LoseReply]);
    world.capture(&key("1"), b"two").await;
    world.settle().await;
    let id = world.jobs().await[0].id;
    discard(&*world.store, id, now_ms()).await.unwrap();
    world.restart().await;
    world.settle().await;
    assert_eq!(world.mapping(&key("1")).await, None);
    assert_eq!((world.jobs().await, world.files.names()), (vec![], vec![]));
    let left: Vec<_> = world.dws.documents().into_values().collect();
    assert_eq!(left, [b"two"], "the one in doubt is the operator's to remove");
}

#[tokio::test(start_paused = true)]
async fn one_that_a_newer_version_replaced_goes_alone() {
    for send_again in [false, true] {
        let mut world = parked(b"one").await;
        let id = world.jobs().await[0].id;
        world.capture(&key("1"), b"two").await;
        world.settle().await;
        let decided = match send_again {
            true => retry(&*world.store, id, now_ms()).await,
            false => discard(&*world.store, id, now_ms()).await,
        };
        decided.unwrap();
        world.restart().await;
        world.settle().await;
        assert_eq!(world.delivered(&key("1")).await.unwrap(), b"two");
        assert_eq!((world.jobs().await, world.files.names()), (vec![], vec![]));
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_is_not_parked_is_left_alone() {
    let mut world = World::new().await;
    world.outbox().stop(std::time::Duration::ZERO).await;
    world.capture(&key("1"), b"one").await;
    let id = world.jobs().await[0].id;
    let now = now_ms();
    assert!(matches!(discard(&*world.store, id, now).await, Err(Undecided::NotParked(_))));
    assert!(matches!(retry(&*world.store, id, now).await, Err(Undecided::NotParked(_))));
    let missing = discard(&*world.store, JobId(999), now).await;
    assert!(matches!(missing, Err(Undecided::Missing(999))));
    assert_eq!(world.jobs().await.len(), 1);
}

/// A world with a parked upload; DWS has its bytes, which only the operator can find out.
async fn parked(bytes: &[u8]) -> World {
    let mut world = World::new().await;
    world.dws.script_uploads([Act::LoseReply]);
    world.capture(&key("1"), bytes).await;
    world.settle().await;
    world
}
