//! What the operator decides about parked uploads, and what comes of it.

use super::fake::Heeds;
use super::support::{Act, World, key};
use crate::outbox::OutboxHandle;
use crate::outbox::parked::{OutboxError, discard, retry, send_again};
use crate::store::{Applied, Batch, JobId, now_ms};
use crate::telemetry::OutboxFigures;

#[tokio::test(start_paused = true)]
async fn a_retried_one_arrives() {
    let mut world = parked(b"one").await;
    let id = world.jobs().await[0].id;
    world.dws.set_heeds(Heeds::default());
    retry(&*world.store, id, now_ms()).await.unwrap();
    world.restart().await;
    world.settle().await;
    assert_eq!(world.delivered(&key("1")).await.unwrap(), b"one");
    assert!(world.files.names().is_empty());
    assert_eq!(world.dws.documents().len(), 1, "it was looked for first");
    let again = retry(&*world.store, id, now_ms()).await;
    assert!(matches!(again, Err(OutboxError::Missing(_))));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_one_takes_its_mapping_and_the_outdated_document_along() {
    let mut world = World::new().await;
    world.dws.set_heeds(Heeds { list: false, ..Heeds::default() });
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
async fn while_it_runs_a_retried_one_arrives_and_a_dropped_one_leaves_nothing() {
    let mut world = parked(b"one").await;
    let handle = OutboxHandle::new(world.outbox().clone());
    let figures = handle.figures().await.unwrap();
    assert_eq!((figures.due, figures.parked), (0, 1));
    let id = handle.jobs(None, 10).await.unwrap()[0].id;
    world.dws.set_heeds(Heeds::default());
    let (one, other) = tokio::join!(handle.retry(id), handle.retry(id));
    assert!(one.is_ok() || other.is_ok(), "{one:?}, {other:?}");
    world.settle().await;
    assert_eq!(world.delivered(&key("1")).await.unwrap(), b"one");
    assert_eq!(world.dws.documents().len(), 1, "it was looked for first");
    assert_eq!(handle.figures().await.unwrap(), OutboxFigures::default());

    world.dws.set_heeds(Heeds { list: false, ..Heeds::default() });
    world.dws.script_uploads([Act::LoseReply]);
    world.capture(&key("2"), b"two").await;
    world.settle().await;
    let id = handle.jobs(None, 10).await.unwrap()[0].id;
    handle.discard(id).await.unwrap();
    assert_eq!(world.mapping(&key("2")).await, None);
    assert_eq!((world.jobs().await, world.files.names()), (vec![], vec![]));
    assert!(matches!(handle.discard(id).await, Err(OutboxError::Missing(_))));
}

#[tokio::test(start_paused = true)]
async fn one_that_was_tried_again_meanwhile_is_not_sent_twice() {
    let world = parked(b"one").await;
    let job = world.jobs().await.remove(0);
    let (first, second) = (send_again(&job), send_again(&job));
    assert_eq!(world.store.apply(first).await.unwrap(), Applied::Done);
    let attempt = world.store.claim(&job.claimed(now_ms()), Batch::default()).await.unwrap();
    assert_eq!(attempt, Applied::Done);
    assert_eq!(world.store.apply(second).await.unwrap(), Applied::Fenced);
}

#[tokio::test(start_paused = true)]
async fn one_that_a_newer_version_replaced_goes_alone() {
    for send_again in [false, true] {
        let mut world = parked(b"one").await;
        let id = world.jobs().await[0].id;
        world.dws.set_heeds(Heeds::default());
        world.capture(&key("1"), b"two").await;
        world.settle().await;
        let decided = match send_again {
            true => retry(&*world.store, id, now_ms()).await.map(drop),
            false => discard(&*world.store, id, now_ms()).await.map(drop),
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
    assert!(matches!(discard(&*world.store, id, now).await, Err(OutboxError::NotParked(_))));
    assert!(matches!(retry(&*world.store, id, now).await, Err(OutboxError::NotParked(_))));
    let missing = discard(&*world.store, JobId(999), now).await;
    assert!(matches!(missing, Err(OutboxError::Missing(JobId(999)))));
    assert_eq!(world.jobs().await.len(), 1);
}

/// A world with a parked upload; DWS has its bytes, which only the operator can find out, since the key may not list.
async fn parked(bytes: &[u8]) -> World {
    let mut world = World::new().await;
    world.dws.set_heeds(Heeds { list: false, ..Heeds::default() });
    world.dws.script_uploads([Act::LoseReply]);
    world.capture(&key("1"), bytes).await;
    world.settle().await;
    world
}
